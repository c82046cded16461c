"""The page of `farm measure`: figures, curves by frame, and the worst pairs of frames side by side, in one HTML file.

html = measured_page(report, figures, pictures)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from farm.media.jpeg import data_url, jpeg
from farm.pages.document import ENVIRONMENT, asset, content_policy
from farm.pages.job_pictures import changed_picture
from farm.pages.plots import film_plot
from farm.render.detail_figures import AREAS, FIGURES
from farm.render.film_figures import FilmFigures

GENERATOR = "farm measure"
"""What the page says that it was made by."""
WIDTH = 640
"""Widest picture of the page, in pixels."""
MOST_BYTES = 80_000
"""Largest JPEG of the page, in bytes, where the worst quality gets there."""
MOST_SEAMS = 40
"""Seams in the table, the largest."""


@dataclass(frozen=True)
class PairPictures:
    """Two neighbouring frames, the later one being `frame`: `source` and `painted` have both, (H, W, 3) uint8.

    `squared` (H, W) is how they differ once motion is taken out, and `followed` (H, W) where that can be told.
    """

    frame: int
    source: Sequence[np.ndarray]
    painted: Sequence[np.ndarray]
    squared: np.ndarray
    followed: np.ndarray


def measured_page(report: Mapping[str, Any], figures: FilmFigures, pictures: Iterable[PairPictures]) -> str:
    """The HTML of what was measured. `report` is the command's, `pictures` those of the worst pairs, the worst first.

    Each pair is asked for when it is drawn, so that the pictures of one are in memory.
    """
    pairs = [_pair(one, figures) for one in pictures]
    script = asset("page.js")
    known = sorted((seam for seam in figures.seams if seam.ratio is not None), key=lambda seam: -(seam.ratio or 0))
    return ENVIRONMENT.get_template("measure.html").render(
        report=report,
        generator=GENERATOR,
        figures=figures,
        tiles=_tiles(report),
        plots={
            name: film_plot(figures, [pair["frame"] for pair in pairs], narrow=name == "narrow")
            for name in ("wide", "narrow")
        },
        seams=known[:MOST_SEAMS],
        pairs=pairs,
        areas=AREAS,
        names=FIGURES,
        style=asset("page.css"),
        script=script,
        policy=content_policy(script, live=False),
    )


def _pair(pictures: PairPictures, figures: FilmFigures) -> dict[str, Any]:
    frame = pictures.frame
    numbers = (frame - 1, frame)
    shown = [
        *(("source", number, picture) for number, picture in zip(numbers, pictures.source, strict=True)),
        *(("painted", number, picture) for number, picture in zip(numbers, pictures.painted, strict=True)),
        ("changed", frame, changed_picture(pictures.squared, pictures.followed)),
    ]
    return {
        "frame": frame,
        "error": figures.pairs[frame].warp_error,
        "source_error": figures.pairs[frame].source_warp_error,
        "pictures": [(label, number, data_url(jpeg(picture, WIDTH, MOST_BYTES))) for label, number, picture in shown],
    }


def _tiles(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(name, value, what it stands beside) of the figures that a reader looks for first."""
    ruder, lai, flickering = report["warp_error"], report["lai_warp_error"], report["temporal_flickering"]
    seams = report["seams"]
    where = "no join was given or found" if seams["frame"] is None else f"at frame {seams['frame']}"
    return [
        ("Warp error, Ruder", _error(ruder["median"]), f"median; source {_error(ruder['source_median'])}"),
        ("Warp error, Lai", _error(lai["mean"]), f"mean; source {_error(lai['source_mean'])}"),
        ("Temporal flickering", _share(flickering["score"]), f"of 1; source {_share(flickering['source'])}"),
        ("Seam ratio", "–" if seams["ratio"] is None else f"{seams['ratio']:.2f}", where),
    ]


def _error(value: float | None) -> str:
    return "–" if value is None else f"{value:.2e}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
