"""How long a render will take, and what it will cost, from frames that were really rendered. Pure.

    costs = Costs(...)                               measured by farm.cluster.measure on this machine
    seconds = render_seconds(plan, spec, costs, 8)   the schedule itself, played through with 8 workers

Each frame is assumed to take as long as those that were measured, and the schedule is the real one. So the figure
contains waiting for the chunk before, for neighbouring chunks and for the last long chunk, and more workers than there
are chunks are no faster.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from farm.plan.reads import relay_reads
from farm.plan.render_plan import RenderPlan
from farm.plan.schedule import Assign, Instruction, Schedule, TaskSucceeded, WorkerJoined
from farm.plan.tasks import Task, longest_chain, plan_tasks
from farm.spec import Model, RenderSpec

USUAL_WORKERS = (1, 2, 8, 64)
"""Numbers of workers that `farm plan` forecasts."""


class Costs(Model):
    """What a render costs: seconds of one worker while the others are at work too, and bytes in the job directory.

    Seconds: `start` until the workers are up, `load` of each before its first frame, `first` of a frame from nothing,
    `sequential` of a frame of pass 1 from its neighbour, `refine` of a frame of a later pass, `tie` of one more tie
    over a longer distance, `stitch` of a frame of the film, `finish` of the film as a whole. Bytes: `frame_bytes` of a
    committed frame, `flow_bytes` of the flow between two neighbours in both directions.
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
    """`forecast.json`: the costs that were measured for a spec with some workers, at `made` seconds since 1970."""

    spec: RenderSpec
    made: float
    workers: int
    costs: Costs


class ForecastRow(Model):
    """Seconds of the whole command with some workers, and its price in money; None where no price is given."""

    workers: int
    seconds: float
    money: float | None = None


def task_seconds(plan: RenderPlan, spec: RenderSpec, costs: Costs) -> dict[str, float]:
    """Seconds that a worker takes for each task, by task id."""
    return {task.id: _seconds(task, plan, spec, costs) for task in plan_tasks(plan)}


def _seconds(task: Task, plan: RenderPlan, spec: RenderSpec, costs: Costs) -> float:
    chunk = plan.chunks[task.chunk]
    frames = [frame for frame in task.frames if frame not in plan.keys]
    if task.pass_index >= 2:
        return len(frames) * costs.refine
    if spec.method != "optimize":
        return len(frames) * costs.sequential
    ties = [len(relay_reads(plan, spec.long_term, chunk, frame)) for frame in frames]
    first, following = ties.count(0), len(ties) - ties.count(0)
    return first * costs.first + following * costs.sequential + (sum(ties) - following) * costs.tie


def working_seconds(tasks: Sequence[Task], seconds: Mapping[str, float], workers: int) -> float:
    """Seconds that `workers` workers take for all tasks, handed out as in a render where none fails."""
    schedule = Schedule(tasks)
    now = 0.0
    busy: list[tuple[float, str]] = []
    for number in range(min(workers, len(tasks))):
        _start(schedule.handle(WorkerJoined(f"w{number}")), now, seconds, busy)
    while busy:
        now, worker = heapq.heappop(busy)
        _start(schedule.handle(TaskSucceeded(worker)), now, seconds, busy)
    return now


def _start(
    instructions: Sequence[Instruction], now: float, seconds: Mapping[str, float], busy: list[tuple[float, str]]
) -> None:
    """Put workers that are given a task on the heap `busy`, by the second at which they are done."""
    for instruction in instructions:
        if isinstance(instruction, Assign):
            heapq.heappush(busy, (now + seconds[instruction.task.id], instruction.worker))


def render_seconds(plan: RenderPlan, spec: RenderSpec, costs: Costs, workers: int) -> float:
    """Seconds of the whole command, from its start to the film, with so many workers."""
    tasks = plan_tasks(plan)
    return around_seconds(plan, costs) + working_seconds(tasks, task_seconds(plan, spec, costs), workers)


def around_seconds(plan: RenderPlan, costs: Costs) -> float:
    """Seconds of what happens once, however many workers there are: start, loading, stitching."""
    return costs.start + costs.load + len(plan.frames) * costs.stitch + costs.finish


def floor_seconds(plan: RenderPlan, spec: RenderSpec, costs: Costs) -> float:
    """Seconds of the whole command with as many workers as could ever be used."""
    seconds = task_seconds(plan, spec, costs)
    return around_seconds(plan, costs) + longest_chain(plan_tasks(plan), lambda task: seconds[task.id])


def forecast_rows(
    plan: RenderPlan, spec: RenderSpec, costs: Costs, workers: Sequence[int], price_per_hour: float | None
) -> list[ForecastRow]:
    """A row for each number of workers, ascending.

    `price_per_hour` is that of one worker, which is paid for from start to end, working or waiting.
    """
    rows = []
    for count in sorted(set(workers)):
        seconds = render_seconds(plan, spec, costs, count)
        money = None if price_per_hour is None else count * seconds / 3600 * price_per_hour
        rows.append(ForecastRow(workers=count, seconds=seconds, money=money))
    return rows


def storage_bytes(plan: RenderPlan, costs: Costs) -> float:
    """Bytes that the job directory will hold: the frames of every pass, and the flow between neighbours."""
    frames = sum(len(task.frames) for task in plan_tasks(plan))
    pairs = sum(shot.stop - shot.start - 1 for shot in plan.shots)
    return frames * costs.frame_bytes + pairs * costs.flow_bytes
