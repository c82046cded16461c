"""Decisions of a live show, as tables of exact values."""

from __future__ import annotations

import pytest

from farm.commands.live.mjpeg import CONTENT_TYPE, opening, part
from farm.commands.live.pacing import MOST_DROPPED, Pacer, TimeForFlow, Verdict

SHOW, DROP = Verdict("show"), Verdict("drop")


@pytest.mark.parametrize(
    ("due", "following", "now", "expected"),
    [
        (0.0, 0.5, 0.0, SHOW),
        (0.0, 0.5, 0.25, SHOW),  # late, but nothing newer is due
        (0.0, 0.5, 0.5, DROP),
        (0.0, 0.5, 9.0, DROP),
        (1.0, 1.5, 0.25, Verdict("wait", 0.75)),
        (1.0, None, 9.0, SHOW),  # the last frame of a film is shown however late it is
        (1.0, None, 0.5, Verdict("wait", 0.5)),
    ],
)
def test_the_newest_frame_that_is_due_is_shown(due, following, now, expected):
    assert Pacer().decide(due, following, now) == expected


@pytest.mark.parametrize(
    ("interval", "shown"),
    [
        (0.0, [0, 1, 2, 3, 4, 5, 6, 7]),
        (0.25, [0, 1, 2, 3, 4, 5, 6, 7]),
        (0.5, [0, 2, 4, 6, 7]),  # the last is always shown
        (0.375, [0, 2, 3, 5, 6, 7]),  # three of every two intervals on average
    ],
)
def test_a_rate_is_kept_on_average(interval, shown):
    pacer, times = Pacer(interval), [i * 0.25 for i in range(8)]
    verdicts = [pacer.decide(due, [*times, None][i + 1], due).kind for i, due in enumerate(times)]
    assert [i for i, kind in enumerate(verdicts) if kind == "show"] == shown


def test_a_film_that_cannot_keep_up_still_shows_something():
    pacer = Pacer()
    kinds = [pacer.decide(float(i), i + 1.0, i + 100.0).kind for i in range(2 * MOST_DROPPED + 2)]
    assert [i for i, kind in enumerate(kinds) if kind == "show"] == [MOST_DROPPED, 2 * MOST_DROPPED + 1]


def test_flow_is_left_out_where_it_does_not_fit():
    time = TimeForFlow()
    assert time.fits(0.0)  # nothing is known yet
    time.painted(0.5)
    assert time.fits(0.5)
    time.steadied(0.25)
    assert time.fits(0.75)
    assert not time.fits(0.74)
    time.painted(1.0)  # a fifth of the way from 0.5 to 1
    assert time.fits(0.85)
    assert not time.fits(0.84)


def test_a_part_of_motion_jpeg():
    assert CONTENT_TYPE.endswith("boundary=farm-frame")
    assert opening() == b"--farm-frame\r\n"
    assert part(b"ab") == b"Content-Type: image/jpeg\r\nContent-Length: 2\r\n\r\nab\r\n--farm-frame\r\n"
