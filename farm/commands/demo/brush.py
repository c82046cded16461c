"""How paint is laid on: bristly strokes on a canvas that keeps colour and thickness, then raking light.

    canvas = Canvas.blank(width, height, ground, rng)
    canvas.lay_stroke(path, width, color)            as often as wanted, later strokes cover earlier ones
    canvas.lit()                                     uint8 RGB

Curved strokes after Hertzmann, "Painterly Rendering with Curved Brush Strokes of Multiple Sizes" (1998);
lighting a height field of paint after Hertzmann, "Fast Paint Texture" (2002). Here every bristle is
drawn, so colour streaks and relief come from the same lines and need no brush texture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SUPERSAMPLE = 3  # aliased lines on a canvas 3 times finer look better than OpenCV's own, at a quarter of the time
SUBPIXEL_BITS = 4  # OpenCV draws at 1/16 pixel, with integer arithmetic
BRISTLE = 0.0020  # distance between bristles, in picture heights
BODY = 70  # thickness of the paint under the bristles, of 255
RELIEF = 0.42  # brightness gained or lost where the paint is 100 of 255 thicker, a bristle further on


@dataclass(frozen=True)
class Canvas:
    """`paint` is (H * SUPERSAMPLE, W * SUPERSAMPLE, 4) uint8: red, green, blue and the paint's thickness.

    `rng` draws the bristles and nothing else: how many a stroke has depends on the size of the picture,
    where strokes lie must not.
    """

    paint: NDArray[np.uint8]
    rng: np.random.Generator

    @classmethod
    def blank(cls, width: int, height: int, ground: tuple[int, int, int], rng: np.random.Generator) -> Canvas:
        """For a picture of `width` x `height` pixels, primed with an RGB colour and without paint."""
        paint = np.zeros((height * SUPERSAMPLE, width * SUPERSAMPLE, 4), np.uint8)
        paint[..., :3] = ground
        return cls(paint, rng)

    def lay_stroke(self, path: Floats, width: float, color: Floats, coarseness: float = 1.0) -> None:
        """One stroke along `path` (N, 2), `width` wide, both in picture heights; RGB `color`.

        `path` has at least 3 points. A narrow body of plain paint, over it ragged bristles, each with its
        own load: streaks of lighter and darker paint, thickest at the rims, where a brush pushes the paint
        aside, and thinner where it runs out. `coarseness` 2 is a brush with half as many bristles.
        """
        scale = self.paint.shape[0]
        spacing = max(BRISTLE * scale * coarseness, 1.5)
        count = max(int(width * scale / spacing), 2)
        draws = self.rng.random((count, 5))
        across = (np.arange(count) + 0.2 + 0.6 * draws[:, 0]) / count - 0.5
        parallels = _offset_paths(path * scale, across * width * scale)

        streak = 0.78 + 0.44 * draws[:, 1:2]
        warmth = 34 * (draws[:, 2:3] - 0.5) * (1, 0.1, -1)
        load = 90.0 + 100 * draws[:, 3:4] + 70 * (4 * across * across)[:, None]
        colors = color * streak + warmth
        full = np.concatenate([colors, load], axis=1).clip(0, 255).round().tolist()
        spent = np.concatenate([colors * 0.95, load * 0.8], axis=1).clip(0, 255).round().tolist()

        last = len(path) - 1
        start, stop = 0.25 * last * draws[:, 2], last - 0.45 * last * draws[:, 4] ** 2
        first, final = start.astype(int), last - (last - stop).astype(int)
        _move_end(parallels, first, first + 1, start - first)
        _move_end(parallels, final, final - 1, final - stop)
        bristles = _fixed(parallels)
        turn = (first + 1 + (final - first - 1) * (0.2 + 0.5 * draws[:, 1])).astype(int)
        thickness = int(spacing * 1.25 + 0.5)
        inset = last // 8
        body = [*(color * 0.88).clip(0, 255).tolist(), BODY]
        middle = _fixed(path[inset : last + 1 - inset] * scale)
        self._draw(middle, body, max(int(width * scale * 0.66), 1))
        for bristle in np.argsort(draws[:, 3], kind="stable").tolist():
            points = bristles[bristle]
            self._draw(points[turn[bristle] : final[bristle] + 1], spent[bristle], thickness)
            self._draw(points[first[bristle] : turn[bristle] + 1], full[bristle], thickness)

    def lit(self) -> NDArray[np.uint8]:
        """The picture under light from the upper left: (H, W, 3) uint8 RGB."""
        reach = max(int(BRISTLE * self.paint.shape[0] / 2 + 0.5), 1)
        height = np.pad(self.paint[..., 3].astype(np.int32), reach, mode="edge")
        inner, ahead, behind = slice(reach, -reach), slice(2 * reach, None), slice(None, -2 * reach)
        rise = height[ahead, inner] - height[behind, inner] + height[inner, ahead] - height[inner, behind]
        # In 1/256, so that integers do.
        light = (256 + rise * int(256 * RELIEF) // 200).clip(150, 400)[..., None]
        lit = (self.paint[..., :3] * light >> 8).clip(0, 255)
        rows, columns = (side // SUPERSAMPLE for side in self.paint.shape[:2])
        total = lit.reshape(rows, SUPERSAMPLE, columns, SUPERSAMPLE, 3).sum(axis=(1, 3))
        return ((total + SUPERSAMPLE**2 // 2) // SUPERSAMPLE**2).astype(np.uint8)

    def _draw(self, points: NDArray[np.int32], paint: list[float], thickness: int) -> None:
        cv2.polylines(self.paint, [points], False, paint, thickness, cv2.LINE_8, SUBPIXEL_BITS)


def _offset_paths(path: Floats, offsets: Floats) -> Floats:
    """Parallels of a path (N, 2) at signed distances (B,), drawn in at both ends: (B, N, 2)."""
    tangent = np.gradient(path, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=-1)
    normal /= np.sqrt((normal**2).sum(-1, keepdims=True)) + 1e-9
    place = np.arange(len(path)) / (len(path) - 1)
    spread = np.minimum(1, 0.5 + 3 * np.minimum(place, 1.1 - place))
    return path + offsets[:, None, None] * (spread[:, None] * normal)


def _move_end(paths: Floats, end: NDArray[np.intp], inner: NDArray[np.intp], share: Floats) -> None:
    """Moves the point `end` (B,) of each path (B, N, 2) a share of the way to `inner`, in place.

    Without it, bristles would end side by side at the points of the path, in visible seams.
    """
    path = np.arange(len(paths))
    paths[path, end] += share[:, None] * (paths[path, inner] - paths[path, end])


def _fixed(points: Floats) -> NDArray[np.int32]:
    return (points * (1 << SUBPIXEL_BITS)).round().astype(np.int32)
