"""farm accept, versions and restore: what changes, what stays bit for bit, and what is refused."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from farm.errors import DamagedError, StorageError, UsageError
from farm.files import Storage
from farm.job import JobDirectory
from farm.job.lease import job_lease
from farm.job.software import installed
from farm.job.versions import list_versions, version_lines
from farm.media.ffmpeg import ffmpeg_binary
from farm.media.source import content_hash
from farm.plan import Runtime, plan_tasks
from farm.render import correct_frames, software
from farm.render.chunk import ChunkRenderer
from farm.render.committed import film_frame, frame_of_pass
from farm.render.correct_frames import accept_frames, restore_frame
from farm.render.prepare import prepare_job
from farm.render.stitch import Segments, stitch_film
from farm.render.verify_job import verify_job
from farm.spec import FrameRange, build_spec

pytestmark = pytest.mark.media
FRAMES, CUT = 16, 11
WIDTH, HEIGHT = 96, 64
STEP = 2
"""Pixels that the picture moves to the right in a frame."""


def moving_film(path: Path) -> Path:
    """A texture that moves to the right, lossless, and from frame CUT on another one."""
    frames = []
    for frame in range(FRAMES):
        rng = np.random.default_rng(1 if frame < CUT else 2)
        low, high = (60, 180) if frame < CUT else (0, 50)
        small = rng.integers(low, high, (HEIGHT // 4, 64, 3), dtype=np.uint8)
        large = np.asarray(Image.fromarray(small).resize((256, HEIGHT), Image.Resampling.BICUBIC))
        left = 100 - STEP * frame
        frames.append(large[:, left : left + WIDTH])
    command = [*(ffmpeg_binary(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"), "-s"]
    command += [f"{WIDTH}x{HEIGHT}", "-r", "24", "-i", "-", "-c:v", "ffv1", "-pix_fmt", "bgr0", str(path)]
    subprocess.run(command, input=np.stack(frames).tobytes(), check=True)
    return path


def rendered(folder: Path, video: str, job: str, output: str, **options) -> JobDirectory:
    """A finished job, of method identity unless told otherwise: every task, the film, the report, no segments."""
    spec = build_spec({"video": video, "output": output, "method": "identity", "chunk_frames": 4, **options})
    prepared = prepare_job(spec, job)
    record = prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    renderer = ChunkRenderer(job)
    for task in plan_tasks(record.plan):
        assert list(renderer.render(task))
    stitch_film(prepared.job, record, output)
    film = Path(output).read_bytes()
    about = {"output": output, "output_bytes": len(film), "output_sha256": hashlib.sha256(film).hexdigest()}
    prepared.job.save_report({**about, "seconds": 1.0, "workers": 1})
    Segments(prepared.job, record).remove()
    return JobDirectory(job)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    moving_film(folder / "film.mkv")
    rendered(folder, str(folder / "film.mkv"), str(folder / "out.farm"), str(folder / "out.mp4"))
    return folder


@pytest.fixture
def job(finished) -> JobDirectory:
    """A job as it was rendered: its directory and film are put back before each test."""
    kept = finished / "kept"
    if not kept.exists():
        kept.mkdir()
        shutil.copytree(finished / "out.farm", kept / "out.farm")
        shutil.copy(finished / "out.mp4", kept)
    shutil.rmtree(finished / "out.farm")
    shutil.copytree(kept / "out.farm", finished / "out.farm")
    shutil.copy(kept / "out.mp4", finished)
    return JobDirectory(str(finished / "out.farm"))


def film(job: JobDirectory) -> list[bytes]:
    """The frames of the film that was stitched, as they are decoded."""
    output = job.load_record().spec.output
    command = [ffmpeg_binary(), "-v", "error", "-i", output, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    size = WIDTH * HEIGHT * 3
    return [data[at : at + size] for at in range(0, len(data), size)]


def shown(job: JobDirectory) -> list[np.ndarray]:
    directory = JobDirectory(job.url)
    record = directory.load_record()
    return [film_frame(directory, record, frame) for frame in record.plan.frames]


def place_of(job: JobDirectory, frame: int) -> Path:
    plan = job.load_record().plan
    return Path(job.url) / f"frames/pass-{plan.passes}/{plan.chunk_of(frame).index:05d}/{frame:06d}.png"


def with_disc(image: np.ndarray, x: float = 50, y: float = 32, color=(255, 0, 0)) -> np.ndarray:
    """The picture with a disc of 6 pixels in it, as a brush would paint it."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    disc = (columns - x) ** 2 + (rows - y) ** 2 <= 36
    return np.where(disc[..., None], np.uint8(color), image)


