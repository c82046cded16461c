"""Segments are encoded while others are rendered, and take the place of frames where storage is spare."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from farm.errors import EncodeError, StorageError
from farm.job.directory import frame_name
from farm.media.probe import probe_video
from farm.plan import Runtime, plan_tasks
from farm.plan.segments import SegmentProgress, segments_of, settled_tasks
from farm.render.chunk import ChunkRenderer
from farm.render.committed import frame_of_pass
from farm.render.film_in_progress import FilmMaker
from farm.render.prepare import prepare_job
from farm.render.stitch import Segments, is_own_film, stitch_film
from farm.render.verify_job import verify_job
from farm.spec import build_spec
from tests.conftest import make_clip

FRAMES = 90


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return make_clip(tmp_path_factory.mktemp("film") / "film.mp4", frames=FRAMES, size="64x48")


@pytest.fixture
def short_segments():
    with segments_of(20):
        yield


class Job:
    """An identity render of the film in chunks of ten frames, here in this process."""

    def __init__(self, film: Path, folder: Path, output: str = "out.mp4") -> None:
        self.output = folder / output
        values = {"video": str(film), "output": str(self.output), "method": "identity", "chunk_frames": 10}
        self.prepared = prepare_job(build_spec(values), str(folder / "out.farm"))
        self.job = self.prepared.job
        self.record = self.prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
        self.tasks = plan_tasks(self.record.plan)

    def render(self, *numbers: int) -> None:
        renderer = ChunkRenderer(self.job.url)
        for task in self.tasks:
            if not numbers or task.chunk in numbers:
                assert len(list(renderer.render(task))) == len(task.frames)

    def made(self) -> list[int]:
        segments = Segments(self.job, self.record)
        self.job.forget()
        return [one.index for one in segments.plan if segments.is_made(one)]

    def to_do(self) -> list[int]:
        covered = SegmentProgress(self.record.plan, self.made(), ()).covered
        settled = settled_tasks(self.record.plan, self.tasks, covered, self.job.is_finished)
        return [task.chunk for task in self.tasks if task.id not in settled]

    def frames(self) -> list[Path]:
        return sorted(Path(self.job.url).glob("frames/*/*/*.png"))


@pytest.fixture
def job(film, tmp_path, short_segments) -> Job:
    return Job(film, tmp_path)


def whole(job: Job, film: Path) -> bool:
    made, source = probe_video(str(job.output)), probe_video(str(film))
    times = [[pts * one.time_base for pts in one.pts] for one in (made, source)]
    return times[0] == times[1] and len(made.audio) == 1


def test_segments_are_made_as_their_chunks_come_in_and_the_film_is_whole(job, film):
    with FilmMaker(job.job.url, job.record, job.tasks, (), ()) as maker:
        for chunk in (3, 1, 0, 2):
            job.render(chunk)
            maker.task_done(f"pass-1/{chunk:05d}")
        while maker.floor < 2:
            pass
        assert job.made() == [0, 1]
        assert job.to_do() == [4, 5, 6, 7, 8]
        for chunk in range(4, 9):
            job.render(chunk)
            maker.task_done(f"pass-1/{chunk:05d}")
        seen: list[int] = []
        assert maker.finish(str(job.output), lambda: None, seen.append) == ()
        assert job.made() == [0, 1, 2, 3, 4]
        maker.tidy()
    assert whole(job, film)
    assert seen[-1] == FRAMES
    assert not list(Path(job.job.url).glob("segments/*/*")), "frames are there, segments have done their work"
    assert len(job.frames()) == FRAMES


def test_the_film_is_that_of_one_stitch_after_all_frames(job, film, tmp_path):
    job.render()
    with FilmMaker(job.job.url, job.record, job.tasks, (), [task.id for task in job.tasks]) as maker:
        maker.finish(str(job.output), lambda: None, lambda _: None)
    stitch_film(job.job, job.record, tmp_path / "other.mp4")
    assert (tmp_path / "other.mp4").read_bytes() == job.output.read_bytes()


def test_with_spare_storage_frames_go_as_segments_come_and_a_resume_renders_none_again(job, film):
    with FilmMaker(job.job.url, job.record, job.tasks, (), (), save_storage=True) as maker:
        for chunk in range(6):
            job.render(chunk)
            maker.task_done(f"pass-1/{chunk:05d}")
        while maker.floor < 3:
            pass
        assert job.frames() == []
    assert job.to_do() == [6, 7, 8]
    assert verify_job(job.job.url).damage == []
    done = [task.id for task in job.tasks if task.chunk < 6]
    with FilmMaker(job.job.url, job.record, job.tasks, job.made(), done, save_storage=True) as maker:
        for chunk in (6, 7, 8):
            job.render(chunk)
            maker.task_done(f"pass-1/{chunk:05d}")
        maker.finish(str(job.output), lambda: None, lambda _: None)
    assert whole(job, film)
    assert job.frames() == []
    assert job.made() == [0, 1, 2, 3, 4], "they are all that there is now"
    job.output.unlink()
    assert job.to_do() == []
    assert verify_job(job.job.url).damage == []


@pytest.mark.parametrize("damage", ["flipped", "torn", "gone", "record gone", "record torn"])
def test_a_damaged_segment_is_made_again_from_its_frames(job, film, damage):
    job.render()
    segments = Segments(job.job, job.record)
    for segment in segments.plan:
        segments.make(segment)
    assert job.made() == [0, 1, 2, 3, 4]
    suffix = "json" if damage.startswith("record") else "mkv"
    path = next(Path(job.job.url).glob(f"segments/*/00002.{suffix}"))
    data = path.read_bytes()
    if damage == "flipped":
        path.write_bytes(data[:900] + bytes([data[900] ^ 1]) + data[901:])
    elif damage.endswith("torn"):
        path.write_bytes(data[: len(data) // 2])
    else:
        path.unlink()
    assert job.made() == [0, 1, 3, 4]
    stitch_film(job.job, job.record, job.output)
    assert whole(job, film)


def test_a_frame_that_is_made_anew_and_differs_makes_its_segment_anew(job):
    job.render()
    segments = Segments(job.job, job.record)
    for segment in segments.plan:
        segments.make(segment)
    task = job.tasks[2]
    picture = np.zeros((48, 64, 3), np.uint8)
    row = job.job.ledger(task.id)[task.start]
    job.job.commit_frame(task.id, picture, row)
    assert job.made() == [0, 2, 3, 4]
    segments.make(segments.plan[1])
    assert job.made() == [0, 1, 2, 3, 4]


def test_other_settings_of_the_encoder_use_no_segment_of_these(job, film, tmp_path):
    job.render()
    stitch = Segments(job.job, job.record)
    stitch.make(stitch.plan[0])
    spec = job.record.spec.model_copy(update={"encode": job.record.spec.encode.model_copy(update={"crf": 30})})
    other = Segments(job.job, job.record.model_copy(update={"spec": spec}))
    assert stitch.is_made(stitch.plan[0])
    assert not other.is_made(stitch.plan[0])


def test_an_ffmpeg_that_is_killed_once_is_started_again(job, film, monkeypatch):
    job.render()
    killed: list[int] = []

    def kill_once(frame: int) -> None:
        children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
        for pid in map(int, children):
            if not killed and Path(f"/proc/{pid}/comm").read_text().startswith("ffmpeg"):
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)

    segments = Segments(job.job, job.record)
    for segment in segments.plan:
        segments.make(segment, kill_once)
    assert len(killed) == 1
    assert job.made() == [0, 1, 2, 3, 4]


def test_an_encoder_that_never_works_is_told_of_and_leaves_nothing(job, monkeypatch):
    job.render()

    def fails(*_: object) -> None:
        raise EncodeError("no")

    monkeypatch.setattr("farm.render.stitch.encode_segment", fails)
    maker = FilmMaker(job.job.url, job.record, job.tasks, (), [task.id for task in job.tasks])
    with maker, pytest.raises(EncodeError):
        maker.finish(str(job.output), lambda: None, lambda _: None)
    assert not [path for path in Path(job.job.url).rglob("*.mkv")]
    assert not job.output.exists()


def test_a_frame_that_is_gone_is_told_of(job):
    job.render()
    (Path(job.job.url) / frame_name(job.tasks[4].id, 44)).unlink()
    maker = FilmMaker(job.job.url, job.record, job.tasks, (), [task.id for task in job.tasks])
    with maker, pytest.raises(StorageError, match="frame 44"):
        maker.finish(str(job.output), lambda: None, lambda _: None)


def test_the_film_of_the_job_is_known_from_any_other(job):
    job.render()
    assert not is_own_film(job.job, job.output)
    stitch_film(job.job, job.record, job.output)
    assert is_own_film(job.job, job.output)
    job.output.write_bytes(job.output.read_bytes()[:-1])
    assert not is_own_film(job.job, job.output)


def test_what_a_killed_encoder_or_renderer_left_is_removed_and_nothing_else(job, tmp_path):
    job.render()
    segments = Segments(job.job, job.record)
    segments.make(segments.plan[0])  # so that their folder is there
    with FilmMaker(job.job.url, job.record, job.tasks, (), [task.id for task in job.tasks]) as maker:
        left = [tmp_path / ".out.0123456789ab.mp4", next(Path(job.job.url).glob("segments/*")) / ".00001.0.mkv"]
        left.append((Path(job.job.url) / frame_name(job.tasks[1].id, 12)).with_name(".000012.png.0123456789ab"))
        mine = [tmp_path / ".out.mp4", tmp_path / ".other.0123456789ab.mp4"]
        for path in left + mine:
            path.write_bytes(b"half")
        maker.finish(str(job.output), lambda: None, lambda _: None)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in mine)


def test_stopping_waits_for_nobody(job):
    """Leaving in the middle, by Ctrl-C say, ends the encoder at its next frame and leaves no half segment."""
    job.render()
    maker = FilmMaker(job.job.url, job.record, job.tasks, (), [task.id for task in job.tasks])
    with pytest.raises(KeyboardInterrupt), maker:
        raise KeyboardInterrupt
    assert not [path for path in Path(job.job.url).rglob(".*.mkv")]


def test_a_job_on_object_storage_keeps_its_segments_there(film, tmp_path, short_segments):
    values = {"video": str(film), "output": str(tmp_path / "out.mp4"), "method": "identity", "chunk_frames": 10}
    prepared = prepare_job(build_spec(values), f"memory://{tmp_path.name}")
    record = prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    tasks = plan_tasks(record.plan)
    renderer = ChunkRenderer(prepared.job.url)
    with FilmMaker(prepared.job.url, record, tasks, (), (), save_storage=True) as maker:
        for task in tasks:
            assert list(renderer.render(task))
            maker.task_done(task.id)
        maker.finish(str(tmp_path / "out.mp4"), lambda: None, lambda _: None)
    assert probe_video(str(tmp_path / "out.mp4")).frame_count == FRAMES
    assert prepared.job.storage.names("frames") == []
    assert len(prepared.job.storage.names("segments")) == 10
    with pytest.raises(StorageError):
        frame_of_pass(prepared.job, record, 1, 3)


def test_a_finished_film_is_joined_again_with_other_sound_from_its_own_pictures(job, film, tmp_path):
    """Its frames and segments are gone, as after --keep film."""
    job.render()
    stitch_film(job.job, job.record, job.output)
    Segments(job.job, job.record).remove()
    for frame in job.frames():
        frame.unlink()
    assert Segments(job.job, job.record).film_to_join_from() is None, "the job is not finished"
    job.job.save_report({})
    pictures = packets_of(job.output)

    encode = job.record.spec.encode.model_copy(update={"audio": "none"})
    wanted = job.prepared.spec.model_copy(update={"encode": encode})
    again = prepare_job(wanted, job.job.url).as_it_is_now()
    assert again.record is not None
    assert again.record.spec.encode.audio == "none"
    assert job.job.load_record() == again.record
    Segments(job.job, again.record).join(tmp_path / "silent.mp4")
    assert probe_video(str(tmp_path / "silent.mp4")).audio == ()
    assert packets_of(tmp_path / "silent.mp4") == pictures
    (tmp_path / "silent.mp4").write_bytes(b"something else")
    assert Segments(job.job, again.record).film_to_join_from() is None


def packets_of(path: Path) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as film:
        return [(packet.pts, bytes(packet)) for packet in film.demux(video=0) if packet.size]
