"""What the painting shows: a low sun over hills and a lake, a swirling sky, furrows in front.

`compose_scene` returns a `Scene`: per point a region, a tone (a place on that region's ramp of pigments)
and the direction in which a brush goes there. Lengths are in picture heights, x right, y down, so a
scene knows nothing of pixels. The sky's strokes follow the level lines of a stream function (wind plus
vortices) and its bands of colour are levels of the same function: that is why colour and stroke agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROWS = 320  # of the grid on which a scene is sampled; finer than the narrowest brush
SKY, HILLS, LAKE, FIELD = range(4)

# Pigments, RGB 0..255, each ramp from its darkest to its lightest. The order walks round the colour
# circle so that a mixture of two neighbours stays saturated.
RAMPS: tuple[Floats, ...] = tuple(
    np.array(stops, float)
    for stops in (
        [  # sky: night blue to cadmium yellow
            (14, 20, 74), (24, 44, 132), (26, 82, 178), (22, 128, 176), (58, 172, 168), (160, 205, 140),
            (246, 214, 92), (252, 176, 34), (244, 120, 30), (255, 214, 96), (255, 242, 186),
        ],
        [  # hills: indigo to a rose rim of light
            (16, 14, 58), (34, 26, 96), (62, 36, 124), (112, 44, 128), (178, 58, 104), (232, 104, 62),
        ],
        [  # lake: prussian blue to sunlight
            (8, 26, 66), (10, 54, 108), (14, 92, 138), (28, 138, 150), (104, 184, 152), (238, 190, 70),
            (250, 146, 36), (255, 226, 140),
        ],
        [  # field: bottle green to straw
            (10, 44, 50), (18, 82, 66), (66, 116, 42), (150, 132, 22), (206, 142, 20), (242, 186, 38),
            (255, 222, 112),
        ],
    )
)  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """Grids of `ROWS` rows covering `aspect` x 1 picture heights.

    `region` (ROWS, C) holds SKY ... FIELD, `tone` (ROWS, C) is 0..1 along that region's ramp, and
    `direction` (ROWS, C, 2) a unit vector (x, y). `sun`, `lamps` and `poppies` are points (x, y).
    """

    aspect: float
    region: NDArray[np.uint8]
    tone: Floats
    direction: Floats
    horizon: float
    sun: Floats
    lamps: Floats
    poppies: Floats

    def cells(self, points: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of the grid nearest to points (..., 2), those outside moved to the edge."""
        rows, columns = self.region.shape
        column = (points[..., 0] * rows).astype(np.intp).clip(0, columns - 1)
        row = (points[..., 1] * rows).astype(np.intp).clip(0, rows - 1)
        return row, column


def ramp_color(ramp: Floats, tone: Floats) -> Floats:
    """The pigments at `tone` (...) 0..1 along a ramp (K, 3), mixed linearly: (..., 3)."""
    place = np.clip(tone, 0, 1) * (len(ramp) - 1)
    low = np.minimum(place.astype(np.intp), len(ramp) - 2)
    share = (place - low)[..., None]
    return ramp[low] * (1 - share) + ramp[low + 1] * share


def compose_scene(rng: np.random.Generator, aspect: float) -> Scene:
    """A landscape for a picture `aspect` times as wide as high; another generator, another place."""
    columns = max(int(ROWS * aspect + 0.5), 1)
    y, x = np.mgrid[0:ROWS, 0:columns]
    x, y = (x + 0.5) / ROWS, (y + 0.5) / ROWS

    horizon = 0.60 + 0.03 * rng.random()
    sun = np.array([aspect * (0.28 + 0.44 * rng.random()), horizon - 0.13 - 0.03 * rng.random()])
    ridge = horizon - 0.015 - 0.15 * _noise(rng, x, np.zeros_like(x), 2.6) * _away(x, sun[0], 0.35)
    bank = 0.79 + 0.09 * _noise(rng, x, np.zeros_like(x), 1.6) + 0.09 * (x / aspect - 0.5) * _sign(rng)

    region = np.full(x.shape, SKY, np.uint8)
    region[y > ridge] = HILLS
    region[y > horizon] = LAKE
    region[y > bank] = FIELD

    stream, hearts = _sky_stream(rng, x, y, aspect, sun)
    furrows, field_x, field_y = _furrows(rng, x, y, aspect, horizon)
    sky_x, sky_y = _along(stream)
    ripple = _noise(rng, x * 0.5, y, 14)
    slope = np.gradient(ridge, 1 / ROWS, axis=1)
    zeros, ones = np.zeros_like(x), np.ones_like(x)
    direction = np.stack(
        [
            np.choose(region, [sky_x, ones, ones, field_x]),
            np.choose(region, [sky_y, slope * 0.9 + 0.35, (ripple - 0.5) * 0.5, field_y]),
        ],
        axis=-1,
    )
    direction /= np.sqrt((direction**2).sum(-1, keepdims=True)) + 1e-9

    glow = _falloff(x, y, sun[0], sun[1], 0.30)
    disc = _falloff(x, y, sun[0], sun[1], 0.075)
    near_horizon = np.clip(1 - (horizon - y) / 0.5, 0, 1)
    band = _triangle(stream * 7.0)
    sky = (
        0.02
        + 0.28 * band * band
        + 0.30 * near_horizon * near_horizon * near_horizon
        + 0.28 * glow
        + 0.50 * disc
        + 0.30 * hearts
    )
    lit = _falloff(x, zeros, sun[0], 0.0, 0.45)
    rim = np.clip(1 - (y - ridge) / 0.06, 0, 1)
    hills = 0.12 + 0.22 * _noise(rng, x, y, 7) + 0.22 * rim + 0.40 * rim * lit
    spread = 0.045 + 0.35 * (y - horizon).clip(0)
    glitter = 1 / (1 + ((x - sun[0]) / spread) ** 2) ** 2
    lake = 0.10 + 0.40 * ripple**2 + 0.12 * lit + 0.80 * glitter * (0.55 + 0.45 * ripple)
    field = 0.16 + 0.62 * furrows + 0.18 * _noise(rng, x, y, 4) - 0.25 * (y - bank - 0.06).clip(0)

    lamps = _scatter(rng, int(5 * aspect) + 1, 0.0, aspect, horizon - 0.014, horizon + 0.004)
    poppies = _scatter(rng, int(36 * aspect) + 1, 0.0, aspect, 0.0, 1.0)
    column = (poppies[:, 0] * ROWS).astype(int).clip(0, columns - 1)
    edge = bank[0, column] + 0.015
    poppies[:, 1] = edge + (1 - edge) * poppies[:, 1]
    tone = np.choose(region, [sky, hills, lake, field]).clip(0, 1)
    return Scene(aspect, region, tone, direction, horizon, sun, lamps, poppies)


