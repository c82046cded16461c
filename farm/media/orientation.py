"""The display matrix: how a stored picture has to be turned to stand upright.

A stored frame becomes upright by a left-right flip where `mirrored`, then a clockwise turn by `rotation`.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np


class Orientation(NamedTuple):
    """How a stored picture is turned to stand upright."""

    rotation: int = 0
    """Degrees clockwise: 0, 90, 180 or 270."""
    mirrored: bool = False
    """Whether it is flipped left to right before it is turned."""


def orientation_of_matrix(matrix: bytes) -> Orientation:
    """The right-angled orientation that is nearest to ffmpeg's AV_PKT_DATA_DISPLAYMATRIX (9 native int32, row vectors).

    The matrix [a b u; c d v; x y w] sends a stored point (p, q), y downwards, to (a p + c q, b p + d q).
    """
    a, b, _, c, d = struct.unpack("=5i", matrix[:20])
    mirrored = a * d - b * c < 0
    if mirrored:  # undo the flip, which comes first and negates the image of the x axis
        a, b = -a, -b
    # The image of the x axis: right is 0, down is 90 clockwise.
    if abs(a) >= abs(b):
        return Orientation(0 if a >= 0 else 180, mirrored)
    return Orientation(90 if b > 0 else 270, mirrored)


def set_upright(picture: np.ndarray, orientation: Orientation) -> np.ndarray:
    """A stored picture (H, W, ...) flipped, then turned: contiguous, and the same array where nothing is to do."""
    if orientation.mirrored:
        picture = picture[:, ::-1]
    if orientation.rotation:
        picture = np.rot90(picture, k=-orientation.rotation // 90)
    return np.ascontiguousarray(picture)
