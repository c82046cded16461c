"""Fine detail of a job's frames without stills: which are measured, against what, and which one has the least."""

from __future__ import annotations

import cv2
import pytest

from farm.plan import task_id
from farm.render.detail_figures import FineDetail, Spread, frames_for_stills, median_at_rest, spread_of_fine
from farm.render.job_detail import MEASURED, fine_details, frames_to_measure
from tests.pages.conftest import CUTS, FRAMES, film, paint, painted_job
from tests.plan.test_segments import make_plan

__all__ = ["film", "painted_job"]
BLURRED = 15


@pytest.mark.parametrize(
    ("frames", "cuts", "measured"),
    [(1, [], []), (4, [], [1, 2, 3]), (6, [3], [1, 2, 4, 5])],
)
def test_the_first_frame_of_a_shot_is_not_measured(frames, cuts, measured):
    assert frames_to_measure(make_plan(frames, cuts)) == measured


@pytest.mark.parametrize("count", [MEASURED, MEASURED + 1, MEASURED + 2, 2 * MEASURED, 5000])
def test_the_frames_of_a_long_film_are_spread_evenly(count):
    frames = frames_to_measure(make_plan(count))
    assert len(frames) == len(set(frames)) == min(MEASURED, count - 1)
    assert frames == sorted(frames)
    assert frames[-1] == count - 1
    gaps = {after - before for before, after in zip([0, *frames], frames, strict=False)}
    assert max(gaps) - min(gaps) <= 1


def blur(job, frame: int) -> None:
    """Commit a blurred frame in place of the last pass's."""
    record = job.load_record()
    task = task_id(record.plan.passes, record.plan.chunk_of(frame).index)
    row = job.ledger(task)[frame]
    job.commit_frame(task, cv2.GaussianBlur(paint(frame), (0, 0), 1.5), row)


def test_a_blurred_frame_has_the_least_where_the_film_moves(painted_job):
    job = painted_job()
    blur(job, BLURRED)
    details = fine_details(job, job.load_record(), {})
    assert set(details) == set(range(FRAMES)) - {0, *CUTS}
    moving = spread_of_fine(details)
    assert (moving.frame, moving.median) == (BLURRED, pytest.approx(1, abs=0.05))
    assert moving.worst < 0.4
    assert details[BLURRED].resting == pytest.approx(moving.worst, abs=0.05), "a whole frame is blurred"
    assert median_at_rest(details) == pytest.approx(1, abs=0.05)
    assert 0 < details[BLURRED].moving_share < 1


def test_the_reference_is_what_the_first_pass_began_with(painted_job):
    """Where the first pass began with a blur, paint seems to gain detail: so the reference is that frame."""
    job = painted_job()
    record = job.load_record()
    row = job.ledger(task_id(1, 0))[0]
    job.commit_frame(task_id(1, 0), cv2.GaussianBlur(paint(0), (0, 0), 1.5), row)
    details = fine_details(job, record, {})
    assert details[1].resting > 2
    assert details[CUTS[0] + 1].resting == pytest.approx(1, abs=0.05), "another shot has another reference"


def test_what_is_known_is_not_measured_again_unless_a_frame_has_changed(painted_job, monkeypatch):
    job, known = painted_job(), {}
    before = fine_details(job, job.load_record(), known)
    asked = []
    real = fine_details.__globals__["moving_of_frame"]
    monkeypatch.setattr("farm.render.job_detail.moving_of_frame", lambda *given: asked.append(given[2]) or real(*given))
    assert fine_details(job, job.load_record(), known) == before
    assert asked == []
    blur(job, BLURRED)
    assert fine_details(job, job.load_record(), known) != before
    assert asked == [BLURRED]


def test_nothing_is_measured_before_the_last_pass_or_without_time(painted_job):
    job = painted_job(upto=1)
    assert fine_details(job, job.load_record(), {}) == {}
    job = painted_job()
    assert fine_details(job, job.load_record(), {}, most_seconds=0) == {}


def test_stills_are_for_the_frames_with_the_least_where_the_film_moves():
    moving = {3: 0.9, 5: None, 7: 0.2, 9: 0.5}
    details = {frame: FineDetail(0.5, value, 1.0) for frame, value in moving.items()}
    assert frames_for_stills(details, 2) == [7, 9]
    assert frames_for_stills(details, 9) == [3, 7, 9]
    assert spread_of_fine(details) == Spread(0.5, 0.2, 7)
    assert spread_of_fine({5: details[5]}) is None
    assert median_at_rest({}) is None
