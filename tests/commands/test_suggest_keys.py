"""Frames to paint on: the greedy choice with exact values, and a real film with a cut."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from farm.commands.suggest_keys import Candidate, choose, covered_by, suggest_keys
from farm.errors import UsageError
from farm.media.pictures import read_picture


def candidate(frame, start, *covered, shot=0):
    return Candidate(frame, shot, start, np.array(covered))


def test_each_time_the_frame_is_chosen_that_adds_most():
    narrow = candidate(0, 0, 1.0, 0.5)
    wide = candidate(2, 0, 0.2, 0.6, 1.0, 0.6, 0.2)
    last = candidate(4, 3, 0.5, 1.0)
    assert choose([narrow, wide, last], 1, 5) == [wide]
    assert choose([narrow, wide, last], 2, 5) == [narrow, wide]  # .8 more for frame 0, as .8 for 4: the earlier one
    assert choose([narrow, wide, last], 9, 5) == [narrow, wide, last]
    assert covered_by([narrow, last], 5).tolist() == [1.0, 0.5, 0.0, 0.5, 1.0]


def test_every_shot_gets_one_before_any_gets_two_and_what_adds_nothing_is_left_out():
    long = [candidate(frame, frame, 1.0) for frame in range(3)]
    short = candidate(3, 3, 0.1, shot=1)
    assert choose([*long, short], 2, 4) == [long[0], short]
    assert choose([long[0], long[0]], 2, 4) == [long[0]]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A scene that moves sideways for 24 frames by most of its width, and another one that stands still for 8."""
    random = np.random.default_rng(3)
    scene = cv2.resize(random.integers(0, 255, (12, 40, 3)).astype(np.uint8), (320, 96), interpolation=cv2.INTER_CUBIC)
    moving = [scene[:, 4 * i : 4 * i + 128] for i in range(24)]
    still = np.rot90(scene[:, :96], 1)[:, :1].repeat(128, axis=1) // 4  # dark stripes
    path = tmp_path_factory.mktemp("suggest") / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=12)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "bgr0"
        for picture in [*moving, *[still] * 8]:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            container.mux(stream.encode(frame.reformat(format="bgr0")))
        container.mux(stream.encode())
    return str(path)


def test_a_film_gets_its_frames_as_pictures_named_by_number(film, tmp_path):
    shown = []
    report = suggest_keys(
        film, tmp_path / "keys", 3, None, lambda label, done, total: shown.append((label, done, total))
    )
    assert report["shots"] == 2
    first, second, third = report["frames"]
    assert first < 12 <= second < 24 <= third
    assert report["covered"] > 0.8
    files = sorted((tmp_path / "keys").iterdir())
    assert [path.name for path in files] == [f"{frame:06d}.png" for frame in report["frames"]]
    assert read_picture(files[0]).shape == (96, 128, 3)
    assert ("frames", 32, 32) in shown
    with pytest.raises(UsageError, match="has pictures already"):
        suggest_keys(film, tmp_path / "keys", 3)


def test_the_pictures_may_be_smaller(film, tmp_path):
    suggest_keys(film, tmp_path, 2, 64)
    assert {read_picture(path).shape for path in tmp_path.glob("*.png")} == {(48, 64, 3)}


def test_fewer_keys_than_shots_are_refused_and_nothing_is_written(film, tmp_path):
    with pytest.raises(UsageError, match="has 2 shots, and each needs a key"):
        suggest_keys(film, tmp_path / "keys", 1)
    assert not (tmp_path / "keys").exists()
