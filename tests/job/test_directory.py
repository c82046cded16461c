"""The job directory: commits that cannot tear, and damage that is noticed."""

import errno
import os
import pickle

import numpy as np
import pytest

from farm import errors
from farm.errors import DiskFullError, FarmError, JobMismatchError, StorageError, UsageError
from farm.files import Storage, write_atomically
from farm.files.png import decode_png, encode_png
from farm.files.storage import ATTEMPTS
from farm.job import FrameRecord, JobDirectory, JobRecord
from farm.job.directory import frame_name
from farm.plan import JobRuntime, Task, plan_render
from tests.plan.test_render_plan import make_probe, make_spec

PASS = "pass-1/00000"


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (18, 32, 3), dtype=np.uint8)


def first_task(frames: int) -> Task:
    return Task(id=PASS, pass_index=1, chunk=0, start=0, stop=frames, needs=(), steps=1)


@pytest.fixture(params=["disk", "memory"])
def job(request, tmp_path):
    return JobDirectory(str(tmp_path) if request.param == "disk" else f"memory://{tmp_path.name}")


def test_a_committed_frame_is_read_back_bit_for_bit(job):
    job.commit_frame(PASS, picture(1), FrameRecord(frame=7, sha256="", steps=3, losses={"total": 1.5}))
    again = JobDirectory(job.url)
    assert np.array_equal(again.read_frame(PASS, 7), picture(1))
    assert again.ledger(PASS)[7].steps == 3
    assert again.read_frame(PASS, 8) is None


def test_a_copy_in_another_process_reads_the_same_job(job):
    copy = pickle.loads(pickle.dumps(job))
    assert copy.url == job.url
    assert copy.has_frames == job.has_frames


def test_a_worker_given_up_for_lost_undoes_nothing_of_its_successor(job):
    slow, successor = JobDirectory(job.url), JobDirectory(job.url)
    slow.commit_frame(PASS, picture(0), FrameRecord(frame=0, sha256=""))
    for frame in (1, 2, 3):
        successor.commit_frame(PASS, picture(frame), FrameRecord(frame=frame, sha256=""))
    slow.commit_frame(PASS, picture(1), FrameRecord(frame=1, sha256=""))
    assert JobDirectory(job.url).intact_frames(first_task(4)) == {0, 1, 2, 3}


@pytest.mark.parametrize("damage", ["truncated", "flipped", "deleted", "zeroed", "ledger gone", "ledger torn"])
def test_damage_makes_a_frame_uncommitted(tmp_path, damage):
    job = JobDirectory(str(tmp_path))
    for frame in range(2):
        job.commit_frame(PASS, picture(frame), FrameRecord(frame=frame, sha256=""))
    file, ledger = tmp_path / frame_name(PASS, 1), tmp_path / f"ledger/{PASS}.json"
    data = file.read_bytes()
    if damage == "truncated":
        file.write_bytes(data[:-9])
    elif damage == "flipped":
        file.write_bytes(data[:200] + bytes([data[200] ^ 4]) + data[201:])
    elif damage == "deleted":
        file.unlink()
    elif damage == "zeroed":
        file.write_bytes(bytes(len(data)))
    elif damage == "ledger gone":
        ledger.unlink()
    else:
        ledger.write_bytes(ledger.read_bytes()[:-40])
    job.forget()
    assert job.read_frame(PASS, 1) is None
    assert 1 not in job.intact_frames(first_task(2))
    assert job.finished_tasks([first_task(2)]) == set()
    if not damage.startswith("ledger"):
        assert job.intact_frames(first_task(2)) == {0}


