"""What a job says of itself, for people who only see its storage."""

import contextlib
import json
import os
import time

import pytest

from farm.errors import CancelledError, ChunkFailedError, DiskFullError, UsageError
from farm.files import Storage
from farm.job import JobDirectory
from farm.job.history import History
from farm.job.state import (
    RESERVE,
    RESERVE_BYTES,
    Heartbeat,
    JobState,
    job_state,
    load_state,
    save_state,
    silent_seconds,
)
from farm.job.status import current_state, job_status, status_lines


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (None, "SUCCEEDED", ""),
        (ChunkFailedError("pass-1/00002 failed", "mend it"), "FAILED", "pass-1/00002 failed; mend it"),
        (ValueError("odd"), "FAILED", "ValueError: odd"),
        (CancelledError("stopped"), "CANCELLED", "stopped"),
        (KeyboardInterrupt(), "CANCELLED", "it was asked to stop"),
    ],
)
def test_how_a_job_ended_is_written(tmp_path, error, state, reason):
    job = JobDirectory(str(tmp_path))
    expected = pytest.raises(type(error)) if error else contextlib.nullcontext()
    with expected, job_state(job, "farm-a") as recorder:
        assert load_state(job).state == "RUNNING"
        recorder.failed({"pass-1/00002": ["line"]})
        if error:
            raise error
    written = load_state(job)
    assert (written.state, written.reason, written.submission) == (state, reason, "farm-a")
    assert written.failures == {"pass-1/00002": ["line"]}


@pytest.mark.parametrize(
    ("state", "ago", "by_storage", "silent"),
    [
        ("RUNNING", 30, None, 0),
        ("RUNNING", 200, None, 200),
        ("RUNNING", 200, 200, 200),
        ("RUNNING", 606, 6, 0),  # this machine's clock is ten minutes ahead of the driver's
        ("RUNNING", -480, 120, 120),  # ... or behind, and the driver is gone
        ("RUNNING", -480, None, 0),
        ("CANCELLED", 200, 200, 0),
        ("PENDING", 200, 200, 0),
    ],
)
def test_a_running_job_that_says_nothing_is_noticed_by_any_clock(state, ago, by_storage, silent):
    heard = JobState(state=state, updated=1000.0)
    assert Heartbeat().silent(heard, 1000.0 + ago, 7.0, lambda: by_storage) == silent


def test_the_storage_is_asked_only_where_the_clocks_say_that_something_is_wrong():
    state = JobState(state="RUNNING", updated=1000.0)
    assert Heartbeat().silent(state, 1030.0, 7.0, lambda: pytest.fail("asked")) == 0


def test_who_looks_again_goes_by_the_steady_clock():
    """An hour ahead of the driver, without a storage that tells: alive as soon as a beat is seen."""
    heartbeat, state = Heartbeat(), JobState(state="RUNNING", updated=1000.0)
    assert heartbeat.silent(state, 4600.0, 50.0) == 3600
    beat = state.model_copy(update={"updated": 1015.0})
    assert heartbeat.silent(beat, 4615.0, 65.0) == 0
    assert heartbeat.time_of_driver(75.0) == 1025.0
    assert heartbeat.silent(beat, 4699.0, 149.0) == 0
    assert heartbeat.silent(beat, 4715.0, 165.0) == 100
    over = beat.model_copy(update={"state": "SUCCEEDED"})
    assert heartbeat.silent(over, 4715.0, 165.0) == 0
    assert heartbeat.time_of_driver(165.0) is None


def test_a_healthy_job_is_not_silent_for_a_machine_whose_clock_is_ahead(tmp_path, monkeypatch):
    job = JobDirectory(str(tmp_path))
    save_state(job, JobState(state="RUNNING"))
    monkeypatch.setattr("farm.job.state.time.time", lambda: 600 + time.time_ns() / 1e9)
    assert silent_seconds(job, load_state(job)) == 0
    assert list(tmp_path.iterdir()) == [tmp_path / "state.json"], "what was written to read the clock is removed"
    long_ago = time.time_ns() / 1e9 - 500
    os.utime(tmp_path / "state.json", (long_ago, long_ago))
    assert silent_seconds(job, load_state(job)) == pytest.approx(500, abs=20)


