"""Waiting for a submitted job whose state is written already while its driver still prints."""

from __future__ import annotations

from typing import Any

import pytest

from farm.cluster import handles
from farm.cluster.handles import JobHandle, follow_logs, read_logs, wait_for_job
from farm.cluster.jobs_api import SubmittedJob
from farm.errors import CancelledError, ChunkFailedError, NoAnswerError, RenderError, TimedOutError, UsageError
from farm.job import JobDirectory
from farm.job.log import JobLog
from farm.job.standing import PENDING_SECONDS
from farm.job.state import JobState, save_state


class Answers:
    """A cluster that names the job RUNNING a few times more, then ended; or that does not answer, or forgot it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.message = ""
        self.kept: str | None = None

    def job(self, submission):
        if self.asked and self.asked[0] == "gone":
            raise NoAnswerError("no cluster answers")
        if self.asked and self.asked[0] == "forgotten":
            return None
        state = self.asked.pop(0) if self.asked else "SUCCEEDED"
        return SubmittedJob(id=submission, state=state, message=self.message, metadata={}, started=0.0, ended=0.0)

    def jobs(self):
        return [SubmittedJob("farm-other", "SUCCEEDED", "", {}, started=1.0, ended=2.0)]

    def logs(self, submission):
        return self.kept


class Slow(JobHandle):
    """A job on such a cluster."""

    answers: Answers

    @property
    def asked(self):
        return self.answers.asked

    def cluster(self, seconds=0.0):
        return self.answers


class Clock:
    """Seconds that pass only where somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def wait(handle: JobHandle, clock: Clock, timeout: float | None = None) -> Any:
    return wait_for_job(handle, timeout, lambda recorded, standing: None, now=clock.now, sleep=clock.sleep)


@pytest.fixture
def slow(tmp_path):
    handle = Slow(JobDirectory(str(tmp_path)), None, "farm-a", None)
    object.__setattr__(handle, "answers", Answers())
    handle.asked[:] = ["RUNNING"] * 3
    return handle


def test_the_last_lines_are_there_when_the_waiting_is_over(slow, clock):
    save_state(slow.job, JobState(state="SUCCEEDED", submission="farm-a"))
    assert wait(slow, clock).state == "SUCCEEDED"
    assert slow.asked == []


def test_also_of_a_job_that_failed(slow, clock):
    save_state(slow.job, JobState(state="FAILED", submission="farm-a", reason="boom"))
    with pytest.raises(ChunkFailedError, match="boom"):
        wait(slow, clock)
    assert slow.asked == []


@pytest.mark.parametrize("asked", [["gone"], ["RUNNING"] * 10_000])
def test_a_cluster_that_is_gone_or_does_not_end_keeps_nobody(slow, clock, asked):
    slow.asked[:] = asked
    save_state(slow.job, JobState(state="SUCCEEDED", submission="farm-a"))
    assert wait(slow, clock).state == "SUCCEEDED"
    assert slow.asked
    assert clock.seconds <= handles.SUMMARY_SECONDS


def test_no_longer_than_was_asked_for(slow, clock):
    slow.asked[:] = ["RUNNING"] * 10_000
    save_state(slow.job, JobState(state="SUCCEEDED", submission="farm-a"))
    assert wait(slow, clock, timeout=5.0).state == "SUCCEEDED"
    assert clock.seconds == 5.0


def test_a_job_that_takes_longer_than_was_asked_for(slow, clock):
    slow.asked[:] = ["RUNNING"] * 10_000
    save_state(slow.job, JobState(state="RUNNING", submission="farm-a"))
    with pytest.raises(TimedOutError, match="is RUNNING after 7 seconds"):
        wait(slow, clock, timeout=7.0)
    assert clock.seconds == 7.0


def test_a_driver_that_was_killed_is_told_of_by_the_cluster(slow, clock):
    slow.asked[:] = ["RUNNING", "RUNNING", "FAILED"]
    slow.answers.message = "Job entrypoint command failed with exit code -9, last available logs\nx"
    save_state(slow.job, JobState(state="RUNNING", submission="farm-a"))
    with pytest.raises(ChunkFailedError, match="failed: its driver was killed by SIGKILL"):
        wait(slow, clock)