def test_a_task_is_finished_when_all_its_frames_are_there(job):
    for frame in range(3):
        assert job.finished_tasks([first_task(3)]) == set()
        job.commit_frame(PASS, picture(frame), FrameRecord(frame=frame, sha256=""))
    assert job.finished_tasks([first_task(3)]) == {PASS}


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        Storage(str(tmp_path)).write("file", b"new")
    assert [found.name for found in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named(tmp_path, monkeypatch, number):
    def full(path, data):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("farm.files.storage.write_atomically", full)
    with pytest.raises(DiskFullError, match="the disk is full"):
        Storage(str(tmp_path)).write("file", b"new")


def test_what_the_ledger_names_is_committed_and_finished_only_with_its_files(job):
    for frame in range(3):
        assert job.committed_tasks([first_task(3)]) == set()
        job.commit_frame(PASS, picture(frame), FrameRecord(frame=frame, sha256=""))
    job.storage.remove(frame_name(PASS, 1))
    assert job.committed_tasks([first_task(3), first_task(4)]) == {PASS}
    assert not job.is_committed(first_task(4))
    assert not job.is_finished(first_task(3))


def test_a_kept_picture_is_used_as_long_as_the_ledger_names_it(job):
    worker, other = JobDirectory(job.url, keep_pictures=1 << 20), JobDirectory(job.url)
    worker.commit_frame(PASS, picture(1), FrameRecord(frame=1, sha256=""))
    worker.storage.remove(frame_name(PASS, 1))
    assert np.array_equal(worker.read_frame(PASS, 1), picture(1)), "its file is not read"
    assert not worker.read_frame(PASS, 1).flags.writeable
    other.commit_frame(PASS, picture(2), FrameRecord(frame=1, sha256=""))
    worker.forget()
    assert np.array_equal(worker.read_frame(PASS, 1), picture(2))


def test_what_was_read_ahead_is_what_is_there_now(job):
    worker, other = JobDirectory(job.url, keep_pictures=1 << 20), JobDirectory(job.url)
    worker.read_ahead(PASS, 3)
    other.commit_frame(PASS, picture(3), FrameRecord(frame=3, sha256=""))
    worker.forget()
    worker.read_ahead(PASS, 3)
    assert np.array_equal(worker.read_frame(PASS, 3), picture(3))


@pytest.mark.parametrize(("error", "calls"), [(5, 3), (116, 3), (28, 1), (13, 1)])
def test_what_passes_is_tried_again_and_what_does_not_is_not(tmp_path, monkeypatch, error, calls):
    """EIO and ESTALE pass; a full disk and a missing right do not."""
    seen = []

    def fails_twice(path, data):
        seen.append(path)
        if len(seen) < 3:
            raise OSError(error, os.strerror(error))

    monkeypatch.setattr("farm.files.storage.write_atomically", fails_twice)
    waits: list[float] = []
    storage = Storage(str(tmp_path), sleep=waits.append)
    if calls == 1:
        with pytest.raises(StorageError, match=os.strerror(error)):
            storage.write("file", b"new")
    else:
        storage.write("file", b"new")
    assert len(seen) == calls
    assert len(waits) == calls - 1
    assert all(0 <= wait <= 5 for wait in waits)


def test_storage_that_never_works_is_given_up(tmp_path, monkeypatch):
    waits: list[float] = []

    def fails(path, data):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("farm.files.storage.write_atomically", fails)
    with pytest.raises(StorageError, match="Input/output error"):
        Storage(str(tmp_path), sleep=waits.append).below("folder").write("file", b"new")
    assert len(waits) == ATTEMPTS - 1


def test_names_are_those_of_whole_files(job):
    for name in ("flow/a/1.png", "flow/2.png", "other/3.png"):
        job.storage.write(name, b"x")
    if "://" not in job.url:
        (tmp := job.storage.local / "flow/.2.png.0123").write_bytes(b"half")
        assert tmp.exists()
    assert job.storage.names("flow") == ["flow/2.png", "flow/a/1.png"]
    assert job.storage.names("nothing") == []


def test_many_ledgers_do_not_stay_in_memory(job, monkeypatch):
    monkeypatch.setattr("farm.job.directory.LEDGER_ROWS_KEPT", 10)
    for number in range(30):
        job.commit_frame(f"pass-1/{number:05d}", picture(1), FrameRecord(frame=number, sha256=""))
    assert sum(map(len, job._ledgers.values())) <= 10
    assert job.ledger("pass-1/00000")[0].frame == 0


def record(**options) -> JobRecord:
    spec = make_spec(**options)
    probe = make_probe(10)
    return JobRecord(
        spec=spec,
        input_hashes={"a.png": "1"},
        probe=probe,
        cuts=(),
        plan=plan_render(spec, probe, ()),
        runtime=JobRuntime(precision="fp32"),
        versions={},
    )


def test_the_record_survives_the_round_trip(job):
    job.save_record(record(frames="2-5"))
    assert job.load_record() == record(frames="2-5")


def test_another_spec_is_refused_with_the_difference(job):
    with pytest.raises(JobMismatchError, match=r"size: None -> 64"):
        job.check_same(record(), make_spec(size=64), {})
    with pytest.raises(JobMismatchError, match=r"a.png: the file has changed"):
        job.check_same(record(), make_spec(), {"a.png": "2"})
    job.check_same(record(), make_spec(output="other.mp4"), {"a.png": "1"})


def test_a_record_that_cannot_be_read_says_what_to_do(tmp_path):
    (tmp_path / "job.json").write_text("{")
    with pytest.raises(StorageError, match="choose another --job"):
        JobDirectory(str(tmp_path)).load_record()


@pytest.mark.parametrize("damaged", ["job.json", "job.copy.json"])
@pytest.mark.parametrize("how", ["torn", "flipped", "deleted"])
def test_one_damaged_copy_of_the_record_is_mended(tmp_path, damaged, how):
    job = JobDirectory(str(tmp_path))
    job.save_record(record())
    assert not job.mend_record()
    file = tmp_path / damaged
    data = file.read_bytes()
    if how == "torn":
        file.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        file.write_bytes(data.replace(b'"overlap": 16', b'"overlap": 17'))
    else:
        file.unlink()
    assert job.load_record() == record()
    assert job.mend_record()
    assert file.read_bytes() == data


@pytest.mark.parametrize("data", [b"{", b"", b"\xff", b"{}", b"[]"])
def test_a_damaged_report_is_none(job, data):
    job.save_report({"frames": 3})
    assert job.load_report() == {"frames": 3}
    job.storage.write("report.json", data)
    assert job.load_report() is None


def test_unknown_storage_is_a_usage_error():
    with pytest.raises(UsageError, match="cannot be used"):
        Storage("nosuch://bucket/job")


def every_error(base=FarmError):
    return [base, *[found for child in base.__subclasses__() for found in every_error(child)]]


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_errors_survive_pickling_and_stand_in_the_tree(kind):
    error = pickle.loads(pickle.dumps(kind("clip.mp4 is empty", "give a film")))
    assert (type(error), str(error)) == (kind, "clip.mp4 is empty; give a film")
    assert f"{kind.__name__} " in errors.__doc__
    line = next(line for line in errors.__doc__.splitlines() if f"{kind.__name__} " in line)
    assert str(kind.exit_code) in line.split(kind.__name__)[1].split()[0]


def test_a_png_is_the_same_picture_compressed_or_not():
    picture = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8).repeat(4, axis=1)
    small, large = encode_png(picture), encode_png(picture, compress=False)
    assert len(small) < len(large)
    assert np.array_equal(decode_png(small), picture)
    assert np.array_equal(decode_png(large), picture)
