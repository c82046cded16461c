"""A film whose style changes over time: what its frames are painted with, tied to, and shown as."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from farm.errors import JobMismatchError, PictureError, UsageError
from farm.job import JobDirectory
from farm.plan import plan_tasks
from farm.render.committed import frame_of_pass
from farm.render.inputs import Inputs
from farm.render.prepare import prepare_job
from farm.render.source_frames import SourceFrames
from farm.render.style_over_time import StyleOverTime, faded, strength_of
from farm.spec.looks import Look, Paint, StylePart
from farm.spec.paint import LossWeights
from tests.render.test_chunk import hidden_clip, render_here, short_spec

__all__ = ["hidden_clip"]

WHOLE = (StylePart(path="a.jpg", scale=1.0, share=1.0),)


@pytest.fixture(scope="module")
def other_style(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("other") / "other.png"
    Image.fromarray(np.random.default_rng(8).integers(0, 255, (48, 48, 3), np.uint8)).save(path)
    return path


def spec_over_time(video: Path, points: list[tuple[int, object]], output: Path, **options: object):
    timeline = {
        "points": [{"at": at, "styles": styles} for at, styles in points],
        "curve": options.pop("curve", "linear"),
    }
    return short_spec(video, Path("unused.png"), output, **{"timeline": timeline, "styles": [], **options})


def last_pass(job: JobDirectory) -> list[np.ndarray]:
    record = job.load_record()
    return [frame_of_pass(job, record, record.plan.passes, frame) for frame in record.plan.frames]


def look(strength: float, *regions: float | None) -> Look:
    paints = tuple(None if one is None else Paint(parts=WHOLE, strength=one) for one in regions)
    return Look(paint=Paint(parts=WHOLE, strength=strength), regions=paints, weights=LossWeights())


def test_the_strength_of_the_paint_is_that_of_each_region() -> None:
    left, right = np.array([[1, 0, 0.5]], np.float32), np.array([[0, 1, 0]], np.float32)
    assert strength_of(look(0.25), []) == 0.25
    assert strength_of(look(0.25, 0.25, 1.0), [left, np.zeros_like(right)]) == 0.25
    assert strength_of(look(0.0, 1.0, 0.5), [left, right]).tolist() == [[1.0, 0.5, 0.5]]
    assert strength_of(look(0.5, None), [left]).tolist() == [[1.0, 0.5, 0.75]]


@pytest.mark.parametrize(("strength", "expected"), [(0.0, 40), (0.25, 60), (0.5, 80), (1.0, 120)])
def test_a_fade_is_as_gradual_as_its_strength(strength: float, expected: int) -> None:
    painted, photograph = np.full((2, 2, 3), 120, np.uint8), np.full((2, 2, 3), 40, np.uint8)
    assert faded(painted, photograph, strength).tolist() == np.full((2, 2, 3), expected).tolist()
    assert (
        faded(painted, photograph, np.full((2, 2), strength, np.float32)).tolist()
        == np.full((2, 2, 3), expected).tolist()
    )


def test_a_timeline_of_one_style_is_that_style(hidden_clip, style, tmp_path):
    usual = short_spec(hidden_clip[0], style, tmp_path / "a.mp4")
    constant = spec_over_time(hidden_clip[0], [(0, str(style))], tmp_path / "b.mp4")
    frames = [last_pass(render_here(spec, tmp_path / f"{i}.farm")) for i, spec in enumerate((usual, constant))]
    assert all(np.array_equal(one, other) for one, other in zip(*frames, strict=True))


def test_a_film_that_changes_is_the_same_in_chunks_of_any_length(hidden_clip, style, other_style, tmp_path):
    points = [(0, str(style)), (3, str(other_style))]
    one, other, steady = (
        last_pass(render_here(spec, tmp_path / f"{i}.farm"))
        for i, spec in enumerate(
            (
                spec_over_time(hidden_clip[0], points, tmp_path / "a.mp4"),
                spec_over_time(hidden_clip[0], points, tmp_path / "b.mp4", chunk_frames=4),
                spec_over_time(hidden_clip[0], points[:1], tmp_path / "c.mp4"),
            )
        )
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one[-1], steady[-1])


def test_none_shows_the_photograph_and_only_the_last_pass_does(hidden_clip, style, tmp_path):
    points = [(0, str(style)), (2, "none")]
    job = render_here(spec_over_time(hidden_clip[0], points, tmp_path / "a.mp4"), tmp_path / "a.farm")
    record = job.load_record()
    source = SourceFrames(record)
    shown = last_pass(job)
    assert [np.array_equal(shown[frame], source(frame)) for frame in range(4)] == [False, False, True, True]
    relay = [frame_of_pass(job, record, 1, frame) for frame in range(4)]
    assert not any(np.array_equal(relay[frame], source(frame)) for frame in range(4))
    # below the photograph lies paint, which is only carried: no step is taken there
    tasks = [task for task in plan_tasks(record.plan) if task.pass_index == 2]
    steps = {row.frame: row.steps for task in tasks for row in job.ledger(task.id).values()}
    assert [steps[frame] > 0 for frame in range(4)] == [True, True, False, False]


def test_a_shot_without_paint_is_not_painted(hidden_clip, style, tmp_path):
    timeline = {"per_shot": {1: {"styles": "none"}}}
    spec = short_spec(hidden_clip[0], style, tmp_path / "a.mp4", timeline=timeline)
    job = render_here(spec, tmp_path / "a.farm")
    record = job.load_record()
    source = SourceFrames(record)
    assert all(np.array_equal(frame_of_pass(job, record, 1, frame), source(frame)) for frame in range(4))


def test_where_the_style_changes_at_once_nothing_is_carried_over(hidden_clip, style, other_style, tmp_path):
    points = [(0, str(style)), (2, str(other_style))]
    spec = spec_over_time(hidden_clip[0], points, tmp_path / "a.mp4", curve="step")
    job = render_here(spec, tmp_path / "a.farm")
    record = job.load_record()
    over_time = StyleOverTime.of(record)
    assert [over_time.likeness(2, other) for other in (1, 3)] == [0.0, 1.0]
    rows = {
        row.frame: row
        for task in plan_tasks(record.plan)
        if task.pass_index == 1
        for row in job.ledger(task.id).values()
    }
    first, sequential = record.plan.steps.first, record.plan.steps.sequential
    assert [rows[frame].steps for frame in range(4)] == [first, sequential, first, sequential]
    alone = spec_over_time(hidden_clip[0], [(0, str(other_style))], tmp_path / "b.mp4", frames="2-3")
    painted = render_here(alone, tmp_path / "b.farm")
    one = frame_of_pass(job, record, 1, 2)
    assert np.array_equal(one, frame_of_pass(painted, painted.load_record(), 1, 2))


def test_a_job_is_of_one_timeline(hidden_clip, style, tmp_path):
    spec = spec_over_time(hidden_clip[0], [(0, str(style)), (3, "none")], tmp_path / "a.mp4")
    render_here(spec, tmp_path / "a.farm")
    changed = spec_over_time(hidden_clip[0], [(0, str(style)), (2, "none")], tmp_path / "a.mp4")
    with pytest.raises(JobMismatchError, match=r"timeline.points\[1\].at: 3 -> 2"):
        prepare_job(changed, str(tmp_path / "a.farm"))


def test_what_does_not_fit_is_refused_and_nothing_is_left(hidden_clip, style, tmp_path):
    outside = spec_over_time(hidden_clip[0], [(0, str(style)), (400, "none")], tmp_path / "a.mp4")
    with pytest.raises(UsageError, match=r"points\[1\] \(at 400\) is not in the film"):
        prepare_job(outside, str(tmp_path / "a.farm"))
    missing = spec_over_time(hidden_clip[0], [(0, str(style)), (3, str(tmp_path / "no.png"))], tmp_path / "a.mp4")
    with pytest.raises(PictureError, match=r"^timeline.points\[1\]: there is no picture"):
        Inputs().hashes(missing)
    assert not (tmp_path / "a.farm").exists()
