"""The queue's table, what clients say of waiting jobs, and priorities that change; without Ray."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection

import pytest

from farm.cluster.handles import word_of
from farm.cluster.jobs_api import SubmittedJob
from farm.cluster.priority import READ_SECONDS, FollowedPriority
from farm.cluster.queue_table import SETTLING_SECONDS, Ended, QueueTable, Ticket
from farm.cluster.queued import (
    BEGIN_SECONDS,
    JUDGED_SECONDS,
    QUEUE_FIELD,
    is_judged_soon,
    queue_has_begun,
    ticket_of,
    waiting_line,
    waits,
)
from farm.job import JobDirectory
from farm.job.request import JobRequest, load_request, save_request
from farm.job.standing import ClusterWord, decide
from farm.job.state import JobState, save_state
from farm.plan.queue import Place
from farm.spec import build_spec

NOW = 1000.0
KILLED = Ended("FAILED", -9)


def ticket(job: str, **fields) -> Ticket:
    return Ticket(job, f"/jobs/{job}.farm", **fields)


@pytest.fixture
def table() -> QueueTable:
    """One place, taken by `film`; `second` waits."""
    table = QueueTable()
    assert table.admit(ticket("film", frames=100), 1, NOW)
    assert not table.admit(ticket("second"), 1, NOW)
    return table


def begun(table: QueueTable) -> list[str]:
    return [job for job, entry in table.entries.items() if entry.state != "waiting"]


def test_a_job_that_was_turned_away_begins_when_the_place_is_free(table):
    assert table.next(1, NOW + 60) == []
    assert table.ended("film", Ended("SUCCEEDED", 0, recorded=True), NOW + 50) == "over"
    assert table.next(1, NOW + 60) == ["second"]
    table.starting("second", NOW + 60)
    assert table.next(1, NOW + 60) == []
    assert table.admit(ticket("second"), 1, NOW + 61)
    assert begun(table) == ["second"]


def test_it_does_not_begin_before_its_first_process_has_ended(table):
    table.ended("film", Ended("SUCCEEDED", 0, recorded=True), NOW + 1)
    assert table.next(1, NOW + SETTLING_SECONDS - 1) == []


def test_nobody_passes_a_job_that_waits(table):
    table.ended("film", Ended("SUCCEEDED", 0, recorded=True), NOW + 50)
    assert not table.admit(ticket("third"), 1, NOW + 60)


def test_a_driver_that_died_is_started_again_so_often_and_after_longer_and_longer_pauses(table):
    pauses = []
    for death in range(1, 4):
        assert table.ended("film", KILLED, NOW) == "again"
        entry = table.entries["film"]
        assert f"restart {death} of 3" in entry.reason
        pauses.append(entry.ready - NOW)
        assert table.next(1, entry.ready - 1) in ([], ["second"])
        assert table.next(1, entry.ready) == ["film"], "it keeps its place before those that came later"
        table.starting("film", entry.ready)
    assert pauses == [5.0, 20.0, 80.0]
    assert table.ended("film", KILLED, NOW) == "failed"
    assert "film" not in table.entries


def test_a_job_that_wants_no_restarts_has_none(table):
    table.admit(ticket("once", restarts=0, frames=1), 1, NOW)
    assert table.ended("once", KILLED, NOW) == "failed"


def test_the_forecast_follows_progress_and_what_jobs_took(table):
    table.admit(ticket("third", frames=50), 1, NOW + 1)
    assert [place.begins for place in table.places(1, NOW + 10).values()] == [None, None]
    table.progress("film", 25, 100, NOW + 10)
    assert table.places(1, NOW + 10)["second"] == Place(1, 2, NOW + 40)
    table.ended("film", Ended("SUCCEEDED", 0, recorded=True), NOW + 200)
    assert table.seconds_per_frame == 2.0


def test_a_table_is_kept_as_text(table):
    table.ended("film", KILLED, NOW)
    again = QueueTable.from_json(table.to_json())
    assert again.entries == table.entries
    with pytest.raises((ValueError, KeyError, TypeError)):
        QueueTable.from_json('{"entries": {"a": {"ticket": {}}}}')


def submitted(state: str = "PENDING", *, ended: float = 0.0, **metadata: str) -> SubmittedJob:
    return SubmittedJob("farm-a", state, "number 2 of 3 in the queue", metadata, 0.0, ended)


def test_a_waiting_job_is_told_from_one_that_starts():
    assert waits(submitted(**{QUEUE_FIELD: "{}"}))
    assert not waits(submitted())
    assert not waits(submitted("STOPPED", **{QUEUE_FIELD: "{}"}))


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (Place(1, 2), "number 1 of 2 in the queue"),
        (Place(1, 2, NOW + 30), "number 1 of 2 in the queue, begins within a minute"),
        (Place(1, 2, NOW + 250), "number 1 of 2 in the queue, begins in about 4 min"),
        (Place(1, 2, NOW + 7500), "number 1 of 2 in the queue, begins in about 2:05 h"),
    ],
)
def test_the_place_as_text(place, line):
    assert waiting_line(place, "", NOW) == line
    assert waiting_line(place, "its driver died", NOW) == f"{line}; its driver died"


@pytest.fixture
def request_of_one_second():
    spec = build_spec({"video": "a.mp4", "output": "b.mp4", "method": "identity", "frames": "0-23"})
    return JobRequest(spec=spec, submissions=("farm-a",))


@pytest.mark.parametrize(
    ("recorded", "state", "ended", "restarts", "expected"),
    [
        ("RUNNING", "FAILED", NOW, 3, True),
        ("RUNNING", "FAILED", NOW, 0, False),
        ("QUEUED", "FAILED", NOW, 0, True),
        ("RUNNING", "FAILED", NOW - JUDGED_SECONDS, 3, False),
        ("RUNNING", "STOPPED", NOW, 3, False),
    ],
)
def test_an_end_without_a_word_is_left_to_the_queue_for_a_minute(
    request_of_one_second, recorded, state, ended, restarts, expected
):
    request = request_of_one_second.model_copy(update={"restarts": restarts})
    soon = is_judged_soon(submitted(state, ended=ended), JobState(state=recorded), request, NOW)
    assert soon is expected


@pytest.mark.parametrize(
    ("jobs", "begun"),
    [
        ([], False),
        ([("RUNNING", BEGIN_SECONDS, {})], False),  # its driver may be about to start the queue
        ([("RUNNING", BEGIN_SECONDS + 1, {})], True),
        ([("SUCCEEDED", 9999, {})], True),
        ([("PENDING", 5, {QUEUE_FIELD: "{}"})], True),
    ],
)
def test_the_list_of_jobs_tells_whether_the_queue_has_begun(jobs, begun):
    listed = [dataclasses.replace(submitted(state, **fields), started=NOW - age) for state, age, fields in jobs]
    assert queue_has_begun(listed, NOW) is begun


def test_what_waits_on_the_cluster_is_queued_whatever_its_dead_driver_wrote(tmp_path, request_of_one_second):
    job = JobDirectory(str(tmp_path))
    recorded = JobState(state="RUNNING", submission="farm-a", done=5, total=9)
    save_state(job, recorded)
    word = word_of(submitted(**{QUEUE_FIELD: "{}"}), job, request_of_one_second)
    assert word == ClusterWord("QUEUED", "number 2 of 3 in the queue")
    standing = decide(recorded, word, now=NOW, has_report=False)
    assert (standing.state, standing.reason) == ("QUEUED", "number 2 of 3 in the queue")


def test_a_job_whose_driver_died_is_queued_until_the_queue_has_decided(tmp_path, request_of_one_second):
    job = JobDirectory(str(tmp_path))
    save_state(job, JobState(state="RUNNING", submission="farm-a"))
    dead = submitted("FAILED", ended=time.time())
    assert word_of(dead, job, request_of_one_second).state == "QUEUED"
    assert word_of(dead, job, request_of_one_second.model_copy(update={"restarts": 0})).state == "FAILED"


def test_the_ticket_of_a_job_says_how_many_frames_were_asked_for(tmp_path, request_of_one_second):
    job = JobDirectory(str(tmp_path))
    assert ticket_of("farm-a", job, request_of_one_second) == Ticket("farm-a", job.url, 50, 3, 24)


class Quota:
    """Takes note of the priority."""

    start_seconds = None
    priority = 50

    def allowed(self, wanted: int, unusable: Collection[str] = ()) -> int:
        return self.priority

    def prioritise(self, priority: int) -> None:
        self.priority = priority

    def leave(self) -> None:
        return


def test_a_running_job_follows_the_priority_in_its_request(tmp_path, request_of_one_second):
    job, clock = JobDirectory(str(tmp_path)), [0.0]
    save_request(job, request_of_one_second)
    quota = FollowedPriority(Quota(), job, lambda: clock[0])
    save_request(job, request_of_one_second.model_copy(update={"priority": 100}))
    assert quota.allowed(1) == 50
    clock[0] += READ_SECONDS
    assert quota.allowed(1) == 100
    assert load_request(job) is not None
