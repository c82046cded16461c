"""Which task goes to which worker, and what happens after a loss: events in, instructions out.

    schedule = Schedule(tasks, finished={"pass-1/00000"})
    schedule.handle(WorkerJoined("w1"))            # [Assign("w1", task)]
    schedule.handle(TaskSucceeded("w1"))           # [Assign("w1", next task)]
    schedule.handle(WorkerLost("w1", "killed"))    # [Retry(task, ...)]: the task waits for another worker
    schedule.handle(WorkersAllowed(1))             # [Release("w2")] at once, or when its task is done
    schedule.handle(FilmedUpTo(3))                 # [Assign(...)] of tasks that were held back until now

Pure: no clock, no Ray, no storage.

Ready tasks go out by the longest chain of steps that waits behind them (the critical path first). For independent
chunks that is longest first.

A task whose node was lost or preempted is INTERRUPTED and uses up no attempt. A task that failed on a node goes to
another node next, as long as there is one. A node where several different tasks failed gets no more of them. A task
that failed as often as it may is FAILED, and whatever needs it is SKIPPED. The rest is finished, so that nothing
already paid for is thrown away.

With --save-storage, tasks belong to segments of the film and go out by segment. Tasks that are far ahead of the first
segment that is not encoded yet are held back, so that only so many frames have to be kept at a time.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from farm.plan.tasks import Task, longest_chains

DEFAULT_ATTEMPTS = 3
"""How often a task is begun, at most, before it counts as failed."""
AVOID_AFTER = 3
"""How many different tasks fail on a node before it is avoided. Why: one bad chunk alone does not condemn a node."""


class TaskState(str, Enum):
    """The state of a task, in the words of OpenJobDescription and OpenCue."""

    PENDING = "PENDING"
    READY = "READY"
    RUNNING = "RUNNING"
    INTERRUPTED = "INTERRUPTED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True)
class WorkerJoined:
    """A worker is up. `node` is the machine that it runs on; workers without one count as machines of their own."""

    worker: str
    node: str = ""


@dataclass(frozen=True)
class WorkerLost:
    """A worker is gone. `preempted` where its node was taken away or died, so that its task is not to blame."""

    worker: str
    reason: str
    preempted: bool = False


@dataclass(frozen=True)
class TaskSucceeded:
    """The task of this worker is done, and the worker is idle."""

    worker: str


@dataclass(frozen=True)
class TaskFailed:
    """The task of this worker failed. Not `retryable` where another try must fail too: the user's input is at fault."""

    worker: str
    reason: str
    retryable: bool = True


@dataclass(frozen=True)
class WorkersAllowed:
    """The job may keep this many workers from now on. The others are given back as soon as they are idle."""

    count: int


@dataclass(frozen=True)
class FilmedUpTo:
    """All segments of the film before this one are encoded."""

    segment: int


Event = FilmedUpTo | WorkerJoined | WorkerLost | TaskSucceeded | TaskFailed | WorkersAllowed


@dataclass(frozen=True)
class Assign:
    """Have this idle worker render the task.

    `alone` where nothing else of the job is at work, or could be before the task ends: it may have the cores of all.
    """

    worker: str
    task: Task
    alone: bool = False


@dataclass(frozen=True)
class Retry:
    """For the log: the task has used up `attempt` of `attempts` attempts, and waits for the next free worker."""

    task: Task
    reason: str
    attempt: int
    attempts: int


@dataclass(frozen=True)
class GiveUp:
    """The task has failed for good. `skipped` is how many tasks need it and are not run either."""

    task: Task
    reason: str
    skipped: int


@dataclass(frozen=True)
class Release:
    """End this idle worker. The job has more than its share, or the worker's node is avoided."""

    worker: str


@dataclass(frozen=True)
class Avoid:
    """Start no more workers on this node, where `failures` different tasks failed."""

    node: str
    failures: int


Instruction = Assign | Retry | GiveUp | Release | Avoid


@dataclass(frozen=True)
class Window:
    """How far tasks may run ahead of the film with --save-storage.

    `segment_of` maps the id of each task to the segment of the film that it is for. At most `ahead` segments are begun
    before the first of them is encoded. `ahead` must be more than a task may need of later segments, or nothing could
    go on.
    """

    segment_of: Mapping[str, int]
    ahead: int


