"""How fast a job goes and how long it will still take. Pure: every time is given."""

from __future__ import annotations

from collections import deque

RATE_SECONDS = 60.0


ETA_WINDOW = 40
"""Reports that the time left is reckoned from: some of each worker, few enough to follow a change of stage."""


class Eta:
    """Time left, weighed by optimiser steps: a first frame costs several later ones. Pure but for the times given."""

    def __init__(self, total_steps: float) -> None:
        self._steps_left = float(total_steps)
        self._recent: deque[tuple[float, float]] = deque(maxlen=ETA_WINDOW)

    def start(self, now: float) -> None:
        self._recent.append((now, self._steps_left))

    def done(self, planned_steps: float, now: float) -> None:
        self._steps_left = max(self._steps_left - planned_steps, 0.0)
        self._recent.append((now, self._steps_left))

    def seconds_left(self, now: float) -> float | None:
        """None until there is something to go by."""
        if len(self._recent) < 2:
            return None
        began, before = self._recent[0]
        done = before - self._steps_left
        return None if done <= 0 else self._steps_left * (now - began) / done


class Rate:
    """Frames a second over the last minute, or since the beginning; what Prometheus' `rate(..[1m])` says, too.

    It is asked when a frame has just come, so a frame that was begun before the minute counts only for its part in it:
    counted whole, few frames a minute would be told as one too many.
    """

    def __init__(self, began: float) -> None:
        self._began = self._before = began
        self._recent: deque[float] = deque()

    def done(self, now: float) -> None:
        self._recent.append(now)

    def per_second(self, now: float) -> float:
        start = max(now - RATE_SECONDS, self._began)
        while self._recent and self._recent[0] <= start:
            self._before = self._recent.popleft()
        if not self._recent or now <= start:
            return 0.0
        earlier = (start - self._before) / (self._recent[0] - self._before)
        return (len(self._recent) - earlier) / (now - start)
