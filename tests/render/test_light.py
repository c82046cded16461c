"""Which frames of a film are lit alike, and what becomes of the paint after a flash."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from farm.job import JobDirectory
from farm.plan import Runtime, plan_tasks
from farm.render.chunk import ChunkRenderer
from farm.render.committed import frame_of_pass
from farm.render.light import lit_alike, same_light
from farm.render.prepare import prepare_job
from farm.spec import build_spec
from tests.media.clips import LOSSLESS, write_clip
from tests.render.test_chunk import SIDE, smooth_noise

FRAMES = 8
WHITE = np.full((SIDE, SIDE, 3), 255, np.uint8)


@pytest.mark.parametrize(("difference", "weight"), [(0, 1), (24, 1), (40, 0.5), (56, 0), (120, 0)])
@pytest.mark.parametrize("size", [(72, 128), (128, 72), (5, 9)])
def test_weight_by_the_difference_of_the_light(size, difference, weight):
    frame = np.random.default_rng(0).integers(0, 120, (*size, 3)).astype(np.uint8)
    alike = lit_alike(frame, frame + np.uint8(difference))
    assert alike.shape == size
    assert alike.dtype == np.float32
    np.testing.assert_allclose(alike, weight, atol=1e-5)
    np.testing.assert_array_equal(alike, lit_alike(frame + np.uint8(difference), frame))


def test_light_that_falls_on_a_part_of_the_picture_counts_there():
    frame = smooth_noise(1, 3.0) // 2
    lit = frame.copy()
    lit[:, : SIDE // 2] += 100
    alike = lit_alike(frame, lit)
    assert alike[:, : SIDE // 2 - 6].max() == 0
    assert alike[:, SIDE // 2 + 6 :].min() == 1


def test_a_thing_that_moves_is_no_change_of_light():
    """Strokes and edges of half a cell, black and white, change nothing."""
    frame = np.full((120, 160, 3), 100, np.uint8)
    frame[50:53, 60:63] = 255
    assert lit_alike(frame, np.roll(frame, 3, axis=1)).min() == 1


@pytest.mark.parametrize(("share", "alike"), [(0.4, True), (0.6, False)])
def test_most_of_the_picture_decides(share, alike):
    frame = np.full((100, 100, 3), 50, np.uint8)
    lit = frame.copy()
    lit[:, : round(100 * share)] = 250
    assert same_light(frame, lit) is alike


def rendered(folder: Path, style: Path, flashes: set[int], **options: object) -> tuple[JobDirectory, ChunkRenderer]:
    """A film of equal frames but for flashes, painted in two passes through a shallow network."""
    still = smooth_noise(1, 3.0)
    write_clip(folder / "clip.mkv", [WHITE if frame in flashes else still for frame in range(FRAMES)], *LOSSLESS)
    values = {"iterations": "12,6", "passes": 2, "style_layers": "relu1_1,relu2_1", "content_layers": "relu2_1"}
    values |= {"video": str(folder / "clip.mkv"), "styles": [str(style)], "output": str(folder / "o.mp4"), **options}
    prepared = prepare_job(build_spec(values), str(folder / "o.farm"))
    record = prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    # A flash that a film begins with is a shot of its own.
    assert len(record.plan.shots) == (2 if 0 in flashes else 1)
    renderer = ChunkRenderer(str(folder / "o.farm"))
    for task in plan_tasks(record.plan):
        list(renderer.render(task))
    return prepared.job, renderer


@pytest.mark.media
@pytest.mark.parametrize(
    ("flashes", "options"),
    [({4, 5}, {}), ({4, 5}, {"passes": 1}), ({4, 5}, {"long_term": []}), ({0, 1}, {})],
    ids=["farm", "one pass", "no long term", "at the start"],
)
def test_paint_after_a_flash_is_what_it_would_be_without(style, tmp_path, flashes, options):
    (tmp_path / "calm").mkdir()
    (tmp_path / "lit").mkdir()
    jobs = [rendered(tmp_path / "calm", style, set(), **options), rendered(tmp_path / "lit", style, flashes, **options)]
    calm, lit = (
        [frame_of_pass(job, renderer.record, renderer.plan.passes, frame).astype(float) for frame in range(FRAMES)]
        for job, renderer in jobs
    )
    for frame in range(FRAMES):
        if frame in flashes:
            assert lit[frame].mean() > calm[frame].mean() + 30
        else:
            assert abs(lit[frame].mean() - calm[frame].mean()) < 4, frame
            assert 0.9 < lit[frame].std() / calm[frame].std() < 1.1, frame


@pytest.mark.media
def test_a_frame_after_a_flash_is_tied_to_the_one_before_it(style, tmp_path):
    _, renderer = rendered(tmp_path, style, {4, 5}, passes=1, long_term=[])
    chunk, painted = renderer.plan.chunks[0], np.zeros((SIDE, SIDE, 3), np.uint8)
    before = {frame: renderer.frames_before(frame, chunk) for frame in (3, 4, 5, 6, 7)}
    assert before == {3: [2], 4: [3], 5: [4], 6: [5, 3], 7: [6]}
    flash, same = (renderer.carried(6, other, painted, follow=1).tie.weight for other in (5, 3))
    assert flash.max() == 0
    assert same.mean() > 0.9
