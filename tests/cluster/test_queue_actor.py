"""The queue as it looks at Ray's list of jobs, which is a dictionary here, and at real job directories."""

from __future__ import annotations

import json
from typing import Any

import pytest

from farm.cluster import queue, ray_jobs
from farm.cluster.queue import JobQueue
from farm.cluster.queue_table import Ticket
from farm.cluster.queued import QUEUE_FIELD
from farm.errors import RenderError
from farm.job import JobDirectory
from farm.job.request import JobRequest, load_request, save_request
from farm.job.state import JobState, load_state, save_state
from farm.plan.queue import TURNED_AWAY
from farm.spec import build_spec

NOW = 10_000.0


class Cluster:
    """Ray's list of jobs and key-value store, one place for a driver, and job directories."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.jobs: dict[str, dict[str, Any]] = {}
        self.store: dict[str, str] = {}
        self.refuses = False

    def directory(self, job: str) -> JobDirectory:
        return JobDirectory(str(self.folder / f"{job}.farm"))

    def submit(self, job: str, **fields: Any) -> Ticket:
        """What `farm submit` leaves in the job's directory, and its driver running."""
        spec = build_spec({"video": "a.mp4", "output": f"{job}.mp4", "method": "identity"})
        request = JobRequest(spec=spec, submissions=(job,), **fields)
        save_request(self.directory(job), request)
        save_state(self.directory(job), JobState(state="PENDING", submission=job))
        self.start(job, ["python", "-m", "jobs.render", self.directory(job).url, job], {})
        return Ticket(job, self.directory(job).url, request.priority, request.restarts)

    def start(self, job: str, command: list[str], metadata: dict[str, str]) -> None:
        if self.refuses:
            raise queue.FarmError("no agent")
        assert job not in self.jobs, "Ray gives out an id once"
        metadata = {**metadata, "farm_job": self.directory(job).url}
        self.jobs[job] = {
            "status": "RUNNING",
            "entrypoint": " ".join(command),
            "metadata": metadata,
            "start_time": NOW * 1000,
        }

    def end(self, job: str, status: str, exit_code: int | None, now: float, message: str = "") -> None:
        end = {"status": status, "driver_exit_code": exit_code, "end_time": now * 1000, "message": message}
        self.jobs[job] = {**self.jobs[job], **end}

    def state(self, job: str) -> JobState:
        state = load_state(self.directory(job))
        assert state is not None
        return state


@pytest.fixture
def cluster(tmp_path, monkeypatch) -> Cluster:
    cluster = Cluster(tmp_path)
    monkeypatch.delenv("FARM_QUEUE", raising=False)
    monkeypatch.setattr(queue, "_places", lambda: 1)
    monkeypatch.setattr(queue, "ray_job", cluster.jobs.get)
    monkeypatch.setattr(queue, "farm_jobs", lambda: dict(cluster.jobs))
    monkeypatch.setattr(queue, "forget_job", lambda job: cluster.jobs.pop(job, None))
    monkeypatch.setattr(ray_jobs, "_put", cluster.jobs.__setitem__)
    monkeypatch.setattr(queue, "keep", cluster.store.__setitem__)
    monkeypatch.setattr(queue, "kept", cluster.store.get)
    monkeypatch.setattr(queue, "submit_again", cluster.start)
    return cluster


def look_on(actor: JobQueue, begin: float, seconds: int) -> float:
    """Every two seconds a look. Returns the time of the last one."""
    for now in range(0, seconds + 1, 2):
        actor.look(begin + now)
    return begin + seconds


@pytest.fixture
def two(cluster, monkeypatch):
    """`farm-a` has begun, `farm-b` was turned away at NOW."""
    actor = JobQueue(watch=False)
    monkeypatch.setattr(queue.time, "time", lambda: NOW)
    assert actor.enter(cluster.submit("farm-a")) == NOW
    assert actor.enter(cluster.submit("farm-b")) is None
    cluster.end("farm-b", "FAILED", TURNED_AWAY, NOW)
    save_state(cluster.directory("farm-b"), JobState(state="QUEUED", submission="farm-b"))
    return actor


def test_a_waiting_job_is_listed_with_its_place_once_ray_has_closed_its_books(two, cluster):
    two.look(NOW + 2)
    assert cluster.jobs["farm-b"]["status"] == "FAILED"
    two.look(NOW + 4)
    listed = cluster.jobs["farm-b"]
    assert (listed["status"], listed["message"]) == ("PENDING", "number 1 of 1 in the queue")
    assert json.loads(listed["metadata"][QUEUE_FIELD])["number"] == 1
    assert listed["driver_exit_code"] is None


