"""Render a few frames of a plan to measure their cost: a forecast is made from such samples.

    sample = sample_chunk(ChunkRenderer(scratch_job), chunk=0)

The renderer itself makes the frames, in a scratch job: a first frame, the next ones, and some of a later pass, with
the ties that they have in a render.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from farm.paint.optimizer.pyramid import pyramid_sizes, split_iterations
from farm.plan import Chunk, RenderPlan, Task, plan_tasks, task_id
from farm.render.chunk import INDEPENDENT_BATCH, ChunkRenderer
from farm.render.frame_report import FrameReport
from farm.spec.frames import evenly

SEQUENTIAL = 3
"""Frames of the first pass that are measured after the first one."""
REFINED = 2
"""Frames of a later pass that are measured."""
INDEPENDENT = 3 * INDEPENDENT_BATCH
"""Frames that are measured for a method without an optimiser."""
LOOKED_AT = 8
"""Frames, evenly over the film, whose work is found out from what changes in them."""
FAR = 10
"""Distance, in frames, over which a long-term tie is measured."""


@dataclass(frozen=True)
class Sample:
    """What a worker measured. `first`, `sequential`, `refine`: seconds of each frame of that kind, or empty.

    Those of frames from neighbours are given the work of LOOKED_AT frames of the whole film: the beginning of a shot
    may change more, or less, than the rest.
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
    begin = {begin for shot in plan.shots for begin in shot.begins or (shot.start,)}
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
    followers = [report.record.work or 0.0 for report in reports[1:]]
    refine: list[float] = []
    refined: list[float] = []
    measured = len(sequential)
    if renderer.plan.passes > 1 and measured > 2:
        later = tasks[task_id(2, chunk)].model_copy(
            update={"start": sampled.start + 1, "stop": min(sampled.start + 1 + REFINED, sampled.start + measured - 1)}
        )
        before = len(reports)
        refine = _timed(renderer, later, reports)
        refined = [report.record.work or 0.0 for report in reports[before:]]
    step = sequential[0] / full_steps(renderer.plan)
    expected = [renderer.expected_work(frame) for frame in _looked_at(renderer.plan)]
    return Sample(
        load=load,
        first=tuple(sequential[:1]),
        sequential=with_work(sequential[1:], followers, [relay for relay, _ in expected], step),
        refine=with_work(refine, refined, [later for _, later in expected], step),
        tie=_tie_seconds(renderer, sampled),
        frame_bytes=fmean(report.record.bytes for report in reports),
        flow_bytes=_flow_bytes(renderer, sampled),
        painted=_painted(renderer, reports),
    )


def with_work(
    seconds: Sequence[float], work: Sequence[float], expected: Sequence[float], step: float
) -> tuple[float, ...]:
    """The `seconds` of frames that took `work` steps, as they would be with the mean of the `expected` work.

    `step` is the seconds of a step over the whole picture. What a frame takes beside its steps stays as measured.

    >>> with_work([5.0], [4.0], [2.0, 6.0, 7.0], step=1.0)
    (6.0,)
    """
    if not expected:
        return tuple(seconds)
    mean = fmean(expected)
    return tuple(max(spent - done * step, 0.0) + mean * step for spent, done in zip(seconds, work, strict=True))


def full_steps(plan: RenderPlan) -> float:
    """Steps over the whole picture that the steps of a first frame cost as much as: coarse levels cost less."""
    sizes = pyramid_sizes((plan.height, plan.width))
    shares = split_iterations(plan.steps.first, len(sizes))
    area = plan.height * plan.width
    return max(sum(steps * height * width / area for steps, (height, width) in zip(shares, sizes, strict=True)), 1.0)


def _looked_at(plan: RenderPlan) -> list[int]:
    """Up to LOOKED_AT frames, evenly over the film, without those that a shot's relay begins with."""
    followers = [frame for frame in plan.frames if frame != plan.begin_of(frame)]
    return [followers[at] for at in evenly(LOOKED_AT, len(followers))]


def _independent(renderer: ChunkRenderer, chunk: Chunk) -> Sample:
    """The sample of a method without an optimiser. A network paints in batches, and is loaded with the first."""
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
        flow_bytes=_flow_bytes(renderer, chunk) if renderer.spec.in_sequence else 0.0,
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
