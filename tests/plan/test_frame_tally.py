"""Progress counts every frame of a task once, in whatever order and however often the task is begun."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("attempts", "new"),
    [
        ([[0, 1, 2], [0, 1, 2, 3]], [0, 1, 2, 3]),
        ([[9, 8], [9, 8, 7]], [9, 8, 7]),
        ([[0, 1, 3, 2]], [0, 1, 3, 2]),  # a damaged frame in the middle is made after those that are whole
        ([[5], [5], [5, 6]], [5, 6]),
    ],
)
def test_each_frame_is_new_once(attempts, new):
    from farm.plan.liveness import FrameTally

    tally = FrameTally()
    reported = [frame for attempt in attempts for frame in attempt if tally.is_new("pass-1/00000", frame)]
    assert reported == new
    assert tally.is_new("pass-1/00001", new[0])


def test_what_has_ended_is_forgotten():
    from farm.plan.liveness import FrameTally

    tally = FrameTally()
    for task in map(str, range(100)):
        assert tally.is_new(task, 1)
        tally.ended(task)
    assert all(tally.is_new(task, 1) for task in map(str, range(100)))
