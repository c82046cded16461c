"""A plan becomes tasks: one chunk in one pass, which is what the schedule hands to a worker. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from farm.plan.render_plan import Chunk, RenderPlan
from farm.spec import FrameRange, Model


class Task(Model):
    """One chunk in pass `pass_index`, counted from 1; `steps` is an upper bound of its optimiser steps.

    `backwards`: pass 1 goes through the chunk from its last frame to its first.
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
        return FrameRange(self.start, self.stop)


def plan_tasks(plan: RenderPlan) -> list[Task]:
    """Every task, each after those it needs."""
    return list(_tasks(plan))


def pass_name(pass_index: int) -> str:
    return f"pass {pass_index}"


def task_id(pass_index: int, chunk: int) -> str:
    return f"{pass_name(pass_index).replace(' ', '-')}/{chunk:05d}"


def _tasks(plan: RenderPlan) -> Iterator[Task]:
    steps = plan.steps
    for shot in plan.shots:
        chunks = plan.shot_chunks(shot.index)
        before = sum(chunk.start < shot.begin for chunk in chunks)
        for at in (*range(before, len(chunks)), *reversed(range(before))):
            chunk = chunks[at]
            read = _relay_needs(chunks, at, before, plan.look_back) if plan.relay else []
            from_nothing = at == before or not plan.relay
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
        for number in range(2, plan.passes + 1):
            for at, chunk in enumerate(chunks):
                near = chunks[max(at - 1, 0) : at + 2]
                yield Task(
                    id=task_id(number, chunk.index),
                    pass_index=number,
                    chunk=chunk.index,
                    start=chunk.start,
                    stop=chunk.stop,
                    needs=tuple(task_id(number - 1, other.index) for other in near),
                    steps=len(chunk.frames) * steps.refine,
                )


def _relay_needs(chunks: Sequence[Chunk], at: int, begin: int, look_back: int) -> list[Chunk]:
    """Of a shot's chunks, in order, those that chunk `at` reads in pass 1; the relay began with chunk `begin`."""
    chunk = chunks[at]
    if at < begin:
        return list(itertools.takewhile(lambda one: one.start < chunk.stop + look_back, chunks[at + 1 : begin + 1]))
    back = itertools.takewhile(lambda one: one.stop > chunk.start - look_back, reversed(chunks[begin:at]))
    return list(back)[::-1]
