"""The whole way, on real Ray: what comes out does not depend on who rendered it, or how often it was begun."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from farm.cli.progress import JobProgress
from farm.cluster.render_job import render_job
from farm.cluster.sizing import LaunchOptions
from farm.errors import ChunkFailedError, JobMismatchError, OutputError, UsageError, VideoError
from farm.job import JobDirectory
from farm.job.history import load_history
from farm.media.pictures import read_picture, write_picture
from farm.media.probe import probe_video
from farm.paint.features.vgg import VGGFeatures
from farm.paint.features.weights import load_weights
from farm.paint.losses.functional import STYLE_LAYERS, gram_matrix, style_loss
from farm.paint.losses.targets import Style, StyleTargets
from farm.paint.tensors import image_to_tensor
from farm.plan import plan_tasks
from farm.plan.liveness import Watchdog
from farm.render.source_frames import SourceFrames
from farm.spec import RenderSpec, build_spec
from tests.cluster.commands import farm, final_frames, same_frames
from tests.conftest import make_clip

pytestmark = pytest.mark.usefixtures("ray_here")


def make_spec(clip: Path, style: Path, output: Path, **options: object) -> RenderSpec:
    values = {"iterations": "4,3", "size": 64, "chunk_frames": 4, "overlap": 2, "passes": 2, "long_term": [3]}
    return build_spec({"video": str(clip), "styles": [str(style)], "output": str(output), **values, **options})


def render(spec: RenderSpec, workers: int = 1, **options: object) -> dict:
    job = str(Path(spec.output).with_suffix(".farm"))
    launch = LaunchOptions(job=job, workers=workers, threads=1, dashboard=False, **options)
    return render_job(spec, launch, JobProgress())


@pytest.fixture(scope="module")
def reference(clip, style, tmp_path_factory, ray_here):
    """An undisturbed render by one worker."""
    spec = make_spec(clip, style, tmp_path_factory.mktemp("reference") / "out.mp4")
    return render(spec, workers=1)


@pytest.fixture(scope="module")
def pair(clip, style, tmp_path_factory, ray_here):
    """The same by two workers."""
    return render(make_spec(clip, style, tmp_path_factory.mktemp("pair") / "two.mp4"), workers=2)


@pytest.fixture(scope="module")
def copied(clip, tmp_path_factory, ray_here):
    """A job that copies its frames."""
    output = tmp_path_factory.mktemp("copied") / "same.mp4"
    return render(build_spec({"video": str(clip), "output": str(output), "method": "identity"}))


def test_the_film_has_the_frames_times_and_sound_of_its_source(clip, reference):
    source, film = probe_video(str(clip)), probe_video(reference["output"])
    assert film.frame_count == source.frame_count == 12
    assert [p * film.time_base for p in film.pts] == [p * source.time_base for p in source.pts]
    assert film.frame_rate == Fraction(12)
    assert [stream.codec for stream in film.audio] == ["aac"]
    assert (film.width, film.height) == (64, 44)
    assert (reference["shots"], reference["chunks"]) == (1, 3)


def test_frames_are_painted_not_copied(clip, style, reference):
    """Each has the painting's Gram matrices rather than its source's, and its own source's shapes before another's."""
    features = VGGFeatures(load_weights())
    record = JobDirectory(reference["job"]).load_record()
    source = SourceFrames(record)
    painted = final_frames(reference["job"])
    assert len(painted) == 12
    targets = StyleTargets.of(features, [Style(read_picture(style))], painted[0].shape[:2])

    def style_of(picture: np.ndarray) -> float:
        seen = features(image_to_tensor(picture), STYLE_LAYERS)
        grams = {name: gram_matrix(seen[name]) for name in STYLE_LAYERS}
        return float(style_loss(grams, targets.grams, dict.fromkeys(STYLE_LAYERS, 1.0)))

    def shapes_of(picture: np.ndarray) -> np.ndarray:
        return features(image_to_tensor(picture), ("relu4_2",))["relu4_2"].numpy()

    for frame in (0, 11):
        content, other = source(frame), source(11 - frame)
        assert style_of(painted[frame]) < 0.5 * style_of(content)
        seen = shapes_of(painted[frame])
        near, far = (np.square(seen - shapes_of(picture)).mean() for picture in (content, other))
        assert near < far


def test_two_workers_make_the_same_frames_as_one(pair, reference):
    assert pair["workers"] == 2
    assert same_frames(pair["job"], reference["job"])


def test_a_killed_actor_costs_nothing_but_time(clip, style, tmp_path, reference, monkeypatch):
    spec = make_spec(clip, style, tmp_path / "killed.mp4")
    job = tmp_path / "killed.farm"
    pools, killed = [], []
    from farm.cluster.pool import WorkerPool  # imports ray, which has to be started by then

    class RecordedPool(WorkerPool):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            pools.append(self)

    monkeypatch.setattr("farm.cluster.pool.WorkerPool", RecordedPool)

    def kill_in_the_middle_of_a_chunk() -> None:
        while not killed:
            time.sleep(0.02)
            ledger = job / "ledger/pass-1/00000.json"
            if ledger.exists() and len(json.loads(ledger.read_text())["frames"]) >= 3:
                killed.extend(facts.pid for facts in pools[0].facts.values())
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)

    threading.Thread(target=kill_in_the_middle_of_a_chunk, daemon=True).start()
    report = render(spec, workers=1)
    assert len(killed) == 1
    assert report["lost_workers"] >= 1
    # one less where the worker died between a commit and its report: that frame was found, not rendered
    assert reference["rendered"] - 1 <= report["rendered"] <= reference["rendered"], (
        "a committed frame was rendered again"
    )
    assert same_frames(report["job"], reference["job"])
    told = [one.kind for one in load_history(JobDirectory(report["job"]))]
    assert [kind for kind in told if kind != "joined"] == ["run", "lost", "retry", "regained", "stitch", "end"]
    makers = {row.worker for row in JobDirectory(report["job"]).ledger("pass-1/00000").values()}
    assert len(makers) == 2, "the ledger tells who rendered a frame"


@pytest.mark.slow
def test_a_stuck_renderer_is_ended_and_its_task_begun_again(clip, style, tmp_path, reference, monkeypatch):
    spec = make_spec(clip, style, tmp_path / "stuck.mp4")
    ledger = tmp_path / "stuck.farm/ledger/pass-1/00000.json"
    pools, stopped, told = [], [], threading.Event()
    from farm.cluster.pool import WorkerPool  # imports ray, which has to be started by then

    class RecordedPool(WorkerPool):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            pools.append(self)

    class RecordedWatchdog(Watchdog):
        def frame(self, *arguments, **options):
            super().frame(*arguments, **options)
            told.set()

    monkeypatch.setattr("farm.cluster.pool.WorkerPool", RecordedPool)
    monkeypatch.setattr("farm.cluster.driver.Watchdog", RecordedWatchdog)

    def stop_in_the_middle_of_a_chunk() -> None:
        # Until the driver has been told of a frame, it allows half an hour for the first one.
        told.wait()
        while not stopped:
            time.sleep(0.02)
            if ledger.exists() and len(json.loads(ledger.read_text())["frames"]) >= 3:
                stopped.extend(facts.pid for facts in pools[0].facts.values())
                os.kill(stopped[0], signal.SIGSTOP)

    threading.Thread(target=stop_in_the_middle_of_a_chunk, daemon=True).start()
    report = render(spec, workers=1, patience=3.0)
    assert report["lost_workers"] == 1
    assert any("told of no frame for" in line for line in report["retries"])
    assert not Path(f"/proc/{stopped[0]}").exists(), "its process is gone, not only given up"
    assert same_frames(report["job"], reference["job"])


def test_with_spare_storage_the_film_is_the_same_and_its_frames_are_given_up(clip, style, tmp_path, reference):
    report = render(make_spec(clip, style, tmp_path / "spare.mp4"), workers=2, save_storage=True)
    assert list(Path(report["job"]).glob("frames/*/*/*.png")) == []
    assert packets(report["output"]) == packets(reference["output"])
    Path(report["output"]).unlink()
    again = render(make_spec(clip, style, tmp_path / "spare.mp4"), workers=2, save_storage=True)
    assert again["rendered"] == 0
    assert packets(again["output"]) == packets(reference["output"])


def test_a_second_driver_is_refused_in_one_line(clip, style, tmp_path):
    from farm.files import Storage
    from farm.job.lease import job_lease

    with (
        job_lease(Storage(str(tmp_path / "busy.farm"))),
        pytest.raises(UsageError, match=f"is being rendered by process {os.getpid()} on"),
    ):
        render(make_spec(clip, style, tmp_path / "busy.mp4"))
    assert not (tmp_path / "busy.mp4").exists()
    assert sorted(path.name for path in (tmp_path / "busy.farm").iterdir()) == ["lock"]


def packets(film: str) -> list[bytes]:
    import av

    with av.open(film) as container:
        return [bytes(packet) for packet in container.demux(video=0)]


def test_a_damaged_frame_is_made_again_bit_for_bit(clip, style, pair, reference):
    Path(pair["output"]).unlink()
    frame = Path(pair["job"]) / "frames/pass-2/00001/000005.png"
    frame.write_bytes(frame.read_bytes()[:-20])
    again = render(make_spec(clip, style, Path(pair["output"])), workers=1)
    assert again["rendered"] == 1
    assert same_frames(again["job"], reference["job"])


def test_a_finished_job_is_not_rendered_again(clip, style, reference):
    spec = make_spec(clip, style, Path(reference["output"]))
    before = Path(reference["output"]).stat().st_mtime_ns
    again = render(spec)
    assert again["rendered"] == reference["rendered"]
    assert Path(reference["output"]).stat().st_mtime_ns == before


def test_a_changed_spec_is_refused(clip, style, reference):
    spec = make_spec(clip, style, Path(reference["output"]), size=48)
    with pytest.raises(JobMismatchError, match="size: 64 -> 48"):
        render(spec)


def test_an_output_that_is_there_is_not_overwritten(clip, style, tmp_path):
    (tmp_path / "mine.mp4").write_bytes(b"precious")
    with pytest.raises(OutputError):
        render(make_spec(clip, style, tmp_path / "mine.mp4"))
    assert (tmp_path / "mine.mp4").read_bytes() == b"precious"


def test_identity_copies_the_frames(copied):
    assert copied["frames"] == 12
    assert copied["steps"] == 0


def test_a_task_that_cannot_succeed_ends_the_job_and_keeps_the_rest(clip, style, tmp_path):
    spec = make_spec(clip, style, tmp_path / "bad.mp4", passes=1)
    job = tmp_path / "bad.farm"
    (job / "frames/pass-1/00002").mkdir(parents=True)
    (job / "frames/pass-1/00002/000009.png").mkdir()
    with pytest.raises(ChunkFailedError, match="pass-1/00002"):
        render(spec)
    directory = JobDirectory(str(job))
    tasks = {task.id for task in plan_tasks(directory.load_record().plan)}
    assert directory.finished_tasks(plan_tasks(directory.load_record().plan)) == tasks - {"pass-1/00002"}
    assert not (tmp_path / "bad.mp4").exists()
    state = json.loads((job / "state.json").read_text())
    assert state["state"] == "FAILED"
    assert any("000009.png" in line for line in state["failures"]["pass-1/00002"]), "the task's own last lines"


def command_of(clip: Path, style: Path, output: Path) -> list[str]:
    """The arguments of the job that `make_spec` describes."""
    options = ["--size", "64", "--iterations", "4,3", "--chunk-frames", "4", "--overlap", "2", "--passes", "2"]
    options += ["--long-term", "3", "--workers", "1", "--threads", "1", "--json"]
    return ["render", str(clip), "--style", str(style), "-o", str(output), *options]


def check_continued(report: dict, committed: int, reference: dict) -> None:
    """Whether a job went on from its `committed` frames to the frames of an undisturbed render."""
    assert committed >= 2
    assert report["reused"] >= committed - 1
    assert report["rendered"] + report["reused"] == reference["rendered"]
    assert same_frames(report["job"], reference["job"])


def frames_in(job: Path) -> int:
    return sum(1 for _ in (job / "frames").rglob("[0-9]*.png"))


def test_ctrl_c_and_the_same_command_again(clip, style, tmp_path, reference):
    command = command_of(clip, style, tmp_path / "interrupted.mp4")
    job, ended = tmp_path / "interrupted.farm", threading.Event()

    def interrupt_after_the_second_frame() -> None:
        while not ended.wait(0.02):
            if (job / "frames/pass-1/00000/000001.png").exists():
                os.kill(os.getpid(), signal.SIGINT)
                return

    interrupting = threading.Thread(target=interrupt_after_the_second_frame)
    interrupting.start()
    try:
        first = farm(*command)
    finally:
        ended.set()
        interrupting.join()
    assert first.returncode == 3, first.stderr
    assert first.stdout == ""
    assert "Traceback" not in first.stderr
    assert not (tmp_path / "interrupted.mp4").exists()
    committed = frames_in(job)
    second = farm(*command)
    assert second.returncode == 0, second.stderr
    check_continued(json.loads(second.stdout), committed, reference)


@pytest.mark.slow
def test_ctrl_c_in_a_process_of_its_own(clip, style, tmp_path, reference):
    output, job = tmp_path / "interrupted.mp4", tmp_path / "interrupted.farm"
    command = [sys.executable, "-m", "farm", *command_of(clip, style, output)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while first.poll() is None and not (job / "frames/pass-1/00000/000001.png").exists():
        time.sleep(0.02)
    first.send_signal(signal.SIGINT)
    stdout, stderr = first.communicate(timeout=120)
    assert first.returncode == 3, stderr
    assert stdout == ""
    assert "Traceback" not in stderr
    assert not output.exists()
    committed = frames_in(job)
    second = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    check_continued(json.loads(second.stdout), committed, reference)


def test_a_truncated_film_renders_what_decodes_only_when_asked(tmp_path):
    whole = make_clip(tmp_path / "whole.mkv", frames=48, size="128x96", audio=False).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    spec = {"video": str(tmp_path / "cut.mkv"), "output": str(tmp_path / "out.mkv"), "method": "identity"}
    with pytest.raises(VideoError, match="--allow-truncated"):
        render(build_spec(spec))
    report = render(build_spec({**spec, "allow_truncated": True}))
    assert 0 < report["frames"] < 48
    assert report["missing_frames"] == 48 - report["frames"]
    assert probe_video(report["output"]).frame_count == report["frames"]


def test_a_range_of_a_job_of_this_machine_is_rendered_again(copied):
    from farm.cluster.handles import cancel_job, find_job
    from farm.cluster.service import drop_frames, resume_job
    from farm.spec import FrameRange

    job = copied["job"]
    with pytest.raises(UsageError, match="was not submitted"):
        cancel_job(find_job(job, None))
    with pytest.raises(UsageError, match="renders 0-11"):
        drop_frames(find_job(job, None), FrameRange(11, 13))
    dropped = drop_frames(find_job(job, None), FrameRange(5, 7))
    assert dropped.committed == {"pass 1": 2}
    assert list(dropped.lines()) == ["pass 1: frames 5-6 (2)"]
    report = resume_job(find_job(job, None), None, JobProgress(), overwrite=True)
    assert (report["rendered"], report["reused"]) == (2, 10)


def test_a_corrected_frame_stays_in_the_film_through_resume_and_retry(clip, tmp_path, ray_here):
    from farm.cluster.handles import find_job
    from farm.cluster.service import drop_frames, resume_job
    from farm.render.committed import film_frame
    from farm.render.correct_frames import accept_frames
    from farm.spec import FrameRange

    report = render(build_spec({"video": str(clip), "output": str(tmp_path / "out.mp4"), "method": "identity"}))
    job = JobDirectory(report["job"])
    record = job.load_record()
    before = final_frames(report["job"])
    film = Path(report["output"]).read_bytes()
    (tmp_path / "by hand").mkdir()
    write_picture(tmp_path / "by hand/000005.png", 255 - before[5])
    write_picture(next(Path(job.url).glob("frames/pass-1/*/000005.png")), before[5] // 2)
    accept_frames(job.url, FrameRange(5, 6), folder=str(tmp_path / "by hand"))
    assert Path(report["output"]).read_bytes() != film
    again = resume_job(find_job(job.url, None), None, JobProgress())
    assert again["corrections"] == JobDirectory(job.url).corrections().digest != ""
    drop_frames(find_job(job.url, None), FrameRange(5, 7))
    resume_job(find_job(job.url, None), None, JobProgress(), overwrite=True)
    assert np.array_equal(film_frame(JobDirectory(job.url), record, 5), 255 - before[5])
    assert np.array_equal(final_frames(job.url)[5], before[5]), "what was painted is there too"
    assert np.array_equal(read_picture(f"{job.url}/edited/000005.png"), before[5] // 2), "and the other edit is kept"
    told = [happening.text for happening in load_history(job) if "edited and painted again" in happening.text]
    assert told == [], "a frame that was accepted is not asked about"
