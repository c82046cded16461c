"""Copies of local inputs in the job's storage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from farm.errors import VideoError
from farm.files import Storage, local_path
from farm.job import JobDirectory
from farm.media.probe import probe_video
from farm.spec import build_spec
from tests.cluster.commands import farm, same_frames, submit
from tests.conftest import make_clip


@pytest.mark.parametrize("remote", [False, True])
def test_local_files_are_copied_once_and_urls_are_left(tmp_path, clip, style, remote):
    from farm.cluster.staging import copy_inputs

    (tmp_path / "film.mp4").write_bytes(clip.read_bytes())
    elsewhere = f"memory://elsewhere-{tmp_path.name}"
    Storage(elsewhere).upload(style, "star.png")
    styles = [f"{tmp_path}/wave.png:2", f"{elsewhere}/star.png"]
    (tmp_path / "wave.png").write_bytes(style.read_bytes())
    job = f"memory://{tmp_path.name}" if remote else str(tmp_path / "out.farm")
    spec = build_spec({"video": str(tmp_path / "film.mp4"), "output": "/o/out.mp4", "styles": styles})
    staged = copy_inputs(spec, job)
    assert staged.video.startswith(f"{job}/inputs/")
    assert staged.video.endswith("-film.mp4")
    assert local_path(staged.video).read_bytes() == clip.read_bytes()
    assert [(Path(one.path).name[-8:], one.weight) for one in staged.styles] == [("wave.png", 2.0), ("star.png", 1.0)]
    assert copy_inputs(spec, job) == staged
    make_clip(tmp_path / "film.mp4", frames=3)
    assert copy_inputs(spec, job).video != staged.video


def test_what_is_not_there_cannot_be_staged(tmp_path):
    from farm.cluster.staging import copy_inputs

    spec = build_spec({"video": str(tmp_path / "no.mp4"), "output": "/o/out.mp4", "method": "identity"})
    with pytest.raises(VideoError, match=r"no\.mp4 does not exist"):
        copy_inputs(spec, str(tmp_path / "out.farm"))


@pytest.mark.service
def test_a_job_on_object_storage_with_copied_inputs_makes_the_same_frames(
    two_workers, object_storage, film, style, tmp_path, undisturbed
):
    """The originals are gone before a worker could look for them."""
    for original in (film, style):
        (tmp_path / original.name).write_bytes(original.read_bytes())
    begin, job = len(object_storage), "s3://farm/staged.farm"
    mine = (tmp_path / film.name, tmp_path / style.name)
    done = submit(*mine, tmp_path / "out.mp4", "--job", job, "--stage")
    for path in mine:
        path.unlink()
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    waited = farm("wait", told["id"])
    assert waited.returncode == 0, waited.stderr + farm("logs", told["id"]).stdout
    assert same_frames(job, undisturbed["job"])
    assert probe_video(str(tmp_path / "out.mp4")).frame_count == 12
    seen = object_storage[begin:]
    assert sum("PUT /farm/staged.farm/inputs/" in line for line in seen) == 2
    frames = [line for line in seen if line.startswith("PUT /farm/staged.farm/frames/")]
    assert len(frames) == len(set(frames)) == JobDirectory(job).load_report()["rendered"]
    status = json.loads(farm("status", job, "--json").stdout)
    assert (status["state"], status["committed"]) == ("SUCCEEDED", status["frames"])
