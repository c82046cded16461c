"""The length of chunks where the user does not say: exact tables, and what holds for any film."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.plan import plan_render, plan_tasks
from farm.plan.chunk_length import MOST_LENGTH, SHORTEST_LENGTH, SMALLEST_LENGTH, chunk_count, chunk_length
from farm.spec.load import spec_differences
from tests.plan.test_render_plan import make_probe, make_spec


@pytest.mark.parametrize(
    ("runs", "workers", "frame_seconds", "longest"),
    [
        # nobody knows how many workers there are: 48, or three minutes
        ([4], None, None, 48),
        ([7200], None, None, 48),
        ([7200], None, 9.0, 20),
        ([7200], None, 100.0, 4),
        ([7200], None, 0.01, 240),
        # a short film: a few chunks for each worker, none shorter than 4 frames
        ([48], 1, None, 8),
        ([48], 2, None, 4),
        ([96], 2, None, 8),
        ([1000], 2, None, 48),
        # ... unless there would be fewer chunks than workers
        ([48], 12, None, 4),
        ([48], 24, None, 2),
        ([48], 100, None, 2),
        ([4], 2, None, 3),
        ([4], 1, None, 4),
        ([3, 3, 3], 3, None, 4),
        ([3, 3, 3], 4, None, 2),
        # a long film: what the pace says
        ([7200], 2, None, 48),
        ([7200], 2, 2.5, 72),
        ([7200], 2, 9.0, 20),
        ([7200], 2, 100.0, 4),
        ([7200], 8, 0.01, 150),
        ([7200], 2, 0.01, 240),
        # a feature film on many machines
        ([110] * 1600, 64, None, 48),
        ([110] * 1600, 3000, None, 9),
    ],
)
def test_length(runs, workers, frame_seconds, longest):
    assert chunk_length(runs, workers, frame_seconds) == longest


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=30),
    st.none() | st.integers(1, 500),
    st.none() | st.floats(0.001, 1000),
)
def test_there_is_work_for_every_worker_where_frames_allow_it(runs, workers, frame_seconds):
    longest = chunk_length(runs, workers, frame_seconds)
    assert SMALLEST_LENGTH <= longest <= MOST_LENGTH
    most = chunk_count(runs, SMALLEST_LENGTH)
    assert chunk_count(runs, longest) >= min(workers or 1, most)
    if longest < SHORTEST_LENGTH:
        assert workers is not None
        assert chunk_count(runs, longest + 1) < workers


def frames_of(plan):
    return [(chunk.start, chunk.stop) for chunk in plan.chunks]


def test_a_plan_has_chunks_for_the_workers_and_a_stated_length_wins():
    probe = make_probe(48)
    fours = [(start, start + 4) for start in range(0, 48, 4)]
    assert frames_of(plan_render(make_spec(), probe, ())) == [(0, 48)]
    assert frames_of(plan_render(make_spec(), probe, (), workers=2)) == fours
    assert frames_of(plan_render(make_spec(), probe, (), workers=2, frame_seconds=60.0)) == fours
    assert frames_of(plan_render(make_spec(chunk_frames=24), probe, (), workers=2, frame_seconds=60.0)) == [
        (0, 24),
        (24, 48),
    ]


@pytest.mark.parametrize("options", [{"chunk_start": "scratch", "overlap": 4}, {"sweep": "alternating"}])
def test_chunks_on_which_the_film_depends_do_not_depend_on_the_workers(options):
    spec = make_spec(**options)
    plans = [plan_render(spec, make_probe(100), (), workers=workers) for workers in (None, 1, 40)]
    assert frames_of(plans[0]) == [(0, 33), (33, 66), (66, 100)]
    assert plans[1] == plans[2] == plans[0]


@pytest.mark.parametrize("workers", [1, 2, 7, 24])
def test_later_passes_have_as_many_tasks_as_workers(workers):
    plan = plan_render(make_spec(), make_probe(48), (), workers=workers)
    for pass_index in range(2, plan.passes + 1):
        assert sum(task.pass_index == pass_index for task in plan_tasks(plan)) >= workers


def test_both_halves_of_a_long_shot_are_cut():
    """The relay of 600 frames begins at frame 300, which no chunk may cross."""
    plan = plan_render(make_spec(), make_probe(600), (), workers=2, frame_seconds=0.5)
    assert frames_of(plan) == [(start, start + 50) for start in range(0, 600, 50)]
    assert plan.shots[0].begins == (300,)


def test_a_film_without_an_optimiser_is_cut_for_the_workers_too():
    plan = plan_render(make_spec(method="identity", styles=[]), make_probe(16), (), workers=4)
    assert frames_of(plan) == [(0, 4), (4, 8), (8, 12), (12, 16)]


def test_a_job_keeps_the_chunks_that_it_was_begun_with():
    """Also one of a build that wrote 48 where nothing was said. Other chunks that are asked for are another job."""
    chosen, eight, usual = make_spec(), make_spec(chunk_frames=8), make_spec(chunk_frames=48)
    assert [spec_differences(old, chosen) for old in (chosen, eight, usual)] == [[], [], []]
    assert spec_differences(usual, eight) == ["chunk_frames: 48 -> 8"]
    assert spec_differences(chosen, eight) == ["chunk_frames: None -> 8"]
