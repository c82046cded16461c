"""Render a few frames of a plan, for their cost alone: what a forecast is made from.

    sample = sample_chunk(ChunkRenderer(scratch_job), chunk=0)

The frames are made by the renderer itself in a job of its own: a first frame, the next ones, and some of a later
pass, with the ties that they have in a render.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from farm.plan.render_plan import Chunk, RenderPlan
from farm.plan.tasks import Task, plan_tasks, task_id
from farm.render.chunk import INDEPENDENT_BATCH, ChunkRenderer, FrameReport

SEQUENTIAL = 3
REFINED = 2
INDEPENDENT = 3 * INDEPENDENT_BATCH
FAR = 10
"""Frames between the two that a tie over a longer distance is measured on."""


@dataclass(frozen=True)
class Sample:
    """Seconds a frame by kind, empty where the plan has none; mean bytes of a frame and of a pair's flow.

    `load` is until the network and the style's targets were there. `painted` are some frames, (H, W, 3) uint8.
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
    """`count` chunks, one for each worker: the longest of those that a shot's first pass begins with, in turns."""
    begin = {shot.begin for shot in plan.shots}
    able = sorted((chunk for chunk in plan.chunks if chunk.start in begin), key=lambda chunk: chunk.start - chunk.stop)
    return [able[i % len(able)].index for i in range(count)]


def sample_chunk(renderer: ChunkRenderer, chunk: int) -> Sample:
    """Render the beginning of one of `chunks_to_sample`, in `renderer`'s scratch job. Raises as a render does."""
    found = renderer.plan.chunks[chunk]
    if renderer.spec.method != "optimize":
        return _independent(renderer, found)
    began = time.perf_counter()
    renderer.source(found.start)
    renderer.styler(found.start).losses(renderer.source(found.start), renderer.source(found.start))
    load = time.perf_counter() - began
    tasks = {task.id: task for task in plan_tasks(renderer.plan)}
    reports: list[FrameReport] = []
    sequential = _timed(renderer, tasks[task_id(1, chunk)], reports, 1 + SEQUENTIAL)
    refine: list[float] = []
    known = len(sequential)
    if renderer.plan.passes > 1 and known > 2:
        later = tasks[task_id(2, chunk)].model_copy(
            update={"start": found.start + 1, "stop": min(found.start + 1 + REFINED, found.start + known - 1)}
        )
        refine = _timed(renderer, later, reports)
    return Sample(
        load=load,
        first=tuple(sequential[:1]),
        sequential=tuple(sequential[1:]),
        refine=tuple(refine),
        tie=_tie_seconds(renderer, found),
        frame_bytes=fmean(report.record.bytes for report in reports),
        flow_bytes=_flow_bytes(renderer, found),
        painted=_painted(renderer, reports),
    )


def _independent(renderer: ChunkRenderer, chunk: Chunk) -> Sample:
    """Without an optimiser: frames come by the batch, and the first batch loads the network."""
    reports: list[FrameReport] = []
    task = next(task for task in plan_tasks(renderer.plan) if task.chunk == chunk.index)
    part = task.model_copy(update={"stop": min(chunk.stop, chunk.start + INDEPENDENT)})
    seconds = _timed(renderer, part, reports)
    later = seconds[INDEPENDENT_BATCH:] or seconds
    each = sum(later) / len(later)
    return Sample(
        load=max(sum(seconds[:INDEPENDENT_BATCH]) - each * INDEPENDENT_BATCH, 0.0),
        first=(),
        sequential=(each,),
        refine=(),
        tie=0.0,
        frame_bytes=fmean(report.record.bytes for report in reports),
        flow_bytes=0.0,
        painted=_painted(renderer, reports),
    )


def _timed(renderer: ChunkRenderer, task: Task, reports: list[FrameReport], most: int | None = None) -> list[float]:
    """Seconds by the clock of each frame of a task, committing it included."""
    seconds: list[float] = []
    frames: Iterator[FrameReport] = itertools.islice(renderer.render(task), most)
    while True:
        began = time.perf_counter()
        report = next(frames, None)
        if report is None:
            return seconds
        seconds.append(time.perf_counter() - began)
        reports.append(report)


def _tie_seconds(renderer: ChunkRenderer, chunk: Chunk) -> float:
    """Of matching a frame with one further back, when the fields between neighbours are known."""
    far = min(FAR, len(chunk.frames) - 1)
    if far < 2:
        return 0.0
    for frame in range(chunk.start + 1, chunk.start + far + 1):
        renderer.flows.ensure(frame, frame - 1)
    began = time.perf_counter()
    renderer.flows.match(chunk.start + far, chunk.start)
    return time.perf_counter() - began


def _flow_bytes(renderer: ChunkRenderer, chunk: Chunk) -> float:
    """Of both fields between two neighbours, as they are kept."""
    return renderer.flows.stored_bytes(chunk.start + 1, chunk.start) if len(chunk.frames) > 1 else 0.0


def _painted(renderer: ChunkRenderer, reports: list[FrameReport]) -> tuple[np.ndarray, ...]:
    pictures = (renderer.job.read_frame(report.task, report.frame) for report in reports[-4:])
    return tuple(picture for picture in pictures if picture is not None)
