"""Commits behind the painter: in order, picture before ledger, announced last."""

import threading

import numpy as np
import pytest

from farm.errors import StorageError
from farm.files import Storage
from farm.job import FrameRecord, JobDirectory
from farm.render.commits import MOST_UNNAMED, CommitsBehind

TASK = "pass-1/00000"


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (18, 32, 3), dtype=np.uint8)


def record(frame: int) -> FrameRecord:
    return FrameRecord(frame=frame, sha256="", steps=frame)


@pytest.fixture(params=["disk", "memory"])
def job(request, tmp_path):
    url = str(tmp_path) if request.param == "disk" else f"memory://{tmp_path.name}"
    return JobDirectory(url, keep_pictures=1 << 20)


@pytest.fixture
def writes(monkeypatch):
    """Names that were written, in order. Clearing the event holds writes back."""
    names, go_on = [], threading.Event()
    go_on.set()
    write = Storage.write

    def noted(storage, name, data):
        assert go_on.wait(60)
        write(storage, name, data)
        names.append(name)

    monkeypatch.setattr(Storage, "write", noted)
    return names, go_on


def test_a_frame_is_announced_once_its_picture_and_then_its_ledger_are_written(job, writes):
    names, go_on = writes
    with CommitsBehind(job, TASK, ledger_seconds=0) as commits:
        go_on.clear()
        commits.add(picture(0), record(0))
        assert commits.announced() == []
        assert np.array_equal(job.read_frame(TASK, 0), picture(0)), "a later frame may read it"
        assert JobDirectory(job.url).read_frame(TASK, 0) is None, "nobody else may"
        go_on.set()
        (row,) = commits.finish()
    assert names == [f"frames/{TASK}/000000.png", f"ledger/{TASK}.json"]
    assert JobDirectory(job.url).ledger(TASK)[0] == row
    assert np.array_equal(JobDirectory(job.url).read_frame(TASK, 0), picture(0))


def test_frames_share_a_write_of_the_ledger_and_keep_their_order(job, writes):
    names, _ = writes
    with CommitsBehind(job, TASK, ledger_seconds=3600) as commits:
        for frame in range(5):
            commits.add(picture(frame), record(frame))
        rows = [*commits.announced(), *commits.finish()]
    assert [row.frame for row in rows] == [0, 1, 2, 3, 4]
    assert [name for name in names if name.startswith("frames")] == [f"frames/{TASK}/{f:06d}.png" for f in range(5)]
    assert 1 <= sum(name.startswith("ledger") for name in names) <= 2, "the first at once, the rest when asked for"
    assert JobDirectory(job.url).intact_frames(task_of(5)) == {0, 1, 2, 3, 4}


def test_no_more_than_a_bound_is_ever_at_stake(job):
    with CommitsBehind(job, TASK, ledger_seconds=3600) as commits:
        for frame in range(3 * MOST_UNNAMED):
            commits.add(picture(0), record(frame))
        assert len(JobDirectory(job.url).ledger(TASK)) >= 2 * MOST_UNNAMED


def test_leaving_in_the_middle_commits_what_was_painted(job):
    def is_stopped():
        with CommitsBehind(job, TASK, ledger_seconds=3600) as commits:
            for frame in range(3):
                commits.add(picture(frame), record(frame))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        is_stopped()
    assert JobDirectory(job.url).intact_frames(task_of(3)) == {0, 1, 2}


def test_what_cannot_be_written_is_raised_and_nothing_after_it_is_named(job, monkeypatch):
    write = Storage.write

    def full(storage, name, data):
        if name.endswith("000001.png"):
            raise StorageError("no")
        write(storage, name, data)

    monkeypatch.setattr(Storage, "write", full)
    with CommitsBehind(job, TASK, ledger_seconds=0) as commits:
        commits.add(picture(0), record(0))
        assert [row.frame for row in commits.finish()] == [0]
        commits.add(picture(1), record(1))
        with pytest.raises(StorageError, match="no"):
            commits.finish()
        with pytest.raises(StorageError, match="no"):
            commits.add(picture(2), record(2))
    assert set(JobDirectory(job.url).ledger(TASK)) == {0}
    assert job.read_frame(TASK, 1) is None, "it is not readable here either, once its commit has failed"


def task_of(frames: int):
    from farm.plan import Task

    return Task(id=TASK, pass_index=1, chunk=0, start=0, stop=frames, needs=(), steps=1)
