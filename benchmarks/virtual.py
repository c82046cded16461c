"""Runs the farm's own schedule under a virtual clock: a film on so many GPUs, with failures and stragglers.

    outcome = simulate(tasks, gpus=1000, chances=Chances(), seed=1)
    outcome.efficiency        # useful seconds over GPUs times the makespan

Nothing sleeps: events are taken from a heap, and `farm.plan.schedule.Schedule` is asked what follows from each. What a
driver on Ray adds is `Chances.dispatch`, as benchmarks.scaling measures it.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from farm.plan import Task
from farm.plan.schedule import Assign, Release, Schedule, TaskFailed, TaskSucceeded, WorkerJoined, WorkerLost
from farm.plan.tasks import longest_chain


@dataclass(frozen=True)
class Chances:
    """The distributions that are drawn from. Times are in seconds.

    `step`: of one optimiser step at nominal speed; `dispatch`: from a task's end to the next one's beginning on a GPU.
    `noise`: standard deviation of the logarithm of a task's time (lognormal). `slow_share` of the GPUs take
    `slow_factor` times as long, for good. A GPU is lost after a time that is exponential of mean `between_losses`, its
    task resumes from its last committed frame, and another GPU is there after `rejoin`. A task fails with
    `failure_chance`, after a uniform share of its time, and is tried again; a GPU where three failed is exchanged.
    """

    step: float = 0.1
    dispatch: float = 0.02
    noise: float = 0.1
    slow_share: float = 0.02
    slow_factor: float = 1.5
    between_losses: float = 24 * 3600.0
    rejoin: float = 120.0
    failure_chance: float = 0.001


@dataclass
class Outcome:
    """What a run came to, in GPU seconds by what they went into.

    `bound` is the length of the longest chain of tasks that wait for each other: no run is shorter. `deciding` are
    the real seconds that the schedule took for all `events`.
    """

    gpus: int
    makespan: float = 0.0
    useful: float = 0.0
    bound: float = 0.0
    losses: int = 0
    failures: int = 0
    deciding: float = 0.0
    events: int = 0
    spent: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("slow", "redone", "dispatch"), 0.0))

    @property
    def efficiency(self) -> float:
        """Useful seconds over those that all GPUs had."""
        return self.useful / (self.gpus * self.makespan)

    @property
    def lost_shares(self) -> dict[str, float]:
        """Shares of GPU time that were lost, by cause. `waiting` is the rest: no task was ready, or no GPU."""
        whole = self.gpus * self.makespan
        shares = {name: seconds / whole for name, seconds in self.spent.items()}
        return {**shares, "waiting": 1 - self.efficiency - sum(shares.values())}


@dataclass
class _Run:
    """A task at work: nominal seconds left at `began`, and how much longer it takes here."""

    task: Task
    began: float
    nominal: float
    factor: float
    number: int


def simulate(tasks: Sequence[Task], gpus: int, chances: Chances, seed: int = 0) -> Outcome:
    """Run all tasks on `gpus` workers that are up at second 0. `tasks` are in an order that respects their needs."""
    draw = random.Random(seed)
    schedule = Schedule(tasks, attempts=100)
    outcome = Outcome(gpus)
    left = {task.id: _frames(task) * _frame_seconds(task, chances) for task in tasks}
    outcome.useful = sum(left.values())
    outcome.bound = longest_chain(tasks, lambda task: left[task.id])
    events: list[tuple[float, int, str, str, int]] = []
    order = itertools.count()
    running: dict[str, _Run] = {}
    speed: dict[str, float] = {}
    gone: set[str] = set()
    number = itertools.count()
    now = 0.0

    def join(when: float) -> None:
        name = f"gpu-{next(number)}"
        speed[name] = chances.slow_factor if draw.random() < chances.slow_share else 1.0
        heapq.heappush(events, (when, next(order), "join", name, 0))
        lost = when + draw.expovariate(1 / chances.between_losses)
        heapq.heappush(events, (lost, next(order), "lost", name, 0))

    def tell(event: object) -> None:
        began = time.perf_counter()
        instructions = schedule.handle(event)  # type: ignore[arg-type]
        outcome.deciding += time.perf_counter() - began
        outcome.events += 1
        for instruction in instructions:
            if isinstance(instruction, Assign):
                start(instruction.worker, instruction.task)
            elif isinstance(instruction, Release):  # its node failed too often: another takes its place
                gone.add(instruction.worker)
                join(now + chances.rejoin)

    def start(worker: str, task: Task) -> None:
        factor = speed[worker] * math.exp(draw.gauss(0, chances.noise) - chances.noise**2 / 2)
        run = _Run(task, now + chances.dispatch, left[task.id], factor, next(order))
        outcome.spent["dispatch"] += chances.dispatch
        running[worker] = run
        fails = draw.random() < chances.failure_chance
        share = draw.random() if fails else 1.0
        end = run.began + share * run.nominal * factor
        heapq.heappush(events, (end, next(order), "failed" if fails else "done", worker, run.number))

    def stop(worker: str) -> None:
        """What was committed stays; what was begun of a frame is done again."""
        run = running.pop(worker)
        worked = max(now - run.began, 0.0)
        frame = _frame_seconds(run.task, chances)
        kept = min(math.floor(worked / run.factor / frame) * frame, run.nominal)
        left[run.task.id] = run.nominal - kept
        outcome.spent["redone"] += worked - kept * run.factor
        outcome.spent["slow"] += kept * (run.factor - 1)

    for _ in range(gpus):
        join(0.0)
    while not schedule.done or not running:
        now, _, kind, worker, which = heapq.heappop(events)
        if kind == "join":
            tell(WorkerJoined(worker))
        elif kind == "lost":
            if worker in gone:
                continue
            outcome.losses += 1
            if worker in running:
                stop(worker)
            tell(WorkerLost(worker, "lost", preempted=True))
            join(now + chances.rejoin)
        elif worker in running and running[worker].number == which:
            if kind == "failed":
                outcome.failures += 1
                stop(worker)
                tell(TaskFailed(worker, "drawn"))
            else:
                run = running.pop(worker)
                outcome.spent["slow"] += run.nominal * (run.factor - 1)
                tell(TaskSucceeded(worker))
        if schedule.done:
            break
    outcome.makespan = now
    return outcome


def _frames(task: Task) -> int:
    return len(task.frames)


def _frame_seconds(task: Task, chances: Chances) -> float:
    return max(task.steps, 1) / len(task.frames) * chances.step
