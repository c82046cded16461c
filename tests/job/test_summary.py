"""The summary says what the ledgers say, in one small file."""

from __future__ import annotations

import time

import pytest

from farm.job import JobDirectory
from farm.job.directory import ledger_name
from farm.job.state import JobState, StateRecorder, job_state, load_state, save_state, starting
from farm.job.status import frames_by_pass, job_status
from farm.job.summary import SUMMARY, SummaryCounter, load_summary, save_summary, take_from_summary
from farm.plan import plan_tasks
from tests.job.long_job import make_record


@pytest.fixture
def job(tmp_path):
    job = JobDirectory(str(tmp_path / "out.farm"))
    job.save_record(make_record())
    save_state(job, JobState(state="RUNNING"))
    return job


def test_frames_are_counted_once_and_those_of_earlier_runs_not_again(job):
    record = job.load_record()
    tasks = plan_tasks(record.plan)
    first, second = tasks[0], tasks[1]
    known = {first.id: list(first.frames)[:3]}
    now = [0.0]
    counter = SummaryCounter(record, tasks, known, None, clock=lambda: now[0])
    assert (counter.summary().committed, counter.summary().seconds_left) == (3, None)
    for frame in first.frames:
        now[0] += 1.0
        counter.frame(first.id, frame, 100)
    summary = counter.summary()
    assert summary.committed == len(first.frames)
    assert summary.committed_bytes == 100 * (len(first.frames) - 3)
    assert summary.stages[first.pass_name][0] == len(first.frames)
    assert summary.stages == frames_by_pass(tasks, lambda task: len(task.frames) if task is first else 0)
    assert summary.seconds_left > 0
    later = SummaryCounter(record, tasks, {first.id: first.frames}, summary)
    later.frame(second.id, second.frames.start, 50)
    assert later.summary().committed_bytes == summary.committed_bytes + 50
    assert later.summary().begun == summary.begun


def test_nothing_is_left_when_all_is_committed(job):
    record = job.load_record()
    tasks = plan_tasks(record.plan)
    whole = SummaryCounter(record, tasks, {task.id: task.frames for task in tasks}, None).summary()
    assert (whole.percent, whole.seconds_left) == (100, 0.0)


def test_status_reads_the_summary_and_no_ledger(job, monkeypatch):
    record = job.load_record()
    tasks = plan_tasks(record.plan)
    without = job_status(job.url)
    save_summary(job, SummaryCounter(record, tasks, {}, None).summary())
    read = []
    original = type(job.storage).read
    monkeypatch.setattr(type(job.storage), "read", lambda self, name: read.append(name) or original(self, name))
    status = job_status(job.url)
    assert {**status, "percent": 0} == {**without, "percent": 0}
    assert set(read) <= {"state.json", SUMMARY, "report.json", "history.json"}
    job.storage.write(SUMMARY, b'{"stages": {')
    job_status(job.url)
    assert ledger_name(tasks[0].id) in read, "a damaged summary counts as none"


def test_frames_that_are_dropped_are_taken_from_the_summary(job):
    record = job.load_record()
    tasks = plan_tasks(record.plan)
    save_summary(job, SummaryCounter(record, tasks, {tasks[0].id: tasks[0].frames}, None).summary())
    take_from_summary(job, {tasks[0].pass_name: 2})
    assert load_summary(job).committed == len(tasks[0].frames) - 2


def test_the_recorder_writes_the_summary_at_the_end(job):
    record = job.load_record()
    recorder = StateRecorder(job)
    recorder.begin()
    recorder.summarize(SummaryCounter(record, plan_tasks(record.plan), {}, None).summary)
    recorder.end("SUCCEEDED")
    assert load_summary(job).frames == sum(len(task.frames) for task in plan_tasks(record.plan))
    assert not recorder._thread.is_alive()


def test_a_driver_gives_a_sign_of_life_before_it_has_the_lease(job):
    save_state(job, JobState(state="PENDING", submission="farm-a"))
    with starting(job, "farm-a"):
        assert (load_state(job).state, load_state(job).phase) == ("RUNNING", "start")


def test_a_driver_that_finds_nothing_to_do_says_so(job):
    save_state(job, JobState(state="PENDING", submission="farm-a"))
    with starting(job, "farm-a"):
        pass
    assert load_state(job).state == "SUCCEEDED"
    save_state(job, JobState(state="PENDING", submission="farm-a-2"))
    with pytest.raises(KeyboardInterrupt), starting(job, "farm-a-2"):
        raise KeyboardInterrupt
    assert load_state(job).state == "CANCELLED"
    save_state(job, JobState(state="PENDING", submission="farm-a-3"))
    with starting(job, "farm-a-3"), pytest.raises(ValueError, match="odd"), job_state(job, "farm-a-3"):
        raise ValueError("odd")
    assert load_state(job).state == "FAILED"


def test_a_driver_that_has_no_lease_leaves_the_state_of_another_run_alone(job):
    save_state(job, JobState(state="RUNNING", submission="farm-a-2", phase="pass 3"))
    with starting(job, "farm-a"):
        assert load_state(job).submission == "farm-a-2"
    assert time.time() - load_state(job).updated < 600
