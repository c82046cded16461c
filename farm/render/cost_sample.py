"""Render a few frames of a plan to measure their cost: a forecast is made from such samples.

    sample = sample_chunk(ChunkRenderer(scratch_job), chunk=0)

The renderer itself makes the frames, in a scratch job: a first frame, the next ones, and some of a later pass, with
the ties that they have in a render.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from farm.plan import Chunk, RenderPlan, Task, plan_tasks, task_id
from farm.render.chunk import INDEPENDENT_BATCH, ChunkRenderer
from farm.render.frame_report import FrameReport

SEQUENTIAL = 3
"""Frames of the first pass that are measured after the first one."""
REFINED = 2
"""Frames of a later pass that are measured."""
INDEPENDENT = 3 * INDEPENDENT_BATCH
"""Frames that are measured for a method without an optimiser."""
FAR = 10
"""Distance, in frames, over which a long-term tie is measured."""


@dataclass(frozen=True)
class Sample:
    """What a worker measured. `first`, `sequential`, `refine`: seconds of each frame of that kind, or empty.

    `load`: seconds until the network and the style's targets were ready. `tie`: seconds for one long-term match.
    `frame_bytes`, `flow_bytes`: mean size of a frame, and of the two fields between neighbours.
    `painted`: some of the frames, (H, W, 3) uint8.
    """

    load: float
    first: tuple[float, ...]
    sequential: tuple[float, ...]
    refine: tuple[float, ...]
    tie: float
    frame_bytes: float
    flow_bytes: float
    painted: tuple[np.ndarray, ...]


def chunks_to_sample(plan: RenderPlan, count: int) -> list[int]:
    """Indices of `count` chunks, one for each worker: those that a shot's first pass begins with, the longest first.

    Where there are fewer such chunks than workers, they repeat.
    """
    begin = {shot.begin for shot in plan.shots}
    firsts = sorted(
        (chunk for chunk in plan.chunks if chunk.start in begin), key=lambda chunk: chunk.start - chunk.stop
    )
    return [firsts[i % len(firsts)].index for i in range(count)]


def sample_chunk(renderer: ChunkRenderer, chunk: int) -> Sample:
    """Render the beginning of one of `chunks_to_sample`, in `renderer`'s scratch job. Raises as a render does."""
    sampled = renderer.plan.chunks[chunk]
    if renderer.spec.method != "optimize":
        return _independent(renderer, sampled)
    began = time.perf_counter()
    renderer.source(sampled.start)
    renderer.styler(sampled.start).losses(renderer.source(sampled.start), renderer.source(sampled.start))
    load = time.perf_counter() - began
    tasks = {task.id: task for task in plan_tasks(renderer.plan)}
    reports: list[FrameReport] = []
    sequential = _timed(renderer, tasks[task_id(1, chunk)], reports, 1 + SEQUENTIAL)
    refine: list[float] = []
    measured = len(sequential)
    if renderer.plan.passes > 1 and measured > 2:
        later = tasks[task_id(2, chunk)].model_copy(
            update={"start": sampled.start + 1, "stop": min(sampled.start + 1 + REFINED, sampled.start + measured - 1)}
        )
        refine = _timed(renderer, later, reports)
    return Sample(
        load=load,
        first=tuple(sequential[:1]),
        sequential=tuple(sequential[1:]),
        refine=tuple(refine),
        tie=_tie_seconds(renderer, sampled),
        frame_bytes=fmean(report.record.bytes for report in reports),
        flow_bytes=_flow_bytes(renderer, sampled),
        painted=_painted(renderer, reports),
    )


def _independent(renderer: ChunkRenderer, chunk: Chunk) -> Sample:
    """The sample of a method without an optimiser. Frames come in batches, and the first batch loads the network."""
    reports: list[FrameReport] = []
    task = next(task for task in plan_tasks(renderer.plan) if task.chunk == chunk.index)
    beginning = task.model_copy(update={"stop": min(chunk.stop, chunk.start + INDEPENDENT)})
    seconds = _timed(renderer, beginning, reports)
    later = seconds[INDEPENDENT_BATCH:] or seconds
    seconds_per_frame = sum(later) / len(later)
    return Sample(
        load=max(sum(seconds[:INDEPENDENT_BATCH]) - seconds_per_frame * INDEPENDENT_BATCH, 0.0),
        first=(),
        sequential=(seconds_per_frame,),
        refine=(),
        tie=0.0,
        frame_bytes=fmean(report.record.bytes for report in reports),
        flow_bytes=0.0,
        painted=_painted(renderer, reports),
    )


def _timed(renderer: ChunkRenderer, task: Task, reports: list[FrameReport], most: int | None = None) -> list[float]:
    """Wall-clock seconds of each frame of a task, its commit included; appends the reports to `reports`."""
    seconds: list[float] = []
    frames: Iterator[FrameReport] = itertools.islice(renderer.render(task, wait=True), most)
    while True:
        began = time.perf_counter()
        report = next(frames, None)
        if report is None:
            return seconds
        seconds.append(time.perf_counter() - began)
        reports.append(report)


def _tie_seconds(renderer: ChunkRenderer, chunk: Chunk) -> float:
    """Seconds to match a frame with one FAR frames back, with the fields between neighbours already computed, and to
    carry its paint.
    """
    distance = min(FAR, len(chunk.frames) - 1)
    if distance < 2:
        return 0.0
    for frame in range(chunk.start + 1, chunk.start + distance + 1):
        renderer.flows.ensure(frame, frame - 1)
    paint = renderer.source(chunk.start)  # any picture takes as long
    began = time.perf_counter()
    renderer.carried(chunk.start + distance, chunk.start, paint, follow=1.0)
    return time.perf_counter() - began


def _flow_bytes(renderer: ChunkRenderer, chunk: Chunk) -> float:
    """Bytes of both flow fields between two neighbours, as they are stored."""
    return renderer.flows.stored_bytes(chunk.start + 1, chunk.start) if len(chunk.frames) > 1 else 0.0


def _painted(renderer: ChunkRenderer, reports: list[FrameReport]) -> tuple[np.ndarray, ...]:
    pictures = (renderer.job.read_frame(report.task, report.frame) for report in reports[-4:])
    return tuple(picture for picture in pictures if picture is not None)
