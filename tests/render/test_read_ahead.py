"""Three steps at once: order kept, errors raised."""

from __future__ import annotations

import threading

import pytest

from farm.render.read_ahead import overlapped


def test_order_is_kept_and_each_step_has_its_thread():
    threads: dict[str, set[str]] = {"first": set(), "second": set(), "third": set()}

    def step(name, change):
        def run(value):
            threads[name].add(threading.current_thread().name)
            return change(value)

        return run

    made = overlapped(range(20), step("first", lambda x: x + 1), step("second", lambda x: x * 2), step("third", str))
    assert list(made) == [str((x + 1) * 2) for x in range(20)]
    assert all(len(names) == 1 for names in threads.values())
    assert len(set.union(*threads.values())) == 3
    assert list(overlapped([], str, str, str)) == []


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_what_a_step_raises_is_raised_after_what_came_before(failing):
    def step(number):
        def run(value):
            if number == failing and value == 3:
                raise OSError("disk full")
            return value

        return run

    got: list[int] = []
    with pytest.raises(OSError, match="disk full"):
        got.extend(overlapped(range(10), step(0), step(1), step(2)))
    assert got == list(range(len(got)))
    assert len(got) <= 3
