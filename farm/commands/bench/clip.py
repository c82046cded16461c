"""A clip, rendered for real: seconds a frame by stage, memory, and how good and steady it came out.

alone = render_alone(spec, folder)              # in this process, one task after the other
many = render_with_ray(spec, folder, workers=2)   # as a user does
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.job.directory import JobDirectory
from farm.paint.device import choose_device, peak_memory
from farm.paint.stopwatch import taken
from farm.paint.styler import local_runtime
from farm.plan.pace import NoProgress, Progress
from farm.plan.tasks import plan_tasks
from farm.render.chunk import ChunkRenderer
from farm.render.committed import frame_of_pass
from farm.render.prepare import prepare_job
from farm.render.steadiness import warp_error
from farm.spec.render import RenderSpec

JUDGED = 8
"""Frames, about, whose loss is computed."""


@dataclass(frozen=True)
class Quality:
    """Medians over frames. `loss`: of the picture as delivered, ties left out; `warp_error` as
    `farm.render.steadiness.warp_error` defines it, None where no pair has reliable flow.
    """

    loss: float
    warp_error: float | None


@dataclass(frozen=True)
class AloneTimes:
    """Of one renderer, seconds a frame: `stages`, `wall` all in, `cpu` time of all threads. `peak`: bytes."""

    frames: int
    wall: float
    cpu: float
    stages: dict[str, float]
    steps: int
    peak: int | None
    quality: Quality


def render_alone(spec: RenderSpec, folder: Path, threads: int | None = None) -> AloneTimes:
    """Every task of the job in order, in this process, anew. Raises what the render raises."""
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
    """Of a job whose every frame is committed."""
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
            error = warp_error(before=painted[n - 1], after=painted[n], flow=match.flow, weight=match.weight)
            errors += [] if error is None else [error]
    return Quality(statistics.median(losses), statistics.median(errors) if errors else None)


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
        "stitch_seconds": report["stitch_seconds"],
    }


def fresh_job(path: Path) -> Path:
    """The path of a job that is to be made from nothing: a bench that found its own frames would measure nothing."""
    shutil.rmtree(path, ignore_errors=True)
    return path