def disc_at(image: np.ndarray) -> tuple[float, float]:
    """Where the red disc is: the mean (x, y) of what is clearly red."""
    levels = image.astype(int)
    red = (levels[..., 0] > 200) & (levels[..., 1] < 60) & (levels[..., 2] < 60)
    rows, columns = np.nonzero(red)
    return float(columns.mean()), float(rows.mean())


def edit(job: JobDirectory, frame: int, **options) -> np.ndarray:
    """Edit a frame in its place with a program that writes its own kind of PNG, with transparency."""
    path = place_of(job, frame)
    picture = with_disc(np.asarray(Image.open(path).convert("RGB")), **options)
    Image.fromarray(picture).convert("RGBA").save(path)
    return picture


def files_of(job: JobDirectory) -> dict[str, str]:
    """The files of a job by name, without those that only say who is at work."""
    root = Path(job.url)
    paths = [path for path in root.rglob("*") if path.is_file() and path.name not in ("lock", "lease.json")]
    return {str(path.relative_to(root)): content_hash(str(path)) for path in paths}


def test_an_edited_frame_is_what_the_film_shows_and_no_other_frame_changes(job):
    before, films = shown(job), film(job)
    painted = edit(job, 5)
    report = accept_frames(job.url, FrameRange(0, FRAMES))
    assert (report["accepted"], report["carried"]) == ([5], [])
    after = shown(job)
    assert np.array_equal(after[5], painted)
    assert [frame for frame in range(FRAMES) if not np.array_equal(before[frame], after[frame])] == [5]
    assert film(job)[5] != films[5], "the film was stitched again"
    assert JobDirectory(job.url).load_report()["corrections"] == JobDirectory(job.url).corrections().digest
    found = verify_job(job.url)
    assert (found.damage, found.checked["corrected pictures"]) == ([], 1)


def test_it_goes_back_bit_for_bit(job):
    before, film_before = shown(job), Path(job.load_record().spec.output).read_bytes()
    folder = Path(job.url).parent / "by hand"
    folder.mkdir(exist_ok=True)
    Image.fromarray(with_disc(before[5])).save(folder / "shot.0005.png")
    accept_frames(job.url, FrameRange(5, 6), folder=str(folder), reach=3)
    assert not np.array_equal(shown(job)[6], before[6])
    report = restore_frame(job.url, 5)
    assert (report["shown"], report["carried"]) == (1, [2, 3, 4, 6, 7, 8])
    assert all(np.array_equal(one, other) for one, other in zip(shown(job), before, strict=True))
    assert Path(job.load_record().spec.output).read_bytes() == film_before
    accepted = restore_frame(job.url, 5, 2)
    assert accepted["carried"] == [2, 3, 4, 6, 7, 8], "what was carried comes back with it"
    assert [len(one["versions"]) for one in list_versions(job.url)["frames"]] == [2] * 7, "no picture twice"


def test_a_correction_is_carried_along_the_motion_both_ways_and_not_across_the_cut(job):
    before = shown(job)
    painted = edit(job, 8)
    report = accept_frames(job.url, FrameRange(8, 9), reach=6)
    after = shown(job)
    assert report["carried"] == [2, 3, 4, 5, 6, 7, 9, 10]
    assert np.array_equal(after[8], painted)
    for frame in (5, 6, 7, 9, 10):
        x, y = disc_at(after[frame])
        assert max(abs(x - (50 + STEP * (frame - 8))), abs(y - 32)) < 0.5, (frame, x, y)
    for frame in report["carried"]:
        far = np.abs(np.arange(WIDTH) - (50 + STEP * (frame - 8))) > 14
        assert np.array_equal(after[frame][:, far], before[frame][:, far]), "only what was corrected changes"
    same = [frame for frame in range(FRAMES) if np.array_equal(before[frame], after[frame])]
    assert same == [0, 1, *range(CUT, FRAMES)]
    record = job.load_record()
    for frame in record.plan.frames:
        assert np.array_equal(frame_of_pass(JobDirectory(job.url), record, 1, frame), before[frame]), "as painted"


