"""The jobs that were submitted are known without the cluster."""

from __future__ import annotations

from farm.job.registry import note_submission, registry, submitted_jobs


def test_a_job_has_one_entry_with_its_latest_submission(tmp_path):
    environment = {"FARM_REGISTRY": str(tmp_path / "registry")}
    assert submitted_jobs(environment) == []
    for job, submission in (("/a.farm", "farm-a"), ("/b.farm", "farm-b"), ("/a.farm", "farm-a-2")):
        note_submission(job, submission, environment)
    assert {(entry.job, entry.submission) for entry in submitted_jobs(environment)} == {
        ("/a.farm", "farm-a-2"),
        ("/b.farm", "farm-b"),
    }
    (tmp_path / "registry/jobs/torn.json").write_text('{"job"')
    assert len(submitted_jobs(environment)) == 2


def test_where_the_registry_is(tmp_path):
    assert registry({"XDG_STATE_HOME": str(tmp_path)}).url == str(tmp_path / "farm/jobs")
    assert registry({"FARM_REGISTRY": str(tmp_path), "XDG_STATE_HOME": "/elsewhere"}).url == str(tmp_path)


def test_a_registry_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    environment = {"FARM_REGISTRY": str(tmp_path / "file/registry")}
    note_submission("/a.farm", "farm-a", environment)
    assert submitted_jobs(environment) == []
