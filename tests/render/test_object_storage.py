"""A job on object storage, over HTTP from a real S3-compatible server: the same frames as on disk."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from farm.errors import InputError, StorageError
from farm.files import Storage
from farm.job import JobDirectory
from farm.media.decode import FrameReader
from farm.media.ffmpeg import ffmpeg_binary
from farm.media.probe import probe_video
from farm.plan import Runtime, plan_tasks
from farm.render.chunk import ChunkRenderer
from farm.render.committed import frame_of_pass
from farm.render.prepare import prepare_job
from farm.render.stitch import is_own_film, stitch_film
from farm.spec import FrameRange, build_spec

BUCKET = "s3://farm"


def frames_of(job: str) -> np.ndarray:
    directory = JobDirectory(job)
    record = directory.load_record()
    return np.stack([frame_of_pass(directory, record, record.plan.passes, frame) for frame in record.plan.frames])


def render(video: str, style: str, output: Path | str, job: str) -> dict:
    """What a worker does with every task of a job, and the film; says how many frames were made."""
    options = {"size": 64, "iterations": "3,2", "frames": "0-7", "chunk_frames": 4, "passes": 1, "long_term": []}
    options |= {"style_layers": "relu1_1,relu2_1", "content_layers": "relu2_1"}
    spec = build_spec({"video": video, "styles": [style], "output": str(output), **options})
    prepared = prepare_job(spec, job)
    record = prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    renderer = ChunkRenderer(job)
    reports = [report for task in plan_tasks(record.plan) for report in renderer.render(task)]
    stitch_film(prepared.job, record, output)
    return {"job": job, "output": str(output), "rendered": sum(not report.reused for report in reports)}


@pytest.fixture(scope="module")
def remote(object_storage, clip, style, tmp_path_factory) -> tuple[dict, str, str]:
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


def test_a_commit_is_one_put(remote, object_storage):
    puts = [line for line in object_storage if line.startswith("PUT /farm/out.farm/frames/")]
    assert len(puts) == len(set(puts)) == remote[0]["rendered"]
    assert not any(line.startswith("POST") and "uploads" in line for line in object_storage)


def test_a_film_in_a_bucket_is_that_on_a_disk_and_known_to_be_the_jobs_own(object_storage, clip, style, tmp_path):
    render(str(clip), str(style), tmp_path / "out.mp4", str(tmp_path / "here.farm"))
    url, job = f"{BUCKET}/films/out.mp4", JobDirectory(f"{BUCKET}/films/out.farm")
    asked = len(object_storage)
    render(str(clip), str(style), url, job.url)
    requests = object_storage[asked:]
    assert Storage(f"{BUCKET}/films").read("out.mp4") == (tmp_path / "out.mp4").read_bytes()
    assert is_own_film(job, url)
    Storage(f"{BUCKET}/films").write("out.mp4", b"another film")
    assert not is_own_film(job, url)
    of_job = [line.partition(" /farm/films/out.farm/") for line in requests if "/films/out.farm/" in line]
    assert not [name for kind, _, name in of_job if kind == "HEAD"], "nothing is asked for its size first"
    reads = [name for kind, _, name in of_job if kind == "GET" and name.startswith("frames/")]
    assert sorted(reads) == sorted(set(reads)), "what this worker painted is read by the encoder only"


def test_a_lost_frame_is_made_again_and_no_other(remote, object_storage):
    report, video, painting = remote
    before = frames_of(report["job"])
    Storage(report["job"]).remove("frames/pass-1/00001/000006.png")
    Path(report["output"]).unlink()
    again = render(video, painting, Path(report["output"]), report["job"])
    assert again["rendered"] == 1
    assert np.array_equal(frames_of(report["job"]), before)


def test_a_film_that_is_not_there(object_storage):
    with pytest.raises(InputError, match=r"nothing\.mp4 cannot be read: it is not there"):
        probe_video(f"{BUCKET}/inputs/nothing.mp4")


def test_a_bucket_that_is_not_there_is_one_line(object_storage):
    with pytest.raises(StorageError, match="cannot be written"):
        Storage("s3://nobody/out.farm").write("job.json", b"{}")


def test_a_film_is_read_by_range_and_not_as_a_whole(object_storage, tmp_path, monkeypatch):
    """Noise, so that its bytes are many; what is asked for are its first two frames."""
    from s3fs.core import S3File

    film = tmp_path / "noise.mp4"
    command = [*(ffmpeg_binary(), "-v", "error", "-f", "lavfi"), "-i"]
    command += ["testsrc2=size=640x360:rate=10,noise=alls=80:allf=t", "-frames:v", "120", "-g", "10"]
    command += ["-preset", "ultrafast", str(film)]
    subprocess.run(command, check=True)
    Storage(f"{BUCKET}/inputs").upload(film, "noise.mp4")
    probe = probe_video(f"{BUCKET}/inputs/noise.mp4")
    asked, fetch = [], S3File._fetch_range
    monkeypatch.setattr(
        S3File, "_fetch_range", lambda file, start, end: asked.append(end - start) or fetch(file, start, end)
    )
    for first in (0, 100):
        with FrameReader(probe, (640, 360)) as reader:
            assert len(list(reader.read(FrameRange(first, first + 2)))) == 2
        assert 0 < sum(asked) < film.stat().st_size / 2, (first, asked)
        asked.clear()