def test_it_is_submitted_again_under_its_id_when_the_first_is_done(two, cluster):
    look_on(two, NOW, 20)
    save_state(cluster.directory("farm-a"), JobState(state="SUCCEEDED", submission="farm-a"))
    cluster.end("farm-a", "SUCCEEDED", 0, NOW + 20)
    two.look(NOW + 22)
    assert cluster.jobs["farm-b"]["status"] == "RUNNING"
    assert QUEUE_FIELD not in cluster.jobs["farm-b"]["metadata"]
    assert cluster.jobs["farm-b"]["entrypoint"].endswith("farm-b")
    assert cluster.state("farm-b").state == "PENDING"
    assert two.enter(Ticket("farm-b", cluster.directory("farm-b").url)) is not None


def test_a_killed_driver_is_started_again_within_seconds_before_those_that_wait(two, cluster):
    look_on(two, NOW, 20)
    save_state(cluster.directory("farm-a"), JobState(state="RUNNING", submission="farm-a", done=5, total=9))
    cluster.end("farm-a", "FAILED", -9, NOW + 20)
    two.look(NOW + 22)
    waiting = cluster.state("farm-a")
    assert (waiting.state, waiting.done) == ("QUEUED", 5)
    assert "SIGKILL" in waiting.reason
    assert "restart 1 of 3" in waiting.reason
    look_on(two, NOW + 24, 10)
    assert cluster.jobs["farm-a"]["status"] == "RUNNING", "its place was kept for it"
    assert cluster.jobs["farm-b"]["status"] == "PENDING"


def test_a_job_whose_drivers_die_again_and_again_gives_its_place_away(two, cluster):
    clock = look_on(two, NOW, 20)
    for _ in range(3):
        cluster.end("farm-a", "FAILED", -9, clock)
        clock = look_on(two, clock, 30)
    assert "restart 3 of 3" in cluster.state("farm-a").reason
    assert cluster.jobs["farm-b"]["status"] == "RUNNING"


def test_a_lone_killed_driver_runs_again_within_thirty_seconds(cluster, monkeypatch):
    monkeypatch.setattr(queue.time, "time", lambda: NOW)
    actor = JobQueue(watch=False)
    actor.enter(cluster.submit("farm-a"))
    cluster.end("farm-a", "FAILED", -9, NOW)
    look_on(actor, NOW + 1, 10)
    assert cluster.jobs["farm-a"]["status"] == "RUNNING"


@pytest.mark.parametrize(
    ("status", "code", "recorded"), [("STOPPED", None, "CANCELLED"), ("FAILED", 2, "FAILED"), ("FAILED", 1, "FAILED")]
)
def test_not_after_a_cancel_or_a_fault_of_the_users(two, cluster, status, code, recorded):
    save_state(cluster.directory("farm-a"), JobState(state=recorded, submission="farm-a", reason="its own"))
    cluster.end("farm-a", status, code, NOW + 20)
    look_on(two, NOW + 22, 30)
    assert cluster.jobs["farm-a"]["status"] == status
    assert cluster.state("farm-a").reason == "its own"


@pytest.mark.parametrize("status", ["FAILED", "SUCCEEDED", None])
def test_a_job_that_was_resumed_before_the_queue_looked_is_left_to_its_new_driver(two, cluster, status):
    later = JobState(state="PENDING", submission="farm-a-2")
    if status:
        cluster.end("farm-a", status, 1, NOW + 20)
    else:
        del cluster.jobs["farm-a"]
    save_state(cluster.directory("farm-a"), later)
    look_on(two, NOW + 22, 10)
    state = cluster.state("farm-a")
    assert (state.state, state.submission) == ("PENDING", "farm-a-2")
    assert "farm-a" not in json.loads(two.table())["entries"]


def test_a_driver_that_fails_before_its_first_word_is_recorded_as_failed(two, cluster):
    cluster.end(
        "farm-a", "FAILED", 1, NOW + 20, "Job entrypoint failed:\nModuleNotFoundError: No module named 'farm'\n"
    )
    two.look(NOW + 22)
    state = cluster.state("farm-a")
    assert (state.state, state.reason) == ("FAILED", "its driver ended: ModuleNotFoundError: No module named 'farm'")


