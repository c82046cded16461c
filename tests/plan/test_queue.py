"""Which job begins next, in which order the others do, and which of those whose driver is gone begin again."""

import pytest

from farm.plan.queue import (
    HEAD,
    Begun,
    Place,
    Waiting,
    driver_places,
    forecast_places,
    next_to_begin,
    restart_pause,
    verdict,
)

MIB = 1 << 20


@pytest.mark.parametrize(
    ("waiting", "begun", "places", "expected"),
    [
        ([], [], 2, []),
        ([Waiting("b", came=2), Waiting("a", came=1)], [], 1, ["a"]),
        ([Waiting("b", came=2), Waiting("a", came=1)], [], 2, ["a", "b"]),
        ([Waiting("a", came=1), Waiting("high", priority=60, came=2)], [], 1, ["high"]),
        ([Waiting("a", came=1)], [Begun("x")], 1, []),
        ([Waiting("a", came=1), Waiting("still", came=2, frames=1)], [Begun("x")], 1, ["still"]),
        ([Waiting("still", came=2, frames=1)], [Begun("x"), Begun("other still", short=True)], 1, []),
        ([Waiting("a", came=1)], [Begun("still", short=True)], 1, ["a"]),
        ([Waiting("s1", came=1, frames=1), Waiting("s2", came=2, frames=1), Waiting("a", came=3)], [], 1, ["s1", "s2"]),
        ([Waiting("pausing", came=1, ready=11.0), Waiting("a", came=2)], [], 1, ["a"]),
        ([Waiting("pausing", came=1, ready=10.0), Waiting("a", came=2)], [], 1, ["pausing"]),
        ([Waiting("died", came=2, ready=11.0, holds=True), Waiting("high", 60)], [], 1, []),
        ([Waiting("died", came=2, ready=11.0, holds=True), Waiting("high", 60)], [], 2, ["high"]),
        ([Waiting("died", came=2, ready=10.0, holds=True), Waiting("high", 60)], [], 1, ["died"]),
        ([Waiting("died", came=2, ready=11.0, holds=True), Waiting("still", frames=1)], [], 1, ["still"]),
        ([Waiting("25 frames", came=1, frames=25)], [Begun("x")], 1, []),
    ],
)
def test_priority_then_first_come_with_places_for_short_jobs(waiting, begun, places, expected):
    assert next_to_begin(waiting, begun, places, now=10.0) == expected


def test_the_forecast_plays_the_queue_through():
    waiting = [Waiting("b", came=2, frames=100), Waiting("a", came=1, frames=50), Waiting("high", 60, 3, frames=100)]
    places = forecast_places(waiting, [Begun("x", seconds_left=30.0)], 1, 1000.0, seconds_per_frame=2.0)
    assert places == {"high": Place(1, 3, 1030.0), "a": Place(2, 3, 1230.0), "b": Place(3, 3, 1330.0)}


def test_a_job_of_unknown_length_counts_as_the_mean():
    places = forecast_places([Waiting("a", came=1), Waiting("b", came=2)], [Begun("x", seconds_left=30.0)], 1, 0.0, 1.0)
    assert [place.begins for place in places.values()] == [30.0, 60.0]


def test_nothing_known_is_no_forecast_but_a_place():
    places = forecast_places([Waiting("b", came=2), Waiting("a", came=1)], [Begun("x")], 1, 0.0, None)
    assert places == {"a": Place(1, 2, None), "b": Place(2, 2, None)}


def test_a_job_that_pauses_is_forecast_for_its_time():
    places = forecast_places([Waiting("a", came=1, frames=1, ready=20.0)], [], 1, 0.0, 1.0)
    assert places["a"] == Place(1, 1, 20.0)


@pytest.mark.parametrize(
    ("ray_state", "exit_code", "recorded", "left", "expected"),
    [
        ("FAILED", -9, False, 3, "again"),
        ("FAILED", 137, False, 1, "again"),
        ("FAILED", None, False, 3, "again"),  # the process that watches the driver was shot
        ("FAILED", -9, False, 0, "failed"),
        ("FAILED", 1, False, 3, "failed"),  # an import that fails, a full disk
        ("FAILED", 2, True, 3, "over"),  # wrong input
        ("FAILED", -9, True, 3, "over"),  # it died after its last word
        ("STOPPED", None, False, 3, "over"),  # cancelled
        ("SUCCEEDED", 0, True, 3, "over"),
    ],
)
def test_only_a_driver_that_died_is_started_again(ray_state, exit_code, recorded, left, expected):
    assert verdict(ray_state, exit_code, recorded=recorded, restarts_left=left) == expected


def test_pauses_grow_up_to_a_limit():
    pauses = [restart_pause(count) for count in range(8)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (5.0, 600.0)


@pytest.mark.parametrize(
    ("nodes", "most", "expected"),
    [
        ([{HEAD: 1.0, "memory": 8192 * MIB}], None, 2),  # no worker yet
        ([{HEAD: 1.0, "memory": 8192 * MIB}, *[{"CPU": 1.0}] * 5], None, 5),
        ([{HEAD: 1.0, "memory": 8192 * MIB}, {"CPU": 96.0}, {"CPU": 96.0}], None, 24),  # the head's memory
        ([{HEAD: 1.0, "memory": 8192 * MIB}, {"CPU": 96.0, "GPU": 8.0}], None, 8),
        ([{HEAD: 1.0, "memory": 8192 * MIB}], 7, 7),
        ([{HEAD: 1.0, "memory": 1024 * MIB}], 7, 3),
        ([{HEAD: 1.0, "memory": 100 * MIB}], None, 1),
    ],
)
def test_places_go_by_workers_and_by_the_memory_of_the_head(nodes, most, expected):
    assert driver_places(nodes, 256 * MIB, most) == expected
