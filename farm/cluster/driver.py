"""Drive the tasks of one job: the schedule decides, the driver carries out and reports back.

settings = DriverSettings(metrics=JobMetrics("farm-film-1a2b"), history=History(job))
run = Driver(pool, job_url, Schedule(tasks, finished), events, settings).run()    # a TaskRun: every frame is committed

Ray is not known here. The workers are behind `Workers`, the clock is a setting, and whoever wants to hear of the job is
a `JobEvents`, so that all of it is tested in milliseconds.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from farm.cluster.workers import RenderFailed, TaskEnded, WorkerGone, Workers
from farm.errors import ChunkFailedError, DamagedError, InputError, UsageError, first_line
from farm.plan import Task
from farm.plan.liveness import LEAST_SILENCE_SECONDS, FrameTally, LostTime, Watchdog
from farm.plan.schedule import (
    Assign,
    Avoid,
    Event,
    FilmedUpTo,
    GiveUp,
    Release,
    Retry,
    Schedule,
    TaskFailed,
    TaskSucceeded,
    WorkerJoined,
    WorkerLost,
    WorkersAllowed,
)

if TYPE_CHECKING:
    from farm.cluster.metrics import JobMetrics
    from farm.job.history import History
    from farm.render.frame_report import FrameReport

WATCH_SECONDS = 1.0
"""Seconds between two looks for renderers that are stuck."""
QUOTA_SECONDS = 2.0
"""Seconds between two questions for the job's share of the workers. A new node is used that soon."""


class JobEvents(Protocol):
    """Hears of all that happens in a job. Who inherits from it defines only what it wants to hear of."""

    def check(self) -> None:
        """Called each time that the driver's loop comes round. Raises where the job is interrupted."""
        return

    def note(self, line: str) -> None:
        """One line for people, about trouble or a node that joined."""
        return

    def frame(self, report: FrameReport) -> None:
        """A frame is committed. Called once for each frame of a task, however often the task is begun."""
        return

    def task_begun(self, task: Task, reports: Any) -> None:
        """A renderer was given a task. `reports` is the source of its reports: with Ray, what the call returned."""
        return

    def task_done(self, task_id: str) -> None:
        """Every frame of the task is committed."""
        return

    def failures(self, failures: dict[str, list[str]]) -> None:
        """Called once, at the end, where tasks failed for good: the reason of each, and its worker's last lines."""
        return


@dataclass(frozen=True)
class DriverSettings:
    """How a job is driven."""

    metrics: JobMetrics
    """Where the job's counters and gauges go."""
    history: History
    """Where losses, retries and failures are kept."""
    patience: float = LEAST_SILENCE_SECONDS
    """Seconds for which every renderer may be silent. The watchdog allows more where frames take long."""
    filmed_up_to: Callable[[], int] = lambda: 0
    """How many segments of the film, from its beginning, are encoded."""
    clock: Callable[[], float] = time.monotonic
    """Any steady clock, in seconds."""


@dataclass
class TaskRun:
    """What the tasks of a job went through in one run.

    `lost_seconds` are those that tasks lost with their workers, added up. `join_seconds`: for each node that joined,
    the seconds until a worker was up there. `retries`: one line each. `mixed` counts the frames of workers whose
    software differs from the job's, by how it differs.
    """

    rendered: int = 0
    reused: int = 0
    steps: int = 0
    seconds: float = 0.0
    lost_workers: int = 0
    lost_seconds: float = 0.0
    join_seconds: list[float] = field(default_factory=list)
    retries: list[str] = field(default_factory=list)
    restarts: int = 0
    mixed: Counter[str] = field(default_factory=Counter)


