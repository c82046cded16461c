"""A plan becomes tasks: one chunk in one pass, which is what the schedule hands to a worker. Pure.

tasks = plan_tasks(plan)                              each task after those that it needs
longest_chain(tasks, lambda task: task.steps)         what no number of workers makes shorter
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from farm.plan.render_plan import Chunk, RenderPlan
from farm.spec import FrameRange, Model

Cost = TypeVar("Cost", int, float)


class Task(Model):
    """Frames `start..stop` (half-open) of one chunk, in pass `pass_index`, counted from 1.

    `needs` are the ids of the tasks whose frames it reads. `steps` is an upper bound of its optimiser steps. A task of
    pass 1 that goes `backwards` renders its frames from the last to the first.
    """

    id: str
    pass_index: int
    chunk: int
    start: int
    stop: int
    needs: tuple[str, ...]
    steps: int
    backwards: bool = False

    @property
    def pass_name(self) -> str:
        """`pass 1`, `pass 2`, ...: as people, the dashboard and the report name it."""
        return pass_name(self.pass_index)

    @property
    def frames(self) -> FrameRange:
        """The frames that the task commits; in pass 1 the overlap with the next chunk among them."""
        return FrameRange(self.start, self.stop)


def plan_tasks(plan: RenderPlan) -> list[Task]:
    """All tasks of the plan, each after those that it needs."""
    return list(_tasks(plan))


def pass_name(pass_index: int) -> str:
    """`pass 1` for pass 1."""
    return f"pass {pass_index}"


def task_id(pass_index: int, chunk: int) -> str:
    """Id of a chunk's task in a pass, which also names its folder of frames and its ledger.

    >>> task_id(2, 13)
    'pass-2/00013'
    """
    return f"{pass_name(pass_index).replace(' ', '-')}/{chunk:05d}"


def longest_chains(tasks: Sequence[Task], cost: Callable[[Task], Cost]) -> dict[str, Cost]:
    """By task id: the cost of the costliest chain that begins with the task, each further one needing the one before.

    `tasks` are in an order that respects their needs.
    """
    chains: dict[str, Cost] = {}
    after: dict[str, Cost] = {}
    for task in reversed(tasks):
        chains[task.id] = cost(task) + after.get(task.id, 0)
        for need in task.needs:
            after[need] = max(after.get(need, 0), chains[task.id])
    return chains


def longest_chain(tasks: Sequence[Task], cost: Callable[[Task], Cost]) -> Cost:
    """The cost of the costliest chain of tasks that wait for each other; 0 where there are no tasks.

    With however many workers, the tasks of this chain are done one after the other.
    """
    return max(longest_chains(tasks, cost).values(), default=0)


def _tasks(plan: RenderPlan) -> Iterator[Task]:
    steps = plan.steps
    for shot in plan.shots:
        chunks = plan.shot_chunks(shot.index)
        before = sum(chunk.start < shot.begin for chunk in chunks)
        for at in (*range(before, len(chunks)), *reversed(range(before))):
            chunk = chunks[at]
            read = _relay_needs(chunks, at, before, plan.look_back) if plan.relay else []
            from_nothing = at == before or not plan.relay  # whether its first frame has no frame to go on from
            following = chunk.reach - chunk.start - from_nothing
            yield Task(
                id=task_id(1, chunk.index),
                pass_index=1,
                chunk=chunk.index,
                start=chunk.start,
                stop=chunk.reach,
                needs=tuple(task_id(1, other.index) for other in read),
                steps=from_nothing * steps.first + following * steps.sequential,
                backwards=at < before,
            )
        for pass_index in range(2, plan.passes + 1):
            for at, chunk in enumerate(chunks):
                neighbours = chunks[max(at - 1, 0) : at + 2]
                yield Task(
                    id=task_id(pass_index, chunk.index),
                    pass_index=pass_index,
                    chunk=chunk.index,
                    start=chunk.start,
                    stop=chunk.stop,
                    needs=tuple(task_id(pass_index - 1, other.index) for other in neighbours),
                    steps=len(chunk.frames) * steps.refine,
                )


def _relay_needs(chunks: Sequence[Chunk], at: int, begin: int, look_back: int) -> list[Chunk]:
    """The chunks, in order, that chunk `at` of a shot reads in pass 1. The shot's relay began with chunk `begin`."""
    chunk = chunks[at]
    if at < begin:
        later = chunks[at + 1 : begin + 1]
        return list(itertools.takewhile(lambda other: other.start < chunk.stop + look_back, later))
    back = itertools.takewhile(lambda other: other.stop > chunk.start - look_back, reversed(chunks[begin:at]))
    return list(back)[::-1]
