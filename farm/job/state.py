"""What a job is doing, written into its directory, so that whoever sees the storage can tell without a cluster.

    with job_state(job, submission="clip-1a2b") as recorder:     # RUNNING, then SUCCEEDED, FAILED or CANCELLED
        recorder.beat("pass 1", 12, 48)

The frames and the ledger alone decide what is rendered. These files only tell people: `state.json`, and `summary.json`
(farm.job.summary). What is made of them, and of what a cluster says, is decided in farm.job.standing.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Literal

from pydantic import AliasChoices, Field

from farm.errors import CancelledError, FarmError, StorageError
from farm.files.checked_json import parse_or_none
from farm.job.directory import JobDirectory
from farm.job.summary import JobSummary, save_summary
from farm.spec import Model

BEAT_SECONDS = 15.0
"""Seconds between two writes of `state.json` while a job runs."""
SUMMARY_SECONDS = 1.0
"""Least seconds between two writes of `summary.json`."""
SILENT_AFTER_SECONDS = 90.0
"""Seconds without a write of `state.json` after which a running job has probably lost its driver: six beats."""

CLOCKS_AGREE_SECONDS = 5.0
"""Seconds by which a sign of life may lie in the future before the clocks are taken to differ."""

RESERVE = "state.reserve"
"""A file that is given up at the end of a run, so that its state can be written although the disk is full."""
RESERVE_BYTES = 1 << 16

State = Literal["QUEUED", "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"]
"""What a job is doing, or how it ended. QUEUED has no driver yet, or none any more; PENDING has one that starts."""
FINISHED: tuple[State, ...] = ("SUCCEEDED", "FAILED", "CANCELLED")
"""States in which nothing is at work any more."""


class JobState(Model):
    """`state.json`. `updated` is in seconds since 1970. `failures` maps task ids to the last lines of their logs.

    `updated` is by the clock of the machine that wrote it: `Heartbeat` tells how long ago that was. `phase` is the part
    of the job that is under way, such as `pass 1`, with `done` of its `total` frames. Its key in the file is `stage`,
    as it was from the first version on.
    """

    state: State
    submission: str = ""
    phase: str = Field(default="", validation_alias=AliasChoices("stage", "phase"), serialization_alias="stage")
    done: int = 0
    total: int = 0
    reason: str = ""
    failures: dict[str, list[str]] = Field(default_factory=dict)
    updated: float = 0.0


class Heartbeat:
    """How long ago a running job gave its latest sign of life, whatever the clocks of the machines say.

    A look compares the latest `updated` with that of the look before: where it has changed, the job is alive. The time
    since a change is measured by this machine's steady clock. Only at the first look are two wall clocks compared.
    Where they make the job silent, or put its sign of life into the future, the storage is asked for the file's age.
    """

    def __init__(self) -> None:
        self._updated: float | None = None
        self._heard = 0.0

    def silent(
        self, state: JobState | None, wall: float, steady: float, age: Callable[[], float | None] = lambda: None
    ) -> float:
        """Seconds since the last sign of life of a job that should have given one since. 0 where all is well.

        `wall` is this machine's time in seconds since 1970, `steady` its steady clock, and `age` gives the age of
        `state.json` in seconds by the storage's clock, None where that is not known.
        """
        if state is None or state.state != "RUNNING":
            self._updated = None
            return 0.0
        if state.updated != self._updated:
            ago = 0.0
            if self._updated is None:
                ago = wall - state.updated
                if not -CLOCKS_AGREE_SECONDS <= ago <= SILENT_AFTER_SECONDS:
                    by_storage = age()
                    ago = ago if by_storage is None else by_storage
            self._updated, self._heard = state.updated, steady - max(ago, 0.0)
        silent = steady - self._heard
        return silent if silent > SILENT_AFTER_SECONDS else 0.0

    def time_of_driver(self, steady: float) -> float | None:
        """What the driver's clock says now, in seconds since 1970. None where the job is not running."""
        return None if self._updated is None else self._updated + steady - self._heard


def silent_seconds(job: JobDirectory, state: JobState | None, heartbeat: Heartbeat | None = None) -> float:
    """`Heartbeat.silent` of a job now. Without a `heartbeat` this is a first look."""
    heartbeat = heartbeat or Heartbeat()
    return heartbeat.silent(state, time.time(), time.monotonic(), lambda: job.storage.age("state.json"))


def load_state(job: JobDirectory) -> JobState | None:
    """What the job is doing. None where nothing was written, or something that this version does not understand."""
    return parse_or_none(job.storage.read("state.json"), JobState.model_validate_json)


def save_state(job: JobDirectory, state: JobState) -> None:
    """Write `state.json`, `updated` now. Raises StorageError."""
    fields: dict[str, Any] = {**state.model_dump(mode="json", by_alias=True), "updated": round(time.time(), 1)}
    job.storage.write("state.json", json.dumps(fields, indent=1).encode())