class Schedule:
    """The state of one job's tasks.

    `tasks` are in an order that respects their needs. Tasks whose ids are in `finished` are not run. `window` is given
    with --save-storage.
    """

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
        # Where there is no optimiser, frames cost alike.
        self._chain = longest_chains(tasks, lambda task: task.steps or task.stop - task.start)
        for task in tasks:
            if task.id in finished:
                self.state[task.id] = TaskState.SUCCEEDED
        for task in tasks:
            self._missing[task.id] = {need for need in task.needs if self.state[need] is not TaskState.SUCCEEDED}
            if self.state[task.id] is TaskState.PENDING and not self._missing[task.id]:
                self._make_ready(task.id)

    @property
    def tasks(self) -> Sequence[Task]:
        """All tasks of the job, finished ones too, in the order in which they were given."""
        return list(self._tasks.values())

    @property
    def done(self) -> bool:
        """Whether nothing runs and nothing can be run any more."""
        return not self._running and not self._ready

    @property
    def worker_names(self) -> set[str]:
        """Workers that have joined and were neither lost nor given back."""
        return set(self._node)

    def task_of(self, worker: str) -> str:
        """Id of the task that a worker has. Raises KeyError where it has none."""
        return self._running[worker]

    @property
    def failed(self) -> list[str]:
        """Ids of the tasks that failed for good."""
        return [task_id for task_id, state in self.state.items() if state is TaskState.FAILED]

    @property
    def queued(self) -> int:
        """Tasks that wait for a worker and for nothing else."""
        return len(self._ready)

    @property
    def running(self) -> int:
        """Tasks that a worker has."""
        return len(self._running)

    @property
    def width(self) -> int:
        """Tasks that could run at this moment if there were workers enough."""
        return sum(not self._held(segment) for segment, _, _, _ in self._ready) + len(self._running)

    def handle(self, event: Event) -> list[Instruction]:
        """Take in what happened, and return what to do about it, in this order."""
        instructions: list[Instruction] = []
        if isinstance(event, WorkersAllowed):
            self._allowed = event.count
        elif isinstance(event, FilmedUpTo):
            self._filmed_up_to = event.segment
        elif isinstance(event, WorkerJoined):
            self._idle[event.worker] = None
            self._node[event.worker] = event.node or event.worker
        elif isinstance(event, WorkerLost):
            self._idle.pop(event.worker, None)
            task_id = self._running.pop(event.worker, None)
            if task_id is not None:
                node = None if event.preempted else self._node.get(event.worker)
                instructions += self._interrupted(task_id, event.reason, node, counts=not event.preempted)
            self._node.pop(event.worker, None)
        else:
            task_id = self._running.pop(event.worker)
            self._idle[event.worker] = None
            if isinstance(event, TaskSucceeded):
                self._succeeded(task_id)
                self._forgive(task_id, self._node[event.worker])
            elif event.retryable:
                instructions += self._interrupted(task_id, event.reason, self._node[event.worker], counts=True)
            else:
                instructions += self._give_up(task_id, event.reason)
        return instructions + self._release() + self._assign()

    def _release(self) -> list[Instruction]:
        """Idle workers on avoided nodes, then those that came last, until no more are left than are allowed."""
        excess = 0 if self._allowed is None else len(self._node) - self._allowed
        instructions: list[Instruction] = []
        if excess <= 0 and not self.avoided:
            return instructions  # nearly always, and with thousands of workers it counts
        for worker in sorted(reversed(self._idle), key=lambda worker: self._node[worker] not in self.avoided):
            if excess <= 0 and self._node[worker] not in self.avoided:
                break
            del self._idle[worker], self._node[worker]
            instructions.append(Release(worker))
            excess -= 1
        return instructions

    def _assign(self) -> list[Instruction]:
        instructions: list[Instruction] = []
        for worker in list(self._idle) if self._ready else ():
            if not self._ready:
                break
            position = self._next_for(self._node[worker])
            if position is None:
                continue
            del self._idle[worker]
            task_id = self._ready.pop(position)[-1]
            self._running[worker] = task_id
            self.state[task_id] = TaskState.RUNNING
            instructions.append(Assign(worker, self._tasks[task_id], alone=not self._ready and len(self._running) == 1))
        return instructions

    def _next_for(self, node: str) -> int | None:
        """Position of the first ready task that this node may have; None where there is none.

        A task that failed on this node is passed over, unless it failed on every other node too.
        """
        for position, (segment, _, _, task_id) in enumerate(self._ready):
            if self._held(segment):
                return None  # and so are all after it
            failed_on = self._failed_on[task_id]
            if node not in failed_on or all(other in failed_on for other in self._node.values()):
                return position
        return None

    def _held(self, segment: int) -> bool:
        return segment >= self._filmed_up_to + self._ahead

    def _succeeded(self, task_id: str) -> None:
        self.state[task_id] = TaskState.SUCCEEDED
        for later in self._needed_by[task_id]:
            self._missing[later].discard(task_id)
            if not self._missing[later] and self.state[later] is TaskState.PENDING:
                self._make_ready(later)

    def _interrupted(self, task_id: str, reason: str, node: str | None, *, counts: bool) -> list[Instruction]:
        """Put a task back, or give it up. `node` is where it failed, None where that says nothing about the node."""
        instructions: list[Instruction] = []
        self._attempts[task_id] += counts
        if node is not None:
            self._failed_on[task_id].add(node)
            failures = sum(node in nodes for nodes in self._failed_on.values())
            other_nodes = {name for name in self._node.values() if name not in self.avoided} - {node}
            if failures >= AVOID_AFTER and other_nodes and node not in self.avoided:
                self.avoided.add(node)
                instructions.append(Avoid(node, failures))
        if self._attempts[task_id] >= self._attempts_allowed:
            return instructions + self._give_up(task_id, reason)
        self._make_ready(task_id)
        self.state[task_id] = TaskState.INTERRUPTED
        return [*instructions, Retry(self._tasks[task_id], reason, self._attempts[task_id], self._attempts_allowed)]

    def _forgive(self, task_id: str, node: str) -> None:
        """Forget that this task failed on this node. It has succeeded there since, so the fault has passed."""
        self._failed_on[task_id].discard(node)

    def _give_up(self, task_id: str, reason: str) -> list[Instruction]:
        self.state[task_id] = TaskState.FAILED
        skipped, waiting = 0, list(self._needed_by[task_id])
        while waiting:
            later = waiting.pop()
            if self.state[later] is TaskState.PENDING:
                self.state[later] = TaskState.SKIPPED
                skipped += 1
                waiting += self._needed_by[later]
        return [GiveUp(self._tasks[task_id], reason, skipped)]

    def _make_ready(self, task_id: str) -> None:
        self.state[task_id] = TaskState.READY
        segment = self._segment_of.get(task_id, 0)
        bisect.insort(self._ready, (segment, -self._chain[task_id], self._order[task_id], task_id))