def test_between_two_accepted_frames_each_gives_way_to_the_other_and_neither_changes(job):
    one, other = edit(job, 2), edit(job, 6, color=(0, 0, 255))
    report = accept_frames(job.url, FrameRange(2, 7), reach=48)
    assert report["accepted"] == [2, 6]
    assert report["carried"] == [0, 1, 3, 4, 5, 7, 8, 9, 10]
    after = shown(job)
    assert np.array_equal(after[2], one)
    assert np.array_equal(after[6], other)
    levels = [after[frame][32, 50 + STEP * (frame - 2)].astype(int) for frame in range(3, 6)]
    assert levels[0][0] > levels[1][0] > levels[2][0]
    restored = restore_frame(job.url, 4)
    assert restored["carried"] == [], "one frame goes back, and stays so"
    accept_frames(job.url, FrameRange(2, 3), reach=5)
    assert JobDirectory(job.url).corrections().get(4).shown == 1


def test_an_accepted_frame_is_carried_later_without_another_edit_and_may_be_edited_again(job):
    edit(job, 5)
    accept_frames(job.url, FrameRange(5, 6))
    assert accept_frames(job.url, FrameRange(5, 6), reach=1)["carried"] == [4, 6]
    again = edit(job, 5, x=30)
    accept_frames(job.url, FrameRange(5, 6))
    assert np.array_equal(shown(job)[5], again)
    lines = version_lines(list_versions(job.url, 5)["frames"])
    assert [line.split()[:3] for line in lines[1:]] == [
        ["1", "painted", "frames/pass-1/00001/000005.png"],
        ["2", "accepted", lines[2].split()[2]],
        ["3", "accepted,", "carried"],
        ["*", "4", "accepted"],
    ]
    assert version_lines(list_versions(job.url, 9)["frames"])[1].split()[:3] == ["*", "1", "painted"]
    restore_frame(job.url, 5, 2)
    assert not np.array_equal(shown(job)[5], again)


