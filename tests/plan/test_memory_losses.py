"""Where memory runs out: when workers are replaced, and how many are left."""

from __future__ import annotations

import pytest

from farm.plan.memory_losses import AT_ONCE_SECONDS, HOPELESS, PAUSES, MemoryLosses


@pytest.mark.parametrize(
    ("workers", "caps"),
    [
        (1, [None, 1, 1, 1]),
        (2, [None, 1, 1, 1]),
        (4, [None, 3, 2, 1]),
        (16, [None, 12, 9, 6]),
    ],
)
def test_the_first_time_costs_no_worker_and_each_further_time_some(workers, caps):
    losses = MemoryLosses()
    seen = []
    for time in range(4):
        losses.lost(time * 100.0, losses.cap or workers)
        seen.append(losses.cap)
    assert seen == caps


def test_the_cap_is_told_once_and_follows_the_workers_that_there_are():
    losses = MemoryLosses()
    assert losses.lost(0.0, 8) is None
    assert losses.lost(100.0, 4) == 3, "there were no more than 4 left to take from"
    assert losses.lost(200.0, 2) == 1
    assert losses.lost(300.0, 1) is None, "it is 1 already"


def test_workers_that_are_killed_at_once_are_one_time():
    losses = MemoryLosses()
    for moment in (0.0, 0.3, AT_ONCE_SECONDS - 0.1):
        assert losses.lost(moment, 4) is None
    assert losses.cap is None
    assert losses.lost(AT_ONCE_SECONDS + 0.1, 4) == 3


def test_pauses_grow_until_a_frame_is_committed():
    losses = MemoryLosses()
    starts, now = [], 0.0
    for _ in range(len(PAUSES) + 1):
        losses.lost(now, 1)
        starts.append(next(wait for wait in range(100) if losses.may_start(now + wait)))
        now += 100.0
    assert starts == [*PAUSES, PAUSES[-1]]
    losses.frame()
    losses.lost(now, 1)
    assert not losses.may_start(now + PAUSES[0] - 0.1)
    assert losses.may_start(now + PAUSES[0])
    assert min(PAUSES) >= AT_ONCE_SECONDS


def test_it_is_hopeless_only_without_a_frame_for_long():
    losses = MemoryLosses()
    assert losses.may_start(0.0)
    assert not losses.short
    for time in range(HOPELESS):
        losses.lost(time * 100.0, 1)
        assert losses.short
        assert not losses.hopeless
    losses.lost(1000.0, 1)
    assert losses.hopeless
    losses.frame()
    assert not losses.hopeless
    assert not losses.short
