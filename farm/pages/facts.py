"""Everything that a job's directory tells, gathered once: what the page is made from.

    reader = JobReader(url)
    facts = reader.read()              # as often as needed: only ledgers that may have changed are read again

A frame is shown as the latest pass that has committed it left it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from farm.errors import StorageError, UsageError
from farm.job import FrameRecord, JobDirectory, JobRecord
from farm.job.corrections import CORRECTIONS, Corrections, parse_corrections
from farm.job.forecast import load_forecast
from farm.job.history import Happening, load_history
from farm.job.request import JobRequest, load_request
from farm.job.standing import ClusterWord, Standing, decide
from farm.job.state import FINISHED, Heartbeat, JobState, load_state, silent_seconds
from farm.job.status import AskCluster, frames_by_pass, job_standing, nobody_asked
from farm.job.summary import JobSummary, load_summary
from farm.plan import Task, plan_tasks
from farm.plan.forecast import Forecast
from farm.render.detail_figures import FineDetail, FrameDetail
from farm.render.seams import Seam, seam_table
from farm.spec.load import absolute_path

RECENT_COMMITS = 60
"""Latest commits of a run that the time left is reckoned from."""
LEAST_COMMITS = 3
"""Commits of a run before which no time left is told."""


@dataclass(frozen=True)
class Span:
    """A worker at a task, from the beginning of the first frame that it committed to the commit of the last.

    `begin` and `end` are in seconds since 1970. `busy` is how many seconds of work those `frames` frames took.
    """

    worker: str
    task: str
    pass_name: str
    begin: float
    end: float
    busy: float
    frames: int


@dataclass(frozen=True)
class Shown:
    """A frame as it is now: the latest task that committed it, and what the ledger says of it."""

    frame: int
    task: Task
    record: FrameRecord


@dataclass
class JobFacts:
    """A job at one moment, `now` seconds since 1970 by the driver's clock while the job runs, by this machine's else.

    `silent_seconds` is how long the job has not given the sign of life that it should give, 0 where all is well.
    `request` is what was submitted, if it was. Commits are in the driver's time, whatever a worker's clock says.

    `ledgers` maps task ids to their rows by frame, of frames of the task only. `errors` maps frames to the warp error
    against the frame before, as `pair_errors` returns them, `details` some frames to the fine detail of what moves, as
    `fine_details` returns them; both are empty until somebody measures them. `stills` maps frames that were painted by
    themselves to what the frames of the film have of their figures.
    """

    url: str
    record: JobRecord | None
    state: JobState | None
    report: dict[str, Any] | None
    history: tuple[Happening, ...]
    forecast: Forecast | None
    tasks: Sequence[Task]
    ledgers: Mapping[str, Mapping[int, FrameRecord]]
    now: float
    silent_seconds: float = 0.0
    request: JobRequest | None = None
    errors: Mapping[int, float | None] = field(default_factory=dict)
    details: Mapping[int, FineDetail] = field(default_factory=dict)
    stills: Mapping[int, FrameDetail] = field(default_factory=dict)
    summary: JobSummary | None = None
    """The driver's own counts, where the ledgers have not been read."""
    corrections: Corrections = field(default_factory=Corrections)
    """Frames that a person corrected, and what was carried from them."""
    word: ClusterWord | None = None
    """What the job's cluster says of it, where that was asked and answered."""

    @cached_property
    def standing(self) -> Standing:
        """What the job is, and why, as `farm status` says it too."""
        return decide(self.state, self.word, now=self.now, has_report=bool(self.report), silent=self.silent_seconds)

    @property
    def doing(self) -> str:
        """PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLED, LOST, or UNFINISHED where no file says."""
        return self.standing.state

    @cached_property
    def passes(self) -> dict[str, tuple[int, int]]:
        """(frames committed, frames in all) of each pass, by its name, the first pass first."""
        if self.summary is not None:
            return dict(self.summary.stages)
        return frames_by_pass(self.tasks, lambda task: len(self.ledgers.get(task.id, {})))

    @cached_property
    def shown(self) -> dict[int, Shown]:
        """By frame, ascending: every frame of the film that any pass has committed."""
        latest: dict[int, Shown] = {}
        for task in sorted(self.tasks, key=lambda task: task.pass_index):
            own = self.record.plan.chunks[task.chunk] if self.record else None
            for frame, row in self.ledgers.get(task.id, {}).items():
                if own is not None and frame < own.stop:  # frames of the overlap belong to the next chunk
                    latest[frame] = Shown(frame, task, row)
        return dict(sorted(latest.items()))

    def values(self, name: str, pass_name: str) -> dict[int, float]:
        """By frame, ascending: a loss (`style`, `content`, ...), `seconds`, `steps` or `work` of the frame in one
        pass.
        """
        values: dict[int, float] = {}
        for task in self.tasks:
            if task.pass_name == pass_name:
                for frame, row in self.ledgers.get(task.id, {}).items():
                    value = getattr(row, name) if name in ("seconds", "steps", "work") else row.losses.get(name)
                    if name == "work" and value is None:
                        value = float(row.steps)
                    if value is not None:
                        values[frame] = value
        return dict(sorted(values.items()))

    @cached_property
    def seams(self) -> list[Seam]:
        """Warp error and style loss at the boundaries between chunks; empty where nothing is planned yet."""
        if self.record is None:
            return []
        styles = {frame: shown.record.losses["style"] for frame, shown in self.shown.items() if shown.record.losses}
        return seam_table(self.record.plan, self.errors, styles)

    @cached_property
    def runs(self) -> list[float]:
        """Seconds since 1970 at which the job was begun, and begun again."""
        return [happening.at for happening in self.history if happening.kind == "run"]

    def worker_label(self, worker: str, at: float) -> str:
        """Name of a worker that was there at `at` seconds since 1970, with its run: each run numbers workers anew."""
        run = sum(begin <= at for begin in self.runs)
        return f"{worker} (run {run})" if run > 1 else worker

    @cached_property
    def this_run(self) -> tuple[Happening, ...]:
        """What happened since the job was begun for the last time, that included."""
        since = self.runs[-1] if self.runs else 0.0
        return tuple(happening for happening in self.history if happening.at >= since)

    @property
    def workers_here(self) -> dict[str, str]:
        """The workers that are up in the run at work, each with its machine."""
        here: dict[str, str] = {}
        for happening in self.this_run:
            if happening.kind == "joined":
                here[happening.worker] = happening.host
            elif happening.kind in ("lost", "released"):
                here.pop(happening.worker, None)
        return here

    @cached_property
    def finished_frames(self) -> int:
        """Frames of the film that the last pass has committed."""
        last = max((task.pass_index for task in self.tasks), default=0)
        return sum(shown.task.pass_index == last for shown in self.shown.values())

    @cached_property
    def hosts(self) -> dict[str, str]:
        """The machine of each worker, by `worker_label`."""
        joined = (happening for happening in self.history if happening.kind == "joined")
        return {self.worker_label(one.worker, one.at): one.host for one in joined}

    def host_of(self, row: FrameRecord) -> str:
        """The machine on which a frame was made; empty where the history does not tell."""
        return self.hosts.get(self.worker_label(row.worker, row.committed), "")

    @cached_property
    def spans(self) -> list[Span]:
        """Which worker was at which task when, by time. Frames whose ledger names no worker are left out."""
        return sorted(self._spans(), key=lambda span: (span.begin, span.worker))

    def _spans(self) -> Iterable[Span]:
        for task in self.tasks:
            by_worker: dict[str, list[FrameRecord]] = {}
            for row in self.ledgers.get(task.id, {}).values():
                if row.worker and row.committed:
                    by_worker.setdefault(self.worker_label(row.worker, row.committed), []).append(row)
            for worker, rows in by_worker.items():
                yield Span(
                    worker=worker,
                    task=task.id,
                    pass_name=task.pass_name,
                    begin=min(row.committed - row.seconds for row in rows),
                    end=max(row.committed for row in rows),
                    busy=sum(row.seconds for row in rows),
                    frames=len(rows),
                )

    def latest(self, count: int) -> list[Shown]:
        """The frames committed last, newest first."""
        rows = [
            Shown(row.frame, task, row)
            for task in self.tasks
            for row in self.ledgers.get(task.id, {}).values()
            if row.committed
        ]
        return sorted(rows, key=lambda shown: shown.record.committed, reverse=True)[:count]

    def seconds_left(self) -> float | None:
        """Seconds until all frames are committed; None until enough commits of this run are there to go by.

        The steps that are still planned are divided by the pace of the latest commits. Frames without steps count 1.
        """
        if self.summary is not None:
            return self.summary.seconds_left
        planned = self._steps_per_frame
        left = sum(planned[task.id] * (len(task.frames) - len(self.ledgers.get(task.id, {}))) for task in self.tasks)
        commits = self._recent_commits()
        if len(commits) < LEAST_COMMITS or not left:
            return None if left else 0.0
        return left * self._seconds_of(commits) / sum(steps for _, steps in commits[1:])

    def frames_per_second(self) -> float | None:
        """Frames committed in a second, those of every pass counted, by the latest commits of this run.

        None until there are enough to go by.
        """
        commits = self._recent_commits()
        seconds = self._seconds_of(commits) if len(commits) >= LEAST_COMMITS else 0.0
        return (len(commits) - 1) / seconds if seconds else None

    @cached_property
    def _steps_per_frame(self) -> dict[str, float]:
        return {task.id: task.steps / len(task.frames) or 1.0 for task in self.tasks}

    def _recent_commits(self) -> list[tuple[float, float]]:
        """(time, steps planned) of the latest commits of this run, by time."""
        since = self.runs[-1] if self.runs else 0.0
        return sorted(
            (row.committed, self._steps_per_frame[task.id])
            for task in self.tasks
            for row in self.ledgers.get(task.id, {}).values()
            if row.committed > since
        )[-RECENT_COMMITS:]

    def _seconds_of(self, commits: Sequence[tuple[float, float]]) -> float:
        return max(self.now, commits[-1][0]) - commits[0][0]


