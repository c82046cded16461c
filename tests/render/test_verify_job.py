"""farm status --verify: everything is read again, and what is damaged is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from farm.errors import UsageError
from farm.media.source import content_hash
from farm.plan import Runtime, plan_tasks
from farm.render.chunk import ChunkRenderer
from farm.render.prepare import prepare_job
from farm.render.stitch import stitch_film
from farm.render.verify_job import verify_job
from farm.spec import build_spec
from tests.conftest import make_clip

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def finished(tmp_path_factory, style):
    """The folder of a finished job of three frames, with flow and two passes."""
    folder = tmp_path_factory.mktemp("finished")
    video = make_clip(folder / "clip.mp4", frames=3, audio=False)
    values = {"iterations": "0,0", "size": 64, "passes": 2, "long_term": [], "output": str(folder / "out.mp4")}
    spec = build_spec({"video": str(video), "styles": [str(style)], **values})
    prepared = prepare_job(spec, str(folder / "out.farm"))
    record = prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    renderer = ChunkRenderer(prepared.job.url)
    for task in plan_tasks(record.plan):
        assert list(renderer.render(task))
    stitch_film(prepared.job, record, spec.output)
    prepared.job.save_report({"output": spec.output, "output_sha256": content_hash(spec.output)})
    return folder


@pytest.fixture
def job(finished, tmp_path):
    return shutil.copytree(finished / "out.farm", tmp_path / "out.farm")


def flip(path: Path, at: int = -9) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 16
    path.write_bytes(bytes(data))


def test_a_whole_job_is_whole(job):
    found = verify_job(str(job))
    assert found.damage == []
    assert found.checked == {
        "records": 2, "ledgers": 2, "frames": 6, "segments": 1, "flow fields": 2, "inputs": 2, "reports": 1, "films": 1
    }  # fmt: skip
    assert list(found.lines())[-1].strip() == "all of it is as it was written"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("job.json", "is damaged"),
        ("job.copy.json", "is damaged"),
        ("ledger/pass-1/00000.json", "is damaged"),
        ("frames/pass-2/00000/000001.png", "is damaged"),
        ("flow/*/0000/000000-000001.png", "is damaged"),
        ("report.json", "is damaged"),
    ],
)
def test_one_flipped_bit_is_named(job, name, problem):
    path = next(job.glob(name))
    flip(path)
    found = verify_job(str(job))
    assert [(Path(one.name).name, one.problem) for one in found.damage] == [(path.name, problem)]
    assert found.damage[0].remedy
    assert "1 damaged" in list(found.lines())[-1]


@pytest.mark.parametrize("name", ["clip.mp4", "out.mp4"])
def test_a_film_that_has_changed_is_named(finished, job, name):
    flip(finished / name)
    found = verify_job(str(job))
    flip(finished / name)
    assert [(one.name, one.problem) for one in found.damage] == [(str(finished / name), "has changed")]


def test_what_is_missing_is_named(job):
    (job / "frames/pass-1/00000/000000.png").unlink()
    (job / "job.copy.json").unlink()
    assert {one.name: one.problem for one in verify_job(str(job)).damage} == {
        "frames/pass-1/00000/000000.png": "is missing",
        "job.copy.json": "is missing",
    }


def test_many_damaged_files_are_counted(job):
    for path in (job / "frames").rglob("*.png"):
        flip(path)
    assert "6 damaged" in list(verify_job(str(job)).lines())[-1]


def test_where_there_is_no_job(tmp_path):
    with pytest.raises(UsageError, match="holds no job"):
        verify_job(str(tmp_path))
