"""Three stages at once: order kept, errors raised."""

from __future__ import annotations

import threading

import pytest

from farm.render.read_ahead import in_stages


def test_order_is_kept_and_each_stage_has_its_thread():
    threads: dict[str, set[str]] = {"first": set(), "second": set(), "third": set()}

    def stage(name, change):
        def run(value):
            threads[name].add(threading.current_thread().name)
            return change(value)

        return run

    made = in_stages(range(20), stage("first", lambda x: x + 1), stage("second", lambda x: x * 2), stage("third", str))
    assert list(made) == [str((x + 1) * 2) for x in range(20)]
    assert all(len(names) == 1 for names in threads.values())
    assert len(set.union(*threads.values())) == 3
    assert list(in_stages([], str, str, str)) == []


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_what_a_stage_raises_is_raised_after_what_came_before(failing):
    def stage(number):
        def run(value):
            if number == failing and value == 3:
                raise OSError("disk full")
            return value

        return run

    got: list[int] = []
    with pytest.raises(OSError, match="disk full"):
        got.extend(in_stages(range(10), stage(0), stage(1), stage(2)))
    assert got == list(range(len(got)))
    assert len(got) <= 3