class Driver:
    """Runs every task of `schedule` that is not finished on the workers of `pool`. For one run.

    A worker that is silent for too long is killed, and its task begun again (farm.plan.liveness).
    """

    def __init__(
        self,
        pool: Workers,
        job_url: str,
        schedule: Schedule,
        events: JobEvents,
        settings: DriverSettings,
    ) -> None:
        self._pool, self._job_url, self._schedule = pool, job_url, schedule
        self._events, self._settings = events, settings
        self._clock, self._metrics, self._history = settings.clock, settings.metrics, settings.history
        self._pass_names = {task.id: task.pass_name for task in schedule.tasks}
        self._tally, self._lost_time, self._watchdog = FrameTally(), LostTime(), Watchdog(settings.patience)
        self._run = TaskRun()
        self._workers: dict[Any, str] = {}
        """The worker behind the source of each task's reports; exactly the workers that have a task."""
        self._times_begun: Counter[str] = Counter()
        self._log_lines: dict[str, tuple[str, ...]] = {}
        """Of each task that failed, the last lines of its worker's log at the latest failure."""
        self._given_up: list[GiveUp] = []
        self._filmed = 0
        self._quota_asked = -math.inf
        self._watched = settings.clock()

    def run(self) -> TaskRun:
        """Run the tasks to the end.

        Raises ChunkFailedError when a task failed as often as it may; what could be finished is finished then. What
        `events.check` raises passes through and leaves the workers as they are, and so does a DamagedError.
        """
        began = self._clock()
        while not self._schedule.done:
            self._events.check()
            self._follow_film()
            self._follow_quota()
            self._metrics.tasks(
                queued=self._schedule.queued, running=self._schedule.running, workers=len(self._pool.facts)
            )
            for source in self._pool.wait([*self._workers, *self._pool.starting]):
                self._collect(source)
            self._look_after()
        self._run.lost_seconds = self._lost_time.total
        self._run.seconds = self._clock() - began
        self._raise_failures()
        return self._run

    def _follow_film(self) -> None:
        """Tell the schedule where more of the film is encoded than before."""
        filmed = self._settings.filmed_up_to()
        if filmed != self._filmed:
            self._filmed = filmed
            self._carry_out(FilmedUpTo(filmed))

    def _follow_quota(self) -> None:
        """Ask for the job's share of the workers, if it is time to."""
        now = self._clock()
        if now - self._quota_asked < QUOTA_SECONDS:
            return
        self._quota_asked = now
        allowed = self._pool.follow_quota(self._schedule.width)
        for worker in [name for name in self._pool.facts if name not in self._schedule.worker_names]:
            self._join(worker)
        self._carry_out(WorkersAllowed(allowed))

    def _collect(self, source: Any) -> None:
        """Take in one answer: of a worker that is up now, or of one that has a task."""
        if source in self._pool.starting:
            joined = self._pool.answered(source)
            if joined is not None:
                self._join(joined)
            return
        worker = self._workers[source]
        report = self._pool.next_report(worker, source)
        if not isinstance(report, (TaskEnded, RenderFailed, WorkerGone)):
            self._frame(worker, report)
            return
        del self._workers[source]
        self._watchdog.ended(worker)
        if isinstance(report, TaskEnded):
            self._succeed(worker)
        elif isinstance(report, RenderFailed):
            self._fail(worker, report)
        else:
            self._lose(worker, report)

    def _look_after(self) -> None:
        """End the renderers that are stuck, if it is time to look for them."""
        now = self._clock()
        if now - self._watched < WATCH_SECONDS:
            return
        self._watched = now
        sources = {worker: source for source, worker in self._workers.items()}
        for worker, seconds in self._watchdog.stuck(now).items():
            if self._pool.has_answer(sources[worker]):
                continue  # it has reported, and nobody has listened yet
            del self._workers[sources[worker]]
            self._watchdog.ended(worker)
            self._events.note(
                f"{worker} has told of no frame for {seconds:.0f} s: it is ended, and its task begun again"
            )
            self._pool.end_process(worker)
            self._lose(worker, WorkerGone(f"its worker told of no frame for {seconds:.0f} s"))

    # what happened ------------------------------------------------------------------------------------

    def _join(self, worker: str) -> None:
        facts = self._pool.facts[worker]
        self._history.add("joined", worker=worker, host=facts.host, text=facts.differs, ahead=facts.ahead)
        if facts.differs:
            self._events.note(f"{worker} on {facts.host} paints with other software than the job: {facts.differs}")
        seconds = self._pool.since_node_came(facts.node)
        if seconds is not None:
            self._run.join_seconds.append(round(seconds, 1))
            self._events.note(
                f"node {facts.node[:8]} ({facts.host}) joined; {worker} is at work there after {seconds:.1f} s"
            )
        self._carry_out(WorkerJoined(worker, facts.node))

    def _frame(self, worker: str, report: FrameReport) -> None:
        now = self._clock()
        self._watchdog.frame(worker, now, reused=report.reused)
        is_new = self._tally.is_new(report.task, report.frame)
        if is_new:
            self._count(report)
        if not report.reused:
            self._metrics.frame(report, self._pass_names[report.task])
            self._end_loss(report, now)
        if is_new:
            self._events.frame(report)

    def _count(self, report: FrameReport) -> None:
        """Count a frame that is reported for the first time.

        A worker that dies may have committed a frame without reporting it. The next one finds that frame there, and it
        counts as rendered in this run all the same.
        """
        if report.reused and self._times_begun[report.task] == 1:
            self._run.reused += 1
            return
        self._run.rendered += 1
        self._run.steps += report.record.steps
        self._run.restarts += report.record.restarts
        if report.record.software:
            self._run.mixed[report.record.software] += 1
        for note in report.record.notes:
            self._events.note(f"frame {report.frame}: {note}")

    def _end_loss(self, report: FrameReport, now: float) -> None:
        """Count the seconds that a loss cost, if it ends with this frame."""
        seconds = self._lost_time.committed(report.task, report.record.seconds, now)
        if seconds is not None:
            self._metrics.time_lost(seconds)
            self._history.add("regained", task=report.task, seconds=seconds)
            self._events.note(f"{report.task} goes on after a lost worker: {seconds:.1f} s lost")

    def _succeed(self, worker: str) -> None:
        task_id = self._schedule.task_of(worker)
        self._tally.ended(task_id)
        self._carry_out(TaskSucceeded(worker))
        self._events.task_done(task_id)

    def _fail(self, worker: str, failure: RenderFailed) -> None:
        if isinstance(failure.error, DamagedError):
            raise failure.error  # no attempt at this task mends what another one made
        self._log_lines[self._schedule.task_of(worker)] = failure.log_lines
        retryable = not isinstance(failure.error, (InputError, UsageError))
        self._carry_out(TaskFailed(worker, first_line(failure.error), retryable))

    def _lose(self, worker: str, loss: WorkerGone) -> None:
        task_id = self._schedule.task_of(worker)
        if loss.log_lines is not None:
            self._log_lines[task_id] = loss.log_lines
        self._pool.remove(worker)
        self._run.lost_workers += 1
        self._metrics.worker_lost()
        self._lost_time.lost(task_id)
        self._quota_asked = -math.inf
        self._history.add("lost", worker=worker, task=task_id, text=loss.reason)
        self._carry_out(WorkerLost(worker, loss.reason, preempted=loss.preempted))

    # what is done about it ----------------------------------------------------------------------------

    def _carry_out(self, event: Event) -> None:
        """Tell the schedule, and do what it says."""
        for instruction in self._schedule.handle(event):
            if isinstance(instruction, Assign):
                self._begin(instruction.worker, instruction.task, alone=instruction.alone)
            elif isinstance(instruction, Release):
                self._history.add("released", worker=instruction.worker)
                self._pool.remove(instruction.worker)
            elif isinstance(instruction, Avoid):
                self._avoid(instruction)
            elif isinstance(instruction, Retry):
                self._retry(instruction)
            else:
                self._give_up(instruction)

    def _begin(self, worker: str, task: Task, *, alone: bool) -> None:
        now = self._clock()
        self._times_begun[task.id] += 1
        self._lost_time.sign(task.id, now)
        self._watchdog.began(worker, task.pass_name, now)
        source = self._pool.begin(worker, self._job_url, task, alone=alone)
        self._workers[source] = worker
        self._events.task_begun(task, source)

    def _avoid(self, instruction: Avoid) -> None:
        self._pool.avoid(instruction.node)
        line = f"node {instruction.node[:8]} gets no more tasks: {instruction.failures} failed there"
        self._history.add("avoided", text=line)
        self._events.note(line)

    def _retry(self, instruction: Retry) -> None:
        line = f"{instruction.task.id}: {instruction.reason}; attempt {instruction.attempt + 1}"
        self._run.retries.append(line)
        self._history.add("retry", task=instruction.task.id, text=instruction.reason)
        self._metrics.retry()
        self._events.note(f"{line} of {instruction.attempts}")

    def _give_up(self, instruction: GiveUp) -> None:
        self._given_up.append(instruction)
        self._metrics.task_failed()
        self._history.add("failed", task=instruction.task.id, text=instruction.reason)
        self._events.note(f"{instruction.task.id} failed: {instruction.reason}")
        for line in self._log_lines.get(instruction.task.id, ()):
            self._events.note(f"  | {line}")

    def _raise_failures(self) -> None:
        """Raise ChunkFailedError where tasks were given up."""
        if not self._given_up:
            return
        self._events.failures(
            {failure.task.id: [failure.reason, *self._log_lines.get(failure.task.id, ())] for failure in self._given_up}
        )
        first = self._given_up[0]
        skipped = sum(failure.skipped for failure in self._given_up)
        raise ChunkFailedError(
            f"{len(self._given_up)} task(s) failed and {skipped} could not follow; {first.task.id}: {first.reason}",
            "what was finished is kept; run the same command again once the cause is mended",
        )
