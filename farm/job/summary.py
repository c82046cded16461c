"""How far a job is, in one small object: `summary.json`, which the driver writes about once a second.

summary = load_summary(job)       # None where no driver has written one; then the ledgers tell
summary.percent

Why: a film of 100,000 frames has some 13,000 ledgers, and reading them takes seconds on a disk and minutes on object
storage. The ledgers alone decide what is rendered; this file tells people. While a driver is at work it is at most
some seconds behind them, and so it stays where a driver was killed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from pydantic import Field

from farm.errors import StorageError
from farm.files.checked_json import parse_or_none, seal, unseal
from farm.job.directory import JobDirectory
from farm.job.record import JobRecord
from farm.plan import Task
from farm.plan.pace import Eta
from farm.spec import Model

SUMMARY = "summary.json"
"""Name of the file in the job directory."""


class JobSummary(Model):
    """`summary.json`. `updated` and `begun`, when the first driver began, are in seconds since 1970.

    `stages` maps each pass to (frames committed, frames in all), the first pass first. `seconds_left` is until all are
    committed, None while it is not known. `committed_bytes` is the size of all frames that were committed; some may
    have been given up since. `output` and `video` are as in the spec.
    """

    video: str = ""
    output: str = ""
    shots: int = 0
    chunks: int = 0
    stages: dict[str, tuple[int, int]] = Field(default_factory=dict)
    committed_bytes: int = 0
    seconds_left: float | None = None
    begun: float = 0.0
    updated: float = 0.0

    @property
    def committed(self) -> int:
        """Frames committed, over all passes."""
        return sum(committed for committed, _ in self.stages.values())

    @property
    def frames(self) -> int:
        """Frames in all, over all passes."""
        return sum(frames for _, frames in self.stages.values())

    @property
    def percent(self) -> int | None:
        """Frames committed, in percent of all, rounded down: 100 means that none is left. None before the plan."""
        return 100 * self.committed // self.frames if self.frames else None


def load_summary(job: JobDirectory) -> JobSummary | None:
    """The summary. None where there is none, or one that is damaged or that this version does not understand."""
    return parse_or_none(job.storage.read(SUMMARY), lambda data: JobSummary.model_validate(unseal(data)))


def save_summary(job: JobDirectory, summary: JobSummary) -> None:
    """Write the summary, `updated` now. Raises StorageError."""
    now = round(time.time(), 1)
    job.storage.write(SUMMARY, seal({**summary.model_dump(mode="json"), "updated": now}))


def take_from_summary(job: JobDirectory, dropped: Mapping[str, int]) -> None:
    """Count so many frames less, by pass, because their commits were undone while no driver was at work."""
    summary = load_summary(job)
    if summary is None:
        return
    stages = {name: (max(done - dropped.get(name, 0), 0), frames) for name, (done, frames) in summary.stages.items()}
    try:
        save_summary(job, summary.model_copy(update={"stages": stages, "seconds_left": None}))
    except StorageError:
        with contextlib.suppress(StorageError):  # without a summary the ledgers are counted
            job.storage.remove(SUMMARY)


class SummaryCounter:
    """Counts the commits of a run for its summary. `summary` may be called from another thread than `frame`.

    `committed` has, by task id, the frames that were committed before this run; a task that it does not name has none.
    `earlier` is the summary of the runs before. `clock` is a steady clock in seconds.
    """

    def __init__(
        self,
        record: JobRecord,
        tasks: Sequence[Task],
        committed: Mapping[str, Collection[int]],
        earlier: JobSummary | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._known = {name: frozenset(frames) for name, frames in committed.items()}
        self._clock = clock
        self._passes = {task.id: task.pass_name for task in tasks}
        self._steps = {task.id: task.steps / len(task.frames) or 1.0 for task in tasks}
        self._done: dict[str, int] = {}
        self._frames: dict[str, int] = {}
        for task in sorted(tasks, key=lambda task: task.pass_index):
            known = len(self._known.get(task.id, ()))
            self._done[task.pass_name] = self._done.get(task.pass_name, 0) + known
            self._frames[task.pass_name] = self._frames.get(task.pass_name, 0) + len(task.frames)
        left = sum(self._steps[task.id] * (len(task.frames) - len(self._known.get(task.id, ()))) for task in tasks)
        self._eta = Eta(left)
        self._eta.start(clock())
        self._bytes = earlier.committed_bytes if earlier else 0
        self._fixed = JobSummary(
            video=record.spec.video,
            output=record.spec.output,
            shots=len(record.plan.shots),
            chunks=len(record.plan.chunks),
            begun=earlier.begun if earlier else round(time.time(), 1),
        )

    def frame(self, task: str, frame: int, size: int) -> None:
        """Count a committed frame of `size` bytes. Call it once for each frame of a task."""
        if frame in self._known.get(task, ()):
            return
        self._done[self._passes[task]] += 1
        self._bytes += size
        self._eta.done(self._steps[task], self._clock())

    def summary(self) -> JobSummary:
        """The summary as it is now."""
        stages = {name: (done, self._frames[name]) for name, done in self._done.items()}
        whole = all(done == frames for done, frames in stages.values())
        left = 0.0 if whole else self._eta.seconds_left(self._clock())
        return self._fixed.model_copy(
            update={
                "stages": stages,
                "committed_bytes": self._bytes,
                "seconds_left": None if left is None else round(left, 1),
            }
        )
