"""How much storage a job takes, in bytes: all in all, and at any one time where frames are given up for segments. Pure.

Estimates: a PNG of a painted frame takes about 0.8 of its raw bytes, two flow fields with their weights about two raw
frames, and the film is measured by nobody before it is there.
"""

from __future__ import annotations

from farm.plan.render_plan import NO_STEPS, RenderPlan
from farm.plan.segments import held_at_once, plan_segments, segments_ahead
from farm.plan.tasks import plan_tasks
from farm.spec import Model, RenderSpec
from farm.spec.render import Iterations

PNG_SHARE = 0.8
FLOW_SHARE = 2.0
FILM_SHARE = 0.1
"""Of the raw bytes, at the default quality: paint is hard to encode."""


class StorageEstimate(Model):
    """`frames` of all stages and `flow` are kept to the end; `film` is once: its segments are as large for as long.

    `at_once` is the most that there is at any time with --save-storage, film and segments included: the frames of the
    `segments_at_once` segments that may be begun, `frames_ahead` of pass 1 that a long shot among them has beyond, and
    flow and masks of the shots that are not through.
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
    """Of a render with so many workers."""
    raw = plan.width * plan.height * 3
    optimised = spec.method == "optimize"
    count = len(plan.frames)
    overlap = sum(max(chunk.reach - chunk.stop, 0) for chunk in plan.chunks)
    masks = len(spec.regions) * raw / 3 * 0.1
    frames = (count * plan.passes + overlap) * raw * PNG_SHARE
    beside = (raw * FLOW_SHARE if optimised else 0.0) + masks
    film = count * raw * FILM_SHARE
    segments = plan_segments(plan)
    at_once = min(segments_ahead(plan, workers), len(segments))
    held = held_at_once(plan, at_once)
    given_up = frames * held.begun / count + held.ahead * raw * PNG_SHARE
    return StorageEstimate(
        frames=round(frames),
        flow=round(count * beside),
        film=round(film),
        total=round(frames + count * beside + 2 * film),
        at_once=round(min(given_up, frames) + held.flow * beside + 2 * film),
        segments_at_once=at_once,
        segments=len(segments),
        workers=workers,
        frames_ahead=held.ahead,
    )


class WorkEstimate(Model):
    """Optimiser steps by purpose, and the longest chain of dependent steps.

    `start_steps` and `overlap_steps` are what cutting into chunks costs: nothing, but where they start from scratch.
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
        """Extra work that cutting into chunks costs, as a share of the sequential render."""
        return (self.start_steps + self.overlap_steps) / max(self.sequential_steps, 1)


def estimate_work(plan: RenderPlan, iterations: Iterations) -> WorkEstimate:
    """Count optimiser steps; seconds come from measuring, not from here."""
    tasks = plan_tasks(plan)
    finish: dict[str, int] = {}
    for task in tasks:
        finish[task.id] = task.steps + max((finish[need] for need in task.needs), default=0)
    optimised = plan.steps != NO_STEPS
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
        refine_steps=count * plan.steps.refine * (plan.passes - 1),
        longest_chain_steps=max(finish.values(), default=0),
    )
