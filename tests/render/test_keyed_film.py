"""Method keys in a job: keys are held, frames are the same for any chunks, and a preview needs no neighbour."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from farm.media.pictures import write_picture
from farm.plan import Runtime, plan_tasks
from farm.render import keyed_film
from farm.render.chunk import ChunkRenderer
from farm.render.prepare import prepare_job
from farm.spec import build_spec

HERE = Runtime(device="cpu", precision="fp32", threads=1)
KEYS = (2, 9)


def painted(picture: np.ndarray) -> np.ndarray:
    """A painting of a frame: fewer colours, and turned over."""
    return 255 - cv2.medianBlur(picture, 5) // 32 * 32


@pytest.fixture(scope="module")
def keys(clip, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    spec = build_spec({"video": str(clip), "output": str(folder / "o.mp4"), "method": "identity"})
    prepared = prepare_job(spec, str(folder / "o.farm"))
    prepared.begin(HERE)
    source = ChunkRenderer(prepared.job.url).source
    pictures = {frame: painted(source(frame)) for frame in range(12)}
    for frame in KEYS:
        write_picture(folder / f"{frame}.png", pictures[frame])
    return [f"{frame}={folder / f'{frame}.png'}" for frame in KEYS], pictures


def film(clip, keys, folder, **options):
    values = {"video": str(clip), "output": str(folder / "o.mp4"), "keys": keys, **options}
    prepared = prepare_job(build_spec(values), str(folder / "o.farm"))
    prepared.begin(HERE)
    renderer = ChunkRenderer(prepared.job.url)
    frames = {}
    for task in plan_tasks(renderer.plan):
        for report in renderer.render(task):
            frames[report.frame] = renderer._committed(1, report.frame)
    return renderer, frames


def test_keys_are_shown_as_they_are_and_the_paint_is_carried_from_them(clip, keys, tmp_path):
    _, frames = film(clip, keys[0], tmp_path)
    assert sorted(frames) == list(range(12))
    for frame, truth in keys[1].items():
        if frame in KEYS:
            np.testing.assert_array_equal(frames[frame], truth)
        else:
            nearest = keys[1][min(KEYS, key=lambda key: abs(key - frame))]
            error, of_nearest = (np.abs(one.astype(int) - truth).mean() for one in (frames[frame], nearest))
            assert error < of_nearest, frame


@pytest.mark.parametrize("options", [{"chunk_frames": 3}, {"chunk_frames": 48}])
def test_frames_are_the_same_for_any_chunks_and_however_few_views_are_kept(clip, keys, tmp_path, monkeypatch, options):
    _, frames = film(clip, keys[0], tmp_path / "a")
    monkeypatch.setattr(keyed_film, "VIEW_BYTES", 1)
    _, others = film(clip, keys[0], tmp_path / "b", **options)
    for frame, picture in frames.items():
        np.testing.assert_array_equal(others[frame], picture)


def test_a_preview_shows_a_frame_without_its_neighbours(clip, keys, tmp_path):
    renderer, frames = film(clip, keys[0], tmp_path)
    for frame in (2, 5):
        report = renderer.single_frame(frame)
        picture = renderer._read(report.task, frame)
        assert np.abs(picture.astype(int) - frames[frame]).mean() < 8
    np.testing.assert_array_equal(renderer._read("still/000002", 2), frames[2])


def test_a_region_without_a_style_keeps_the_photograph_except_in_keys(clip, keys, tmp_path):
    mask = np.zeros((64, 96, 3), np.uint8)
    mask[:, :48] = 255
    write_picture(tmp_path / "mask.png", mask)
    renderer, frames = film(clip, keys[0], tmp_path, regions=[f"{tmp_path / 'mask.png'}@static=none"])
    np.testing.assert_array_equal(frames[5][:, :40], renderer.source(5)[:, :40])
    assert not (frames[5][:, 60:] == renderer.source(5)[:, 60:]).all()
    np.testing.assert_array_equal(frames[2], keys[1][2])
