"""How long a render will take, and what it will cost, from frames that were really rendered. Pure.

    costs = Costs(...)                               measured by farm.cluster.measure on this machine
    seconds = render_seconds(plan, spec, costs, 8)   the schedule itself, played through with 8 workers

What a worker does is taken to take as long as what was measured, and the schedule is the real one: so that waiting
for the chunk before, for neighbouring chunks and for the last long chunk is in the figure, and more workers than there
are chunks are no faster.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from farm.plan.reads import relay_reads
from farm.plan.render_plan import RenderPlan
from farm.plan.schedule import Assign, Schedule, TaskSucceeded, WorkerJoined
from farm.plan.tasks import Task, plan_tasks
from farm.spec import Model, RenderSpec

USUAL_WORKERS = (1, 2, 8, 64)


class Costs(Model):
    """Seconds of one worker, the others at work beside it; bytes in the job directory.

    `start` until the workers are up, `load` of each before its first frame; then a frame from nothing, one from its
    neighbour, one of a later pass, and what one more tie over a longer distance adds. `stitch` is of a frame,
    `finish` of a film. `flow_bytes` are those of both directions between two neighbours.
    """

    start: float
    load: float
    first: float
    sequential: float
    refine: float
    tie: float
    stitch: float
    finish: float
    frame_bytes: float
    flow_bytes: float


class Forecast(Model):
    """`forecast.json`: for which spec it was made, when (seconds since 1970), and from what."""

    spec: RenderSpec
    made: float
    workers: int
    costs: Costs


class ForecastRow(Model):
    """`seconds` of the whole command with so many workers, and what they cost; None where no price is known."""

    workers: int
    seconds: float
    money: float | None = None


def task_seconds(plan: RenderPlan, spec: RenderSpec, costs: Costs) -> dict[str, float]:
    """Of every task, by its id."""
    return {task.id: _seconds(task, plan, spec, costs) for task in plan_tasks(plan)}


def _seconds(task: Task, plan: RenderPlan, spec: RenderSpec, costs: Costs) -> float:
    chunk = plan.chunks[task.chunk]
    if spec.method != "optimize":
        return len(task.frames) * costs.sequential
    if task.pass_index >= 2:
        return len(task.frames) * costs.refine
    reads = [len(relay_reads(plan, spec.long_term, chunk, frame)) for frame in task.frames]
    first, following = reads.count(0), len(reads) - reads.count(0)
    return first * costs.first + following * costs.sequential + (sum(reads) - following) * costs.tie


def working_seconds(tasks: Sequence[Task], seconds: Mapping[str, float], workers: int) -> float:
    """How long `workers` take for all tasks, handed out as in a render where none fails."""
    schedule = Schedule(tasks)
    now = 0.0
    busy: list[tuple[float, str]] = []
    for number in range(min(workers, len(tasks))):
        _start(schedule.handle(WorkerJoined(f"w{number}")), now, seconds, busy)
    while busy:
        now, worker = heapq.heappop(busy)
        _start(schedule.handle(TaskSucceeded(worker)), now, seconds, busy)
    return now


def _start(said: Sequence[object], now: float, seconds: Mapping[str, float], busy: list[tuple[float, str]]) -> None:
    for instruction in said:
        if isinstance(instruction, Assign):
            heapq.heappush(busy, (now + seconds[instruction.task.id], instruction.worker))


def longest_chain_seconds(tasks: Sequence[Task], seconds: Mapping[str, float]) -> float:
    """The floor: with however many workers, each task of the longest chain waits for the one before."""
    end: dict[str, float] = {}
    for task in tasks:
        end[task.id] = seconds[task.id] + max((end[need] for need in task.needs), default=0.0)
    return max(end.values(), default=0.0)


def render_seconds(plan: RenderPlan, spec: RenderSpec, costs: Costs, workers: int) -> float:
    """Of the whole command, from start to film."""
    tasks = plan_tasks(plan)
    return around_seconds(plan, costs) + working_seconds(tasks, task_seconds(plan, spec, costs), workers)


def around_seconds(plan: RenderPlan, costs: Costs) -> float:
    """What no number of workers makes shorter: start, loading, stitching."""
    return costs.start + costs.load + len(plan.frames) * costs.stitch + costs.finish


def floor_seconds(plan: RenderPlan, spec: RenderSpec, costs: Costs) -> float:
    """The whole command with as many workers as could ever be used."""
    return around_seconds(plan, costs) + longest_chain_seconds(plan_tasks(plan), task_seconds(plan, spec, costs))


def forecast_rows(
    plan: RenderPlan, spec: RenderSpec, costs: Costs, workers: Sequence[int], price_per_hour: float | None
) -> list[ForecastRow]:
    """`price_per_hour` is of one worker, which is paid for from start to end, working or waiting."""
    rows = []
    for count in sorted(set(workers)):
        seconds = render_seconds(plan, spec, costs, count)
        money = None if price_per_hour is None else count * seconds / 3600 * price_per_hour
        rows.append(ForecastRow(workers=count, seconds=seconds, money=money))
    return rows


def storage_bytes(plan: RenderPlan, costs: Costs) -> float:
    """What the job directory will hold: the frames of every pass, and flow between neighbours."""
    frames = sum(len(task.frames) for task in plan_tasks(plan))
    pairs = sum(shot.stop - shot.start - 1 for shot in plan.shots)
    return frames * costs.frame_bytes + pairs * costs.flow_bytes
