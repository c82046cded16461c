"""Copies of local inputs in the job's storage."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.errors import VideoError
from farm.fetch import local_path
from farm.spec import build_spec
from farm.storage import Storage
from tests.conftest import make_clip


@pytest.mark.parametrize("remote", [False, True])
def test_local_files_are_copied_once_and_urls_are_left(tmp_path, clip, style, remote):
    from farm.cluster.staging import stage_inputs

    (tmp_path / "film.mp4").write_bytes(clip.read_bytes())
    elsewhere = f"memory://elsewhere-{tmp_path.name}"
    Storage(elsewhere).upload(style, "star.png")
    styles = [f"{tmp_path}/wave.png:2", f"{elsewhere}/star.png"]
    (tmp_path / "wave.png").write_bytes(style.read_bytes())
    job = f"memory://{tmp_path.name}" if remote else str(tmp_path / "out.farm")
    spec = build_spec({"video": str(tmp_path / "film.mp4"), "output": "/o/out.mp4", "styles": styles})
    staged = stage_inputs(spec, job)
    assert staged.video.startswith(f"{job}/inputs/")
    assert staged.video.endswith("-film.mp4")
    assert local_path(staged.video).read_bytes() == clip.read_bytes()
    assert [(Path(one.path).name[-8:], one.weight) for one in staged.styles] == [("wave.png", 2.0), ("star.png", 1.0)]
    assert stage_inputs(spec, job) == staged
    make_clip(tmp_path / "film.mp4", frames=3)
    assert stage_inputs(spec, job).video != staged.video


def test_what_is_not_there_cannot_be_staged(tmp_path):
    from farm.cluster.staging import stage_inputs

    spec = build_spec({"video": str(tmp_path / "no.mp4"), "output": "/o/out.mp4", "method": "identity"})
    with pytest.raises(VideoError, match=r"no\.mp4 does not exist"):
        stage_inputs(spec, str(tmp_path / "out.farm"))
