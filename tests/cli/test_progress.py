"""Rate and time left, for given times, and what a log shows of them."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from farm.cli import progress as shown
from farm.cli.progress import JobProgress
from farm.plan.pace import RATE_SECONDS, Eta, Rate


def test_the_rate_is_that_of_the_last_minute():
    rate = Rate(100.0)
    assert rate.per_second(100.0) == 0
    for second in range(101, 111):  # one a second
        rate.done(second)
    assert rate.per_second(110.0) == pytest.approx(1.0)
    assert rate.per_second(120.0) == pytest.approx(0.5), "since the beginning, as long as that is no minute ago"
    for tenth in range(400):  # then ten a second
        rate.done(200 + tenth / 10)
    # of the first of them, which took 90 s, 20 s are within the last minute
    assert rate.per_second(240.0) == pytest.approx((399 + 20 / 90) / RATE_SECONDS), "what is older does not count"
    assert rate.per_second(400.0) == 0


@pytest.mark.parametrize("seconds", [7.0, 11.0, 25.0, 90.0])
def test_a_slow_and_steady_render_is_told_by_its_pace(seconds):
    rate = Rate(0.0)
    for frame in range(1, 41):
        rate.done(frame * seconds)
        assert rate.per_second(frame * seconds) == pytest.approx(1 / seconds)


def test_time_left_is_weighed_by_steps():
    eta = Eta(100)
    eta.start(0.0)
    assert eta.seconds_left(0.0) is None
    eta.done(20, 10.0)  # one long frame
    assert eta.seconds_left(10.0) == pytest.approx(40.0)
    eta.done(80, 20.0)
    assert eta.seconds_left(20.0) == 0


def test_a_log_shows_each_phase_every_fifteen_seconds(monkeypatch):
    now = 100.0
    monkeypatch.setattr(shown, "time", SimpleNamespace(monotonic=lambda: now))
    log = io.StringIO()
    with JobProgress(Console(file=log, width=200)) as progress:
        progress.phase("probe", 1, 1)
        progress.share("train", 0.0)
        for seconds in (10, 20, 30, 40):
            now = 100.0 + seconds
            progress.share("train", seconds / 100)
        progress.phase("start", 4, 40)
        now = 160.0
        progress.advance("pass 1", 10)
        progress.note("a line")
    assert log.getvalue().splitlines() == [
        "train: 20%  ETA 1:20 min",
        "train: 40%  ETA 1:00 min",
        "pass 1: 1/4 frames  20.0 s/frame  ETA 1:00 min",
        "a line",
    ]