def test_the_last_state_is_written_on_a_full_disk_in_the_room_that_was_reserved(tmp_path, monkeypatch):
    job = JobDirectory(str(tmp_path))
    write = Storage.write

    def full(storage, name, data):
        if (tmp_path / RESERVE).exists():
            raise DiskFullError(f"{name} cannot be written: the disk is full")
        write(storage, name, data)

    def runs():
        with job_state(job) as recorder:
            assert (tmp_path / RESERVE).stat().st_size == RESERVE_BYTES
            monkeypatch.setattr(Storage, "write", full)
            recorder.beat("pass 1", 1, 2)
            job.storage.write("frames/a.png", b"x")

    with pytest.raises(DiskFullError):
        runs()
    written = load_state(job)
    assert (written.state, written.phase) == ("FAILED", "pass 1")
    assert "the disk is full" in written.reason
    assert not (tmp_path / RESERVE).exists()


def test_a_damaged_state_is_no_state(tmp_path):
    (tmp_path / "state.json").write_text('{"state": "RUNN')
    assert load_state(JobDirectory(str(tmp_path))) is None


def test_the_phase_is_called_stage_in_the_file(tmp_path):
    job = JobDirectory(str(tmp_path))
    (tmp_path / "state.json").write_text('{"state": "RUNNING", "stage": "pass 2", "done": 3, "total": 48}')
    state = load_state(job)
    assert (state.phase, state.done, state.total) == ("pass 2", 3, 48)
    save_state(job, state.model_copy(update={"phase": "pass 3"}))
    written = json.loads((tmp_path / "state.json").read_text())
    assert list(written) == ["state", "submission", "stage", "done", "total", "reason", "failures", "updated"]
    assert written["stage"] == "pass 3"
    assert load_state(job).phase == "pass 3"


@pytest.mark.parametrize(
    ("state", "report", "expected"),
    [
        (None, None, "UNFINISHED"),
        (None, {"frames": 1}, "SUCCEEDED"),
        ("FAILED", None, "FAILED"),
        ("FAILED", {"frames": 1}, "SUCCEEDED"),
        ("RUNNING", {"frames": 1}, "RUNNING"),
        ("PENDING", {"frames": 1}, "PENDING"),
        ("CANCELLED", None, "CANCELLED"),
    ],
)
def test_a_report_says_that_a_job_is_done_unless_it_was_begun_again(state, report, expected):
    assert current_state(state and JobState(state=state, updated=time.time()), report) == expected


def test_status_before_anything_is_planned(tmp_path):
    with pytest.raises(UsageError, match="holds no job"):
        job_status(str(tmp_path))
    failures = {"pass-1/00002": ["RuntimeError: boom"]}
    save_state(JobDirectory(str(tmp_path)), JobState(state="FAILED", reason="two tasks failed", failures=failures))
    status = job_status(str(tmp_path))
    assert (status["state"], status["frames"]) == ("FAILED", 0)
    assert json.dumps(status)
    assert [line.strip() for line in status_lines(status)][1:] == [
        "two tasks failed",
        "pass-1/00002 | RuntimeError: boom",
    ]


def test_status_names_the_nodes_that_the_latest_run_could_not_use(tmp_path):
    job = JobDirectory(str(tmp_path))
    save_state(job, JobState(state="RUNNING"))
    history = History(job)
    for line in ("node old is not used", None, "node a is not used: /film.mp4 is not to be seen"):
        history.add("run") if line is None else history.add("avoided", text=line)
    history.add("avoided", text="node a is not used: /film.mp4 is not to be seen")
    status = job_status(str(tmp_path))
    assert status["node_problems"] == ["node a is not used: /film.mp4 is not to be seen"]
    assert "  node a is not used: /film.mp4 is not to be seen" in list(status_lines(status))
