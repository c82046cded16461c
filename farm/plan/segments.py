"""Which frames become one piece of the finished film, and what of a job nobody needs any more. Pure.

    plan_segments(plan)                      runs of whole chunks that are encoded as soon as their frames are there
    settled_tasks(plan, tasks, ...)          tasks that need not be run: intact, or read by nobody from now on
    SegmentProgress(plan, tasks, ...)        which segment can be encoded now, and up to which all are

A segment begins with a key frame. An encoder would set one every 250 frames in any case, so a segment is a little
shorter than that, and ends with a shot where it can.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from farm.plan.render_plan import RenderPlan
from farm.plan.tasks import Task, task_id
from farm.spec import FrameRange, Model

SEGMENT_FRAMES = 192
"""After so many frames a segment ends with its chunk; with a shot already after half as many."""
_segment_frames = SEGMENT_FRAMES


@contextmanager
def segments_of(frames: int) -> Iterator[None]:
    """Plan segments of `frames` frames in place of SEGMENT_FRAMES within this block, in this process.

    Tests and benchmarks use it, whose films are shorter than one segment. Only the driver's process plans segments:
    a process that encodes one is told its frames. The length is not kept in the job, so every run of a job has to
    use the same one, or its segments are made again.
    """
    global _segment_frames
    before, _segment_frames = _segment_frames, frames
    try:
        yield
    finally:
        _segment_frames = before


class Segment(Model):
    """Frames `start..stop` (half-open) of the chunks `first_chunk..last_chunk` (both included)."""

    index: int
    start: int
    stop: int
    first_chunk: int
    last_chunk: int

    @property
    def frames(self) -> FrameRange:
        return FrameRange(self.start, self.stop)


def plan_segments(plan: RenderPlan) -> tuple[Segment, ...]:
    """All frames of the plan, in order."""
    found: list[Segment] = []
    first = 0
    for chunk in plan.chunks:
        start = plan.chunks[first].start
        length = chunk.stop - start
        long_enough = length >= (_segment_frames // 2 if chunk.last_in_shot else _segment_frames)
        if long_enough or chunk.index == len(plan.chunks) - 1:
            found.append(
                Segment(index=len(found), start=start, stop=chunk.stop, first_chunk=first, last_chunk=chunk.index)
            )
            first = chunk.index + 1
    return tuple(found)


def tasks_of_segment(plan: RenderPlan, segment: Segment) -> set[str]:
    """Those whose frames the film shows there."""
    chunks = range(segment.first_chunk, segment.last_chunk + 1)
    needed = {task_id(plan.passes, chunk) for chunk in chunks}
    if _fades_in(plan, segment.first_chunk):
        needed.add(task_id(plan.passes, segment.first_chunk - 1))
    return needed


def settled_tasks(
    plan: RenderPlan, tasks: Sequence[Task], covered: Collection[int], intact: Callable[[Task], bool]
) -> set[str]:
    """Ids of the tasks that need not be run. `covered` are chunks whose segments are encoded; `intact` is asked only of
    tasks that somebody still reads.
    """
    readers = _Readers(plan, tasks, covered)
    settled: set[str] = set()
    for task in reversed(tasks):
        if not readers.want(task) or intact(task):
            settled.add(task.id)
        else:
            readers.add(task)
    return settled


def unread_tasks(plan: RenderPlan, tasks: Sequence[Task], covered: Collection[int], done: Collection[str]) -> set[str]:
    """Ids of the tasks that are done and whose frames nobody will read again."""
    readers = _Readers(plan, tasks, covered)
    for task in tasks:
        if task.id not in done:
            readers.add(task)
    return {task.id for task in tasks if task.id in done and not readers.want(task)}


class _Readers:
    """What the tasks that are still to be run will read, and the film."""

    def __init__(self, plan: RenderPlan, tasks: Sequence[Task], covered: Collection[int]) -> None:
        self._plan, self._covered = plan, covered
        self._needed: set[str] = set()

    def add(self, task: Task) -> None:
        """Note one that is to be run."""
        self._needed.update(task.needs)

    def want(self, task: Task) -> bool:
        """Whether a frame of it will be read. Right as soon as all that come after it in the plan have been added."""
        if task.pass_index == self._plan.passes and (
            self._shows(task.chunk) or (_fades_in(self._plan, task.chunk + 1) and self._shows(task.chunk + 1))
        ):
            return True
        return task.id in self._needed

    def _shows(self, chunk: int) -> bool:
        """Whether the film has still to be made of this chunk's frames."""
        return chunk not in self._covered


