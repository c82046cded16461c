"""Steadiness between live frames: optical flow carries the picture before along, and it is mixed into the new one.

    steadier = Steadier()
    shown = steadier.steady(source, painted)

Flow is measured on small copies of the source, which takes a few milliseconds. Where it cannot be trusted, the picture
is shown as it was painted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from farm.flow import create_matcher, resize_flow, warp
from farm.media.pictures import resize

Frame = NDArray[np.uint8]
"""A picture, (H, W, 3) uint8 RGB."""

SHARE = 0.6
"""Share of the picture before in the new one, where flow is fully trusted. Why not more: a change of the light has to
be followed within a few frames."""
MEASURED_SIDE = 256
"""Longest side of the copies that flow is measured on, in pixels."""


class Steadier:
    """Holds each painted frame by the one shown before. Call `forget` where two frames do not belong together."""

    def __init__(self) -> None:
        """Begin without a frame before."""
        self._matcher = create_matcher("dis")
        self._source: Frame | None = None
        self._shown: Frame | None = None

    def forget(self) -> None:
        """Show the next frame as it is painted."""
        self._source = self._shown = None

    def steady(self, source: Frame, painted: Frame) -> Frame:
        """The picture to show for `painted`, which the network made of `source`. All are (H, W, 3) uint8.

        The first frame, and a frame of another size than the one before, is returned as it is.
        """
        small = _small(source)
        steadied = painted
        if self._source is not None and self._shown is not None and self._shown.shape == painted.shape:
            size = painted.shape[:2]
            match = self._matcher.match(small, self._source)[0]
            warped = warp(self._shown, resize_flow(match.flow, size[::-1]))
            weight = SHARE * resize(match.weight, size)[..., None]
            mixed = painted + np.where(weight > 0, weight * (warped - painted), 0)
            steadied = mixed.round().clip(0, 255).astype(np.uint8)
        self._source, self._shown = small, steadied
        return steadied


def _small(picture: Frame) -> Frame:
    """A copy to measure flow on."""
    height, width = picture.shape[:2]
    scale = min(1.0, MEASURED_SIDE / max(height, width))
    small: Frame = resize(picture, (max(16, round(height * scale)), max(16, round(width * scale))))
    return small
