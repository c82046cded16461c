"""A painted film beside its source: what is read, and what is refused in one line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from farm.errors import UsageError, VideoError
from farm.render.painted import (
    PaintedFilm,
    PaintedFrames,
    check_painted,
    check_shows_film,
    look_at_painted,
)
from farm.spec import FrameRange
from tests.plan.test_render_plan import make_probe


def scene(seed: int) -> np.ndarray:
    """Boxes at random places: (90, 160, 3) uint8."""
    rng = np.random.default_rng(seed)
    picture = np.full((90, 160, 3), 120, np.uint8)
    for _ in range(12):
        top, left = rng.integers(0, 70), rng.integers(0, 130)
        picture[top : top + 18, left : left + 28] = rng.integers(0, 255, 3)
    return picture


def painting(picture: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 25, picture.shape)
    return np.clip(255 - picture.astype(np.float32) + noise, 0, 255).astype(np.uint8)


def write_folder(folder: Path, names: list[str], size: tuple[int, int] = (32, 24)) -> Path:
    folder.mkdir()
    for level, name in enumerate(names):
        Image.new("RGB", size, (level, 0, 0)).save(folder / name)
    return folder


def test_pictures_are_in_the_order_of_their_numbers(tmp_path):
    folder = write_folder(tmp_path / "frames", ["take2_10.png", "take2_9.png", "take2_101.png"])
    (folder / "notes 3.txt").write_text("no picture")
    (folder / ".000004.png").write_bytes(b"no picture")
    painted = look_at_painted(str(folder))
    assert (painted.count, painted.width, painted.height, painted.probe) == (3, 32, 24, None)
    frames = PaintedFrames(str(folder), None, (32, 24))
    assert [int(frames(at)[0, 0, 0]) for at in range(3)] == [1, 0, 2]
    assert PaintedFrames(str(folder), None, (16, 12))(2).shape == (12, 16, 3)


@pytest.mark.parametrize(
    ("count", "width", "height", "said"),
    [
        (99, 640, 360, r"has 99 frames and .* has 100"),
        (100, 640, 480, r"is 640x480 and .* not the same shape"),
        (100, 640, 360, None),
        (100, 384, 216, None),
        (100, 640, 368, None),  # a side rounded to a multiple of 16
    ],
)
def test_a_painted_film_has_the_frames_and_the_shape_of_its_source(count, width, height, said):
    probe = make_probe(100, width=1280, height=720)
    painted = PaintedFilm("p.mp4", count, width, height, "", None)
    if said is None:
        check_painted(painted, probe)
    else:
        with pytest.raises(UsageError, match=said):
            check_painted(painted, probe)


def test_a_film_of_something_else_is_no_painting_of_this_one():
    source = [scene(seed) for seed in range(8)]
    own = [painting(picture, seed) for seed, picture in enumerate(source)]
    other = [painting(scene(100 + seed), seed) for seed in range(8)]
    frames = FrameRange(0, 8)
    check_shows_film(own.__getitem__, source.__getitem__, frames, ("p.mp4", "f.mp4"))
    with pytest.raises(VideoError, match=r"p\.mp4 does not look like a painting of f\.mp4"):
        check_shows_film(other.__getitem__, source.__getitem__, frames, ("p.mp4", "f.mp4"))
    with pytest.raises(VideoError, match="does not look like"):  # the right film, in another order
        check_shows_film(lambda at: own[(at + 3) % 8], source.__getitem__, frames, ("p.mp4", "f.mp4"))