def test_a_job_that_never_reached_the_queue_is_found_in_rays_list(two, cluster):
    cluster.submit("farm-c")
    cluster.end("farm-c", "FAILED", None, NOW, "Job supervisor actor died")
    look_on(two, NOW + 2, 10)
    assert cluster.state("farm-c").state == "QUEUED"
    cluster.submit("farm-d")
    cluster.end("farm-d", "FAILED", 1, NOW + 12, "ImportError")
    look_on(two, NOW + 14, 10)
    assert (cluster.state("farm-d").state, cluster.state("farm-d").reason) == (
        "FAILED",
        "its driver ended: ImportError",
    )


def test_a_driver_that_has_not_asked_yet_gets_no_place_by_being_found(two, cluster):
    ticket = cluster.submit("farm-c")
    look_on(two, NOW + 2, 20)
    assert two.enter(ticket) is None


def test_one_that_renders_without_having_asked_counts(two, cluster):
    cluster.submit("farm-c")
    save_state(cluster.directory("farm-c"), JobState(state="RUNNING", submission="farm-c"))
    look_on(two, NOW + 2, 20)
    save_state(cluster.directory("farm-a"), JobState(state="SUCCEEDED", submission="farm-a"))
    cluster.end("farm-a", "SUCCEEDED", 0, NOW + 22)
    look_on(two, NOW + 24, 10)
    assert cluster.jobs["farm-b"]["status"] == "PENDING"


def test_an_old_end_is_left_alone(two, cluster):
    cluster.submit("farm-old")
    cluster.end("farm-old", "FAILED", -9, NOW - 1000)
    look_on(two, NOW + 2, 20)
    assert cluster.state("farm-old").state == "PENDING"


def test_a_waiting_job_that_is_cancelled_leaves_the_queue(two, cluster):
    look_on(two, NOW, 6)
    save_state(cluster.directory("farm-b"), JobState(state="CANCELLED", submission="farm-b"))
    two.look(NOW + 8)
    assert cluster.jobs["farm-b"]["status"] == "STOPPED"
    assert QUEUE_FIELD not in cluster.jobs["farm-b"]["metadata"]


def test_another_priority_in_the_request_changes_who_is_next(two, cluster):
    assert two.enter(cluster.submit("farm-c")) is None
    cluster.end("farm-c", "FAILED", TURNED_AWAY, NOW)
    look_on(two, NOW, 6)
    assert cluster.jobs["farm-c"]["message"] == "number 2 of 2 in the queue"
    request = load_request(cluster.directory("farm-c"))
    save_request(cluster.directory("farm-c"), request.model_copy(update={"priority": 60}))
    look_on(two, NOW + 8, 2)
    assert cluster.jobs["farm-c"]["message"] == "number 1 of 2 in the queue"


def test_a_refused_start_is_tried_again(two, cluster):
    look_on(two, NOW, 6)
    cluster.end("farm-a", "STOPPED", None, NOW + 6)
    cluster.refuses = True
    two.look(NOW + 8)
    assert cluster.jobs["farm-b"]["status"] == "PENDING"
    assert cluster.state("farm-b").state == "QUEUED"
    cluster.refuses = False
    look_on(two, NOW + 10, 12)
    assert cluster.jobs["farm-b"]["status"] == "RUNNING"


def test_without_an_address_of_its_own_the_queue_sends_the_token_nowhere(monkeypatch):
    monkeypatch.setattr(queue, "dashboard_address", lambda: None)
    with pytest.raises(RenderError, match="no dashboard"):
        queue.submit_again("farm-a", ["true"], {})


def test_after_the_heads_restart_the_queue_goes_on_with_what_was_kept_elsewhere(two, cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("FARM_QUEUE", str(tmp_path / "kept"))
    assert two.enter(cluster.submit("farm-c")) is None
    cluster.jobs.clear()
    cluster.store.clear()
    later = JobQueue(watch=False)
    later.look(NOW + 60)
    assert cluster.state("farm-a").state == "QUEUED"
    look_on(later, NOW + 62, 20)
    begun = [job for job, info in cluster.jobs.items() if info["status"] == "RUNNING"]
    waiting = [job for job, info in cluster.jobs.items() if info["status"] == "PENDING"]
    assert len(begun) == 1
    assert sorted(begun + waiting) == ["farm-a", "farm-b", "farm-c"]


def test_a_queue_that_died_finds_its_table_again(two, cluster):
    again = JobQueue(watch=False)
    assert json.loads(again.table()) == json.loads(two.table())
