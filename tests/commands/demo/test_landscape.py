"""The picture the farm paints: reproducible, covered, saturated, and brushed along its own flow field."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from farm.commands.demo import paint_picture, paint_to_file
from farm.commands.demo.brush import BODY, Canvas
from farm.commands.demo.scene import FIELD, HILLS, LAKE, RAMPS, SKY, compose_scene, ramp_color
from farm.errors import OutputError, UsageError

pytestmark = pytest.mark.heavy

WIDTH, HEIGHT, SEED = 192, 128, 7
Floats = NDArray[np.floating]


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    return paint_picture(WIDTH, HEIGHT, SEED)


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def structure(picture: NDArray[np.uint8], sigma: float) -> tuple[Floats, Floats]:
    """Structure tensor of the luminance: coherence 0..1 and the gradient's doubled angle as a unit vector."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    by_x, by_y = cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)
    xx, xy, yy = (cv2.GaussianBlur(p, (0, 0), sigma) for p in (by_x * by_x, by_x * by_y, by_y * by_y))
    strength = np.hypot(xx - yy, 2 * xy) + 1e-6
    return strength / (xx + yy + 1e-6), np.stack([xx - yy, 2 * xy], axis=-1) / strength[..., None]


def turn_from_flow(picture: NDArray[np.uint8], seed: int) -> Floats:
    """Per pixel 1 where strokes run along the scene's direction, -1 where they run across it."""
    height, width = picture.shape[:2]
    direction = compose_scene(generator(seed), width / height).direction.astype(np.float32)
    x, y = np.moveaxis(cv2.resize(direction, (width, height), interpolation=cv2.INTER_AREA), -1, 0)
    _, gradient = structure(picture, height / 64)
    return -(gradient[..., 0] * (x * x - y * y) + gradient[..., 1] * 2 * x * y)


def test_the_same_seed_paints_the_same_bytes_and_leaves_numpys_global_generator_alone(
    picture: NDArray[np.uint8],
) -> None:
    assert picture.dtype == np.uint8
    assert picture.shape == (HEIGHT, WIDTH, 3)
    np.random.seed(3)
    assert np.array_equal(picture, paint_picture(WIDTH, HEIGHT, SEED))
    assert np.array_equal(np.random.random(4), np.random.RandomState(3).random(4))


def test_another_seed_paints_another_picture(picture: NDArray[np.uint8]) -> None:
    other = paint_picture(WIDTH, HEIGHT, SEED + 1)
    assert np.abs(picture.astype(int) - other).mean() > 20


def test_a_seed_gives_the_same_landscape_at_another_size(picture: NDArray[np.uint8]) -> None:
    smaller = paint_picture(162, 108, SEED)
    soft = [cv2.resize(image, (24, 16), interpolation=cv2.INTER_AREA).astype(int) for image in (picture, smaller)]
    assert np.abs(soft[0] - soft[1]).mean() < 9


@pytest.mark.parametrize(("width", "height"), [(32, 32), (97, 65), (96, 32), (32, 128)])
def test_any_shape_can_be_painted(width: int, height: int) -> None:
    picture = paint_picture(width, height)
    assert picture.shape == (height, width, 3)
    assert picture.std() > 35


@pytest.mark.parametrize(("width", "height"), [(0, 64), (-5, 64), (64, 31), (4097, 2000), (260, 64), (64, 260)])
def test_an_impossible_size_is_refused(width: int, height: int) -> None:
    with pytest.raises(UsageError, match=f"{width}x{height}.*give sides"):
        paint_picture(width, height)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(UsageError, match="seed -1"):
        paint_picture(64, 64, seed=-1)


def test_nothing_of_the_bare_canvas_stays_visible(picture: NDArray[np.uint8]) -> None:
    assert np.array_equal(picture, paint_picture(WIDTH, HEIGHT, SEED, ground=(255, 0, 255)))


def test_the_palette_is_saturated_and_has_cold_and_warm_hues(picture: NDArray[np.uint8]) -> None:
    hue, saturation, value = np.moveaxis(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV), -1, 0)
    assert np.median(saturation) > 180
    assert (saturation < 60).mean() < 0.05
    colorful = (saturation > 100) & (value > 60)
    share = {  # OpenCV's hue counts in steps of 2 degrees
        "red": (colorful & ((hue < 10) | (hue > 172))).mean(),
        "ochre and yellow": (colorful & (hue >= 10) & (hue < 35)).mean(),
        "teal": (colorful & (hue >= 80) & (hue < 100)).mean(),
        "blue": (colorful & (hue >= 100) & (hue < 125)).mean(),
    }
    least = {"red": 0.01, "ochre and yellow": 0.10, "teal": 0.10, "blue": 0.20}
    assert {name: value for name, value in share.items() if value < least[name]} == {}
    assert value.min() < 60
    assert value.max() > 245


