"""What `farm.render.film_meter` measured of a film, and what is typical of it. Pure: neither numpy nor pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median
from typing import Any

from farm.render.detail_figures import AREAS, FIGURES, FrameDetail, spread
from farm.render.seams import Seam

APART = 3
"""Least frames between two of the worst pairs, so that one jump is not shown twice."""
LEAST_ALIKE = 0.1
"""Median correlation of edges below which a film is said not to show its source."""


@dataclass(frozen=True)
class PairFigures:
    """The figures of a frame and the one before it, of the film and of its source.

    Warp errors are mean squared differences, pixels 0..1: `warp_error` by Ruder et al. 2016, `lai_warp_error` by Lai et
    al. 2018; None where nothing, or too little, can be followed. `change` is the mean absolute difference in grey
    levels, without motion taken out.
    """

    warp_error: float | None
    source_warp_error: float | None
    lai_warp_error: float | None
    source_lai_warp_error: float | None
    change: float
    source_change: float


@dataclass(frozen=True)
class FilmFigures:
    """All figures of a film. Pairs are known by their second frame, and frames by the film's numbers.

    `shots` are the frames of each shot. `alike` is the correlation of a frame's edges with its source's. `over_stills`
    tells whether `details` are over stills; otherwise they are over the source (`compare_with_source`).
    """

    first: int
    shots: Sequence[range]
    pairs: Mapping[int, PairFigures]
    details: Mapping[int, FrameDetail]
    alike: Mapping[int, float]
    seams: Sequence[Seam]
    joins_were_found: bool
    over_stills: bool

    def values(self, name: str) -> dict[int, float]:
        """One figure of `PairFigures` by frame, where it is known."""
        return {frame: value for frame, pair in self.pairs.items() if (value := getattr(pair, name)) is not None}

    @property
    def flickering(self) -> float | None:
        """Temporal flickering of VBench: (255 - mean absolute difference) / 255 of all pairs; 1 is a still picture."""
        return _flickering(self.values("change"))

    @property
    def source_flickering(self) -> float | None:
        """The same of the source, whose motion counts as well."""
        return _flickering(self.values("source_change"))

    @property
    def worst_seam(self) -> Seam | None:
        """The seam of the largest ratio; None where no ratio is known."""
        known = [seam for seam in self.seams if seam.ratio is not None]
        return max(known, key=lambda seam: seam.ratio or 0.0, default=None)

    @property
    def shows_its_source(self) -> bool:
        """Whether the edges of film and source have something in common; True where none were compared."""
        return not self.alike or median(self.alike.values()) >= LEAST_ALIKE

    def worst_pairs(self, count: int) -> list[int]:
        """The frames of the `count` pairs with the largest warp error, no two closer than APART, the worst first."""
        errors, chosen = self.values("warp_error"), list[int]()
        for frame in sorted(errors, key=errors.__getitem__, reverse=True):
            if len(chosen) < count and all(abs(frame - other) >= APART for other in chosen):
                chosen.append(frame)
        return chosen

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON has them: a summary of each, and all pairs and frames. Unknown ones are null."""
        seam = self.worst_seam
        return {
            "frames": self.shots[-1].stop - self.first if self.shots else 0,
            "first_frame": self.first,
            "cuts": [shot.start for shot in self.shots[1:]],
            "warp_error": _summary(self.values("warp_error"), self.values("source_warp_error"), len(self.pairs)),
            "lai_warp_error": _summary(
                self.values("lai_warp_error"), self.values("source_lai_warp_error"), len(self.pairs)
            ),
            "temporal_flickering": {"score": self.flickering, "source": self.source_flickering},
            "seams": {
                "ratio": None if seam is None else seam.ratio,
                "frame": None if seam is None else seam.frame,
                "found": self.joins_were_found,
                "all": [{"frame": one.frame, "ratio": one.ratio, "worst": one.worst} for one in self.seams],
            },
            "detail": {
                "over": "stills" if self.over_stills else "source",
                **{
                    area: {
                        figure: None if (row := spread(self.details, area, figure)) is None else asdict(row)
                        for figure in FIGURES
                    }
                    for area in AREAS
                },
            },
            "edges_in_common": median(self.alike.values()) if self.alike else None,
            "by_pair": {frame: asdict(pair) for frame, pair in self.pairs.items()},
            "by_frame": {frame: asdict(detail) for frame, detail in self.details.items()},
        }


def _flickering(changes: Mapping[int, float]) -> float | None:
    return (255 - mean(changes.values())) / 255 if changes else None


def _summary(film: Mapping[int, float], source: Mapping[int, float], pairs: int) -> dict[str, Any]:
    return {
        "median": median(film.values()) if film else None,
        "mean": mean(film.values()) if film else None,
        "source_median": median(source.values()) if source else None,
        "source_mean": mean(source.values()) if source else None,
        "pairs": len(film),
        "left_out": pairs - len(film),
    }
