"""Which frames of a film are lit alike, and what becomes of the paint after a flash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from farm.flow import Match
from farm.job import JobDirectory
from farm.plan import Runtime, plan_tasks
from farm.render.chunk import ChunkRenderer
from farm.render.committed import frame_of_pass
from farm.render.light import in_light_of, lit_alike, same_light
from farm.render.prepare import prepare_job
from farm.spec import build_spec
from tests.media.clips import LOSSLESS, write_clip
from tests.render.test_chunk import SIDE, smooth_noise


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


def still(size: tuple[int, int], weight: float = 1.0) -> Match:
    """A match that says that nothing moves."""
    return Match(np.zeros((*size, 2), np.float32), np.full(size, weight, np.float32))


@pytest.mark.parametrize(
    ("gain", "offset"), [(0.8, 0), (0.8, 20), (1, 20), (1, -30), (1.5, 0), (2.0, -20), ((1.2, 1.0, 0.8), (0, 5, 10))]
)
@pytest.mark.parametrize("trusted", [1.0, 0.0])
def test_a_frame_in_another_light_is_brought_back(gain, offset, trusted):
    frame = np.random.default_rng(0).integers(20, 200, (40, 300, 3)).astype(np.uint8)
    other = np.rint((frame - np.array(offset)) / np.array(gain)).astype(np.uint8)
    back = in_light_of(frame, other, still((40, 300), trusted))
    assert back.dtype == np.uint8
    # Rounding to grey levels is off by half of one, times the gain; the ridge draws the gain of little contrast to 1.
    assert np.abs(back.astype(int) - frame).max() <= 5
    assert np.abs(back.astype(float) - frame).mean() < 2.5
    np.testing.assert_allclose(back.mean(axis=(0, 1)), frame.mean(axis=(0, 1)), atol=0.3)


def test_what_moves_or_is_hidden_is_no_light():
    frame = np.random.default_rng(0).integers(60, 110, (40, 60, 3)).astype(np.uint8)
    other, match = frame.copy(), still((40, 60))
    other[:, :30], match.weight[:, :30] = 255, 0
    assert in_light_of(frame, other, match) is other


@pytest.mark.parametrize(("difference", "same"), [(0, True), (0.9, True), (1.1, False)])
def test_light_that_differs_by_less_than_a_level_is_the_same(difference, same):
    frame = np.full((100, 100, 3), 90, np.uint8)
    other = frame.copy()
    other[: round(100 * difference)] += 1
    other[: max(round(100 * difference) - 100, 0)] += 1
    assert (in_light_of(frame, other, still((100, 100))) is other) is same


def test_a_white_frame_says_nothing_of_the_contrast():
    frame = np.random.default_rng(0).integers(0, 200, (40, 60, 3)).astype(np.uint8)
    white = np.full_like(frame, 255)
    seen = in_light_of(frame, white, still((40, 60)))
    np.testing.assert_array_equal(seen, np.broadcast_to(np.rint(frame.mean(axis=(0, 1))), frame.shape))
    assert np.abs(in_light_of(white, frame, still((40, 60))).astype(int) - 255).max() < 30


def rendered(folder: Path, style: Path, gains: Sequence[float], **options: object) -> list[np.ndarray]:
    """A film of equal frames under a light of these gains, painted in two passes through a shallow network."""
    job, renderer = render_film(folder, style, gains, **options)
    return [
        frame_of_pass(job, renderer.record, renderer.plan.passes, frame).astype(float) for frame in range(len(gains))
    ]


def render_film(
    folder: Path, style: Path, gains: Sequence[float], **options: object
) -> tuple[JobDirectory, ChunkRenderer]:
    folder.mkdir(exist_ok=True)
    picture = 0.7 * smooth_noise(1, 3.0)
    frames = [np.clip(np.rint(gain * picture), 0, 255).astype(np.uint8) for gain in gains]
    write_clip(folder / "clip.mkv", frames, *LOSSLESS)
    values = {"iterations": "12,6", "passes": 2, "style_layers": "relu1_1,relu2_1", "content_layers": "relu2_1"}
    values |= {"video": str(folder / "clip.mkv"), "styles": [str(style)], "output": str(folder / "o.mp4"), **options}
    prepared = prepare_job(build_spec(values), str(folder / "o.farm"))
    record = prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    # A flash that a film begins with is a shot of its own.
    assert len(record.plan.shots) == (2 if gains[0] > 2 else 1)
    renderer = ChunkRenderer(str(folder / "o.farm"))
    for task in plan_tasks(record.plan):
        list(renderer.render(task))
    return prepared.job, renderer


FLASH, FADE, FADE_IN = [1, 1, 1, 1, 9, 9, 1, 1], [1, 1.5, 2, 3, 2, 1.5, 1, 1], [0.1, 0.3, 0.5, 0.7, 0.9, 1, 1, 1]


@pytest.mark.media
@pytest.mark.parametrize(
    ("gains", "options"),
    [
        (FLASH, {}),
        (FLASH, {"passes": 1}),
        (FLASH, {"long_term": []}),
        ([9, 9, 1, 1, 1, 1], {}),
        (FADE, {}),
        (FADE_IN, {"iterations": "80,10"}),
    ],
    ids=["flash", "one pass", "no long term", "at the start", "fade", "fade in"],
)
def test_paint_after_a_change_of_light_is_what_it_would_be_without(style, tmp_path, gains, options):
    calm = rendered(tmp_path / "calm", style, [1.0] * len(gains), **options)
    lit = rendered(tmp_path / "lit", style, gains, **options)
    for frame, gain in enumerate(gains):
        if gain == 1:
            assert abs(lit[frame].mean() - calm[frame].mean()) < 5, frame
            assert 0.85 < lit[frame].std() / calm[frame].std() < 1.15, frame


@pytest.mark.media
def test_a_frame_after_a_flash_is_tied_to_the_one_before_it(style, tmp_path, monkeypatch):
    _, renderer = render_film(tmp_path / "lit", style, FLASH, passes=1, long_term=[])
    chunk, painted = renderer.plan.chunks[0], np.zeros((SIDE, SIDE, 3), np.uint8)
    before = {frame: renderer.frames_before(frame, chunk) for frame in (3, 4, 5, 6, 7)}
    assert before == {3: [2], 4: [3], 5: [4], 6: [5, 3], 7: [6]}
    spared = renderer.record.model_copy(update={"save_storage": True})
    with monkeypatch.context() as patch:
        patch.setattr(renderer, "record", spared)
        assert renderer.frames_before(6, chunk) == [5], "frame 3 may be given up by then"
    flash, same = (renderer.carried(6, other, painted, follow=1).tie.weight for other in (5, 3))
    assert flash.max() < 0.5
    assert flash.mean() < 0.1
    assert same.mean() > 0.9
