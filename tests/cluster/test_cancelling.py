"""Cancelling by an id, and what it leaves alone."""

from __future__ import annotations

import pytest

from farm.job import JobDirectory
from farm.job.request import JobRequest, save_request
from farm.job.state import JobState, load_state, save_state
from farm.spec import build_spec
from tests.cluster.commands import farm
from tests.cluster.dashboards import dashboard, listed


@pytest.fixture
def job(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "abc")
    job = JobDirectory(str(tmp_path / "out.farm"))
    spec = build_spec({"video": "/film.mp4", "styles": ["/s.png"], "output": "/out.mp4"})
    save_request(job, JobRequest(spec=spec, submissions=("farm-film", "farm-film-2")))
    save_state(job, JobState(state="RUNNING", submission="farm-film-2", done=3, total=9))
    return job


@pytest.mark.process
def test_an_old_id_does_not_touch_the_run_at_work(job, monkeypatch):
    with dashboard([listed("farm-film", job.url, "STOPPED"), listed("farm-film-2", job.url)]) as cluster:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", cluster.address)
        before = load_state(job)
        done = farm("cancel", "farm-film")
        assert (done.returncode, done.stdout) == (0, f"{job.url}: CANCELLED\n")
        assert load_state(job) == before
        assert not [path for path, _ in cluster.seen if path.endswith("/stop")]


@pytest.mark.process
def test_the_run_at_work_is_stopped_and_recorded(job, monkeypatch):
    with dashboard([listed("farm-film", job.url, "STOPPED"), listed("farm-film-2", job.url)]) as cluster:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", cluster.address)
        assert farm("cancel", job.url).returncode == 0
        recorded = load_state(job)
        assert (recorded.state, recorded.done) == ("CANCELLED", 3)
        assert ("/api/jobs/farm-film-2/stop", "Bearer abc") in cluster.seen
