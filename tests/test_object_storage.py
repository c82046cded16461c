"""A job on object storage, over HTTP from a real S3-compatible server: the same frames as on disk."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from farm.errors import InputError, StorageError
from farm.job import JobDirectory, Runtime
from farm.media.probe import probe_video
from farm.plan import plan_tasks
from farm.prepare import prepare_job
from farm.render import ChunkRenderer, stage_frame
from farm.spec import build_spec
from farm.stitch import stitch_film
from farm.storage import Storage
from tests.conftest import S3_PORT

pytest.importorskip("s3fs")
moto_server = pytest.importorskip("moto.server")

BUCKET = "s3://farm"


class Requests(logging.Handler):
    """The request lines that the server logs: `PUT /farm/out.farm/job.json`."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        found = re.search(r'"([A-Z]+ \S+) HTTP', record.getMessage())
        if found:
            self.lines.append(found[1])


@pytest.fixture(scope="module")
def requests() -> Iterator[list[str]]:
    import fsspec

    seen = Requests()
    log = logging.getLogger("werkzeug")
    log.setLevel(logging.INFO)
    log.addHandler(seen)
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=S3_PORT, verbose=True)
    server.start()
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("farm")
    yield seen.lines
    server.stop()
    log.removeHandler(seen)


def frames_of(job: str) -> np.ndarray:
    directory = JobDirectory(job)
    record = directory.load_record()
    return np.stack([stage_frame(directory, record, record.plan.passes, frame) for frame in record.plan.frames])


def render(video: str, style: str, output: Path, job: str) -> dict:
    """What a worker does with every task of a job, and the film; says how many frames were made."""
    options = {"size": 64, "iterations": "3,2", "frames": "0-7", "chunk_frames": 4, "passes": 1, "long_term": []}
    spec = build_spec({"video": video, "styles": [style], "output": str(output), **options})
    prepared = prepare_job(spec, job)
    record = prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    renderer = ChunkRenderer(job)
    reports = [report for task in plan_tasks(record.plan) for report in renderer.render(task)]
    stitch_film(prepared.job, record, output)
    return {"job": job, "output": str(output), "rendered": sum(not report.reused for report in reports)}


@pytest.fixture(scope="module")
def remote(requests, clip, style, tmp_path_factory) -> tuple[dict, str, str]:
    """The report of a render that reads and writes nothing but object storage, except for the film."""
    storage = Storage(f"{BUCKET}/inputs")
    storage.upload(clip, "clip.mp4")
    storage.upload(style, "style.png")
    video, painting = f"{BUCKET}/inputs/clip.mp4", f"{BUCKET}/inputs/style.png"
    output = tmp_path_factory.mktemp("remote") / "out.mp4"
    return render(video, painting, output, f"{BUCKET}/out.farm"), video, painting


def test_the_frames_are_those_of_a_render_on_disk(remote, clip, style, tmp_path):
    here = render(str(clip), str(style), tmp_path / "out.mp4", str(tmp_path / "out.farm"))
    assert np.array_equal(frames_of(remote[0]["job"]), frames_of(here["job"]))
    film = probe_video(remote[0]["output"])
    assert (film.frame_count, len(film.audio)) == (8, 1)


def test_a_commit_is_one_put(remote, requests):
    puts = [line for line in requests if line.startswith("PUT /farm/out.farm/frames/")]
    assert len(puts) == len(set(puts)) == remote[0]["rendered"]
    assert not any(line.startswith("POST") and "uploads" in line for line in requests)


def test_a_lost_frame_is_made_again_and_no_other(remote, requests):
    report, video, painting = remote
    before = frames_of(report["job"])
    Storage(report["job"]).remove("frames/pass-1/00001/000006.png")
    Path(report["output"]).unlink()
    again = render(video, painting, Path(report["output"]), report["job"])
    assert again["rendered"] == 1
    assert np.array_equal(frames_of(report["job"]), before)


def test_a_film_that_is_not_there(requests):
    with pytest.raises(InputError, match=r"nothing\.mp4 cannot be read: it is not there"):
        probe_video(f"{BUCKET}/inputs/nothing.mp4")


def test_a_bucket_that_is_not_there_is_one_line(requests):
    with pytest.raises(StorageError, match="cannot be written"):
        Storage("s3://nobody/out.farm").write("job.json", b"{}")
