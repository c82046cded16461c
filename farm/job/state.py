"""What a job is doing, written into its directory, so that whoever sees the storage can tell without a cluster.

    with job_state(job, submission="clip-1a2b") as recorder:     # RUNNING, then SUCCEEDED, FAILED or CANCELLED
        recorder.beat("pass 1", 12, 48)

The frames and the ledger alone decide what is rendered. This file only tells people.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import AliasChoices, Field

from farm.errors import CancelledError, FarmError, StorageError
from farm.files.checked_json import parse_or_none
from farm.job.directory import JobDirectory
from farm.spec import Model

BEAT_SECONDS = 15.0
"""Seconds between two writes of `state.json` while a job runs."""
SILENT_AFTER_SECONDS = 90.0
"""Seconds without a write of `state.json` after which a running job has probably lost its driver: six beats."""

CLOCKS_AGREE_SECONDS = 5.0
"""Seconds by which a sign of life may lie in the future before the clocks are taken to differ."""

State = Literal["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"]
"""What a job is doing, or how it ended."""
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
    """Keeps `state.json` up to date, with a write every BEAT_SECONDS at the most. `now` is the state at present."""

    def __init__(self, job: JobDirectory, submission: str = "") -> None:
        self._job = job
        self._written = time.monotonic()
        self.now = JobState(state="RUNNING", submission=submission)
        save_state(job, self.now)

    def beat(self, phase: str, done: int, total: int) -> None:
        """Give a sign of life: the phase of the latest frame, and `done` of `total` frames."""
        self.now = self.now.model_copy(update={"phase": phase, "done": done, "total": total})
        if time.monotonic() - self._written >= BEAT_SECONDS:
            self._written = time.monotonic()
            with contextlib.suppress(StorageError):  # nothing depends on it
                save_state(self._job, self.now)

    def failed(self, failures: dict[str, list[str]]) -> None:
        """Note the last log lines of each task that failed for good. They are written with the next state."""
        self.now = self.now.model_copy(update={"failures": failures})

    def end(self, state: State, reason: str = "") -> None:
        """Write how the job ended. Storage that takes nothing is passed over in silence."""
        self.now = self.now.model_copy(update={"state": state, "reason": reason})
        with contextlib.suppress(StorageError):  # storage that is full cannot take this either
            save_state(self._job, self.now)


@contextlib.contextmanager
def job_state(job: JobDirectory, submission: str = "") -> Iterator[StateRecorder]:
    """Record that a job is RUNNING, and in the end how the work inside the block ended. Its errors pass through."""
    recorder = StateRecorder(job, submission)
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
