"""A correction carried into the frames around it, along the film's motion.

    carrier = CorrectionCarrier(job, record, accepted, picture)
    carrier.carried(frame, before, after)                (H, W, 3) uint8, or None where nothing reaches it

A frame is made of what was painted there and of the accepted pictures before and after it. Only positions are carried
from frame to frame, and the accepted paint is resampled once (farm.render.keyed), so its strokes stay sharp. Three
things decide how much of it a pixel shows:

    what was corrected      where the accepted picture differs from what was painted in its frame, and a little around
    what is still seen      where the map to that frame holds: it leads back, and the source looks alike
    how far it is           all of it as far as HELD of the reach, then less and less; between two accepted frames each
                            gives way to the other

The paint takes the light that its new frame has: the soft part of what was painted differs there from what was painted
in the accepted frame, and that difference is added. Where nothing was corrected every pixel stays as it was, bit for
bit. The pictures depend on the frames that were painted, on the accepted ones and on the film, and on no other carried
one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from farm.flow import warp
from farm.job import JobDirectory, JobRecord
from farm.render.committed import frame_of_pass
from farm.render.keyed import KeyView
from farm.render.keyed.sampling import lanczos
from farm.render.keyed_film import KeyedPainter
from farm.render.source_frames import SourceFrames, open_flow_store

DIFFERS = 2
"""Grey levels from which on a pixel of an accepted picture counts as corrected."""
GROWN = 3
"""Pixels around what was corrected that are carried with it, and over which it fades into what was painted."""
LIGHT_REACH = 12.0
"""Standard deviation in pixels of the Gaussian that parts light from strokes."""
HELD = 0.75
"""Share of the reach within which all of a correction is carried."""


def corrected_area(painted: np.ndarray, accepted: np.ndarray) -> np.ndarray:
    """Where `accepted` was corrected, both uint8 (H, W, 3): float32 (H, W), 1 there and 0 from GROWN pixels on."""
    differs = (cv2.absdiff(painted, accepted).max(axis=2) >= DIFFERS).astype(np.uint8)
    if not differs.any():
        return np.zeros(differs.shape, np.float32)
    away = cv2.distanceTransform(1 - differs, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.clip(1 - away / (GROWN + 1), 0, 1).astype(np.float32)


def share_at(distance: int, reach: int, to_other: int | None) -> float:
    """Share of a correction that a frame shows which is `distance` frames away from it, in 0..1.

    `to_other` is how many frames away that frame is from an accepted frame on its other side; None without one.

    >>> [share_at(distance, 8, None) for distance in (1, 6, 7, 8)]
    [1.0, 1.0, 0.6666666666666666, 0.3333333333333333]
    >>> share_at(1, 8, 3)
    0.75
    """
    held = int(HELD * reach)
    share = 1.0 if distance <= held else (reach + 1 - distance) / (reach + 1 - held)
    return share if to_other is None else share * to_other / (distance + to_other)


@dataclass(frozen=True)
class Part:
    """An accepted frame, as another frame of its shot sees it."""

    view: KeyView
    """The accepted picture, seen from that frame."""
    painted: np.ndarray
    """What was painted in the accepted frame: uint8 (H, W, 3)."""
    area: np.ndarray
    """Its `corrected_area`: float32 (H, W)."""
    share: float
    """How much of it is shown, in 0..1; those of all parts add up to 1 at most."""


def blend(painted: np.ndarray, parts: Sequence[Part]) -> np.ndarray | None:
    """What was `painted`, uint8 (H, W, 3), with corrections carried over it: uint8 (H, W, 3), None where none shows."""
    base = painted.astype(np.float32)
    result = base.copy()
    for part in parts:
        shown = np.clip(warp(part.area, part.view.there), 0, 1) * part.view.weight * np.float32(part.share)
        light = _soft(base - lanczos(part.painted, part.view.there), part.view.weight)
        result += shown[..., None] * (part.view.picture() + light - base)
    image = np.rint(np.clip(result, 0, 255)).astype(np.uint8)
    return None if np.array_equal(image, painted) else image


def _soft(difference: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The soft part of a difference (H, W, 3) of two pictures, where `weight` (H, W) says that it means something."""
    known = cv2.GaussianBlur(weight, (0, 0), LIGHT_REACH)
    blurred = cv2.GaussianBlur(difference * weight[..., None], (0, 0), LIGHT_REACH)
    return blurred / np.maximum(known, 1e-3)[..., None]


class CorrectionCarrier:
    """Carries the accepted pictures of one job, `accepted` by frame with their reach. Raises StorageError, VideoError.

    `picture` gives the accepted picture of a frame, (H, W, 3) uint8. Frames are asked for in any order, but are made
    soonest in ascending order.
    """

    def __init__(
        self, job: JobDirectory, record: JobRecord, accepted: Mapping[int, int], picture: Callable[[int], np.ndarray]
    ) -> None:
        self._job, self._record, self._accepted, self._picture = job, record, accepted, picture
        self._source = SourceFrames(record)
        self._flows = open_flow_store(job, record, self._source)
        self._views = KeyedPainter(record.plan, self._source, self._flows, picture)
        self._areas: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def carried(self, frame: int, before: int | None, after: int | None) -> np.ndarray | None:
        """`frame` with the corrections of the accepted frames `before` and `after` it; None where none reaches it."""
        parts = []
        for accepted, other in ((before, after), (after, before)):
            if accepted is None:
                continue
            painted_there, area = self._corrected(accepted)
            if area.any():
                to_other = None if other is None else abs(other - frame)
                share = share_at(abs(frame - accepted), self._accepted[accepted], to_other)
                parts.append(Part(self._views.view(accepted, frame), painted_there, area, share))
        return blend(self.painted(frame), parts) if parts else None

    def painted(self, frame: int) -> np.ndarray:
        """What the last pass painted. Raises DamagedError where it is gone."""
        return frame_of_pass(self._job, self._record, self._record.plan.passes, frame)

    def _corrected(self, accepted: int) -> tuple[np.ndarray, np.ndarray]:
        """What was painted in an accepted frame, and where it was corrected."""
        if accepted not in self._areas:
            painted = self.painted(accepted)
            self._areas[accepted] = painted, corrected_area(painted, self._picture(accepted))
        return self._areas[accepted]
