"""A film as its frames: folders of pictures and videos alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from farm.errors import PictureError, UsageError
from farm.media.pictures import write_picture
from farm.media.sequence import open_frames
from farm.spec import FrameRange
from tests.conftest import make_clip


def picture(level: int, width: int = 48, height: int = 32) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def write_folder(folder: Path, levels: list[int]) -> Path:
    folder.mkdir()
    for number, level in enumerate(levels):
        write_picture(folder / f"shot2_{number}.png", picture(level))
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_pictures_come_in_the_order_of_their_numbers(tmp_path):
    folder = write_folder(tmp_path / "film", list(range(0, 240, 20)))
    with open_frames(str(folder)) as film:
        assert (film.frame_count, film.size, film.cuts) == (12, (48, 32), None)
        assert [int(shown[0, 0, 0]) for shown in film.read(FrameRange(8, 12))] == [160, 180, 200, 220]
        assert film.one(10)[0, 0, 0] == 200


def test_frames_are_resized(tmp_path):
    folder = write_folder(tmp_path / "film", [10, 20])
    with open_frames(str(folder), (24, 16)) as film:
        assert film.own_size == (48, 32)
        assert film.one(1).shape == (16, 24, 3)


@pytest.mark.media
def test_a_video_is_read_the_same_way(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=6, audio=False)
    with open_frames(str(clip), (48, 32), find_shots=True) as film:
        assert (film.frame_count, film.own_size, film.cuts) == (6, (96, 64), ())
        shown = list(film.read(FrameRange(0, 6)))
        assert (film.one(3) == shown[3]).all()


@pytest.mark.media
def test_a_video_is_shrunk_by_the_mean_of_an_area(tmp_path):
    clip = str(make_clip(tmp_path / "clip.mp4", frames=2, audio=False))
    with open_frames(clip) as film, open_frames(clip, (48, 32)) as shrunk:
        mean = film.one(1).astype(float).reshape(32, 2, 48, 2, 3).mean(axis=(1, 3))
        assert np.abs(shrunk.one(1) - mean).max() <= 0.5


@pytest.mark.media
def test_cuts_are_found_in_a_folder(tmp_path):
    folder = write_folder(tmp_path / "film", [20] * 10 + [200] * 10)
    with open_frames(str(folder), find_shots=True) as film:
        assert film.cuts == (10,)


def test_a_picture_of_another_size_is_named(tmp_path):
    folder = write_folder(tmp_path / "film", [10, 20])
    write_picture(folder / "shot2_2.png", picture(30, width=40))
    with open_frames(str(folder)) as film, pytest.raises(PictureError, match=r"shot2_2\.png has 40x32 pixels"):
        list(film.read(FrameRange(0, 3)))


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no numbered pictures"):
        open_frames(str(tmp_path))
