"""Which task goes to which worker, and what happens after a loss: events in, instructions out.

    schedule = Schedule(tasks, finished={"relay/00000"})
    schedule.handle(WorkerJoined("w1"))            -> [Assign("w1", task)]
    schedule.handle(TaskSucceeded("w1"))           -> [Assign("w1", next task)]
    schedule.handle(WorkerLost("w1", "killed"))    -> [] and the task waits for another worker

Pure: no clock, no Ray, no storage. Ready tasks go out by the longest chain of steps that waits behind
them (the critical path first), which for independent chunks is longest first. A preempted worker's task
is INTERRUPTED and uses up no attempt. A task that failed as often as it may is FAILED, whatever needs it
is SKIPPED, and the rest is finished, so that nothing already paid for is thrown away.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from farm.plan import Task

DEFAULT_ATTEMPTS = 3


class TaskState(str, Enum):
    """The states of OpenJobDescription and OpenCue."""

    PENDING = "PENDING"
    READY = "READY"
    RUNNING = "RUNNING"
    INTERRUPTED = "INTERRUPTED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True)
class WorkerJoined:
    worker: str


@dataclass(frozen=True)
class WorkerLost:
    worker: str
    reason: str
    preempted: bool = False


@dataclass(frozen=True)
class TaskSucceeded:
    worker: str


@dataclass(frozen=True)
class TaskFailed:
    """`retryable` is False where another try must fail too: the user's input is at fault."""

    worker: str
    reason: str
    retryable: bool = True


Event = WorkerJoined | WorkerLost | TaskSucceeded | TaskFailed


@dataclass(frozen=True)
class Assign:
    worker: str
    task: Task


@dataclass(frozen=True)
class Retry:
    """Not yet assigned: the task waits for the next free worker. For the log."""

    task: Task
    reason: str
    attempt: int
    attempts: int


@dataclass(frozen=True)
class GiveUp:
    task: Task
    reason: str
    skipped: int


Instruction = Assign | Retry | GiveUp


class Schedule:
    """The state of one job's tasks. `finished` are ids of tasks whose frames are all committed already."""

    def __init__(self, tasks: Sequence[Task], finished: Collection[str] = (), attempts: int = DEFAULT_ATTEMPTS) -> None:
        self._tasks = {task.id: task for task in tasks}
        self._attempts_allowed = attempts
        self._attempts = dict.fromkeys(self._tasks, 0)
        self._needed_by: dict[str, list[str]] = {task.id: [] for task in tasks}
        self._missing: dict[str, set[str]] = {}
        self._idle: dict[str, None] = {}
        self._running: dict[str, str] = {}
        self._ready: list[tuple[int, int, str]] = []
        self._order = {task.id: position for position, task in enumerate(tasks)}
        self.state = dict.fromkeys(self._tasks, TaskState.PENDING)
        for task in tasks:
            for need in task.needs:
                self._needed_by[need].append(task.id)
        self._chain = self._longest_chains(tasks)
        for task in tasks:
            if task.id in finished:
                self.state[task.id] = TaskState.SUCCEEDED
        for task in tasks:
            self._missing[task.id] = {need for need in task.needs if self.state[need] is not TaskState.SUCCEEDED}
            if self.state[task.id] is TaskState.PENDING and not self._missing[task.id]:
                self._make_ready(task.id)

    @property
    def done(self) -> bool:
        """Nothing runs and nothing can be run any more."""
        return not self._running and not self._ready

    @property
    def failed(self) -> list[str]:
        return [name for name, state in self.state.items() if state is TaskState.FAILED]

    @property
    def width(self) -> int:
        """Tasks that could run at this moment if there were workers enough."""
        return len(self._ready) + len(self._running)

    def handle(self, event: Event) -> list[Instruction]:
        """Take in what happened and say what to do about it."""
        said: list[Instruction] = []
        if isinstance(event, WorkerJoined):
            self._idle[event.worker] = None
        elif isinstance(event, WorkerLost):
            self._idle.pop(event.worker, None)
            name = self._running.pop(event.worker, None)
            if name is not None:
                said += self._interrupted(name, event.reason, counts=not event.preempted)
        else:
            name = self._running.pop(event.worker)
            self._idle[event.worker] = None
            if isinstance(event, TaskSucceeded):
                self._succeeded(name)
            elif event.retryable:
                said += self._interrupted(name, event.reason, counts=True)
            else:
                said += self._give_up(name, event.reason)
        return said + self._assign()

    def _assign(self) -> list[Instruction]:
        said: list[Instruction] = []
        while self._idle and self._ready:
            worker = next(iter(self._idle))
            del self._idle[worker]
            name = heapq.heappop(self._ready)[2]
            self._running[worker] = name
            self.state[name] = TaskState.RUNNING
            said.append(Assign(worker, self._tasks[name]))
        return said

    def _succeeded(self, name: str) -> None:
        self.state[name] = TaskState.SUCCEEDED
        for later in self._needed_by[name]:
            self._missing[later].discard(name)
            if not self._missing[later] and self.state[later] is TaskState.PENDING:
                self._make_ready(later)

    def _interrupted(self, name: str, reason: str, *, counts: bool) -> list[Instruction]:
        self._attempts[name] += counts
        if self._attempts[name] >= self._attempts_allowed:
            return self._give_up(name, reason)
        self._make_ready(name)
        self.state[name] = TaskState.INTERRUPTED
        return [Retry(self._tasks[name], reason, self._attempts[name], self._attempts_allowed)]

    def _give_up(self, name: str, reason: str) -> list[Instruction]:
        self.state[name] = TaskState.FAILED
        skipped, waiting = 0, list(self._needed_by[name])
        while waiting:
            later = waiting.pop()
            if self.state[later] is TaskState.PENDING:
                self.state[later] = TaskState.SKIPPED
                skipped += 1
                waiting += self._needed_by[later]
        return [GiveUp(self._tasks[name], reason, skipped)]

    def _make_ready(self, name: str) -> None:
        self.state[name] = TaskState.READY
        heapq.heappush(self._ready, (-self._chain[name], self._order[name], name))

    def _longest_chains(self, tasks: Sequence[Task]) -> dict[str, int]:
        """Steps on the longest path from each task to the end; `tasks` are in an order that respects needs."""
        chain: dict[str, int] = {}
        for task in reversed(tasks):
            chain[task.id] = task.steps + max((chain[later] for later in self._needed_by[task.id]), default=0)
        return chain
