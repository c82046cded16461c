"""Waiting for a submitted job whose state is written already while its driver still prints."""

from __future__ import annotations

from typing import Any

import pytest

from farm.cluster import service
from farm.cluster.jobs_api import SubmittedJob
from farm.cluster.service import JobHandle, wait_for_job
from farm.errors import ChunkFailedError, TimedOutError, UsageError
from farm.job import JobDirectory
from farm.job.state import JobState, save_state


class Slow(JobHandle):
    """A job on a cluster that names it RUNNING a few times more, then ended; or that is gone."""

    asked: list[str]

    def submitted(self):
        if self.asked and self.asked[0] == "gone":
            raise UsageError("no cluster answers")
        state = self.asked.pop(0) if self.asked else "SUCCEEDED"
        return SubmittedJob(id=self.submission, state=state, message="", metadata={}, started=0.0, ended=0.0)


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
    return wait_for_job(handle, timeout, lambda state: None, now=clock.now, sleep=clock.sleep)


@pytest.fixture
def slow(tmp_path):
    handle = Slow(JobDirectory(str(tmp_path)), None, "farm-a", None)
    object.__setattr__(handle, "asked", ["RUNNING", "RUNNING", "RUNNING"])
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
    assert clock.seconds <= service.SUMMARY_SECONDS


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
