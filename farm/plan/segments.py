"""Which frames are encoded together as a segment of the film, and which frames of a job nobody needs any more. Pure.

    plan_segments(plan)                      runs of whole chunks that are encoded as soon as their frames are there
    settled_tasks(plan, tasks, ...)          tasks that need not be run: intact, or read by nobody from now on
    SegmentProgress(plan, encoded, done)     which segment can be encoded now, and up to which all are

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
"""Frames after which a segment ends with its chunk. After half as many it ends where a shot does."""
_segment_frames = SEGMENT_FRAMES


@contextmanager
def segments_of(frames: int) -> Iterator[None]:
    """Plan segments of `frames` frames in place of SEGMENT_FRAMES within this block, in this process.

    Tests and benchmarks use it, whose films are shorter than one segment. Only the driver's process plans segments:
    a process that encodes one is told its frames. The length is not kept in the job, so every run of a job has to
    use the same one, or its segments are made again.
    """
    global _segment_frames
    previous, _segment_frames = _segment_frames, frames
    try:
        yield
    finally:
        _segment_frames = previous


class Segment(Model):
    """Frames `start..stop` (half-open) of the chunks `first_chunk..last_chunk` (both included)."""

    index: int
    start: int
    stop: int
    first_chunk: int
    last_chunk: int

    @property
    def frames(self) -> FrameRange:
        """The frames of the film that the segment shows."""
        return FrameRange(self.start, self.stop)


def plan_segments(plan: RenderPlan) -> tuple[Segment, ...]:
    """The segments of the film, in order. Together they show every frame of the plan once."""
    segments: list[Segment] = []
    first = 0
    for chunk in plan.chunks:
        start = plan.chunks[first].start
        length = chunk.stop - start
        long_enough = length >= (_segment_frames // 2 if chunk.last_in_shot else _segment_frames)
        if long_enough or chunk.index == len(plan.chunks) - 1:
            segments.append(
                Segment(index=len(segments), start=start, stop=chunk.stop, first_chunk=first, last_chunk=chunk.index)
            )
            first = chunk.index + 1
    return tuple(segments)


def tasks_of_segment(plan: RenderPlan, segment: Segment) -> set[str]:
    """Ids of the tasks whose frames the film shows in a segment."""
    chunks = range(segment.first_chunk, segment.last_chunk + 1)
    needed = {task_id(plan.passes, chunk) for chunk in chunks}
    if _fades_in(plan, segment.first_chunk):
        needed.add(task_id(plan.passes, segment.first_chunk - 1))
    return needed


def settled_tasks(
    plan: RenderPlan, tasks: Sequence[Task], covered: Collection[int], intact: Callable[[Task], bool]
) -> set[str]:
    """Ids of the tasks that need not be run, because their frames are there or nobody reads them.

    `tasks` are in an order that respects their needs. `covered` are the chunks whose segments are encoded. `intact`
    says whether all frames of a task are committed; it reads files, so it is asked only of tasks that are still read.
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
    """Ids of the tasks in `done` whose frames neither a task that is not done nor the film will read again.

    `covered` are the chunks whose segments are encoded.
    """
    readers = _Readers(plan, tasks, covered)
    for task in tasks:
        if task.id not in done:
            readers.add(task)
    return {task.id for task in tasks if task.id in done and not readers.want(task)}


