"""What a job is doing, written into its directory: so that anyone who sees the storage can tell, without a cluster.

    with job_state(job, submission="clip-1a2b") as state:     # RUNNING, then SUCCEEDED, FAILED or CANCELLED
        state.beat("pass 1", 12, 48)

The frames and the ledger alone decide what is rendered; this file only tells people.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, ValidationError

from farm.errors import CancelledError, FarmError, StorageError
from farm.job.directory import JobDirectory
from farm.spec import Model

BEAT_SECONDS = 15.0
SILENT_AFTER_SECONDS = 90.0
"""A running job that has not been heard of for so long has probably lost its driver."""

State = Literal["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"]
FINISHED: tuple[State, ...] = ("SUCCEEDED", "FAILED", "CANCELLED")


class JobState(Model):
    """`state.json`. `updated` is in seconds since 1970; `failures` maps tasks to their last log lines."""

    state: State
    submission: str = ""
    stage: str = ""
    done: int = 0
    total: int = 0
    reason: str = ""
    failures: dict[str, list[str]] = Field(default_factory=dict)
    updated: float = 0.0

    def silent_for(self, now: float) -> float:
        """Seconds without a sign of life from a job that should give some; 0 where all is well."""
        silent = now - self.updated
        return silent if self.state == "RUNNING" and silent > SILENT_AFTER_SECONDS else 0.0


def load_state(job: JobDirectory) -> JobState | None:
    """None where nothing was written, or nothing that this version understands."""
    data = job.storage.read("state.json")
    try:
        return None if data is None else JobState.model_validate_json(data)
    except ValidationError:
        return None


def save_state(job: JobDirectory, state: JobState) -> None:
    said: dict[str, Any] = {**state.model_dump(mode="json"), "updated": round(time.time(), 1)}
    job.storage.write("state.json", json.dumps(said, indent=1).encode())


class StateRecorder:
    """Keeps `state.json` fresh, but no fresher than every 15 seconds."""

    def __init__(self, job: JobDirectory, submission: str = "") -> None:
        self._job = job
        self._written = time.monotonic()
        self.now = JobState(state="RUNNING", submission=submission)
        save_state(job, self.now)

    def beat(self, stage: str, done: int, total: int) -> None:
        """A sign of life, with the stage of the latest frame and the frames done."""
        self.now = self.now.model_copy(update={"stage": stage, "done": done, "total": total})
        if time.monotonic() - self._written >= BEAT_SECONDS:
            self._written = time.monotonic()
            with contextlib.suppress(StorageError):  # nothing depends on it
                save_state(self._job, self.now)

    def failed(self, failures: dict[str, list[str]]) -> None:
        self.now = self.now.model_copy(update={"failures": failures})

    def end(self, state: State, reason: str = "") -> None:
        self.now = self.now.model_copy(update={"state": state, "reason": reason})
        with contextlib.suppress(StorageError):  # storage that is full cannot take this either
            save_state(self._job, self.now)


@contextlib.contextmanager
def job_state(job: JobDirectory, submission: str = "") -> Iterator[StateRecorder]:
    """Record how what is done inside ends; errors pass through."""
    recorder = StateRecorder(job, submission)
    try:
        yield recorder
    except (CancelledError, KeyboardInterrupt) as error:
        recorder.end("CANCELLED", str(error))
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, FarmError) else f"{type(error).__name__}: {error}"
        recorder.end("FAILED", reason)
        raise
    recorder.end("SUCCEEDED")
