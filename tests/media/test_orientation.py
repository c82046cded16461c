from __future__ import annotations

import struct

import numpy as np
import pytest

from farm.media.orientation import Orientation, orientation_of_matrix, set_upright

ONE = 1 << 16


@pytest.mark.parametrize(
    ("a", "b", "c", "d", "expected"),
    [
        (1, 0, 0, 1, Orientation(0, False)),
        (0, 1, -1, 0, Orientation(90, False)),
        (-1, 0, 0, -1, Orientation(180, False)),
        (0, -1, 1, 0, Orientation(270, False)),
        (-1, 0, 0, 1, Orientation(0, True)),
        (1, 0, 0, -1, Orientation(180, True)),
        (0, -1, -1, 0, Orientation(90, True)),
        (0, 1, 1, 0, Orientation(270, True)),
    ],
)
def test_the_eight_orientations(a: int, b: int, c: int, d: int, expected: Orientation) -> None:
    matrix = struct.pack("=9i", a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)
    assert orientation_of_matrix(matrix) == expected
    # The matrix says where each stored point goes; turning the picture must take it there.
    stored = np.arange(6).reshape(2, 3)
    upright = set_upright(stored, expected)
    points = {(a * x + c * y, b * x + d * y): stored[y, x] for y in range(2) for x in range(3)}
    left, top = min(x for x, _ in points), min(y for _, y in points)
    for (x, y), value in points.items():
        assert upright[y - top, x - left] == value


def test_a_slightly_tilted_matrix_is_the_nearest_right_angle() -> None:
    assert orientation_of_matrix(struct.pack("=9i", 700, ONE, 0, -ONE, 700, 0, 0, 0, 1 << 30)).rotation == 90
