"""Drive one job over Ray: the schedule decides, this loop only carries out and reports back.

run_tasks(job_url, tasks, finished, workers=2, ...)   -> TaskRun, every frame committed
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayActorError, RayTaskError

from farm.cluster.actors import spawn_flow_worker
from farm.cluster.metrics import JobMetrics
from farm.cluster.pool import WorkerPool, cause_of, last_line
from farm.cluster.worker_logs import last_log_lines
from farm.errors import ChunkFailedError, InputError, UsageError
from farm.job.history import History
from farm.plan.liveness import LEAST_SECONDS, FrameTally, LostTime, Watchdog
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
    Window,
    WorkerJoined,
    WorkerLost,
    WorkersAllowed,
)
from farm.plan.tasks import Task
from farm.render.chunk import FrameReport
from farm.spec.frames import FrameRange

WATCH_SECONDS = 1.0
"""How often it is looked whether a renderer is stuck."""
QUOTA_SECONDS = 2.0
"""How often the job's share of the workers is asked for: so soon a new node is used."""


@dataclass
class TaskRun:
    """What a run of tasks went through. `lost_seconds` are those that tasks lost with their workers, added up;
    `join_seconds`, for each node that joined, those until a worker there was at work.
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
    failures: dict[str, list[str]] = field(default_factory=dict)


def run_tasks(
    pool: WorkerPool,
    job_url: str,
    tasks: Sequence[Task],
    finished: Collection[str],
    metrics: JobMetrics,
    on_frame: Callable[[FrameReport], None],
    on_note: Callable[[str], None],
    history: History,
    flow_sources: tuple[str, ...] = (),
    check_interruption: Callable[[], None] = lambda: None,
    on_failures: Callable[[dict[str, list[str]]], None] = lambda _: None,
    patience: float = LEAST_SECONDS,
    window: Window | None = None,
    on_task: Callable[[str], None] = lambda _: None,
    filmed_up_to: Callable[[], int] = lambda: 0,
    on_begun: Callable[[str, Any], None] | None = None,
) -> TaskRun:
    """Run every task that is not `finished`. `on_frame` hears of each committed frame once, `on_note` of trouble.

    A worker that is silent for a multiple of what a frame takes, and for `patience` seconds at the least, is killed,
    and its task tried again (farm.plan.liveness). `on_task` gets the id of each task that succeeded; `filmed_up_to`
    tells how many segments of the film are encoded, by which tasks outside of `window` are held back. `on_begun` gets
    stage and stream of reports of each task that a renderer is given.

    `on_failures` gets, for each task that failed for good, its reason and the last lines of its worker's log.
    Raises ChunkFailedError when a task failed as often as it may; what could be finished is finished then.
    """
    schedule = Schedule(tasks, finished, window=window)
    stages = {task.id: task.pass_name for task in tasks}
    lost_time = LostTime()
    run = TaskRun()
    began = time.perf_counter()
    given_up: list[GiveUp] = []
    streams: dict[Any, str] = {}
    begun: Counter[str] = Counter()
    tally, watchdog = FrameTally(), Watchdog(patience)
    asked = -QUOTA_SECONDS
    last_words: dict[str, list[str]] = {}
    filmed = 0
    looked = time.monotonic()

    def carry_out(event: Event) -> None:
        for instruction in schedule.handle(event):
            if isinstance(instruction, Assign):
                task = instruction.task
                actor = pool.actors[instruction.worker]
                call = actor.render.options(name=task.pass_name, num_returns="streaming")
                begun[task.id] += 1
                lost_time.sign(task.id, time.monotonic())
                watchdog.began(instruction.worker, task.pass_name, time.monotonic())
                stream = call.remote(job_url, task, flow_sources)
                streams[stream] = instruction.worker
                if on_begun:
                    on_begun(task.pass_name, stream)
            elif isinstance(instruction, Release):
                pool.remove(instruction.worker)
            elif isinstance(instruction, Avoid):
                pool.avoid(instruction.node)
                line = f"node {instruction.node[:8]} gets no more tasks: {instruction.failures} failed there"
                history.add("avoided", text=line)
                on_note(line)
            elif isinstance(instruction, Retry):
                line = f"{instruction.task.id}: {instruction.reason}; attempt {instruction.attempt + 1}"
                run.retries.append(line)
                history.add("retry", task=instruction.task.id, text=instruction.reason)
                metrics.retry()
                on_note(f"{line} of {instruction.attempts}")
            else:
                given_up.append(instruction)
                metrics.task_failed()
                history.add("failed", task=instruction.task.id, text=instruction.reason)
                on_note(f"{instruction.task.id} failed: {instruction.reason}")
                for said in last_words.get(instruction.task.id, ()):
                    on_note(f"  | {said}")

    def end_stuck() -> None:
        for name, silent in watchdog.stuck(time.monotonic()).items():
            stream = next(stream for stream, worker in streams.items() if worker == name)
            if ray.wait([stream], timeout=0)[0]:
                continue  # it has told of a frame, and it was not yet listened to
            del streams[stream]
            watchdog.ended(name)
            on_note(f"{name} has told of no frame for {silent:.0f} s: it is ended, and its task begun again")
            pool.end_process(name)
            lose(name, f"its worker told of no frame for {silent:.0f} s", preempted=False)

    def lose(name: str, reason: str, *, preempted: bool) -> None:
        nonlocal asked
        pool.remove(name)
        run.lost_workers += 1
        metrics.worker_lost()
        lost_time.lost(schedule.task_of(name))
        asked = -QUOTA_SECONDS
        history.add("lost", worker=name, task=schedule.task_of(name), text=reason)
        carry_out(WorkerLost(name, reason, preempted=preempted))

    def join(name: str) -> None:
        facts = pool.facts[name]
        history.add("joined", worker=name, host=facts.host)
        waited = pool.since_node_came(facts.node)
        if waited is not None:
            run.join_seconds.append(round(waited, 1))
            on_note(f"node {facts.node[:8]} ({facts.host}) joined; {name} is at work there after {waited:.1f} s")
        carry_out(WorkerJoined(name, facts.node))

    while not schedule.done:
        check_interruption()
        if filmed != (filmed := filmed_up_to()):
            carry_out(FilmedUpTo(filmed))
        if time.monotonic() - asked >= QUOTA_SECONDS:
            asked = time.monotonic()
            allowed = pool.follow_quota(schedule.width)
            for name in pool.facts.keys() - schedule.worker_names:
                join(name)
            carry_out(WorkersAllowed(allowed))
        metrics.tasks(queued=schedule.queued, running=schedule.running, workers=len(pool.facts))
        waiting = [*streams, *pool.starting]
        ready = _wait(waiting)
        for source in ready:
            if source in pool.starting:
                joined = pool.answered(source)
                if joined is not None:
                    join(joined)
                continue
            name = streams[source]
            try:
                report: FrameReport = ray.get(next(source))
            except StopIteration:
                del streams[source]
                watchdog.ended(name)
                task = schedule.task_of(name)
                tally.ended(task)
                carry_out(TaskSucceeded(name))
                on_task(task)
            except RayTaskError as error:
                del streams[source]
                watchdog.ended(name)
                cause = cause_of(error)
                last_words[schedule.task_of(name)] = last_log_lines(pool.actors[name], error)
                retryable = not isinstance(cause, (InputError, UsageError))
                carry_out(TaskFailed(name, _first_line(cause), retryable))
            except RayActorError as error:
                del streams[source]
                watchdog.ended(name)
                gone = pool.node_is_gone(name, error)
                if not gone:
                    last_words[schedule.task_of(name)] = last_log_lines(pool.actors[name], error)
                lose(name, "its node was lost" if gone else _reason(error), preempted=gone)
            else:
                watchdog.frame(name, time.monotonic(), reused=report.reused)
                new = tally.is_new(report.task, report.frame)
                if new:
                    # a worker that dies may have committed a frame and not told: it is this run's all the same
                    earlier = report.reused and begun[report.task] == 1
                    run.reused += earlier
                    run.rendered += not earlier
                    run.steps += 0 if earlier else report.record.steps
                    run.restarts += 0 if earlier else report.record.restarts
                    for note in () if earlier else report.record.notes:
                        on_note(f"frame {report.frame}: {note}")
                if not report.reused:
                    metrics.frame(report, stages[report.task])
                    seconds = lost_time.committed(report.task, report.record.seconds, time.monotonic())
                    if seconds is not None:
                        metrics.time_lost(seconds)
                        history.add("regained", task=report.task, seconds=seconds)
                        on_note(f"{report.task} goes on after a lost worker: {seconds:.1f} s lost")
                if new:
                    on_frame(report)
        if time.monotonic() - looked >= WATCH_SECONDS:
            looked = time.monotonic()
            end_stuck()
    run.lost_seconds = lost_time.total
    run.failures = {one.task.id: [one.reason, *last_words.get(one.task.id, ())] for one in given_up}
    run.seconds = time.perf_counter() - began
    if given_up:
        first = given_up[0]
        skipped = sum(one.skipped for one in given_up)
        on_failures(run.failures)
        raise ChunkFailedError(
            f"{len(given_up)} task(s) failed and {skipped} could not follow; {first.task.id}: {first.reason}",
            "what was finished is kept; run the same command again once the cause is mended",
        )
    return run


class FlowAhead:
    """A flow worker at work in the background. Losing it costs nothing: renderers compute what is missing."""

    def __init__(
        self, job_url: str, ranges: tuple[FrameRange, ...], flow_sources: tuple[str, ...], *, title: str, label: str
    ) -> None:
        self._actor = spawn_flow_worker(title)
        self._stream = self._actor.run.options(name="flow", num_returns="streaming").remote(
            job_url, ranges, flow_sources, label
        )

    def stop(self) -> None:
        ray.kill(self._actor)


def _wait(sources: list[Any]) -> list[Any]:
    """The first that has something to tell, within a second; a job that has no worker just waits."""
    if not sources:
        time.sleep(0.5)
        return []
    return ray.wait(sources, num_returns=1, timeout=1.0)[0]


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _reason(error: BaseException) -> str:
    return "its worker died" if isinstance(error, ActorDiedError) else last_line(error)