def _sky_stream(rng: np.random.Generator, x: Floats, y: Floats, aspect: float, sun: Floats) -> tuple[Floats, Floats]:
    """Stream function of the sky (a wavering wind, a ring round the sun, vortices spread from left to
    right) and the light at the heart of the vortices, 0..1.
    """
    hearts = np.zeros_like(x)
    stream = 0.85 * y + 0.10 * _noise(rng, x, y, 2.2) + 0.035 * _noise(rng, x, y, 5)
    stream = stream - 0.34 * _falloff(x, y, sun[0], sun[1], 0.12)
    count = max(int(aspect * 2.7 + 0.5), 2)
    for place in range(count):
        center_x = aspect * (place + 0.25 + 0.5 * rng.random()) / count
        center_y = 0.08 + 0.26 * rng.random()
        if abs(center_x - sun[0]) < 0.25:
            center_y *= 0.5  # leaves the sun its own ring
        radius = 0.07 + 0.09 * rng.random()
        turn = _sign(rng) * radius * (1.7 + rng.random())
        stream = stream + turn * _falloff(x, y, center_x, center_y, radius)
        hearts = np.maximum(hearts, _falloff(x, y, center_x, center_y, 0.45 * radius) ** 2)
    return stream, hearts


def _furrows(
    rng: np.random.Generator, x: Floats, y: Floats, aspect: float, horizon: float
) -> tuple[Floats, Floats, Floats]:
    """Furrows that run to a vanishing point above the horizon: brightness 0..1 and direction x, y."""
    vanish_x, vanish_y = aspect * (0.2 + 0.6 * rng.random()), horizon - 0.05
    bend = 0.10 * _noise(rng, x, y, 3)
    across = (x - vanish_x + bend) / (y - vanish_y).clip(0.05)
    along_x, along_y = _along(across)
    return _triangle(across * 2.6), along_x, along_y


def _along(stream: Floats) -> tuple[Floats, Floats]:
    """Components x, y of the velocity whose stream function this is."""
    return np.gradient(stream, 1 / ROWS, axis=0), -np.gradient(stream, 1 / ROWS, axis=1)


def _falloff(x: Floats, y: Floats, center_x: float, center_y: float, radius: float) -> Floats:
    """1 at the centre, 1/2 at `radius`, towards 0 far away: a bell without an exponential."""
    return 1 / (1 + ((x - center_x) ** 2 + (y - center_y) ** 2) / (radius * radius))


def _away(x: Floats, center: float, reach: float) -> Floats:
    """0.25 at `center`, towards 1 away from it: keeps the hills low in front of the sun."""
    return 1 - 0.75 / (1 + ((x - center) / reach) ** 2)


def _triangle(value: Floats) -> Floats:
    """Triangle wave of period 1 between 0 and 1."""
    return np.abs(2 * (value - np.floor(value)) - 1)


def _noise(rng: np.random.Generator, x: Floats, y: Floats, cells: float) -> Floats:
    """Value noise 0..1 with `cells` cells to a picture height."""
    column, row = x * cells, y * cells
    lattice = rng.random((int(row.max()) + 2, int(column.max()) + 2))
    left, top = column.astype(np.intp), row.astype(np.intp)
    across, down = column - left, row - top
    across, down = across * across * (3 - 2 * across), down * down * (3 - 2 * down)
    upper = lattice[top, left] * (1 - across) + lattice[top, left + 1] * across
    lower = lattice[top + 1, left] * (1 - across) + lattice[top + 1, left + 1] * across
    return upper * (1 - down) + lower * down


def _scatter(rng: np.random.Generator, count: int, left: float, right: float, top: float, bottom: float) -> Floats:
    """`count` points (count, 2) in a box, one to a vertical strip, so that they never bunch up."""
    across = (np.arange(count) + rng.random(count)) / count
    return np.stack([left + (right - left) * across, top + (bottom - top) * rng.random(count)], axis=-1)


def _sign(rng: np.random.Generator) -> float:
    return 1.0 if rng.random() < 0.5 else -1.0
