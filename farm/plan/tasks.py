"""A plan becomes tasks: one chunk in one pass, which is what the schedule hands to a worker. Pure.

tasks = plan_tasks(plan)                              each task after those that it needs
longest_chain(tasks, lambda task: task.steps)         what no number of workers makes shorter
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from farm.plan.render_plan import Chunk, RenderPlan, Shot
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
        for at in _relay_order(shot, chunks):
            chunk = chunks[at]
            begin = shot.begin_of(chunk.start)
            read = _relay_needs(chunks, at, begin, plan.look_back) if plan.relay else []
            given = _keys_in(plan, chunk)
            # whether its first frame has no frame to go on from, and no picture is given of it
            from_nothing = not given and (chunk.start == begin or not plan.relay)
            following = chunk.reach - chunk.start - from_nothing - given
            yield Task(
                id=task_id(1, chunk.index),
                pass_index=1,
                chunk=chunk.index,
                start=chunk.start,
                stop=chunk.reach,
                needs=tuple(task_id(1, other.index) for other in read),
                steps=from_nothing * steps.first + following * steps.sequential,
                backwards=chunk.start < begin,
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
                    steps=(len(chunk.frames) - _keys_in(plan, chunk)) * steps.refine,
                )


def _keys_in(plan: RenderPlan, chunk: Chunk) -> int:
    """How many frames of a chunk are given."""
    return bisect.bisect_left(plan.keys, chunk.stop) - bisect.bisect_left(plan.keys, chunk.start)


def _relay_order(shot: Shot, chunks: Sequence[Chunk]) -> list[int]:
    """Positions of a shot's chunks, so that each comes after those that its relay comes through before.

    The relay with the earliest begin comes first, forwards before backwards.
    """
    forwards = [at for at, chunk in enumerate(chunks) if chunk.start >= shot.begin_of(chunk.start)]
    backwards = [at for at, chunk in enumerate(chunks) if chunk.start < shot.begin_of(chunk.start)]
    return [*forwards, *reversed(backwards)]


def _relay_needs(chunks: Sequence[Chunk], at: int, begin: int, look_back: int) -> list[Chunk]:
    """The chunks, in order, that chunk `at` of a shot reads in pass 1. Its relay began with frame `begin`."""
    chunk = chunks[at]
    if chunk.start < begin:
        later = itertools.takewhile(lambda other: other.start <= begin, chunks[at + 1 :])
        return list(itertools.takewhile(lambda other: other.start < chunk.stop + look_back, later))
    before = itertools.takewhile(lambda other: other.start >= begin, reversed(chunks[:at]))
    return list(itertools.takewhile(lambda other: other.stop > chunk.start - look_back, before))[::-1]