class StateRecorder:
    """Keeps `state.json` and `summary.json` up to date from a thread of its own. `now` is the state at present.

    So a driver gives signs of life while it waits for storage, for a scan of the film or for its first worker. Until
    `begin` is called the driver does not hold the job's lease; then `state.json` is only written while it still belongs
    to this submission.
    """

    def __init__(self, job: JobDirectory, submission: str = "") -> None:
        self._job = job
        self.now = JobState(state="RUNNING", submission=submission, phase="start")
        self._has_lease = False
        self._summary: Callable[[], JobSummary] | None = None
        self._summary_is_new = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="state", daemon=True)

    def start(self) -> None:
        """Begin to give signs of life, before the job's lease is held."""
        self._write_state()
        self._thread.start()

    def begin(self) -> None:
        """Say that the driver holds the lease and the job is RUNNING. Raises StorageError."""
        self._has_lease = True
        self.now = self.now.model_copy(update={"phase": ""})
        save_state(self._job, self.now)
        if self._job.storage.local is not None:
            with contextlib.suppress(StorageError):
                self._job.storage.write(RESERVE, os.urandom(RESERVE_BYTES))  # no zeros: some file systems store none
        if not self._thread.is_alive():
            self._thread.start()

    def beat(self, phase: str, done: int, total: int) -> None:
        """Say what is under way: the phase of the latest frame, and `done` of `total` frames."""
        self.now = self.now.model_copy(update={"phase": phase, "done": done, "total": total})

    def summarize(self, summary: Callable[[], JobSummary]) -> None:
        """Have `summary.json` written anew, within SUMMARY_SECONDS or at the end, as `summary()` says by then."""
        self._summary, self._summary_is_new = summary, True

    def failed(self, failures: dict[str, list[str]]) -> None:
        """Note the last log lines of each task that failed for good. They are written with the next state."""
        self.now = self.now.model_copy(update={"failures": failures})

    def end(self, state: State, reason: str = "") -> None:
        """Write how the job ended, on a full disk in the room that was reserved for it. Raises nothing."""
        self.stop()
        self.now = self.now.model_copy(update={"state": state, "reason": reason})
        self._write_summary()  # before the room is given up, so that the state has it
        with contextlib.suppress(StorageError):
            self._job.storage.remove(RESERVE)
            save_state(self._job, self.now)

    def end_before_lease(self, state: State) -> None:
        """Write how a run ended that never took the lease. Nothing is written for one that did."""
        self.stop()
        if not self._has_lease:
            self.now = self.now.model_copy(update={"state": state, "phase": ""})
            self._write_state()

    def stop(self) -> None:
        """Give no more signs of life."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _keep_writing(self) -> None:
        beat = time.monotonic()
        while not self._ended.wait(SUMMARY_SECONDS):
            self._write_summary()
            if time.monotonic() - beat >= BEAT_SECONDS:
                beat = time.monotonic()
                self._write_state()

    def _write_state(self) -> None:
        with contextlib.suppress(StorageError):  # nothing depends on it
            if not self._has_lease:
                recorded = load_state(self._job)
                if recorded is None or recorded.submission != self.now.submission or recorded.state in FINISHED:
                    return
            save_state(self._job, self.now)

    def _write_summary(self) -> None:
        if self._summary is not None and self._summary_is_new:
            self._summary_is_new = False
            with contextlib.suppress(StorageError):  # the next one may get through
                save_summary(self._job, self._summary())


_starting: ContextVar[StateRecorder | None] = ContextVar("starting", default=None)
"""The recorder of a submitted job whose driver has not taken the lease yet."""


@contextlib.contextmanager
def starting(job: JobDirectory, submission: str) -> Iterator[None]:
    """Give signs of life of a submitted job from the first moment of its driver on; `job_state` inside goes on."""
    recorder = StateRecorder(job, submission)
    token = _starting.set(recorder)
    recorder.start()
    try:
        yield
        recorder.end_before_lease("SUCCEEDED")  # there was nothing to do: the film was finished
    except KeyboardInterrupt:
        recorder.end_before_lease("CANCELLED")
        raise
    finally:
        recorder.stop()
        _starting.reset(token)


@contextlib.contextmanager
def job_state(job: JobDirectory, submission: str = "") -> Iterator[StateRecorder]:
    """Record that a job is RUNNING, and in the end how the work inside the block ended. Its errors pass through."""
    recorder = _starting.get() or StateRecorder(job, submission)
    recorder.begin()
    try:
        yield recorder
    except (CancelledError, KeyboardInterrupt) as error:
        recorder.end("CANCELLED", str(error) or "it was asked to stop")
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, FarmError) else f"{type(error).__name__}: {error}"
        recorder.end("FAILED", reason)
        raise
    recorder.end("SUCCEEDED")
