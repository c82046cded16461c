"""What is said of a run that has ended does not touch the run that is at work in the same directory."""

import pytest

from farm.cluster import handles, service
from farm.cluster.jobs_api import SubmittedJob
from farm.errors import UsageError
from farm.job import JobDirectory
from farm.job.request import JobRequest, load_request, save_request
from farm.job.state import JobState, load_state, save_state
from farm.plan.pace import NoProgress
from farm.spec import build_spec

OLD, NEW = "farm-film-1a2b", "farm-film-1a2b-2"


class Cluster:
    """A cluster whose old run was stopped and whose new one is at work."""

    dashboard = "http://head:8265"

    url = ""

    def __init__(self, *_: object) -> None:
        self.stopped: list[str] = []

    def job(self, submission: str) -> SubmittedJob:
        state = "STOPPED" if submission == OLD else "RUNNING"
        return SubmittedJob(submission, state, "", {"farm_job": self.url}, 1.0, 2.0)

    def stop(self, submission: str) -> None:
        self.stopped.append(submission)


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setattr(handles, "Cluster", Cluster)
    job = JobDirectory(str(tmp_path / "out.farm"))
    monkeypatch.setattr(Cluster, "url", job.url)
    spec = build_spec({"video": str(tmp_path / "a.mp4"), "output": str(tmp_path / "out.mp4"), "method": "identity"})
    save_request(job, JobRequest(spec=spec, submissions=(OLD, NEW)))
    save_state(job, JobState(state="RUNNING", submission=NEW, done=7, total=9))
    return job


def test_cancelling_an_old_run_leaves_the_state_of_the_one_at_work(job):
    handle = handles.JobHandle(job, None, OLD, "http://head:8265")
    assert handles.cancel_job(handle).state == "CANCELLED", "this is what became of the old one"
    recorded = load_state(job)
    assert (recorded.state, recorded.submission, recorded.done) == ("RUNNING", NEW, 7)


def test_a_run_that_ends_itself_is_recorded(job):
    save_state(job, JobState(state="RUNNING", submission=OLD))
    handle = handles.JobHandle(job, None, OLD, "http://head:8265")
    assert handles.cancel_job(handle).state == "CANCELLED"
    assert load_state(job).state == "CANCELLED"


@pytest.mark.parametrize(("submission", "state"), [(OLD, "RUNNING"), (NEW, "FAILED")])
def test_a_driver_that_is_refused_does_not_write_over_the_one_at_work(job, submission, state):
    request = load_request(job)
    save_request(job, request.model_copy(update={"farm": "another version"}))
    with pytest.raises(UsageError, match="another version"):
        service.run_submitted(job.url, submission, NoProgress())
    assert load_state(job).state == state