def in_drivers_time(row: FrameRecord, history: Sequence[Happening]) -> FrameRecord:
    """The row with its worker's name as the history has it, and with `committed` in the driver's time.

    A worker whose clock is wrong was measured when it joined. Earlier versions of the farm put the film's title before
    the worker's name.
    """
    worker = row.worker.rpartition(" ")[2]
    committed = row.committed
    for happening in reversed(history):
        if happening.kind == "joined" and happening.worker == worker:
            corrected = row.committed - happening.ahead
            if corrected >= happening.at - 1.0:
                committed = corrected
                break
    if (worker, committed) == (row.worker, row.committed):
        return row
    return row.model_copy(update={"worker": worker, "committed": committed})


class JobReader:
    """Reads one job as often as asked. Ledgers of finished tasks are read once.

    `ask` asks the job's cluster whether a driver that has not recorded its end is still there.
    """

    def __init__(self, url: str, ask: AskCluster = nobody_asked) -> None:
        self._ask = ask
        self.job = JobDirectory(absolute_path(url))
        self._heartbeat = Heartbeat()
        self._record: JobRecord | None = None
        self._tasks: list[Task] = []
        self._whole: dict[str, dict[int, FrameRecord]] = {}
        self._runs = 0

    def read(self) -> JobFacts:
        """The job as it is now. Raises UsageError where there is no job, StorageError where it cannot be read."""
        job, state, history = self.job, load_state(self.job), load_history(self.job)
        word = self._ask(job.url, state) if state is None or state.state not in FINISHED else None
        state = load_state(job) if word is not None else state  # a driver records its end before it ends
        runs = sum(happening.kind == "run" for happening in history)
        if self._record is None or runs != self._runs:  # begun again: frames may have been dropped before
            self._record, self._runs = job.load_record(), runs
            self._tasks = plan_tasks(self._record.plan) if self._record else []
            self._whole.clear()
        if self._record is None and state is None:
            raise UsageError(f"{job.url} holds no job", "give the job directory, usually the film's name with .farm")
        silent = silent_seconds(job, state, self._heartbeat)
        now = self._heartbeat.time_of_driver(time.monotonic())
        return JobFacts(
            url=job.url,
            record=self._record,
            state=state,
            report=job.load_report(),
            history=history,
            forecast=load_forecast(job),
            tasks=self._tasks,
            ledgers=self._ledgers(history),
            now=time.time() if now is None else now,
            silent_seconds=silent,
            request=_request_of(job),
            corrections=parse_corrections(job.storage.read(CORRECTIONS), job.url),
            word=word,
        )

    def summarized(self) -> JobFacts | None:
        """The job as its driver's summary tells it, read within tenths of a second; None where there is none.

        Record, history and ledgers are left out.
        """
        summary = load_summary(self.job)
        if summary is None:
            return None
        state, standing, report = job_standing(self.job, self._ask, heartbeat=self._heartbeat)
        now = self._heartbeat.time_of_driver(time.monotonic())
        return JobFacts(
            url=self.job.url,
            record=None,
            state=state,
            report=report,
            history=(),
            forecast=None,
            tasks=(),
            ledgers={},
            now=time.time() if now is None else now,
            silent_seconds=silent_seconds(self.job, state, self._heartbeat),
            request=_request_of(self.job),
            summary=summary,
            word=ClusterWord(standing.state) if standing.state == "RUNNING" else None,
        )

    def _ledgers(self, history: Sequence[Happening]) -> dict[str, dict[int, FrameRecord]]:
        """The ledgers of all tasks that can have begun, because the tasks that they need are finished."""
        self.job.forget()
        joined = [happening for happening in history if happening.kind == "joined"]
        ledgers: dict[str, dict[int, FrameRecord]] = {}
        for task in self._tasks:
            if task.id in self._whole:
                ledgers[task.id] = self._whole[task.id]
            elif self._whole.keys() >= set(task.needs):
                rows = {
                    frame: in_drivers_time(row, joined)
                    for frame, row in self.job.ledger(task.id).items()
                    if frame in task.frames
                }
                if rows:
                    ledgers[task.id] = rows
                if len(rows) == len(task.frames):
                    self._whole[task.id] = rows
        return ledgers


def _request_of(job: JobDirectory) -> JobRequest | None:
    """What was submitted. None where nothing was, or something that this version does not understand."""
    try:
        return load_request(job)
    except StorageError:
        return None