@pytest.mark.parametrize("step", ["store_versions", "save_corrections", "_stitch", "_paint_again", "save_report"])
def test_interrupted_anywhere_and_given_again_it_is_whole(job, monkeypatch, step):
    """The reference is the same command, not interrupted."""
    before = files_of(job)
    edit(job, 5)
    edited = place_of(job, 5).read_bytes()
    accept_frames(job.url, FrameRange(5, 6), reach=2)
    wanted, film_wanted = shown(job), film(job)
    for name in files_of(job).keys() - before.keys():
        (Path(job.url) / name).unlink()
    place_of(job, 5).write_bytes(edited)
    (Path(job.url) / "report.json").write_bytes((Path(job.url).parent / "kept/out.farm/report.json").read_bytes())
    (Path(job.url) / "film.json").write_bytes((Path(job.url).parent / "kept/out.farm/film.json").read_bytes())
    shutil.copy(Path(job.url).parent / "kept/out.mp4", Path(job.url).parent)
    owner = correct_frames._Change if step.startswith("_") else JobDirectory
    do, calls = getattr(owner, step), []

    def interrupted(self, *arguments):
        calls.append(step)
        if len(calls) == 1:
            do(self, *arguments) if step in ("save_corrections", "_paint_again") else None
            raise KeyboardInterrupt
        return do(self, *arguments)

    monkeypatch.setattr(owner, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        accept_frames(job.url, FrameRange(5, 6), reach=2)
    report = accept_frames(job.url, FrameRange(5, 6), reach=2)
    assert report["output"]
    assert all(np.array_equal(one, other) for one, other in zip(shown(job), wanted, strict=True))
    assert film(job) == film_wanted
    assert verify_job(job.url).damage == []


def refused(job: JobDirectory, match: str, frames: str = "5", **options) -> None:
    before, film_before = files_of(job), film(job)
    with pytest.raises(UsageError, match=match):
        accept_frames(job.url, FrameRange.parse(frames), **options)
    assert (files_of(job), film(job)) == (before, film_before)


def test_bad_input_changes_nothing(job, tmp_path):
    image = shown(job)[5]
    refused(job, "no frame of 5 was edited")
    refused(job, "12-16|16 are not in this job", "12-16")
    refused(job, "is no folder", folder=str(tmp_path / "nothing"))
    refused(job, "has no picture of the frames 5", folder=str(tmp_path))
    Image.fromarray(image).save(tmp_path / "5.jpg")
    refused(job, r"5\.jpg is not a whole PNG", folder=str(tmp_path))
    Image.fromarray(image).save(tmp_path / "000005.png")
    refused(job, "frame 5 has two pictures", folder=str(tmp_path))
    (tmp_path / "5.jpg").unlink()
    Image.fromarray(image[:32]).save(tmp_path / "000005.png")
    refused(job, "is 96x32, and the frames are 96x64", folder=str(tmp_path))
    (tmp_path / "000005.png").write_bytes(place_of(job, 5).read_bytes()[:-9])
    refused(job, "is not a whole PNG", folder=str(tmp_path))
    Image.fromarray(image[:32]).save(place_of(job, 5))
    refused(job, "the edited frame 5 of .* is 96x32")
    with pytest.raises(UsageError, match="never corrected"):
        restore_frame(job.url, 5)
    with pytest.raises(UsageError, match="holds no job"):
        list_versions(str(tmp_path))


def test_a_job_at_work_or_not_painted_yet_is_refused(job):
    edit(job, 5)
    with job_lease(Storage(job.url)):
        refused(job, "is being rendered by")
    job.drop_frames("pass-1/00000", [2])
    job.drop_report()
    refused(job, "2 are not painted yet", "2")
    refused(job, "2 are not painted yet", "5", reach=4)
    report = accept_frames(job.url, FrameRange(5, 6))
    assert report["accepted"] == [5]


def test_a_neighbour_that_was_edited_and_not_accepted_is_named(job):
    edit(job, 5)
    edit(job, 7)
    refused(job, "frames 7 were edited too", reach=4)
    assert accept_frames(job.url, FrameRange(5, 8), reach=4)["accepted"] == [5, 7]


def test_another_frame_that_was_edited_and_not_accepted_is_put_aside_where_the_film_needs_it(job):
    before, painted = shown(job), edit(job, 5)
    other = edit(job, 7)
    notes: list[str] = []
    accept_frames(job.url, FrameRange(5, 6), note=notes.append)
    assert any("frames 7 are painted again" in note for note in notes)
    after = shown(job)
    assert np.array_equal(after[5], painted)
    assert np.array_equal(after[7], before[7])
    assert np.array_equal(np.asarray(Image.open(Path(job.url) / "edited/000007.png").convert("RGB")), other)


def test_what_would_be_painted_otherwise_is_not_painted_again(job, monkeypatch):
    """To go back from an edit in place, the frame's own picture is painted once more, as the workers would."""
    edit(job, 5)
    accept_frames(job.url, FrameRange(5, 6))
    files = {path: path.read_bytes() for path in Path(job.url).rglob("*") if path.is_file()}
    monkeypatch.setattr(software, "installed", lambda: {**installed(), "numpy": "1.0"})
    with pytest.raises(UsageError, match=r"frame 5 would have to be painted again.* paints with numpy 1\.0 instead of"):
        restore_frame(job.url, 5)
    assert {path: path.read_bytes() for path in files} == files
    monkeypatch.undo()
    assert restore_frame(job.url, 5)["shown"] == 1


def test_a_job_without_a_film_shows_them_once_it_is_stitched(job):
    job.drop_report()
    painted = edit(job, 5)
    notes: list[str] = []
    assert accept_frames(job.url, FrameRange(5, 6), note=notes.append)["output"] is None
    assert "farm resume" in notes[0]
    before = film(job)
    stitch_film(JobDirectory(job.url), job.load_record(), job.load_record().spec.output)
    assert film(job)[5] != before[5]
    assert np.array_equal(shown(job)[5], painted)


def test_an_edit_that_nobody_accepted_is_named_and_put_aside_before_it_is_painted_again(job):
    before = shown(job)
    painted = edit(job, 5)
    damage = verify_job(job.url).damage
    assert [(one.name, one.problem) for one in damage] == [("frames/pass-1/00001/000005.png", "was edited")]
    assert f"farm accept {job.url} --frames 5" in damage[0].remedy
    with pytest.raises(DamagedError):
        stitch_film(JobDirectory(job.url), job.load_record(), job.load_record().spec.output)
    task = next(task for task in plan_tasks(job.load_record().plan) if 5 in task.frames)
    list(ChunkRenderer(job.url).render(task))
    assert np.array_equal(shown(job)[5], before[5])
    accept_frames(job.url, FrameRange(5, 6), folder=f"{job.url}/edited")
    assert np.array_equal(shown(job)[5], painted)


def test_no_edit_that_was_put_aside_is_lost(job):
    for data in (b"one", b"two", b"two", b"three"):
        job.put_aside(5, data)
    edited = sorted(path.read_bytes() for path in (Path(job.url) / "edited").rglob("000005.png"))
    assert edited == [b"one", b"three", b"two"]


def test_damaged_corrections_are_an_error_and_a_damaged_picture_is_named(job):
    edit(job, 5)
    accept_frames(job.url, FrameRange(5, 6))
    picture = Path(job.url) / "corrected/000005/0002.png"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:-20])
    assert [one.name for one in verify_job(job.url).damage] == ["corrected/000005/0002.png"]
    with pytest.raises(DamagedError, match="corrected frame 5"):
        shown(job)
    restore_frame(job.url, 5)
    (Path(job.url) / "corrections.json").write_bytes(b"{}")
    with pytest.raises(StorageError, match="is damaged"):
        shown(job)


