"""What goes on with a job goes on as it was begun."""

from __future__ import annotations

import pytest

from farm.cluster import service
from farm.files.checked_json import seal
from farm.job.directory import JobDirectory
from farm.plan.runtime import Runtime
from farm.render.prepare import prepare_job
from farm.spec.load import build_spec


@pytest.mark.parametrize("spare", [False, True])
def test_resuming_here_or_on_a_cluster_spares_storage_where_the_render_did(clip, tmp_path, monkeypatch, spare):
    url = str(tmp_path / "out.farm")
    spec = build_spec({"video": str(clip), "output": str(tmp_path / "out.mp4"), "method": "identity"})
    prepare_job(spec, url).begin(Runtime(device="cpu", precision="fp32", threads=1), save_storage=spare)
    told = []
    monkeypatch.setattr(service, "render_job", lambda spec, options, progress: told.append(options.save_storage))
    monkeypatch.setattr(service, "submit_job", lambda request, job, cluster: told.append(request.save_storage))
    monkeypatch.setattr(service, "Cluster", lambda address: None)
    found = service.find_job(url, None)
    service.resume_job(found, None)
    service.resume_job(found, "http://somewhere")
    assert told == [spare, spare]


def test_a_record_from_before_this_was_kept_is_read(clip, tmp_path):
    url = str(tmp_path / "out.farm")
    spec = build_spec({"video": str(clip), "output": str(tmp_path / "out.mp4"), "method": "identity"})
    record = prepare_job(spec, url).begin(Runtime(device="cpu", precision="fp32", threads=1))
    old = record.model_dump(mode="json", exclude={"save_storage"})
    for name in ("job.json", "job.copy.json"):
        JobDirectory(url).storage.write(name, seal(old))
    assert JobDirectory(url).load_record() == record
