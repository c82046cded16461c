"""Drive one job over Ray: the schedule decides, this loop only carries out and reports back.

run_tasks(job_url, tasks, finished, workers=2, ...)   -> TaskRun, every frame committed
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayActorError, RayError, RayTaskError

from farm.cluster.actors import WorkerFacts, spawn_flow_worker, spawn_render_worker
from farm.errors import ChunkFailedError, FarmError, InputError, UsageError
from farm.frames import FrameRange
from farm.plan import Task
from farm.render import FrameReport
from farm.schedule import Assign, GiveUp, Retry, Schedule, TaskFailed, TaskSucceeded, WorkerJoined, WorkerLost

MAX_LOST_BEFORE_JOINING = 3
"""Workers lost in a row before one of them came up: then something is wrong with all of them."""


@dataclass
class TaskRun:
    """What a run of tasks went through."""

    rendered: int = 0
    reused: int = 0
    steps: int = 0
    seconds: float = 0.0
    lost_workers: int = 0
    retries: list[str] = field(default_factory=list)
    restarts: int = 0


class WorkerPool:
    """Render workers as Ray actors. A worker that is lost is replaced; a new one counts when it has answered."""

    def __init__(self, count: int, threads: int, precision: str, *, gpu: bool) -> None:
        self._threads, self._precision, self._gpu = threads, precision, gpu
        self._born = 0
        self.actors: dict[str, Any] = {}
        self.starting: dict[Any, str] = {}
        self.facts: dict[str, WorkerFacts] = {}
        for _ in range(count):
            self.spawn()

    def spawn(self) -> None:
        self._born += 1
        name = f"worker-{self._born}"
        actor = spawn_render_worker(self._threads, gpu=self._gpu)
        self.actors[name] = actor
        self.starting[actor.facts.options(name="start").remote(self._precision)] = name

    def first_facts(self, timeout: float) -> WorkerFacts:
        """Wait until one worker is up. Raises ChunkFailedError where none comes up in `timeout` seconds."""
        ready, _ = ray.wait(list(self.starting), num_returns=1, timeout=timeout)
        if not ready:
            raise ChunkFailedError(
                f"no worker came up within {timeout:.0f} seconds", "farm doctor shows what this machine has"
            )
        try:
            return ray.get(ready[0])
        except RayTaskError as error:
            raise _cause(error) from None
        except RayError as error:
            raise ChunkFailedError(f"a worker died while starting: {_reason(error)}") from None

    def kill(self) -> None:
        for actor in self.actors.values():
            ray.kill(actor)
        self.actors.clear()


def run_tasks(
    pool: WorkerPool,
    job_url: str,
    tasks: Sequence[Task],
    finished: Collection[str],
    on_frame: Callable[[FrameReport], None],
    on_note: Callable[[str], None],
    flow_sources: tuple[str, ...] = (),
    check_interruption: Callable[[], None] = lambda: None,
) -> TaskRun:
    """Run every task that is not `finished`. `on_frame` hears of each committed frame, `on_note` of trouble.

    Raises ChunkFailedError when a task failed as often as it may; what could be finished is finished then.
    """
    schedule = Schedule(tasks, finished)
    run = TaskRun()
    began = time.perf_counter()
    given_up: list[GiveUp] = []
    streams: dict[Any, str] = {}
    lost_in_a_row = 0

    def carry_out(event: WorkerJoined | WorkerLost | TaskSucceeded | TaskFailed) -> None:
        for instruction in schedule.handle(event):
            if isinstance(instruction, Assign):
                task = instruction.task
                actor = pool.actors[instruction.worker]
                call = actor.render.options(name=task.stage, num_returns="streaming")
                streams[call.remote(job_url, task, flow_sources)] = instruction.worker
            elif isinstance(instruction, Retry):
                line = f"{instruction.task.id}: {instruction.reason}; attempt {instruction.attempt + 1}"
                run.retries.append(line)
                on_note(f"{line} of {instruction.attempts}")
            else:
                given_up.append(instruction)
                on_note(f"{instruction.task.id} failed: {instruction.reason}")

    while not schedule.done:
        check_interruption()
        waiting = [*streams, *pool.starting]
        ready, _ = ray.wait(waiting, num_returns=1, timeout=1.0)
        for source in ready:
            if source in pool.starting:
                name = pool.starting.pop(source)
                try:
                    pool.facts[name] = ray.get(source)
                    lost_in_a_row = 0
                    carry_out(WorkerJoined(name))
                except RayError as error:
                    lost_in_a_row += 1
                    if lost_in_a_row >= MAX_LOST_BEFORE_JOINING:
                        raise ChunkFailedError(f"workers die while starting: {_reason(error)}") from None
                    del pool.actors[name]
                    pool.spawn()
                continue
            name = streams[source]
            try:
                report: FrameReport = ray.get(next(source))
            except StopIteration:
                del streams[source]
                carry_out(TaskSucceeded(name))
            except RayTaskError as error:
                del streams[source]
                cause = _cause(error)
                retryable = not isinstance(cause, (InputError, UsageError))
                carry_out(TaskFailed(name, str(cause), retryable))
            except RayActorError as error:
                del streams[source]
                del pool.actors[name]
                run.lost_workers += 1
                pool.spawn()
                carry_out(WorkerLost(name, _reason(error), preempted=_was_preempted(error)))
            else:
                run.reused += report.reused
                run.rendered += not report.reused
                run.steps += 0 if report.reused else report.record.steps
                run.restarts += 0 if report.reused else report.record.restarts
                for note in () if report.reused else report.record.notes:
                    on_note(f"frame {report.frame}: {note}")
                on_frame(report)
    run.seconds = time.perf_counter() - began
    if given_up:
        first = given_up[0]
        skipped = sum(one.skipped for one in given_up)
        raise ChunkFailedError(
            f"{len(given_up)} task(s) failed and {skipped} could not follow; {first.task.id}: {first.reason}",
            "what was finished is kept; run the same command again once the cause is mended",
        )
    return run


class FlowAhead:
    """A flow worker at work in the background. Losing it costs nothing: renderers compute what is missing."""

    def __init__(self, job_url: str, ranges: tuple[FrameRange, ...], flow_sources: tuple[str, ...]) -> None:
        self._actor = spawn_flow_worker()
        self._stream = self._actor.run.options(name="flow", num_returns="streaming").remote(
            job_url, ranges, flow_sources
        )

    def stop(self) -> None:
        ray.kill(self._actor)


def _cause(error: RayTaskError) -> BaseException:
    return error.cause if isinstance(error.cause, FarmError) else error.as_instanceof_cause()


def _was_preempted(error: RayActorError) -> bool:
    return bool(getattr(error, "preempted", False))


def _reason(error: BaseException) -> str:
    if isinstance(error, ActorDiedError):
        return "its worker died"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
