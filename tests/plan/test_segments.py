"""Segments cover the film; what is given up is read by nobody; a window neither stops the work nor lets it run away."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.plan import plan_render, plan_tasks, task_id
from farm.plan.estimates import estimate_storage
from farm.plan.reads import frames_in_order, reads
from farm.plan.schedule import Assign, FilmedUpTo, Schedule, TaskSucceeded, Window, WorkerJoined
from farm.plan.segments import (
    SEGMENT_FRAMES,
    SegmentProgress,
    held_at_once,
    plan_segments,
    segment_of_tasks,
    segments_ahead,
    settled_tasks,
    tasks_of_segment,
    unread_tasks,
)
from tests.plan.test_render_plan import make_probe, make_spec


def make_plan(frames: int, cuts=(), **options):
    return plan_render(make_spec(**options), make_probe(frames), cuts)


@given(st.integers(1, 3000), st.sets(st.integers(1, 2999), max_size=12), st.integers(2, 300))
@settings(max_examples=80, deadline=None)
def test_segments_are_all_frames_in_whole_chunks(frames, cuts, chunk_frames):
    plan = make_plan(frames, sorted(cut for cut in cuts if cut < frames), chunk_frames=chunk_frames)
    segments = plan_segments(plan)
    assert [one.index for one in segments] == list(range(len(segments)))
    assert (segments[0].start, segments[-1].stop) == (0, frames)
    for one, following in itertools.pairwise(segments):
        assert (one.stop, one.last_chunk + 1) == (following.start, following.first_chunk)
    for one in segments:
        assert one.start == plan.chunks[one.first_chunk].start
        assert one.stop == plan.chunks[one.last_chunk].stop
        assert len(one.frames) < SEGMENT_FRAMES + max(chunk_frames, 1)


def test_segments_end_with_shots_where_they_can():
    plan = make_plan(1000, [100, 150, 300], chunk_frames=48)
    assert [str(one.frames) for one in plan_segments(plan)][:3] == ["0-99", "100-299", "300-517"]


OPTIONS = [
    {"method": "identity", "styles": []},
    {"passes": 1},
    {"passes": 1, "chunk_start": "scratch"},
    {"passes": 2, "chunk_start": "scratch"},
    {"passes": 3},
    {"passes": 3, "sweep": "alternating"},
    {"passes": 5, "long_term": []},
]


class Storage:
    """What a job with spare storage has at a time, in frames: rendered by a schedule, filmed, and given up."""

    def __init__(self, plan, spec, workers: int) -> None:
        self.plan, self.spec = plan, spec
        self.tasks = plan_tasks(plan)
        self.kept: set[tuple[str, int]] = set()
        self.progress = SegmentProgress(plan, (), ())
        self.done: set[str] = set()
        self.given_up: set[str] = set()
        self.most = 0
        self.most_flow = 0
        window = Window(segment_of_tasks(plan, self.tasks), segments_ahead(plan, workers))
        self.schedule = Schedule(self.tasks, window=window)
        self.at: dict[str, object] = {}
        for number in range(workers):
            self.take(self.schedule.handle(WorkerJoined(f"w{number}")))

    def take(self, instructions) -> None:
        for one in instructions:
            assert isinstance(one, Assign)
            self.at[one.worker] = one.task

    def run(self) -> None:
        """Workers finish in turn. Every frame that is read has to be there."""
        to_film: list = []
        while not self.schedule.done:
            assert self.at, "nobody has anything to do and something is left"
            worker = next(iter(self.at))
            task = self.at.pop(worker)
            for frame in frames_in_order(self.spec, task):
                for name, other in reads(self.plan, self.spec, task, frame):
                    known = next(one for one in self.tasks if one.id == name)
                    assert other not in known.frames or (name, other) in self.kept, (task.id, frame, name, other)
                self.kept.add((task.id, frame))
            self.done.add(task.id)
            self.most = max(self.most, len(self.kept))
            self.count_flow()
            to_film += self.progress.task_done(task.id)
            self.take(self.schedule.handle(TaskSucceeded(worker)))
            if to_film:
                self.film(to_film.pop(0))
        for segment in to_film:
            self.film(segment)

    def count_flow(self) -> None:
        """Frames that were rendered of shots that are not all in the film."""
        covered = self.progress.covered
        rendered = {self.plan.chunks[int(task[-5:])] for task in self.done}
        left = {chunk.shot for chunk in self.plan.chunks if chunk.index not in covered}
        self.most_flow = max(self.most_flow, sum(len(chunk.frames) for chunk in rendered if chunk.shot in left))

    def film(self, segment) -> None:
        for task in tasks_of_segment(self.plan, segment):
            chunk = self.plan.chunks[int(task[-5:])]
            assert all((task, frame) in self.kept for frame in chunk.frames if frame in segment.frames)
        self.progress.segment_made(segment.index)
        unread = unread_tasks(self.plan, self.tasks, self.progress.covered, self.done) - self.given_up
        self.given_up |= unread
        self.kept = {(task, frame) for task, frame in self.kept if task not in unread}
        self.take(self.schedule.handle(FilmedUpTo(self.progress.floor)))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("cuts", [(), (30, 31, 200, 500)])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_nobody_misses_what_was_given_up_and_storage_is_bounded(options, cuts, workers):
    spec = make_spec(**{"chunk_frames": 24, "overlap": 6, **options})
    plan = plan_render(spec, make_probe(1200), cuts)
    storage = Storage(plan, spec, workers)
    storage.run()
    assert storage.progress.floor == len(storage.progress.segments)
    assert storage.done == {task.id for task in storage.tasks}
    assert storage.kept == set(), "all is in the film"
    estimate = estimate_storage(plan, spec, workers)
    begun = sorted((len(one.frames) for one in plan_segments(plan)), reverse=True)[: estimate.segments_at_once]
    bound = sum(begun) * plan.passes + len(plan.chunks) * spec.overlap + estimate.frames_ahead
    assert storage.most <= bound
    assert storage.most < 1200 * plan.passes
    assert storage.most_flow <= held_at_once(plan, estimate.segments_at_once).flow


def test_a_long_shot_holds_its_pass_1_as_far_as_its_middle_and_no_more():
    """Segments of 211 frames, two begun at a time: of the first 1,080 frames in one shot, the middle is at 540."""
    plan = make_plan(1400, (1080,), chunk_frames=24, passes=2)
    tasks = {task.id: task for task in plan_tasks(plan)}
    found = segment_of_tasks(plan, list(tasks.values()))
    segments = plan_segments(plan)
    middle = plan.chunk_of(540)
    assert middle.start == 540
    for name, task in tasks.items():
        own = next(one.index for one in segments if task.start in one.frames)
        in_first_half = task.pass_index == 1 and task.start <= 540
        assert found[name] == (0 if in_first_half else own), name
    held = held_at_once(plan, 2)
    stop = segments[1].stop
    assert held.ahead == middle.stop - stop > 0
    assert held.flow == 1400, "the last frames of the long shot share a segment with the next shot's first"
    assert held_at_once(plan, len(segments)).ahead == 0
    assert held_at_once(make_plan(1400, range(400, 1400, 400), chunk_frames=24), 2).ahead == 0


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_what_is_settled_can_be_missing(options):
    """After any part of a run with spare storage, only what is wanted is run again, and it finds what it reads."""
    spec = make_spec(**{"chunk_frames": 24, "overlap": 6, **options})
    plan = plan_render(spec, make_probe(600), (100,))
    tasks = plan_tasks(plan)
    covered = {chunk.index for chunk in plan.chunks if chunk.stop <= 300}
    lost = {task.id for task in tasks if task.chunk in covered}
    settled = settled_tasks(plan, tasks, covered, lambda task: task.id not in lost)
    for task in tasks:
        if task.id in settled:
            continue
        for frame in task.frames:
            for name, other in reads(plan, spec, task, frame):
                known = next(one for one in tasks if one.id == name)
                assert other not in known.frames or name not in lost or name not in settled, (task.id, name)


def test_intact_is_asked_only_of_what_is_read():
    plan = make_plan(480, (240,), chunk_frames=24, passes=3)
    tasks = plan_tasks(plan)
    asked = []

    def intact(task):
        asked.append(task)
        return True

    first_shot = {chunk.index for chunk in plan.chunks if chunk.shot == 0}
    assert settled_tasks(plan, tasks, first_shot, intact) == {task.id for task in tasks}
    assert {(task.pass_index, plan.chunks[task.chunk].shot) for task in asked} == {(3, 1)}


def test_a_lost_last_pass_asks_for_the_pass_before():
    plan = make_plan(240, chunk_frames=24, passes=3)
    tasks = plan_tasks(plan)
    settled = settled_tasks(plan, tasks, (), lambda task: task.id == "pass-2/00005" or task.pass_index == 3)
    assert settled == {task.id for task in tasks}
    settled = settled_tasks(plan, tasks, (), lambda task: task.pass_index != 3 or task.chunk != 5)
    assert {task.id for task in tasks} - settled == {task_id(3, 5)}
    settled = settled_tasks(plan, tasks, (), lambda task: task.pass_index == 3 and task.chunk != 5)
    missing = {task.id for task in tasks} - settled
    assert missing >= {task_id(3, 5), task_id(2, 4), task_id(2, 6), task_id(1, 3), task_id(1, 7), task_id(1, 0)}
    assert task_id(2, 3) not in missing


def test_segments_become_ready_in_any_order():
    plan = make_plan(600, chunk_frames=100, passes=1)
    progress = SegmentProgress(plan, {0}, [task_id(1, 5), task_id(1, 4)])
    assert [one.index for one in progress.segments] == [0, 1, 2]
    assert [one.index for one in progress.ready_at_first] == [2]
    assert progress.floor == 1
    progress.segment_made(2)
    assert progress.floor == 1
    assert progress.task_done(task_id(1, 2)) == []
    assert [one.index for one in progress.task_done(task_id(1, 3))] == [1]
    progress.segment_made(1)
    assert (progress.floor, progress.covered) == (len(progress.segments), set(range(6)))


def lines_run(call: Callable[[], object]) -> int:
    """How many lines of Python a call runs: the same on every machine."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("shot_frames", [None, 144])
def test_the_work_of_planning_grows_with_the_film_and_not_with_its_square(shot_frames):
    """As one shot, and cut every six seconds. Three hours were planned in 4 s of one core, both ways together."""

    def plan_all(frames: int) -> None:
        cuts = tuple(range(shot_frames, frames, shot_frames)) if shot_frames else ()
        plan = make_plan(frames, cuts)
        estimate_storage(plan, make_spec(), 8)
        settled_tasks(plan, plan_tasks(plan), (), lambda task: True)

    plan_all(1000)  # what is imported or cached once
    short, long = (lines_run(lambda frames=frames: plan_all(frames)) for frames in (10_000, 20_000))
    assert long < 2.3 * short
