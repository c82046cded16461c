from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.media.times import Clock, find_breaks, settle_times

MILLISECONDS = Clock(Fraction(40), Fraction(1000), joinable=False)
JOINABLE = MILLISECONDS._replace(joinable=True)
FAR = 10**7


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([5], [5]),
        ([-200, 0], [-200, 0]),
        ([0, 100, 250], [0, 100, 250]),
        ([None, None, None], [0, 40, 80]),
        ([10, None, 90], [10, 50, 90]),
        ([None, None, 20, 60], [-60, -20, 20, 60]),
        ([0, 40, None, None], [0, 40, 80, 120]),
        ([0, 40, 40, 120], [0, 40, 41, 120]),
        ([0, 40, 40, 40, 160], [0, 40, 80, 120, 160]),
        ([0, 40, 80, 20, 160, 200, 240], [0, 40, 80, 120, 160, 200, 240]),
        ([0, 80, 40], [0, 40, 80]),
        ([0, 120, 40, 80, 240, 160, 200], [0, 40, 80, 120, 160, 200, 240]),
        ([0, 40, FAR, 120, 160], [0, 40, 80, 120, 160]),
        ([0, 40, FAR, FAR + 40, 160, 200], [0, 40, 80, 120, 160, 200]),
        ([0, 40, -FAR, 120, 160], [0, 40, 80, 120, 160]),
        ([FAR, 40, 80, 120], [0, 40, 80, 120]),
    ],
)
def test_good_times_stay_and_bad_ones_are_replaced(stamps: list[int | None], expected: list[int]) -> None:
    for clock in (MILLISECONDS, JOINABLE):
        times = settle_times(stamps, clock)
        assert list(times.pts) == expected
        assert times.own == (stamps == expected)
        assert times.finer == 1


def test_a_pause_is_kept_where_recordings_are_not_joined() -> None:
    stamps = [0, 40, 80, FAR, FAR + 40]
    assert settle_times(stamps, MILLISECONDS).pts == tuple(stamps)
    assert settle_times(stamps, JOINABLE).pts == (0, 40, 80, 120, 160)


@pytest.mark.parametrize("begins", [0, 20, -500, FAR, 2**33 // 90])
def test_joined_recordings_are_put_end_to_end(begins: int) -> None:
    stamps = [*range(600, 2600, 40), *range(begins, begins + 2000, 40)]
    times = settle_times(stamps, JOINABLE)
    assert times.pts == tuple(range(600, 4600, 40))
    assert (times.breaks, times.shifts) == ((50,), (2600 - begins,))


def test_a_tick_that_is_too_long_is_divided() -> None:
    times = settle_times([0, 1, 1, 2], Clock(Fraction(1), Fraction(25), joinable=False))
    assert (times.pts, times.finer, times.moved) == ((0, 2, 3, 4), 2, 1)


def test_a_first_frame_without_a_time_begins_its_own_part() -> None:
    assert find_breaks([None, 0, 40, None, 80], JOINABLE) == ([], set())


@given(st.lists(st.none() | st.integers(-(10**6), 10**6), min_size=1, max_size=40), st.booleans())
def test_times_always_ascend(stamps: list[int | None], joinable: bool) -> None:
    times = settle_times(stamps, MILLISECONDS._replace(joinable=joinable))
    assert len(times.pts) == len(stamps)
    assert all(b > a for a, b in zip(times.pts, times.pts[1:], strict=False))


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=40), st.booleans())
def test_times_that_ascend_are_never_touched(gaps: list[int], joinable: bool) -> None:
    stamps = [sum(gaps[:number]) for number in range(len(gaps))]
    times = settle_times(stamps, MILLISECONDS._replace(joinable=joinable))
    assert times.own
    assert list(times.pts) == stamps
