"""`farm list`: every job that the cluster or the registry knows, in the words of `farm status`."""

from __future__ import annotations

import json

import pytest

from farm.cluster.jobs_api import SubmittedJob
from farm.cluster.listing import _known_jobs, _short_bytes, row_lines
from farm.job import JobDirectory
from farm.job.registry import note_submission
from farm.job.request import JobRequest, save_request
from farm.job.standing import QUEUE_STARTS
from farm.job.state import JobState, save_state
from farm.job.summary import JobSummary, save_summary
from farm.spec import build_spec
from tests.cluster.commands import farm
from tests.cluster.dashboards import dashboard, listed


@pytest.fixture
def registry(monkeypatch, tmp_path):
    folder = str(tmp_path / "registry")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "abc")
    monkeypatch.setenv("FARM_REGISTRY", folder)
    return {"FARM_REGISTRY": folder}


def make(tmp_path, registry, name: str, state: str, address: str, frames: str | None = None) -> str:
    job = JobDirectory(str(tmp_path / f"{name}.farm"))
    spec = build_spec({"video": "/film.mp4", "styles": ["/s.png"], "output": "/out.mp4", "frames": frames})
    request = JobRequest(spec=spec, dashboard=address, submissions=(f"farm-{name}",), owner="ann", priority=80)
    save_request(job, request)
    save_state(job, JobState(state=state, submission=f"farm-{name}"))
    save_summary(job, JobSummary(stages={"pass 1": (12, 48)}, seconds_left=90.0, committed_bytes=3_000_000))
    note_submission(job.url, f"farm-{name}", registry)
    return job.url


def rows(*arguments: str) -> dict[str, dict[str, object]]:
    done = farm("list", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return {row["id"]: row for row in json.loads(done.stdout)}


def test_a_job_that_the_queue_began_again_is_as_old_as_its_submission(registry, tmp_path):
    url = make(tmp_path, registry, "again", "RUNNING", "http://127.0.0.1:9")
    (before,) = _known_jobs({})
    metadata = {"farm_job": url, "owner": "ann"}
    begun_again = SubmittedJob("farm-again", "RUNNING", "", metadata, started=before.submitted + 500, ended=0)
    (known,) = _known_jobs({"farm-again": begun_again})
    assert (known.submitted, known.metadata) == (before.submitted, metadata)


@pytest.mark.process
def test_the_columns_and_the_states(registry, monkeypatch, tmp_path):
    with dashboard() as cluster:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", cluster.address)
        urls = {
            name: make(tmp_path, registry, name, state, cluster.address, frames)
            for name, state, frames in [
                ("runs", "RUNNING", "0-9"),
                ("killed", "RUNNING", "10-19"),
                ("forgotten", "RUNNING", None),
                ("stopped", "RUNNING", None),
                ("done", "CANCELLED", None),
            ]
        }
        killed = "Job entrypoint command failed with exit code -9, last available logs (truncated)\nx"
        cluster.jobs = [
            listed("farm-runs", urls["runs"]),
            listed("farm-killed", urls["killed"], "FAILED", killed),
            listed("farm-stopped", urls["stopped"], "STOPPED"),
            listed("farm-done", urls["done"], "STOPPED"),
        ]
        found = rows()
        states = {name.removeprefix("farm-"): row["state"] for name, row in found.items()}
        assert states == {
            "runs": "RUNNING",
            "killed": "FAILED",
            "forgotten": "LOST",
            "stopped": "CANCELLED",
            "done": "CANCELLED",
        }
        for name, url in urls.items():
            assert json.loads(farm("status", url, "--json").stdout)["state"] == states[name], "status says the same"
        row = found["farm-runs"]
        assert (row["percent"], row["seconds_left"], row["priority"], row["owner"]) == (25, 90.0, 80, "ann")
        assert row["name"] == "film.mp4 as s.png, frames 0-9"
        assert found["farm-killed"]["name"] == "film.mp4 as s.png, frames 10-19"
        assert found["farm-killed"]["seconds_left"] is None
        assert sorted(rows("--state", "cancelled")) == ["farm-done", "farm-stopped"]
        assert len(rows("--limit", "2")) == 2
        assert farm("list", "--state", "ASLEEP").returncode == 2
        table = farm("list").stdout.splitlines()
        assert table[0].split() == ["ID", "STATE", "DONE", "LEFT", "PRIO", "OWNER", "AGE", "SIZE", "NAME"]
        assert any(line.split()[:6] == ["farm-runs", "RUNNING", "25", "%", "1:30", "min"] for line in table)


@pytest.mark.process
def test_on_a_new_head_a_job_waits_until_the_queue_has_begun_and_is_lost_if_that_does_not_know_it(
    registry, monkeypatch, tmp_path
):
    with dashboard() as cluster:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", cluster.address)
        url = make(tmp_path, registry, "waits", "QUEUED", cluster.address)
        job = JobDirectory(url)
        job.storage.write("state.json", JobState(state="QUEUED", submission="farm-waits").model_dump_json().encode())
        row = rows()["farm-waits"]
        assert (row["state"], row["reason"]) == ("QUEUED", QUEUE_STARTS)
        told = farm("status", url)
        assert "QUEUED" in told.stdout
        assert QUEUE_STARTS in told.stdout
        waited = farm("wait", url, "--timeout", "0")
        assert waited.returncode == 4
        assert f"QUEUED {QUEUE_STARTS}" in waited.stderr
        cluster.jobs = [listed("farm-other", "/jobs/other.farm")]  # of a time at which the queue has begun
        assert rows()["farm-waits"]["state"] == "LOST"
        assert json.loads(farm("status", url, "--json").stdout)["state"] == "LOST"


@pytest.mark.process
def test_without_a_cluster_the_registry_tells(registry, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:9")
    assert farm("list").returncode == 2
    make(tmp_path, registry, "runs", "RUNNING", "http://127.0.0.1:9")
    done = farm("list", "--json")
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)
    assert "no cluster answers" in done.stderr
    assert [row["state"] for row in json.loads(done.stdout)] == ["RUNNING"]


def test_sizes_of_a_few_characters():
    assert [_short_bytes(count) for count in (0, 999, 3_000_000, 50 * 2**30)] == ["0B", "999B", "2.9M", "50G"]
    assert row_lines([])[0].startswith("ID")
