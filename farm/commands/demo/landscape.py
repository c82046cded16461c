"""A whole picture: layers of strokes from broad to fine over a composed scene, then the lights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.commands.demo.brush import Canvas
from farm.commands.demo.scene import RAMPS, Scene, compose_scene, ramp_color
from farm.errors import OutputError, UsageError

Floats = NDArray[np.float64]

SMALLEST, LARGEST = 32, 4096  # pixels on a side
LONGEST = 4  # times the other side
GROUND = (186, 150, 104)  # the raw canvas; nothing of it stays visible


@dataclass(frozen=True)
class Layer:
    """Strokes of one brush, in picture heights: `width`, `length`, distance between strokes `spacing`.

    `tone_spread` is how far a stroke may leave the scene's tone: broken colour, never a flat area.
    `coarseness` thins out the bristles of a brush that later ones mostly cover.
    """

    width: float
    length: float
    spacing: float
    tone_spread: float
    coarseness: float = 1.0


LAYERS = (
    Layer(width=0.060, length=0.26, spacing=0.030, tone_spread=0.10, coarseness=2.0),
    Layer(width=0.034, length=0.19, spacing=0.025, tone_spread=0.16),
    Layer(width=0.019, length=0.13, spacing=0.021, tone_spread=0.20),
)
NARROWEST = 2  # pixels: strokes of a finer brush cannot be seen, and the first layer alone covers the canvas
STEP = 0.012  # of a path, in picture heights
LAMP = np.array([(255, 120, 40), (255, 206, 70), (255, 250, 222)], float)  # halo, flame, core
POPPY = np.array([(176, 12, 26), (222, 28, 24), (244, 74, 36)], float)


def paint_picture(
    width: int = 768, height: int = 512, seed: int = 7, ground: tuple[int, int, int] = GROUND
) -> NDArray[np.uint8]:
    """An evening landscape in thick strokes, (height, width, 3) uint8 RGB.

    The same arguments give the same bytes, and a seed gives the same landscape at every size of one
    aspect. `ground` is the RGB of the bare canvas, which the paint covers. Raises UsageError for a side
    outside 32..4096 pixels or more than 4 times the other, and for a negative seed.
    """
    shorter, longer = sorted((width, height))
    if shorter < SMALLEST or longer > LARGEST or longer > LONGEST * shorter:
        raise UsageError(
            f"a painting of {width}x{height} pixels cannot be made",
            f"give sides of {SMALLEST} to {LARGEST}, the longer at most {LONGEST} times the shorter",
        )
    if seed < 0:
        raise UsageError(f"seed {seed} is negative", "give 0 or more")
    rng = np.random.Generator(np.random.PCG64(seed))
    scene = compose_scene(rng, width / height)
    bristles = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(1,))))
    canvas = Canvas.blank(width, height, ground, bristles)
    for layer in LAYERS[:1] + tuple(finer for finer in LAYERS[1:] if finer.width * height >= NARROWEST):
        _lay_layer(canvas, scene, layer, rng)
    _lay_accents(canvas, scene, rng)
    return canvas.lit()


def paint_to_file(path: Path, width: int = 768, height: int = 512, seed: int = 7) -> None:
    """Writes `paint_picture(...)` as a PNG. Raises UsageError and OutputError."""
    picture = paint_picture(width, height, seed)
    encoded = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1]
    try:
        Path(path).write_bytes(encoded.tobytes())
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}", "choose another place") from error


def _lay_layer(canvas: Canvas, scene: Scene, layer: Layer, rng: np.random.Generator) -> None:
    starts = _jittered_grid(rng, scene.aspect, layer.spacing)
    paths = _trace(scene, starts, layer.length * (0.7 + 0.6 * rng.random(len(starts))))
    row, column = scene.cells(starts)
    tone = scene.tone[row, column] + layer.tone_spread * (rng.random(len(starts)) - 0.5)
    colors = np.stack([ramp_color(ramp, tone) for ramp in RAMPS])[scene.region[row, column], np.arange(len(tone))]
    widths = layer.width * (0.65 + 0.6 * rng.random(len(tone)))
    for path, width, color in zip(paths, widths.tolist(), colors, strict=True):
        canvas.lay_stroke(path, width, color, layer.coarseness)


def _lay_accents(canvas: Canvas, scene: Scene, rng: np.random.Generator) -> None:
    """The strokes that are placed one by one: lamps and their reflections, poppies."""
    for poppy in scene.poppies:
        size = 0.009 + 0.10 * max(poppy[1] - 0.82, 0.0)
        for petal in range(4):
            at = poppy + size * (rng.random(2) - 0.5)
            _dab(canvas, at, size * 0.8, size * 0.6, POPPY[min(petal, 2)], rng, tilt=0.7)
    for lamp in scene.lamps:
        depth, reach = scene.horizon + 0.012, 0.04 + 0.15 * min(rng.random(), rng.random())
        while depth < scene.horizon + reach:
            fade = (depth - scene.horizon) / reach
            at = np.array([lamp[0] + 0.04 * fade * (rng.random() - 0.5), depth])
            _dab(canvas, at, 0.010 + 0.045 * fade * rng.random(), 0.008, LAMP[rng.integers(2)], rng, arch=0.12)
            depth += 0.005 + 0.02 * fade * rng.random()
        for light, size in zip(LAMP, (0.022, 0.015, 0.008), strict=True):
            for _ in range(2):
                at = lamp + 0.4 * size * (rng.random(2) - 0.5)
                _dab(canvas, at, size * 0.8, size * 0.5, light, rng, tilt=1.0)


def _dab(
    canvas: Canvas,
    center: Floats,
    length: float,
    width: float,
    color: Floats,
    rng: np.random.Generator,
    tilt: float = 0.1,
    arch: float = 0.5,
) -> None:
    """A short stroke of the given size in picture heights, bent by up to half of `arch`, sloping by up to `tilt`."""
    along = np.linspace(-0.5, 0.5, 5)
    bend, slope = arch * (rng.random() - 0.5), tilt * (2 * rng.random() - 1)
    path = center + length * np.stack([along, slope * along + bend * (1 - 4 * along * along)], axis=-1)
    canvas.lay_stroke(path, width, color)


def _jittered_grid(rng: np.random.Generator, aspect: float, spacing: float) -> Floats:
    """Points (N, 2), one in every cell of a grid a little larger than the picture, in random order."""
    columns, rows = int(aspect / spacing) + 3, int(1 / spacing) + 3
    y, x = np.mgrid[-1 : rows - 1, -1 : columns - 1].reshape(2, -1)
    points = np.stack([x, y], axis=-1) + rng.random((rows * columns, 2))
    return rng.permutation(points * spacing)


def _trace(scene: Scene, starts: Floats, lengths: Floats) -> list[Floats]:
    """A path (at least 3 points, (x, y)) of about the given length through the middle of each start.

    It follows the scene's direction and ends where it would enter another region, so that outlines
    stay drawn.
    """
    steps = int(lengths.max() / 2 / STEP) + 1
    arms = []
    for sign in (-1.0, 1.0):
        points, arm = starts, []
        going, reach = np.ones(len(starts), bool), np.zeros(len(starts), np.intp)
        home = scene.region[scene.cells(starts)]
        for step in range(steps):
            points = points + sign * STEP * scene.direction[scene.cells(points)]
            going = going & (scene.region[scene.cells(points)] == home) & (step * STEP < lengths / 2)
            reach += going
            arm.append(points)
        arms.append((np.stack(arm, axis=1), np.maximum(reach, 1)))
    (back, back_reach), (ahead, ahead_reach) = arms
    return [
        np.concatenate([back[n, : back_reach[n]][::-1], starts[n : n + 1], ahead[n, : ahead_reach[n]]])
        for n in range(len(starts))
    ]