def test_a_job_that_keeps_no_frames_is_refused(job, tmp_path):
    report = job.load_report()
    Image.fromarray(shown(job)[5]).save(tmp_path / "5.png")
    job.save_report({**report, "keep": "film"})
    with pytest.raises(UsageError, match="--keep film"):
        accept_frames(job.url, FrameRange(5, 6), folder=str(tmp_path))
    job.save_report({**report, "keep": "frames"})
    accept_frames(job.url, FrameRange(5, 6), folder=str(tmp_path))
    edit(job, 7)
    with pytest.raises(UsageError, match="--keep frames"):
        accept_frames(job.url, FrameRange(7, 8), reach=1)
    assert accept_frames(job.url, FrameRange(7, 8))["accepted"] == [7]


@pytest.mark.parametrize("options", [{"passes": 3}, {"passes": 1}, {"passes": 2, "sweep": "alternating"}])
def test_an_optimised_job_is_painted_again_as_it_was_where_its_file_was_edited(finished, style, tmp_path, options):
    """Frames of all passes are compared: with one pass, and in a sweep, a later frame reads the one that was edited."""
    small = {"method": "optimize", "styles": [str(style)], "iterations": "3,2", "size": 64, "long_term": []}
    small |= {"style_layers": "relu1_1", "content_layers": "relu2_1", "frames": "4-9", "chunk_frames": 2}
    options = {**small, **options}
    job = rendered(tmp_path, str(finished / "film.mkv"), str(tmp_path / "o.farm"), str(tmp_path / "o.mp4"), **options)
    passes = {name: data for name, data in files_of(job).items() if name.startswith("frames/")}
    before, record = shown(job), job.load_record()
    path = place_of(job, 6)
    Image.fromarray(with_disc(before[2], x=30, y=20)).save(path)
    report = accept_frames(job.url, FrameRange(6, 7), reach=1)
    assert report["carried"] == [5, 7]
    after = shown(job)
    same = [frame for frame in range(6) if np.array_equal(before[frame], after[frame])]
    assert same == [0, 4, 5]
    for task in plan_tasks(record.plan):
        assert all(report.reused for report in ChunkRenderer(job.url).render(task)), task.id
    assert {name: data for name, data in files_of(job).items() if name.startswith("frames/")} == passes


def test_the_same_on_object_storage(finished, object_storage, tmp_path):
    url = "s3://farm/corrected/out.farm"
    job = rendered(tmp_path, str(finished / "film.mkv"), url, str(tmp_path / "out.mp4"))
    before = shown(job)
    name = "frames/pass-1/00001/000005.png"
    Image.fromarray(with_disc(before[5])).save(tmp_path / "5.png")
    job.storage.upload(tmp_path / "5.png", name)
    report = accept_frames(url, FrameRange(5, 6), reach=2)
    assert (report["accepted"], report["carried"]) == ([5], [3, 4, 6, 7])
    assert np.array_equal(shown(job)[5], with_disc(before[5]))
    assert job.storage.read("lease.json") is None
    restore_frame(url, 5)
    assert all(np.array_equal(one, other) for one, other in zip(shown(job), before, strict=True))
    Storage("s3://farm/corrected/by-hand").write("000006.png", (tmp_path / "5.png").read_bytes())
    assert accept_frames(url, FrameRange(0, 16), folder="s3://farm/corrected/by-hand")["accepted"] == [6]
