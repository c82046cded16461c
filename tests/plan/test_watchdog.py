"""A renderer is stuck when it is silent for a generous multiple of what frames take, and never before."""

from farm.plan.liveness import FIRST_FRAME_SECONDS, LEAST_SILENCE_SECONDS, SILENCE_FACTOR, UNKNOWN_PASS_FACTOR, Watchdog


def rendered(watchdog: Watchdog, seconds: float, frames: int) -> float:
    """A worker has told of so many frames; the time at which it told of the last."""
    watchdog.began("a", "pass 1", 0.0)
    for frame in range(1, frames + 1):
        watchdog.frame("a", frame * seconds)
    return frames * seconds


def test_twenty_medians_of_its_own_pass_are_allowed():
    watchdog = Watchdog()
    now = rendered(watchdog, 30.0, 9)
    assert watchdog.limit("pass 1") == SILENCE_FACTOR * 30.0
    assert watchdog.stuck(now + SILENCE_FACTOR * 30.0) == {}
    assert watchdog.stuck(now + SILENCE_FACTOR * 30.0 + 1) == {"a": SILENCE_FACTOR * 30.0 + 1}


def test_quick_frames_do_not_make_it_hasty():
    watchdog = Watchdog()
    now = rendered(watchdog, 0.01, 50)
    assert watchdog.stuck(now + LEAST_SILENCE_SECONDS) == {}
    assert watchdog.stuck(now + LEAST_SILENCE_SECONDS + 1) == {"a": LEAST_SILENCE_SECONDS + 1}
    assert Watchdog(least=3.0).limit("pass 1") == FIRST_FRAME_SECONDS


def test_the_first_frame_of_all_may_take_half_an_hour():
    watchdog = Watchdog()
    watchdog.began("a", "pass 1", 0.0)
    assert watchdog.stuck(FIRST_FRAME_SECONDS) == {}
    assert "a" in watchdog.stuck(FIRST_FRAME_SECONDS + 1)


def test_the_first_frame_of_another_pass_may_take_five_times_as_long():
    watchdog = Watchdog()
    now = rendered(watchdog, 30.0, 9)
    watchdog.began("b", "pass 2", now)
    limit = UNKNOWN_PASS_FACTOR * SILENCE_FACTOR * 30.0
    assert watchdog.stuck(now + limit).keys() == {"a"}
    assert watchdog.stuck(now + limit + 1).keys() == {"a", "b"}


def test_one_slow_frame_is_no_measure():
    watchdog = Watchdog(least=1.0)
    rendered(watchdog, 1.0, 9)
    watchdog.frame("a", 909.0)
    assert watchdog.limit("pass 1") == SILENCE_FACTOR * 1.0


def test_frames_that_were_there_say_that_it_lives_and_nothing_else():
    watchdog = Watchdog(least=1.0)
    watchdog.began("a", "pass 1", 0.0)
    for frame in range(100):
        watchdog.frame("a", frame * 0.001, reused=True)
    assert watchdog.limit("pass 1") == FIRST_FRAME_SECONDS
    assert watchdog.stuck(FIRST_FRAME_SECONDS + 0.05) == {}


def test_who_has_nothing_to_do_is_not_stuck():
    watchdog = Watchdog()
    now = rendered(watchdog, 1.0, 9)
    watchdog.ended("a")
    assert watchdog.stuck(now + 10_000) == {}
