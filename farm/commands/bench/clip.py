"""Render a clip for real: seconds a frame by what they are spent on, memory, loss, warp error and fine detail.

alone = render_alone(spec, folder)              # in this process, one task after the other
many = render_with_ray(spec, folder, workers=2)   # as a user does
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.job import FrameRecord, JobDirectory
from farm.paint.device import choose_device, peak_memory
from farm.paint.stopwatch import taken
from farm.paint.styler import local_runtime
from farm.plan import plan_tasks
from farm.plan.pace import NoProgress, Progress
from farm.render.chunk import ChunkRenderer
from farm.render.committed import frame_of_pass
from farm.render.detail_figures import spread_of_fine
from farm.render.job_detail import fine_details
from farm.render.prepare import prepare_job
from farm.render.steadiness import warp_error
from farm.spec import RenderSpec

JUDGED = 8
"""Number of evenly spaced frames, about, whose loss is computed."""


@dataclass(frozen=True)
class Quality:
    """How good and how steady a painted clip is, as medians over its frames."""

    loss: float
    """Weighted loss of the pictures as they are delivered, without the ties to other frames."""
    warp_error: float | None
    """As farm.render.steadiness defines it, with the job's flow. None where no pair can be judged."""
    fine_moving: float | None
    """Fine detail of what moves over a frame painted from nothing, as farm.render.job_detail defines it. None where
    nothing moves. A blur has the least warp error, and little of this.
    """


@dataclass(frozen=True)
class AloneTimes:
    """What one renderer, alone in this process, took for a clip. Times are seconds a frame."""

    frames: int
    wall: float
    cpu: float
    """CPU time of all threads."""
    stages: dict[str, float]
    """`wall` by what it was spent on, as farm.paint.stopwatch names it; `other` is the rest."""
    steps: int
    """Optimiser steps of the whole clip."""
    peak: int | None
    """Highest memory in bytes, None where the device does not say."""
    quality: Quality


def render_alone(spec: RenderSpec, folder: Path, threads: int | None = None) -> AloneTimes:
    """Render every task of the job in order, in this process, into a new job directory in `folder`.

    Raises what the render raises.
    """
    job = fresh_job(folder / "alone.farm")
    record = prepare_job(spec, str(job)).begin(local_runtime(spec.precision, threads))
    renderer = ChunkRenderer(str(job))
    taken()
    began, cpu_began = time.perf_counter(), time.process_time()
    steps = 0
    for task in plan_tasks(record.plan):
        for report in renderer.render(task):
            steps += report.record.steps
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    count = len(record.plan.frames)
    stages = {name: seconds / count for name, seconds in taken().items()}
    stages["other"] = wall / count - sum(stages.values())
    return AloneTimes(
        count, wall / count, cpu / count, stages, steps, peak_memory(choose_device()), quality_of(renderer)
    )


def quality_of(renderer: ChunkRenderer) -> Quality:
    """Judge a job whose every frame is committed. Raises StorageError where a frame is gone."""
    record = renderer.record
    numbers = list(record.plan.frames)
    painted = {n: frame_of_pass(renderer.job, record, record.plan.passes, n) for n in numbers}
    judged = numbers[:: max(len(numbers) // JUDGED, 1)]
    losses = [renderer.styler(n).losses(renderer.source(n), painted[n])["total"] for n in judged]
    errors = []
    shots = {shot.start for shot in record.plan.shots}
    for n in numbers[1:]:
        if n not in shots:
            match = renderer.flows.match(n, n - 1)
            errors.append(warp_error(before=painted[n - 1], after=painted[n], flow=match.flow, weight=match.weight))
    judged_errors = [error for error in errors if error is not None]
    fine = spread_of_fine(fine_details(renderer.job, record, {}))
    return Quality(
        loss=statistics.median(losses),
        warp_error=statistics.median(judged_errors) if judged_errors else None,
        fine_moving=fine.median if fine else None,
    )


def render_with_ray(
    spec: RenderSpec,
    folder: Path,
    workers: int,
    threads: int | None = None,
    new_progress: Callable[[], AbstractContextManager[Progress]] = lambda: nullcontext(NoProgress()),
) -> dict[str, Any]:
    """`farm render` with so many workers: seconds a frame while rendering, and the share that workers waited.

    `new_progress` opens what shows the progress of one render.
    """
    from farm.cluster.render_job import render_job
    from farm.cluster.sizing import LaunchOptions

    job = fresh_job(folder / f"workers-{workers}.farm")
    with new_progress() as progress:
        options = LaunchOptions(str(job), workers=workers, threads=threads, overwrite=True, dashboard=False)
        report = render_job(spec, options, progress)
    directory = JobDirectory(str(job))
    record = directory.load_record()
    assert record is not None
    work = sum(row.seconds for task in plan_tasks(record.plan) for row in directory.ledger(task.id).values())
    return {
        "workers": report["workers"],
        "frame_seconds": report["render_seconds"] / report["frames"],
        "work_seconds": work / report["frames"],
        "idle_share": max(0.0, 1 - work / (report["workers"] * report["render_seconds"])),
        "busy_shares": busy_shares(
            [row for task in plan_tasks(record.plan) for row in directory.ledger(task.id).values()]
        ),
        "command_seconds": report["seconds"],
        "stitch_seconds": report["stitch_seconds"],
    }


def busy_shares(frames: Sequence[FrameRecord], first: int = 3) -> dict[str, float]:
    """By worker: the share of time in which it painted, from the `first`-th commit of a frame to the last commit.

    What a worker does beside the seconds that its ledgers have for each frame is not painting, such as waiting.
    """
    order = sorted(frames, key=lambda row: row.committed)
    began, ended = order[min(first, len(order)) - 1].committed, order[-1].committed
    painted: dict[str, float] = {}
    at: dict[str, float] = {}
    for row in order:
        # A frame may be committed while the next one is painted: no second counts twice.
        since = max(row.committed - row.seconds, at.get(row.worker, began), began)
        painted[row.worker] = painted.get(row.worker, 0.0) + max(row.committed - since, 0.0)
        at[row.worker] = max(row.committed, began)
    return {worker: seconds / max(ended - began, 1e-9) for worker, seconds in sorted(painted.items())}


def fresh_job(path: Path) -> Path:
    """Remove the job at `path`, if there is one, and return the path: frames that are found are not measured."""
    shutil.rmtree(path, ignore_errors=True)
    return path