def _fades_in(plan: RenderPlan, chunk: int) -> bool:
    """Whether the film's frames of this chunk begin as a mixture with the end of the chunk before."""
    if plan.passes != 1 or not 0 < chunk < len(plan.chunks) or plan.chunks[chunk].first_in_shot:
        return False
    return plan.chunks[chunk - 1].reach > plan.chunks[chunk].start


def segments_ahead(plan: RenderPlan, workers: int) -> int:
    """Segments that may be begun before the first of them is encoded: what a task needs of later ones (a chunk for each
    later pass), one that is being encoded, and two chunks for every worker.
    """
    segments = plan_segments(plan)
    chunks_each = max(len(plan.chunks) // len(segments), 1)
    return math.ceil(plan.passes / chunks_each) + 1 + math.ceil(2 * workers / chunks_each)


def segment_of_tasks(plan: RenderPlan, tasks: Sequence[Task]) -> dict[str, int]:
    """The segment that each task is for: its own chunk's. But where a shot's relay starts at its middle, the segment
    that the shot begins in waits for all of pass 1 up to there.
    """
    of_chunk = {
        chunk: segment.index
        for segment in plan_segments(plan)
        for chunk in range(segment.first_chunk, segment.last_chunk + 1)
    }
    found = {}
    for task in tasks:
        chunk = plan.chunks[task.chunk]
        shot = plan.shots[chunk.shot]
        early = task.pass_index == 1 and chunk.start <= shot.begin
        found[task.id] = of_chunk[shot.first_chunk if early else chunk.index]
    return found


@dataclass(frozen=True)
class Held:
    """Frames that a render with --save-storage holds at most: `begun`, of the segments that may be begun,
    in all passes; `ahead` of them, in pass 1, as far as the middle of a long shot; `flow`, of shots not through.
    """

    begun: int
    ahead: int
    flow: int


def held_at_once(plan: RenderPlan, at_once: int) -> Held:
    """Where `at_once` segments may be begun."""
    segments = plan_segments(plan)
    begun = sum(sorted((len(one.frames) for one in segments), reverse=True)[:at_once])
    ahead, flow = 0, begun
    for first, last in zip(segments, segments[at_once - 1 :], strict=False):
        shot = plan.shots[plan.chunks[last.last_chunk].shot]
        stop = last.stop if shot.middle is None else max(last.stop, plan.chunk_of(shot.middle).stop)
        ahead = max(ahead, stop - last.stop)
        # flow stays until its shot is through: from the beginning of the one that the first segment begins in
        flow = max(flow, stop - plan.shots[plan.chunks[first.first_chunk].shot].start)
    return Held(begun, ahead, flow)


class SegmentProgress:
    """Which segments can be encoded. `made` are indices of those that are, `done` ids of tasks that have been run."""

    def __init__(self, plan: RenderPlan, made: Collection[int], done: Iterable[str]) -> None:
        self.segments = plan_segments(plan)
        self._made = set(made)
        self._missing = {one.index: tasks_of_segment(plan, one) for one in self.segments if one.index not in self._made}
        self._waiting: dict[str, list[int]] = {}
        for index, tasks in self._missing.items():
            for task in tasks:
                self._waiting.setdefault(task, []).append(index)
        self.floor = 0
        self._raise_floor()
        self.ready_at_first = [one for task in done for one in self.task_done(task)]

    def task_done(self, task: str) -> list[Segment]:
        """Its frames are there: the segments that can be encoded for that."""
        ready = []
        for index in self._waiting.pop(task, ()):
            self._missing[index].discard(task)
            if not self._missing[index]:
                ready.append(self.segments[index])
        return ready

    def segment_made(self, index: int) -> None:
        self._made.add(index)
        self._raise_floor()

    @property
    def covered(self) -> set[int]:
        """Chunks whose segments are encoded."""
        return {
            chunk
            for index in self._made
            for chunk in range(self.segments[index].first_chunk, self.segments[index].last_chunk + 1)
        }

    @property
    def complete(self) -> bool:
        return len(self._made) == len(self.segments)

    def _raise_floor(self) -> None:
        """`floor` is the first segment that is not encoded."""
        while self.floor in self._made:
            self.floor += 1
