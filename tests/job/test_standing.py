"""What a job is, from its directory, its age and the cluster's word: one table for all commands."""

from __future__ import annotations

import pytest

from farm.job.standing import ClusterWord, decide
from farm.job.state import JobState

NOW = 1_000_000.0
ABSENT, ACTIVE, WAITING = ClusterWord("ABSENT"), ClusterWord("RUNNING"), ClusterWord("PENDING")
UNSTARTED = ClusterWord("UNSTARTED")
KILLED, STOPPED = ClusterWord("FAILED", "its driver was killed"), ClusterWord("STOPPED")


@pytest.mark.parametrize(
    ("recorded", "age", "word", "report", "expected", "reason"),
    [
        # what ended by its own word
        ("SUCCEEDED", 5, None, True, "SUCCEEDED", ""),
        ("FAILED", 5, None, False, "FAILED", "why"),
        ("FAILED", 5, ABSENT, False, "FAILED", "why"),
        ("CANCELLED", 9999, STOPPED, False, "CANCELLED", "why"),
        ("FAILED", 5, None, True, "SUCCEEDED", ""),
        # a driver at work
        ("RUNNING", 5, ACTIVE, False, "RUNNING", ""),
        ("RUNNING", 5, None, False, "RUNNING", ""),
        ("RUNNING", 5, ACTIVE, True, "RUNNING", ""),
        ("RUNNING", 600, ACTIVE, False, "RUNNING", ""),
        ("RUNNING", -600, None, False, "RUNNING", ""),
        # a driver that is gone
        ("RUNNING", 5, KILLED, False, "FAILED", "its driver was killed"),
        ("RUNNING", 5, STOPPED, False, "CANCELLED", "its driver ended without a word"),
        ("RUNNING", 5, ABSENT, False, "LOST", "the cluster does not know the job any more"),
        ("RUNNING", 600, None, False, "LOST", "no sign of life of its driver for 600 s"),
        # a driver that is still to begin, or never began
        ("PENDING", 5, None, False, "PENDING", ""),
        ("PENDING", 5, ABSENT, False, "PENDING", ""),
        ("PENDING", 9999, WAITING, False, "PENDING", ""),
        ("PENDING", 90, ABSENT, False, "LOST", "the cluster does not know the job any more"),
        ("PENDING", 600, None, False, "LOST", "no driver has begun it for 600 s"),
        ("PENDING", 5, KILLED, False, "FAILED", "its driver was killed"),
        # a job that waits for a driver
        ("QUEUED", 9999, None, False, "QUEUED", ""),
        ("QUEUED", 9999, ClusterWord("QUEUED", "2 of 5"), False, "QUEUED", "2 of 5"),
        ("RUNNING", 5, ClusterWord("QUEUED", "its driver died"), False, "QUEUED", "its driver died"),
        ("QUEUED", 600, ABSENT, False, "LOST", "the cluster does not know the job any more"),
        # a new head, whose queue has not begun
        ("QUEUED", 600, UNSTARTED, False, "QUEUED", "the queue has not begun since the head did"),
        ("PENDING", 600, UNSTARTED, False, "LOST", "the cluster does not know the job any more"),
        ("RUNNING", 5, UNSTARTED, False, "LOST", "the cluster does not know the job any more"),
        ("CANCELLED", 5, UNSTARTED, False, "CANCELLED", "why"),
        # nothing recorded
        (None, 0, None, False, "UNFINISHED", ""),
        (None, 0, None, True, "SUCCEEDED", ""),
        (None, 0, KILLED, False, "FAILED", "its driver was killed"),
    ],
)
def test_what_a_submitted_job_is(recorded, age, word, report, expected, reason):
    reason_there = "why" if recorded in ("FAILED", "CANCELLED") else ""
    state = recorded and JobState(state=recorded, submission="farm-a", reason=reason_there, updated=NOW - age)
    standing = decide(state, word, now=NOW, has_report=report)
    assert standing.state == expected
    assert standing.reason.startswith(reason)
    assert bool(standing.reason) == bool(reason)


@pytest.mark.parametrize(
    ("asked", "word", "expected"),
    [
        ("farm-a-2", None, "RUNNING"),
        ("farm-a", ClusterWord("SUCCEEDED"), "SUCCEEDED"),
        ("farm-a", ABSENT, "RUNNING"),
        ("", KILLED, "FAILED"),
    ],
)
def test_an_earlier_submission_of_a_job_that_runs_again(asked, word, expected):
    state = JobState(state="RUNNING", submission="farm-a-2", updated=NOW)
    assert decide(state, word, now=NOW, has_report=False, asked=asked).state == expected


@pytest.mark.parametrize(("word", "expected"), [(ACTIVE, "RUNNING"), (WAITING, "PENDING"), (ABSENT, "FAILED")])
def test_the_end_of_an_earlier_run_is_not_that_of_a_later_one(word, expected):
    state = JobState(state="FAILED", submission="farm-a", reason="why", updated=NOW)
    assert decide(state, word, now=NOW, has_report=False, asked="farm-a-2").state == expected


def test_a_job_of_this_machine_is_lost_by_its_silence_only():
    state = JobState(state="RUNNING", updated=NOW)
    assert decide(state, None, now=NOW + 30, has_report=False).state == "RUNNING"
    assert decide(state, None, now=NOW + 300, has_report=False).state == "LOST"
    assert decide(state, None, now=NOW + 300, has_report=False, silent=0.0).state == "RUNNING"
