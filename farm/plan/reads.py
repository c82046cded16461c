"""Which committed frames another frame is made from, and so what must be made again when some are dropped. Pure.

    dependents(plan, spec, FrameRange(120, 240))   -> {"pass-1/00005": {120, 121, ...}, "pass-2/00005": ...}

The renderer (farm.render.chunk) asks the same functions which frames it is to read:

    pass 1     a frame reads its neighbour and its long-term frames, as far back as its relay began: with the shot, or
               both ways from the middle of a long one. Where chunks start from scratch, it began with the chunk.
    pass 2..   a frame reads itself and both neighbours as the pass before left them. In an alternating sweep it reads
               itself and the neighbour that the sweep comes from, which inside a chunk is as this pass left it.

A painted keyframe reads nothing: its picture is given, in every pass. Relays begin at such frames, and go both ways.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from farm.plan.render_plan import Chunk, RenderPlan
from farm.plan.tasks import Task, plan_tasks, task_id
from farm.spec import FrameRange, RenderSpec


def reads(plan: RenderPlan, spec: RenderSpec, task: Task, frame: int) -> Iterator[tuple[str, int]]:
    """(task id, frame) of every committed frame that `frame` of `task` may be made from."""
    if not spec.in_sequence or frame in plan.keys:
        return
    chunk = plan.chunks[task.chunk]
    if task.pass_index >= 2:
        for pass_index, other in [(task.pass_index - 1, frame), *neighbours_read(plan, spec, task, frame)]:
            yield from _as_pass_left(plan, pass_index, other)
    else:
        for other in relay_reads(plan, () if spec.method == "keys" else spec.long_term, chunk, frame):
            yield task.id if other in task.frames else task_id(1, plan.chunk_of(other).index), other


def neighbours_read(plan: RenderPlan, spec: RenderSpec, task: Task, frame: int) -> list[tuple[int, int]]:
    """(pass index, frame) of the neighbours that `frame` reads in a later pass, each as that pass left it.

    Two-sided: both neighbours as the pass before left them, so that all frames of a pass are independent. Alternating:
    only the neighbour that the sweep comes from, as this pass left it; at the edge of a chunk, as the pass before did.
    Neighbours beyond a cut are left out.
    """
    before = task.pass_index - 1
    if spec.sweep == "two-sided":
        sides = [(before, frame - 1), (before, frame + 1)]
    else:
        side = frame + 1 if travels_back(task.pass_index) else frame - 1
        sides = [(task.pass_index if side in task.frames else before, side)]
    shot = plan.shots[plan.chunks[task.chunk].shot]
    return [(pass_index, other) for pass_index, other in sides if shot.start <= other < shot.stop]


def dependents(plan: RenderPlan, spec: RenderSpec, frames: FrameRange) -> dict[str, set[int]]:
    """By task id: the numbers of `frames` in every pass, and of all frames that are made from them.

    Tasks without any are left out.
    """
    dropped: dict[str, set[int]] = {}
    for task in plan_tasks(plan):
        dropped_of_task = dropped.setdefault(task.id, set())
        for frame in frames_in_order(spec, task):
            if frame in frames or any(other in dropped[name] for name, other in reads(plan, spec, task, frame)):
                dropped_of_task.add(frame)
    return {name: numbers for name, numbers in dropped.items() if numbers}


def _as_pass_left(plan: RenderPlan, pass_index: int, frame: int) -> Iterator[tuple[str, int]]:
    """Where a frame is read as a pass left it: from its chunk's task, and the one before where the two overlap."""
    chunk = plan.chunk_of(frame)
    yield task_id(pass_index, chunk.index), frame
    if pass_index == 1 and not chunk.first_in_shot and frame < plan.chunks[chunk.index - 1].reach:
        yield task_id(1, chunk.index - 1), frame


def travels_back(pass_index: int) -> bool:
    """Whether a pass of an alternating sweep goes from the last frame to the first. Pass 1 goes forward."""
    return pass_index % 2 == 0


def frames_in_order(spec: RenderSpec, task: Task) -> list[int]:
    """Frames of a task in the order in which they are rendered."""
    back = task.pass_index >= 2 and spec.sweep == "alternating" and travels_back(task.pass_index)
    return list(task.frames)[:: -1 if back or task.backwards else 1]


def relay_reads(plan: RenderPlan, long_term: Sequence[int], chunk: Chunk, frame: int) -> list[int]:
    """Frames that `frame` of a chunk is made from in pass 1, nearest first: the set J of Ruder 2016.

    `long_term` are distances in frames, beside 1. The frames lie towards the one that the sequence began with, which
    itself reads none.
    """
    begin = plan.shots[chunk.shot].begin_of(frame) if plan.relay else chunk.start
    towards = -1 if frame > begin else 1
    return [frame + towards * distance for distance in (1, *long_term) if distance <= abs(frame - begin)]
