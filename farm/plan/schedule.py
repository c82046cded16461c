"""Which task goes to which worker, and what happens after a loss: events in, instructions out.

    schedule = Schedule(tasks, finished={"pass-1/00000"})
    schedule.handle(WorkerJoined("w1"))            -> [Assign("w1", task)]
    schedule.handle(TaskSucceeded("w1"))           -> [Assign("w1", next task)]
    schedule.handle(WorkerLost("w1", "killed"))    -> [] and the task waits for another worker
    schedule.handle(WorkersAllowed(1))             -> [Release("w2")] at once or when its task is done
    schedule.handle(FilmedUpTo(3))                 -> tasks that were held back until now

Pure: no clock, no Ray, no storage. Ready tasks go out by the longest chain of steps that waits behind
them (the critical path first), which for independent chunks is longest first. A task whose node was lost or
preempted is INTERRUPTED and uses up no attempt. One that failed on a node goes to another node next, as long as
there is one, and a node where several different tasks failed gets no more of them. A task that failed as often
as it may is FAILED, whatever needs it is SKIPPED, and the rest is finished, so that nothing already paid for is
thrown away.

With --save-storage, tasks belong to segments of the film and go out by segment: those that are far ahead of the
first segment that is not encoded yet are held back, so that only so many frames have to be kept at a time.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from farm.plan.tasks import Task

DEFAULT_ATTEMPTS = 3
AVOID_AFTER = 3
"""Different tasks that failed on a node: one bad chunk alone does not condemn it."""


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
    """`node` is the machine that the worker runs on; workers without one count as machines of their own."""

    worker: str
    node: str = ""


@dataclass(frozen=True)
class WorkerLost:
    """`preempted` where its node was taken away or died: the task is not to blame."""

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


@dataclass(frozen=True)
class WorkersAllowed:
    """The job may keep this many workers from now on; the others are given back as soon as they are idle."""

    count: int


@dataclass(frozen=True)
class FilmedUpTo:
    """All segments of the film before this one are encoded."""

    segment: int


Event = FilmedUpTo | WorkerJoined | WorkerLost | TaskSucceeded | TaskFailed | WorkersAllowed


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


@dataclass(frozen=True)
class Release:
    """End this idle worker: the job has more than its share, or its node is avoided."""

    worker: str


@dataclass(frozen=True)
class Avoid:
    """Start no more workers on this node."""

    node: str
    failures: int


Instruction = Assign | Retry | GiveUp | Release | Avoid


@dataclass(frozen=True)
class Window:
    """`segment_of` is the film's segment that each task is for. At most `ahead` are begun before the first is encoded:
    more than a task in one of them may need of the next ones, or nothing could go on.
    """

    segment_of: Mapping[str, int]
    ahead: int


class Schedule:
    """The state of one job's tasks. `finished` need not be run; `window` is given with --save-storage."""

    def __init__(
        self,
        tasks: Sequence[Task],
        finished: Collection[str] = (),
        attempts: int = DEFAULT_ATTEMPTS,
        window: Window | None = None,
    ) -> None:
        self._segment_of = window.segment_of if window else {}
        self._ahead = window.ahead if window else 1
        self._filmed_up_to = 0
        self._tasks = {task.id: task for task in tasks}
        self._attempts_allowed = attempts
        self._attempts = dict.fromkeys(self._tasks, 0)
        self._needed_by: dict[str, list[str]] = {task.id: [] for task in tasks}
        self._missing: dict[str, set[str]] = {}
        self._node: dict[str, str] = {}
        self._allowed: int | None = None
        self._failed_on: dict[str, set[str]] = {task.id: set() for task in tasks}
        self.avoided: set[str] = set()
        self._idle: dict[str, None] = {}
        self._running: dict[str, str] = {}
        self._ready: list[tuple[int, int, int, str]] = []
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
    def worker_names(self) -> set[str]:
        """Workers that have joined and were neither lost nor given back."""
        return set(self._node)

    def task_of(self, worker: str) -> str:
        """Id of the task that a worker is at."""
        return self._running[worker]

    @property
    def failed(self) -> list[str]:
        return [name for name, state in self.state.items() if state is TaskState.FAILED]

    @property
    def queued(self) -> int:
        """Tasks that wait for a worker and for nothing else."""
        return len(self._ready)

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def width(self) -> int:
        """Tasks that could run at this moment if there were workers enough."""
        return sum(not self._held(segment) for segment, _, _, _ in self._ready) + len(self._running)

    def handle(self, event: Event) -> list[Instruction]:
        """Take in what happened and say what to do about it."""
        said: list[Instruction] = []
        if isinstance(event, WorkersAllowed):
            self._allowed = event.count
        elif isinstance(event, FilmedUpTo):
            self._filmed_up_to = event.segment
        elif isinstance(event, WorkerJoined):
            self._idle[event.worker] = None
            self._node[event.worker] = event.node or event.worker
        elif isinstance(event, WorkerLost):
            self._idle.pop(event.worker, None)
            name = self._running.pop(event.worker, None)
            if name is not None:
                node = None if event.preempted else self._node.get(event.worker)
                said += self._interrupted(name, event.reason, node, counts=not event.preempted)
            self._node.pop(event.worker, None)
        else:
            name = self._running.pop(event.worker)
            self._idle[event.worker] = None
            if isinstance(event, TaskSucceeded):
                self._succeeded(name)
                self._forgive(name, self._node[event.worker])
            elif event.retryable:
                said += self._interrupted(name, event.reason, self._node[event.worker], counts=True)
            else:
                said += self._give_up(name, event.reason)
        return said + self._release() + self._assign()

    def _release(self) -> list[Instruction]:
        """Idle workers on avoided nodes, then those that came last, until no more are left than are allowed."""
        excess = 0 if self._allowed is None else len(self._node) - self._allowed
        said: list[Instruction] = []
        if excess <= 0 and not self.avoided:
            return said  # nearly always, and with thousands of workers it counts
        for worker in sorted(reversed(self._idle), key=lambda worker: self._node[worker] not in self.avoided):
            if excess <= 0 and self._node[worker] not in self.avoided:
                break
            del self._idle[worker], self._node[worker]
            said.append(Release(worker))
            excess -= 1
        return said

    def _assign(self) -> list[Instruction]:
        said: list[Instruction] = []
        for worker in list(self._idle) if self._ready else ():
            if not self._ready:
                break
            position = self._next_for(self._node[worker])
            if position is None:
                continue
            del self._idle[worker]
            name = self._ready.pop(position)[-1]
            self._running[worker] = name
            self.state[name] = TaskState.RUNNING
            said.append(Assign(worker, self._tasks[name]))
        return said

    def _next_for(self, node: str) -> int | None:
        """Where the first ready task stands that did not fail on this node, or that no other node is left for."""
        for position, (segment, _, _, name) in enumerate(self._ready):
            if self._held(segment):
                return None  # and so are all after it
            failed_on = self._failed_on[name]
            if node not in failed_on or all(other in failed_on for other in self._node.values()):
                return position
        return None

    def _held(self, segment: int) -> bool:
        return segment >= self._filmed_up_to + self._ahead

    def _succeeded(self, name: str) -> None:
        self.state[name] = TaskState.SUCCEEDED
        for later in self._needed_by[name]:
            self._missing[later].discard(name)
            if not self._missing[later] and self.state[later] is TaskState.PENDING:
                self._make_ready(later)

    def _interrupted(self, name: str, reason: str, node: str | None, *, counts: bool) -> list[Instruction]:
        """`node` is where it failed, None where that says nothing about the node."""
        said: list[Instruction] = []
        self._attempts[name] += counts
        if node is not None:
            self._failed_on[name].add(node)
            failures = sum(node in nodes for nodes in self._failed_on.values())
            others = {other for other in self._node.values() if other not in self.avoided} - {node}
            if failures >= AVOID_AFTER and others and node not in self.avoided:
                self.avoided.add(node)
                said.append(Avoid(node, failures))
        if self._attempts[name] >= self._attempts_allowed:
            return said + self._give_up(name, reason)
        self._make_ready(name)
        self.state[name] = TaskState.INTERRUPTED
        return [*said, Retry(self._tasks[name], reason, self._attempts[name], self._attempts_allowed)]

    def _forgive(self, name: str, node: str) -> None:
        """A task that failed on this node and then succeeded there: the fault has passed."""
        self._failed_on[name].discard(node)

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
        segment = self._segment_of.get(name, 0)
        bisect.insort(self._ready, (segment, -self._chain[name], self._order[name], name))

    def _longest_chains(self, tasks: Sequence[Task]) -> dict[str, int]:
        """Steps on the longest path from each task to the end; `tasks` are in an order that respects needs."""
        chain: dict[str, int] = {}
        for task in reversed(tasks):
            chain[task.id] = task.steps + max((chain[later] for later in self._needed_by[task.id]), default=0)
        return chain
