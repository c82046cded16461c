"""What goes on with a job goes on as it was begun."""

from __future__ import annotations

import numpy as np
import pytest

from farm.cluster import render_job, service
from farm.cluster.handles import find_job
from farm.files.checked_json import seal
from farm.job import FrameRecord, JobDirectory
from farm.plan import Runtime
from farm.plan.pace import NoProgress
from farm.render.prepare import prepare_job
from farm.spec import build_spec


@pytest.mark.parametrize("spare", [False, True])
def test_resuming_here_or_on_a_cluster_spares_storage_where_the_render_did(clip, tmp_path, monkeypatch, spare):
    url = str(tmp_path / "out.farm")
    spec = build_spec({"video": str(clip), "output": str(tmp_path / "out.mp4"), "method": "identity"})
    prepare_job(spec, url).begin(Runtime(device="cpu", precision="fp32", threads=1), save_storage=spare)
    told = []
    monkeypatch.setattr(render_job, "render_job", lambda spec, options, progress: told.append(options.save_storage))
    monkeypatch.setattr(service, "submit_job", lambda request, *_, priority: told.append(request.save_storage))
    monkeypatch.setattr(service, "Cluster", lambda address: None)
    found = find_job(url, None)
    service.resume_job(found, None, NoProgress())
    service.resume_job(found, "http://somewhere", NoProgress())
    assert told == [spare, spare]


def test_a_record_from_before_this_was_kept_is_read(clip, tmp_path):
    url = str(tmp_path / "out.farm")
    spec = build_spec({"video": str(clip), "output": str(tmp_path / "out.mp4"), "method": "identity"})
    record = prepare_job(spec, url).begin(Runtime(device="cpu", precision="fp32", threads=1))
    old = record.model_dump(mode="json", exclude={"save_storage", "threads"})
    old["runtime"] = {"device": "cpu", "precision": "fp32", "threads": 1, "max_memory": None}
    for name in ("job.json", "job.copy.json"):
        JobDirectory(url).storage.write(name, seal(old))
    assert JobDirectory(url).load_record() == record


def test_a_job_that_an_older_version_began_with_spare_storage_is_resumed_with_it(clip, tmp_path, monkeypatch):
    url = str(tmp_path / "out.farm")
    spec = build_spec({"video": str(clip), "output": str(tmp_path / "out.mp4"), "method": "identity"})
    record = prepare_job(spec, url).begin(Runtime(device="cpu", precision="fp32", threads=1), save_storage=True)
    old = record.model_dump(mode="json")
    old["spare_storage"] = old.pop("save_storage")
    job = JobDirectory(url)
    for name in ("job.json", "job.copy.json"):
        job.storage.write(name, seal(old))
    job.commit_frame("pass-1/00000", np.zeros((64, 96, 3), np.uint8), FrameRecord(frame=0, sha256=""))
    assert prepare_job(spec, url).as_it_is_now().record == record, "it goes on from the frames that are there"
    resumed = []
    monkeypatch.setattr(render_job, "render_job", lambda spec, options, progress: resumed.append((spec, options)))
    service.resume_job(find_job(url, None), None, NoProgress())
    assert [(spec, options.save_storage) for spec, options in resumed] == [(record.spec, True)]
