"""How fast a job goes, how long it will still take, and to whom a long command reports it.

>>> eta = Eta(total_steps=100)
>>> eta.start(0.0)
>>> eta.done(20, 10.0)
>>> eta.seconds_left(10.0)
40.0

The module is pure: callers pass every time in, as seconds of one steady clock.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

RATE_SECONDS = 60.0
"""Seconds over which `Rate` counts frames: those of Prometheus' `rate(..[1m])`."""

ETA_WINDOW = 40
"""Number of the latest reports that `Eta` uses: several of each worker, few enough to follow a change of phase."""


class Progress(Protocol):
    """What a long command needs of whoever shows its progress. `farm.cli.progress.JobProgress` draws it as a bar.

    The packages below the command line take one as a parameter, so that they know nothing of terminals.
    """

    def note(self, line: str) -> None:
        """Show one line of text that stays."""
        ...

    def phase(self, name: str, frames: int, steps: float) -> None:
        """Begin a phase of `frames` frames, for which `steps` optimiser steps are planned in all."""
        ...

    def advance(self, phase: str, planned_steps: float) -> None:
        """Count one more frame of `phase`, for which `planned_steps` had been planned."""
        ...

    def share(self, phase: str, done: float) -> None:
        """Say which share of `phase`, 0 to 1, is done: for a phase that has no frames, such as a training.

        The first call begins the phase.
        """
        ...


class NoProgress:
    """A `Progress` that shows nothing: for callers that nobody watches."""

    def note(self, line: str) -> None:
        """Show nothing."""

    def phase(self, name: str, frames: int, steps: float) -> None:
        """Show nothing."""

    def advance(self, phase: str, planned_steps: float) -> None:
        """Show nothing."""

    def share(self, phase: str, done: float) -> None:
        """Show nothing."""


class Eta:
    """Time left, weighed by optimiser steps, because a first frame takes several times the steps of a later one."""

    def __init__(self, total_steps: float) -> None:
        self._steps_left = float(total_steps)
        self._recent: deque[tuple[float, float]] = deque(maxlen=ETA_WINDOW)

    def start(self, now: float) -> None:
        """Start the clock at `now`, in seconds."""
        self._recent.append((now, self._steps_left))

    def done(self, planned_steps: float, now: float) -> None:
        """Count `planned_steps` of the total as done at `now`, in seconds."""
        self._steps_left = max(self._steps_left - planned_steps, 0.0)
        self._recent.append((now, self._steps_left))

    def seconds_left(self, now: float) -> float | None:
        """Seconds until the last step, or None before the first report."""
        if len(self._recent) < 2:
            return None
        began, before = self._recent[0]
        done = before - self._steps_left
        return None if done <= 0 else self._steps_left * (now - began) / done


class Rate:
    """Frames a second over the last minute, or since `began` where that is later; Prometheus' `rate(..[1m])` agrees.

    Callers ask when a frame has just come. So a frame that was begun before that minute counts only with its part
    inside it. Counted whole, the rate of a slow render would be one frame a minute too high.
    """

    def __init__(self, began: float) -> None:
        self._began = self._before = began
        self._recent: deque[float] = deque()

    def done(self, now: float) -> None:
        """Count one frame at `now`, in seconds."""
        self._recent.append(now)

    def per_second(self, now: float) -> float:
        """Frames a second at `now`, in seconds; 0 where no frame came within the last minute."""
        start = max(now - RATE_SECONDS, self._began)
        while self._recent and self._recent[0] <= start:
            self._before = self._recent.popleft()
        if not self._recent or now <= start:
            return 0.0
        earlier = (start - self._before) / (self._recent[0] - self._before)
        return (len(self._recent) - earlier) / (now - start)