def test_no_area_is_flat(picture: NDArray[np.uint8]) -> None:
    blocks = picture.reshape(HEIGHT // 8, 8, WIDTH // 8, 8, 3).astype(float)
    assert blocks.std(axis=(1, 3)).max(axis=-1).min() > 8


def test_strokes_are_directional_and_follow_the_scene(picture: NDArray[np.uint8]) -> None:
    coherence, _ = structure(picture, HEIGHT / 64)
    noise = generator(0).integers(0, 256, picture.shape, dtype=np.uint8)
    assert coherence.mean() > 0.6 > 2 * structure(noise, HEIGHT / 64)[0].mean()
    assert turn_from_flow(picture, SEED).mean() > 0.75
    assert abs(turn_from_flow(noise, SEED).mean()) < 0.1


def test_strokes_come_in_several_scales(picture: NDArray[np.uint8]) -> None:
    bands, image = [], picture.astype(np.float32)
    for sigma in (0.7, 1.4, 2.8, 5.6):
        soft = cv2.GaussianBlur(image, (0, 0), sigma)
        bands.append(float((image - soft).std()))
        image = soft
    assert min(bands) > 6


def test_a_stroke_leaves_relief_that_catches_the_light_from_above() -> None:
    canvas = Canvas.blank(64, 64, (100, 100, 100), generator(1))
    path = np.stack([np.linspace(0.1, 0.9, 12), np.full(12, 0.5)], axis=-1)
    canvas.lay_stroke(path, 0.3, np.array([100.0, 100.0, 100.0]))
    thickness = canvas.paint[..., 3]
    assert thickness[96, 40:150].min() >= BODY
    assert thickness[:60].max() == thickness[132:].max() == 0
    lit = canvas.lit().astype(int)
    assert lit[:18].min() == lit[:18].max() == 100
    upper, lower = lit[20:26, 16:44].max(axis=(0, 2)), lit[38:45, 16:44].min(axis=(0, 2))
    assert upper.mean() > 115
    assert lower.mean() < 85


def test_unpainted_canvas_keeps_its_color() -> None:
    lit = Canvas.blank(40, 32, (10, 150, 255), generator(0)).lit()
    assert np.array_equal(lit, np.full((32, 40, 3), (10, 150, 255), np.uint8))


def test_a_scene_is_sky_over_hills_over_a_lake_over_a_field() -> None:
    scene = compose_scene(generator(SEED), 1.5)
    assert np.allclose((scene.direction**2).sum(-1), 1, atol=1e-6)
    assert scene.tone.min() >= 0
    assert scene.tone.max() <= 1
    assert np.all(np.diff(scene.region.astype(int), axis=0) >= 0)
    assert set(np.unique(scene.region)) == {SKY, HILLS, LAKE, FIELD}
    rows, columns = scene.cells(np.stack([scene.sun, scene.poppies[0]]))
    assert scene.region[rows, columns].tolist() == [SKY, FIELD]


@pytest.mark.parametrize(
    ("tone", "color"),
    [
        (-1.0, (0, 0, 0)),
        (0.0, (0, 0, 0)),
        (0.25, (50, 0, 0)),
        (0.5, (100, 0, 0)),
        (1.0, (100, 40, 8)),
        (2.0, (100, 40, 8)),
    ],
)
def test_a_ramp_mixes_its_neighbours(tone: float, color: tuple[float, float, float]) -> None:
    ramp = np.array([(0, 0, 0), (100, 0, 0), (100, 40, 8)], float)
    assert ramp_color(ramp, np.array(tone)).tolist() == list(color)


def test_every_ramp_runs_from_dark_to_light() -> None:
    for ramp in RAMPS:
        assert ramp[0].mean() + 60 < ramp[-1].mean()


def test_the_file_holds_the_picture(tmp_path: Path) -> None:
    paint_to_file(tmp_path / "style.png", 48, 32, SEED)
    with Image.open(tmp_path / "style.png") as image:
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), paint_picture(48, 32, SEED))


def test_a_file_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*style\.png"):
        paint_to_file(tmp_path / "missing" / "style.png", 32, 32)
