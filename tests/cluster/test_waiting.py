"""Waiting for a submitted job whose state is written already while its driver still prints."""

import time

import pytest

from farm.cluster import service
from farm.cluster.jobs_api import SubmittedJob
from farm.cluster.service import Found, wait_for_job
from farm.errors import ChunkFailedError, UsageError
from farm.job.directory import JobDirectory
from farm.job.state import JobState, save_state


class Slow(Found):
    """A job on a cluster that names it RUNNING a few times more, then ended; or that is gone."""

    asked: list[str]

    def submitted(self):
        if self.asked and self.asked[0] == "gone":
            raise UsageError("no cluster answers")
        state = self.asked.pop(0) if self.asked else "SUCCEEDED"
        return SubmittedJob(id=self.submission, state=state, message="", metadata={}, started=0.0, ended=0.0)


@pytest.fixture
def slow(tmp_path, monkeypatch):
    monkeypatch.setattr(service, "POLL_SECONDS", 0.001)
    found = Slow(JobDirectory(str(tmp_path)), None, "farm-a", None)
    object.__setattr__(found, "asked", ["RUNNING", "RUNNING", "RUNNING"])
    return found


def test_the_last_lines_are_there_when_the_waiting_is_over(slow):
    save_state(slow.job, JobState(state="SUCCEEDED", submission="farm-a"))
    assert wait_for_job(slow, None, lambda state: None).state == "SUCCEEDED"
    assert slow.asked == []


def test_also_of_a_job_that_failed(slow):
    save_state(slow.job, JobState(state="FAILED", submission="farm-a", reason="boom"))
    with pytest.raises(ChunkFailedError, match="boom"):
        wait_for_job(slow, None, lambda state: None)
    assert slow.asked == []


@pytest.mark.parametrize("asked", [["gone"], ["RUNNING"] * 10_000])
def test_a_cluster_that_is_gone_or_does_not_end_keeps_nobody(slow, asked, monkeypatch):
    monkeypatch.setattr(service, "LAST_WORDS_SECONDS", 0.05)
    slow.asked[:] = asked
    save_state(slow.job, JobState(state="SUCCEEDED", submission="farm-a"))
    assert wait_for_job(slow, None, lambda state: None).state == "SUCCEEDED"
    assert slow.asked


def test_no_longer_than_was_asked_for(slow):
    slow.asked[:] = ["RUNNING"] * 100_000
    save_state(slow.job, JobState(state="SUCCEEDED", submission="farm-a"))
    began = time.monotonic()
    assert wait_for_job(slow, 0.05, lambda state: None).state == "SUCCEEDED"
    assert time.monotonic() - began < service.LAST_WORDS_SECONDS / 2
