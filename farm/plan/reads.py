"""Which committed frames another frame is made from, and so what must be made again when some are dropped. Pure.

    dependents(plan, spec, FrameRange(120, 240))   -> {"pass-1/00005": {120, 121, ...}, "pass-2/00005": ...}

`reads` follows farm.render.chunk, stage by stage:

    pass 1     a frame reads its neighbour and its long-term frames, as far back as its relay began: with the shot, or
               both ways from the middle of a long one; where chunks start from scratch, with the chunk
    pass 2..   a frame reads itself and both neighbours as the pass before left them; in an alternating sweep itself
               and the neighbour that the sweep comes from, inside a chunk as this pass left it
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from farm.plan.render_plan import Chunk, RenderPlan
from farm.plan.tasks import Task, plan_tasks, task_id
from farm.spec import FrameRange, RenderSpec


def reads(plan: RenderPlan, spec: RenderSpec, task: Task, frame: int) -> Iterator[tuple[str, int]]:
    """(task, frame) of every committed frame that `frame` of `task` may be made from."""
    if spec.method == "identity":
        return
    chunk = plan.chunks[task.chunk]
    if task.pass_index >= 2:
        shot = plan.shots[chunk.shot]
        if spec.sweep == "two-sided":
            near = [(task.pass_index - 1, frame - 1), (task.pass_index - 1, frame + 1)]
        else:
            side = frame + 1 if travels_back(task.pass_index) else frame - 1
            near = [(task.pass_index if side in task.frames else task.pass_index - 1, side)]
        for number, other in [(task.pass_index - 1, frame), *near]:
            if shot.start <= other < shot.stop:
                yield from _stage(plan, number, other)
    else:
        for number in relay_reads(plan, spec.long_term, chunk, frame):
            yield task.id if number in task.frames else task_id(1, plan.chunk_of(number).index), number


def dependents(plan: RenderPlan, spec: RenderSpec, frames: FrameRange) -> dict[str, set[int]]:
    """`frames` in every stage, and all that is made from them, by task; tasks without any are left out."""
    dropped: dict[str, set[int]] = {}
    for task in plan_tasks(plan):
        here = dropped.setdefault(task.id, set())
        for frame in frames_in_order(spec, task):
            if frame in frames or any(other in dropped[name] for name, other in reads(plan, spec, task, frame)):
                here.add(frame)
    return {name: numbers for name, numbers in dropped.items() if numbers}


def _stage(plan: RenderPlan, number: int, frame: int) -> Iterator[tuple[str, int]]:
    """Where a frame is read as a stage left it: from its chunk, and from the one before where they overlap."""
    chunk = plan.chunk_of(frame)
    yield task_id(number, chunk.index), frame
    if number == 1 and not chunk.first_in_shot and frame < plan.chunks[chunk.index - 1].reach:
        yield task_id(1, chunk.index - 1), frame


def travels_back(number: int) -> bool:
    """Whether pass `number` of an alternating sweep goes from the last frame to the first; pass 1 went forward."""
    return number % 2 == 0


def frames_in_order(spec: RenderSpec, task: Task) -> list[int]:
    """The frames of a task in the order in which they are rendered."""
    back = task.pass_index >= 2 and spec.sweep == "alternating" and travels_back(task.pass_index)
    return list(task.frames)[:: -1 if back or task.backwards else 1]


def relay_reads(plan: RenderPlan, long_term: Sequence[int], chunk: Chunk, frame: int) -> list[int]:
    """The frames that `frame` of a chunk is made from in pass 1, nearest first: the set J of Ruder 2016.

    They lie towards the frame that the sequence began with; for that one itself there are none.
    """
    begin = plan.shots[chunk.shot].begin if plan.relay else chunk.start
    towards = -1 if frame > begin else 1
    return [frame + towards * distance for distance in (1, *long_term) if distance <= abs(frame - begin)]
