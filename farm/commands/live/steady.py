"""Steadiness between live frames: the picture before, carried along by flow, holds the new one where it can be trusted.

    steadier = Steadier(); shown = steadier.steady(source, painted)

Flow is measured on small copies of the source, a few milliseconds; what it cannot tie is shown as painted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from farm.flow import create_matcher, resize_flow, warp
from farm.media.pictures import resize

Frame = NDArray[np.uint8]

SHARE = 0.6
"""Of the picture before, where flow is fully trusted: a change of the light is followed within a few frames."""
MEASURED_SIDE = 256
"""Longest side of the copies that flow is measured on, pixels."""


class Steadier:
    """One row of frames of one size; `forget` where they do not belong together."""

    def __init__(self) -> None:
        self._matcher = create_matcher("dis")
        self._source: Frame | None = None
        self._shown: Frame | None = None

    def forget(self) -> None:
        self._source = self._shown = None

    def steady(self, source: Frame, painted: Frame) -> Frame:
        """(H, W, 3) uint8 each. The first is returned as it is."""
        small = _small(source)
        shown = painted
        if self._source is not None and self._shown is not None and self._shown.shape == painted.shape:
            size = painted.shape[:2]
            back = self._matcher.match(small, self._source)[0]
            before = warp(self._shown, resize_flow(back.flow, size[::-1]))
            weight = SHARE * resize(back.weight, size)[..., None]
            mixed = painted + np.where(weight > 0, weight * (before - painted), 0)
            shown = mixed.round().clip(0, 255).astype(np.uint8)
        self._source, self._shown = small, shown
        return shown


def _small(picture: Frame) -> Frame:
    height, width = picture.shape[:2]
    scale = min(1.0, MEASURED_SIDE / max(height, width))
    small: Frame = resize(picture, (max(16, round(height * scale)), max(16, round(width * scale))))
    return small