def test_a_head_that_is_gone_ends_the_waiting_once_no_sign_of_life_comes(slow, clock):
    slow.asked[:] = ["gone"]
    save_state(slow.job, JobState(state="RUNNING", submission="farm-a"))
    with pytest.raises(RenderError, match="is lost: no sign of life") as lost:
        wait(slow, clock)
    assert lost.value.exit_code == 1
    assert 90 < clock.seconds < 100


def test_signs_of_life_count_whatever_the_clocks_say(slow, clock, monkeypatch):
    """The writer's clock is ten minutes behind: only a state that stays as it is counts as silence."""
    slow.asked[:] = ["gone"]
    save_state(slow.job, JobState(state="RUNNING", submission="farm-a"))
    real = handles.time.time
    monkeypatch.setattr(handles.time, "time", lambda: real() + 600)

    def beat(seconds):
        clock.seconds += seconds
        if clock.seconds % 15 == 0:
            state = JobState(state="RUNNING", submission="farm-a", done=int(clock.seconds), updated=clock.seconds)
            slow.job.storage.write("state.json", state.model_dump_json(by_alias=True).encode())

    with pytest.raises(TimedOutError):
        wait_for_job(slow, 300.0, lambda recorded, standing: None, now=clock.now, sleep=beat)


def test_a_job_that_the_cluster_forgot_is_lost_at_once(slow, clock):
    slow.asked[:] = ["forgotten"]
    save_state(slow.job, JobState(state="RUNNING", submission="farm-a"))
    with pytest.raises(RenderError, match="does not know the job any more; farm resume"):
        wait(slow, clock)
    assert clock.seconds == 0.0


def test_a_job_that_no_driver_begins_is_lost_where_nobody_can_be_asked(slow, clock, monkeypatch):
    slow.asked[:] = ["gone"]
    began = handles.time.time()
    monkeypatch.setattr(handles.time, "time", lambda: began + clock.seconds)
    save_state(slow.job, JobState(state="PENDING", submission="farm-a"))
    with pytest.raises(RenderError, match="no driver has begun it"):
        wait(slow, clock)
    assert clock.seconds >= PENDING_SECONDS - 1


def keep_log(handle: JobHandle, *lines: str) -> None:
    log = JobLog(handle.job, handle.submission)
    log.begin()
    for line in lines:
        log.line(line)
    log.close()


def follow(handle: JobHandle, clock: Clock) -> list[str]:
    return [line[21:] for line in "".join(follow_logs(handle, now=clock.now, sleep=clock.sleep)).splitlines()]


def test_following_ends_as_waiting_does(slow, clock):
    keep_log(slow, "pass-1/00000 begun", "farm: done")
    save_state(slow.job, JobState(state="SUCCEEDED", submission="farm-a"))
    assert follow(slow, clock) == ["pass-1/00000 begun", "farm: done"]
    save_state(slow.job, JobState(state="CANCELLED", submission="farm-a"))
    with pytest.raises(CancelledError):
        follow(slow, clock)


def test_following_a_driver_that_is_killed_fails_and_shows_what_ray_kept(slow, clock):
    keep_log(slow, "pass-1/00000 begun")
    slow.answers.kept = "MemoryError"
    slow.asked[:] = ["RUNNING", "FAILED"]
    save_state(slow.job, JobState(state="RUNNING", submission="farm-a"))
    pieces = follow_logs(slow, now=clock.now, sleep=clock.sleep)
    assert next(pieces).endswith("pass-1/00000 begun\n")
    assert next(pieces) == "what Ray kept of the driver's output:\nMemoryError\n"
    with pytest.raises(ChunkFailedError):
        next(pieces)


def test_logs_of_a_job_that_a_new_head_does_not_know(slow):
    slow.asked[:] = ["forgotten"]
    with pytest.raises(UsageError, match="no driver has written a log"):
        list(read_logs(slow))
    keep_log(slow, "pass-1/00000 begun", "farm: done")
    assert [text[21:] for text in "".join(read_logs(slow)).splitlines()] == ["pass-1/00000 begun", "farm: done"]
