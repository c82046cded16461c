"""What a job will take before anything is measured: bytes of storage and optimiser steps. Pure.

The bytes are rough. A PNG of a painted frame takes about 0.8 of the frame's raw bytes, and two flow fields with their
weights take about two raw frames. How large the film becomes nobody knows before it is there.
"""

from __future__ import annotations

from farm.plan.render_plan import NO_STEPS, STEADY_STEPS, RenderPlan
from farm.plan.segments import held_at_once, plan_segments, segments_ahead
from farm.plan.tasks import longest_chain, plan_tasks
from farm.spec import Model, RenderSpec
from farm.spec.render import Iterations

PNG_SHARE = 0.8
"""Bytes of a painted frame as PNG, as a share of its raw bytes."""
FLOW_SHARE = 2.0
"""Bytes of the flow between two neighbours, both ways with weights, as a share of a frame's raw bytes."""
FILM_SHARE = 0.1
"""Bytes of the film, as a share of its frames' raw bytes, at the default quality. Paint is hard to encode."""
MASK_SHARE = 0.1
"""Bytes of a region's mask as PNG, as a share of one byte a pixel."""


class StorageEstimate(Model):
    """Bytes of a job, for a render with `workers` workers.

    `frames` (of all passes) and `flow` (with masks) stay until the job ends. `film` counts once; `total` counts it
    twice, because segments and film exist together while segments are joined.

    `at_once` is the most that there is at any time with --save-storage, film and segments included. It holds the frames
    of the `segments_at_once` segments (of `segments`) that may be begun, `frames_ahead` frames of pass 1 that a long
    shot among them has beyond these, and the flow and masks of all shots that are not finished.
    """

    frames: int
    flow: int
    film: int
    total: int
    at_once: int
    segments_at_once: int
    segments: int
    workers: int
    frames_ahead: int


def estimate_storage(plan: RenderPlan, spec: RenderSpec, workers: int) -> StorageEstimate:
    """Bytes that a render with so many workers takes."""
    raw = plan.width * plan.height * 3
    count = len(plan.frames)
    overlap = sum(max(chunk.reach - chunk.stop, 0) for chunk in plan.chunks)
    masks = len(spec.regions) * raw / 3 * MASK_SHARE
    frames = (count * plan.passes + overlap) * raw * PNG_SHARE
    beside = (raw * FLOW_SHARE if spec.in_sequence else 0.0) + masks
    film = count * raw * FILM_SHARE
    segments = plan_segments(plan)
    at_once = min(segments_ahead(plan, workers), len(segments))
    held = held_at_once(plan, at_once)
    frames_at_once = frames * held.begun / count + held.ahead * raw * PNG_SHARE
    return StorageEstimate(
        frames=round(frames),
        flow=round(count * beside),
        film=round(film),
        total=round(frames + count * beside + 2 * film),
        at_once=round(min(frames_at_once, frames) + held.flow * beside + 2 * film),
        segments_at_once=at_once,
        segments=len(segments),
        workers=workers,
        frames_ahead=held.ahead,
    )


def space_warning(needed: int, free: int | None, place: str) -> str:
    """A line where `needed` bytes are more than the `free` ones at `place`. Empty where they fit or nobody knows.

    >>> space_warning(3 << 30, 2 << 30, "/jobs/film.farm")
    '/jobs/film.farm needs about 3.0 GiB more, and its disk has 2.0 GiB free: make room, or render with --save-storage'
    >>> space_warning(3 << 30, None, "s3://farm/film.farm")
    ''
    """
    if free is None or needed <= free:
        return ""
    return (
        f"{place} needs about {needed / 2**30:.1f} GiB more, and its disk has {free / 2**30:.1f} GiB free: make room, "
        f"or render with --save-storage"
    )


class WorkEstimate(Model):
    """Optimiser steps of all frames, by purpose.

    `steps` are all of them, and `sequential_steps` what one uncut pass would take. `start_steps` and `overlap_steps`
    are what cutting into chunks costs: 0, unless chunks start from scratch. `longest_chain_steps` are those of the
    longest chain of tasks that wait for each other.
    """

    frames: int
    steps: int
    sequential_steps: int
    start_steps: int
    overlap_steps: int
    refine_steps: int
    longest_chain_steps: int

    @property
    def chunking_overhead(self) -> float:
        """Steps that cutting into chunks costs, as a share of those of the uncut pass."""
        return (self.start_steps + self.overlap_steps) / max(self.sequential_steps, 1)


def estimate_work(plan: RenderPlan, iterations: Iterations) -> WorkEstimate:
    """Count the optimiser steps of a plan. Seconds come from measuring: see farm.plan.forecast."""
    tasks = plan_tasks(plan)
    optimised = plan.steps not in (NO_STEPS, STEADY_STEPS)
    extra_starts = 0 if plan.relay or not optimised else len(plan.chunks) - len(plan.shots)
    overlap_frames = sum(max(chunk.reach - chunk.stop, 0) for chunk in plan.chunks)
    count = len(plan.frames)
    return WorkEstimate(
        frames=count,
        steps=sum(task.steps for task in tasks),
        sequential_steps=len(plan.shots) * iterations.first + (count - len(plan.shots)) * iterations.next
        if optimised
        else 0,
        start_steps=extra_starts * (plan.steps.first - plan.steps.sequential),
        overlap_steps=overlap_frames * plan.steps.sequential,
        refine_steps=sum(task.steps for task in tasks if task.pass_index >= 2),
        longest_chain_steps=longest_chain(tasks, lambda task: task.steps),
    )
