"""What render_job finds out before the film is scanned and before there is a Ray. No test here starts one."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest

from farm.cluster import render_job as steps
from farm.cluster.render_job import render_job
from farm.cluster.sizing import LaunchOptions
from farm.errors import DamagedError, FarmError, OutputError, PictureError, UsageError
from farm.job import JobDirectory
from farm.plan.pace import NoProgress
from farm.render import inputs
from farm.spec import build_spec


@pytest.fixture
def unscanned(monkeypatch):
    """Fails the test if the film is scanned."""

    def scan(path: str, **_: object) -> None:
        pytest.fail(f"{path} was scanned")

    monkeypatch.setattr(inputs, "scan_video", scan)


@pytest.mark.usefixtures("unscanned")
@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"output": "none/out.mp4"}, OutputError, "the directory .*none does not exist"),
        ({"output": "out.txt"}, FarmError, "out.txt"),
        ({"output": "there.mp4"}, OutputError, "exists already"),
        ({"output": "out.mp4", "encode": {"codec": "none"}}, UsageError, "none"),
        ({"output": "out.mp4", "styles": ["none.png"]}, PictureError, "there is no picture"),
    ],
)
@pytest.mark.parametrize("method", ["optimize", "instant"])
def test_what_cannot_be_is_said_before_the_film_is_scanned(clip, style, tmp_path, values, error, message, method):
    (tmp_path / "there.mp4").write_bytes(b"precious")
    styles = [str(tmp_path / path) for path in values.get("styles", ())] or [str(style)]
    values = {**values, "output": str(tmp_path / values["output"]), "styles": styles}
    spec = build_spec({"video": str(clip), "method": method, **values})
    with pytest.raises(error, match=message):
        render_job(spec, LaunchOptions(job=str(tmp_path / "out.farm")), NoProgress())
    assert (tmp_path / "there.mp4").read_bytes() == b"precious"
    assert not (tmp_path / "out.farm").exists(), "nothing was begun"


@pytest.mark.usefixtures("unscanned")
@pytest.mark.parametrize("output", ["http://127.0.0.1:9/x.mp4", "what://bucket/x.mp4", "s3://x.mp4"])
def test_an_output_that_is_no_object_is_refused_before_the_film_is_scanned(clip, style, tmp_path, output):
    spec = build_spec({"video": str(clip), "styles": [str(style)], "output": output})
    with pytest.raises(OutputError):
        render_job(spec, LaunchOptions(job=str(tmp_path / "out.farm")), NoProgress())
    assert not (tmp_path / "out.farm").exists()


@pytest.mark.parametrize(
    ("damaged", "looks", "told"), [((), [False], 0), ((1,), [False, True], 1), ((1, 2), [False, True], 1)]
)
def test_what_is_committed_is_believed_until_a_file_turns_out_to_be_damaged(monkeypatch, damaged, looks, told):
    """The second run reads everything; damage that is met even then ends the command."""
    looked: list[bool] = []

    def run(prepared, running, began, *, read_all: bool):
        looked.append(read_all)
        if len(looked) in damaged:
            raise DamagedError("frame 3 of pass-1/00000 is gone")
        return {"frames": 4}

    monkeypatch.setattr(steps, "_run", run)
    notes: list[str] = []
    history = SimpleNamespace(add=lambda kind, text: None)
    running = SimpleNamespace(progress=SimpleNamespace(note=notes.append), history=history)
    prepared = SimpleNamespace(as_it_is_now=lambda: None)
    ends_well = pytest.raises(DamagedError) if 2 in damaged else contextlib.nullcontext()
    with ends_well:
        assert steps._render_and_stitch(prepared, running, 0.0) == {"frames": 4}
    assert looked == looks
    assert len(notes) == told


def test_a_finished_job_is_reported_though_its_film_is_there(clip, tmp_path, monkeypatch):
    """One scan, to see that it is the same film; no lease and no Ray."""
    monkeypatch.setattr(steps, "job_lease", lambda *_: pytest.fail("the lease was asked for"))
    (tmp_path / "out.mp4").write_bytes(b"film")
    spec = build_spec({"video": str(clip), "output": str(tmp_path / "out.mp4"), "method": "identity"})
    job = JobDirectory(str(tmp_path / "out.farm"))
    report = {"output": spec.output, "output_bytes": 4, "job": job.url}
    job.save_report(report)
    assert render_job(spec, LaunchOptions(job=job.url), NoProgress()) == report
    (tmp_path / "out.mp4").write_bytes(b"another film")
    with pytest.raises(OutputError, match="exists already"):
        render_job(spec, LaunchOptions(job=job.url), NoProgress())
