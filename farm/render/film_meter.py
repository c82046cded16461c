"""The figures of a film of any tool beside its source, frame by frame, with few frames in memory. No job is needed.

    meter = FilmMeter(cuts=(120,), stills={24: still}, features=features)
    for source, painted in frames:                  # uint8 RGB (H, W, 3), of one size
        meter.add(source, painted)
    figures = meter.figures(joins=[40, 80])         # FilmFigures

The flow of each pair is estimated on the source by OpenCV's DIS at its medium preset, and not by the finer one that the
farm paints with: no film of the farm is measured by its own ruler. docs/measure.md has the definitions.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from farm.flow import consistent_pixels, create_smooth_search, unoccluded_pixels
from farm.render.detail import (
    FRAMES_BEFORE,
    Features,
    Mask,
    Picture,
    StillReference,
    compare_with_source,
    edge_correlation,
    moving_area,
)
from farm.render.detail_figures import FrameDetail
from farm.render.film_figures import FilmFigures, PairFigures
from farm.render.seams import find_joins, seams_of_shot
from farm.render.steadiness import difference, lai_warp_error, warp_error


class SourcePair:
    """The motion between two neighbouring frames of a source, by which a painting of both is judged."""

    def __init__(self, before: Picture, after: Picture) -> None:
        """Raises ValueError where sizes differ."""
        search = create_smooth_search()
        self.backward = search.estimate(after, before)
        """Flow from the second frame to the first one, (H, W, 2) in pixels."""
        self.forward = search.estimate(before, after)
        """Flow from the first frame to the second one."""

    @cached_property
    def weight(self) -> np.ndarray:
        """1 where the second frame can be followed back (Ruder et al. 2016, eq. 5 and 6), else 0: (H, W) float32."""
        return consistent_pixels(self.backward, self.forward).astype(np.float32)

    @cached_property
    def unoccluded(self) -> Mask:
        """The mask of Lai et al. 2018, of the first frame: (H, W) bool."""
        return unoccluded_pixels(self.forward, self.backward)

    def warp_error(self, before: Picture, after: Picture) -> float | None:
        """Warp error of a painting of the two frames: `farm.render.steadiness.warp_error`."""
        return warp_error(before=before, after=after, flow=self.backward, weight=self.weight)

    def lai_warp_error(self, before: Picture, after: Picture) -> float | None:
        """Warp error of Lai et al. 2018 of a painting: `farm.render.steadiness.lai_warp_error`."""
        return lai_warp_error(before=before, after=after, flow=self.forward, unoccluded=self.unoccluded)

    def difference(self, before: Picture, after: Picture) -> np.ndarray:
        """Squared difference at every pixel of the second frame: `farm.render.steadiness.difference`."""
        return difference(before, after, self.backward)


@dataclass(frozen=True)
class _Shown:
    source: Picture
    painted: Picture


class FilmMeter:
    """Takes a film and its source in, frame by frame, and measures them. Memory holds eight frames of either."""

    def __init__(
        self,
        cuts: Collection[int] = (),
        detailed: Collection[int] = (),
        stills: Mapping[int, Picture] | None = None,
        features: Features | None = None,
        first: int = 0,
    ) -> None:
        """`cuts` are the first frames of later shots; numbers count from `first`, the first frame that is added.

        The detail of the frames in `detailed` is measured. With `stills`, paintings of those frames by themselves, it
        is set against these, and `features` (relu4_2) is needed too; `stills` is asked for one picture at a time.
        """
        self._cuts, self._detailed = frozenset(cuts), frozenset(detailed)
        self._stills, self._features = stills, features
        self._first = self._next = first
        self._shot: deque[Picture] = deque(maxlen=FRAMES_BEFORE + 1)  # source frames of the shot, the latest last
        self._last: _Shown | None = None
        self._pairs: dict[int, PairFigures] = {}
        self._details: dict[int, FrameDetail] = {}
        self._alike: dict[int, float] = {}

    def add(self, source: Picture, painted: Picture) -> None:
        """Measure the next frame, both (H, W, 3) uint8 RGB. Raises ValueError where sizes differ."""
        frame, last = self._next, self._last
        cut = frame in self._cuts
        if cut:
            self._shot.clear()
        self._shot.append(source)
        if last is not None:
            self._pairs[frame] = _figures_of_pair(last, _Shown(source, painted), cut=cut)
        if frame in self._detailed:
            self._alike[frame] = edge_correlation(source, painted)
            moving = moving_area(list(self._shot), len(self._shot) - 1)
            if self._stills is None:
                self._details[frame] = compare_with_source(source, painted, moving)
            else:
                assert self._features is not None
                reference = StillReference(source, self._stills[frame], moving, self._features)
                self._details[frame] = reference.compare(painted)
        self._last, self._next = _Shown(source, painted), frame + 1

    def figures(self, joins: Sequence[int] | None = None) -> FilmFigures:
        """What was measured. `joins` are the first frames of later windows; None looks for them (`find_joins`)."""
        edges = [self._first, *sorted(cut for cut in self._cuts if self._first < cut < self._next), self._next]
        shots = [range(start, stop) for start, stop in itertools.pairwise(edges)]
        errors = {frame: pair.warp_error for frame, pair in self._pairs.items()}
        of_source = {frame: pair.source_warp_error for frame, pair in self._pairs.items()}
        seams = []
        for number, shot in enumerate(shots):
            inside = find_joins(shot, errors, of_source) if joins is None else [join for join in joins if join in shot]
            seams += seams_of_shot(shot, [join for join in inside if join != shot.start], errors, {}, number=number)
        return FilmFigures(
            first=self._first,
            shots=shots,
            pairs=self._pairs,
            details=self._details,
            alike=self._alike,
            seams=seams,
            joins_were_found=joins is None,
            over_stills=self._stills is not None,
        )


def _figures_of_pair(before: _Shown, after: _Shown, *, cut: bool) -> PairFigures:
    """The figures of two frames and of their sources. Across a cut nothing can be followed."""
    changes = [
        float(cv2.absdiff(one, other).mean())
        for one, other in ((before.painted, after.painted), (before.source, after.source))
    ]
    if cut:
        return PairFigures(None, None, None, None, *changes)
    pair = SourcePair(before.source, after.source)
    return PairFigures(
        pair.warp_error(before.painted, after.painted),
        pair.warp_error(before.source, after.source),
        pair.lai_warp_error(before.painted, after.painted),
        pair.lai_warp_error(before.source, after.source),
        *changes,
    )