class _Readers:
    """Which frames will still be read: by the tasks that are to be run, and by the film."""

    def __init__(self, plan: RenderPlan, tasks: Sequence[Task], covered: Collection[int]) -> None:
        self._plan, self._covered = plan, covered
        self._needed: set[str] = set()

    def add(self, task: Task) -> None:
        """Note a task that is to be run."""
        self._needed.update(task.needs)

    def want(self, task: Task) -> bool:
        """Whether a frame of the task will be read. True or False for certain once all later tasks are added."""
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
    """Number of segments that may be begun before the first of them is encoded, with --save-storage.

    That is what a task needs of later segments (a chunk for each later pass), the one that is being encoded, and two
    chunks for every worker.
    """
    segments = plan_segments(plan)
    chunks_each = max(len(plan.chunks) // len(segments), 1)
    return math.ceil(plan.passes / chunks_each) + 1 + math.ceil(2 * workers / chunks_each)


def segment_of_tasks(plan: RenderPlan, tasks: Sequence[Task]) -> dict[str, int]:
    """By task id: index of the segment that the task is for.

    That is the segment of its own chunk. But a relay that goes backwards makes the segment in which it ends wait for
    all of pass 1 as far as the frame that it began with, so these tasks are for that segment.
    """
    of_chunk = {
        chunk: segment.index
        for segment in plan_segments(plan)
        for chunk in range(segment.first_chunk, segment.last_chunk + 1)
    }
    ends = {
        plan.begin_of(chunk.start): chunk.index
        for chunk in reversed(plan.chunks)
        if chunk.start < plan.begin_of(chunk.start)
    }
    segment_of: dict[str, int] = {}
    for task in tasks:
        chunk = plan.chunks[task.chunk]
        begin = plan.begin_of(chunk.start)
        early = task.pass_index == 1 and chunk.start <= begin
        segment_of[task.id] = of_chunk[ends.get(begin, chunk.index) if early else chunk.index]
    return segment_of


@dataclass(frozen=True)
class Held:
    """Numbers of frames that a render with --save-storage holds at most.

    `begun` frames in all passes, those of the segments that may be begun. `ahead` frames in pass 1 only, beyond these
    as far as the frame that a relay began with. `flow` frames whose flow is kept, those of all shots that are not
    finished.
    """

    begun: int
    ahead: int
    flow: int


def held_at_once(plan: RenderPlan, at_once: int) -> Held:
    """The frames that are held at most where `at_once` segments may be begun."""
    segments = plan_segments(plan)
    begun = sum(sorted((len(segment.frames) for segment in segments), reverse=True)[:at_once])
    ahead, flow = 0, begun
    for first, last in zip(segments, segments[at_once - 1 :], strict=False):
        stop = max(last.stop, plan.chunk_of(plan.begin_of(last.stop - 1)).stop)
        ahead = max(ahead, stop - last.stop)
        # Flow stays until its shot is finished: from the start of the shot that the first segment begins in.
        flow = max(flow, stop - plan.shots[plan.chunks[first.first_chunk].shot].start)
    return Held(begun, ahead, flow)


class SegmentProgress:
    """Which segments can be encoded now.

    `encoded` are the indices of the segments that are encoded, `done` the ids of tasks that have been run.
    `ready_at_first` are the segments that can be encoded from the beginning. `floor` is the index of the first segment
    that is not encoded, and the number of segments where all are.
    """

    def __init__(self, plan: RenderPlan, encoded: Collection[int], done: Iterable[str]) -> None:
        self.segments = plan_segments(plan)
        self._encoded = set(encoded)
        self._missing = {
            segment.index: tasks_of_segment(plan, segment)
            for segment in self.segments
            if segment.index not in self._encoded
        }
        self._waiting: dict[str, list[int]] = {}
        for index, tasks in self._missing.items():
            for task in tasks:
                self._waiting.setdefault(task, []).append(index)
        self.floor = 0
        self._raise_floor()
        self.ready_at_first = [segment for task in done for segment in self.task_done(task)]

    def task_done(self, task: str) -> list[Segment]:
        """Note that the frames of a task are there. Returns the segments that can be encoded because of that."""
        ready = []
        for index in self._waiting.pop(task, ()):
            self._missing[index].discard(task)
            if not self._missing[index]:
                ready.append(self.segments[index])
        return ready

    def segment_made(self, index: int) -> None:
        """Note that a segment is encoded."""
        self._encoded.add(index)
        self._raise_floor()

    @property
    def covered(self) -> set[int]:
        """Chunks whose segments are encoded."""
        return {
            chunk
            for index in self._encoded
            for chunk in range(self.segments[index].first_chunk, self.segments[index].last_chunk + 1)
        }

    def _raise_floor(self) -> None:
        while self.floor in self._encoded:
            self.floor += 1
