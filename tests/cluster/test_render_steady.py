"""Method steady on the farm: chunks, workers and a resumed job make no difference, and bad input is one line."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from farm.flow import warp
from farm.job import JobDirectory
from farm.media.pictures import write_picture
from farm.plan import plan_tasks
from farm.render.source_frames import SourceFrames
from farm.render.steadiness import warp_error
from tests.cluster.commands import farm, final_frames, same_frames
from tests.media.clips import LOSSLESS, write_clip

pytestmark = pytest.mark.usefixtures("ray_here")

FRAMES, JOIN = 12, 6
QUICK = ("--passes", "2", "--long-term", "3", "--json")


def scenery() -> np.ndarray:
    rng = np.random.default_rng(3)
    picture = np.full((96, 160, 3), 120, np.uint8)
    for _ in range(40):
        top, left = rng.integers(0, 80), rng.integers(0, 140)
        picture[top : top + 16, left : left + 20] = rng.integers(0, 255, 3)
    return picture


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> tuple[Path, Path, list[np.ndarray]]:
    """A pan, and its painting as a folder: noise in each frame, and another colour from JOIN on."""
    folder = tmp_path_factory.mktemp("steady")
    wide = scenery()
    source = [wide[16:80, 16 + frame : 112 + frame] for frame in range(FRAMES)]
    write_clip(folder / "film.mkv", source, *LOSSLESS)
    painted = []
    (folder / "painted").mkdir()
    for frame, picture in enumerate(source):
        noise = np.random.default_rng(frame).normal(0, 12, picture.shape)
        image = picture * 0.8 + 30 + noise + (20 if frame >= JOIN else 0)
        painted.append(np.clip(np.rint(image), 0, 255).astype(np.uint8))
        write_picture(folder / "painted" / f"p{frame + 1:04d}.png", painted[-1])
    return folder / "film.mkv", folder / "painted", painted


def steady(films, output: Path, *more: str):
    return farm("steady", str(films[1]), "--source", str(films[0]), "-o", str(output), *QUICK, *more)


@pytest.fixture(scope="module")
def whole(films, tmp_path_factory, ray_here) -> str:
    """The job of one worker, in one chunk."""
    done = steady(films, tmp_path_factory.mktemp("whole") / "out.mkv", "--workers", "1", "--chunk-frames", "12")
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["job"])


def test_chunks_workers_and_a_resumed_job_make_the_same_film(films, whole, tmp_path):
    done = steady(films, tmp_path / "out.mkv", "--workers", "2", "--chunk-frames", "5")
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)["job"]
    assert json.loads(done.stdout)["chunks"] == 3
    assert same_frames(whole, job)
    last = plan_tasks(JobDirectory(job).load_record().plan)[-1]
    committed = sorted((Path(job) / "frames" / last.id).glob("[0-9]*.png"))
    assert len(committed) == len(last.frames)
    for path in [*committed, Path(job) / "report.json", tmp_path / "out.mkv"]:
        path.unlink()
    again = steady(films, tmp_path / "out.mkv")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["rendered"] == len(last.frames)
    assert same_frames(whole, job)


def test_the_film_is_steadier_and_its_colours_are_the_painted_ones(films, whole):
    record = JobDirectory(whole).load_record()
    source, painted, frames = SourceFrames(record), films[2], final_frames(whole)
    flow = np.zeros((64, 96, 2), np.float32)
    flow[..., 0] = 1
    assert np.abs(warp(source(4), flow)[:, 2:-2].astype(float) - source(5)[:, 2:-2]).max() == 0
    weight = np.zeros((64, 96), np.float32)
    weight[:, 2:-2] = 1
    before, after = (
        [warp_error(before=a, after=b, flow=flow, weight=weight) for a, b in itertools.pairwise(film)]
        for film in (painted, frames)
    )
    assert np.median(before) > 6 * np.median(after)
    assert after[JOIN - 1] < 3 * np.median(after)
    assert np.abs(np.mean(frames, axis=(0, 1, 2)) - np.mean(painted, axis=(0, 1, 2))).max() < 2


def test_with_no_strength_the_painted_frames_come_back(films, tmp_path, ray_here):
    done = steady(films, tmp_path / "out.mkv", "--strength", "0", "--workers", "1")
    assert done.returncode == 0, done.stderr
    frames = final_frames(json.loads(done.stdout)["job"])
    assert all((frame == painted).all() for frame, painted in zip(frames, films[2], strict=True))


def test_what_is_no_painting_of_the_film_is_one_line(films, tmp_path):
    source, folder, _ = films
    output = tmp_path / "out.mkv"
    short = write_clip(tmp_path / "short.mkv", [scenery()[:64, :96]] * 5, *LOSSLESS)
    other = write_clip(tmp_path / "other.mkv", [_noise(frame) for frame in range(FRAMES)], *LOSSLESS)
    (tmp_path / "empty").mkdir()
    for arguments, said in (
        ([str(short), "--source", str(source)], "has 5 frames and"),
        ([str(other), "--source", str(source)], "does not look like a painting of"),
        ([str(tmp_path / "empty"), "--source", str(source)], "has no numbered pictures"),
        ([str(folder)], "no source is given"),
        (["--source", str(source)], "no painted film is given"),
        ([str(folder), "--source", str(source), "--strength", "2"], "strength"),
    ):
        done = farm("steady", *arguments, "-o", str(output))
        assert done.returncode == 2
        assert said in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert not output.exists()
        assert not output.with_suffix(".farm").exists()


def _noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (64, 96, 3), np.uint8)
