from __future__ import annotations

import pytest

from farm.paint import stopwatch
from farm.paint.stopwatch import taken, timed


@pytest.fixture
def clock(monkeypatch):
    """A clock that is moved by hand."""

    class Clock:
        now = 0.0

        def pass_seconds(self, seconds):
            self.now += seconds

    found = Clock()
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: found.now)
    taken()
    return found


def test_each_second_is_counted_once(clock):
    with timed("flow"):
        clock.pass_seconds(2)
        with timed("decode"):
            clock.pass_seconds(5)
            with timed("flow"):
                clock.pass_seconds(1)
        clock.pass_seconds(3)
    with timed("decode"):
        clock.pass_seconds(10)
    assert taken() == {"flow": 6, "decode": 15}
    assert taken() == {}


def test_a_stage_that_fails_is_counted(clock):
    def failing():
        with timed("outer"):
            clock.pass_seconds(1)
            with timed("inner"):
                clock.pass_seconds(2)
                raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert taken() == {"outer": 1, "inner": 2}
