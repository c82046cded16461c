"""What is shown when: pure decisions, no clock.

pacer = Pacer(interval=0.1)                            # at most ten pictures a second
pacer.decide(due=2.0, following=2.04, now=2.1)         # Verdict("drop"): a newer frame is due already
"""

from __future__ import annotations

from typing import Literal, NamedTuple

MOST_DROPPED = 50
"""Frames in a row: a film that decodes more slowly than it plays would otherwise never show one."""
EARLY = 1e-6
"""Seconds: times are read from clocks."""
RECENT = 0.2
"""Weight of the newest time in a mean of recent ones."""


class Verdict(NamedTuple):
    kind: Literal["show", "drop", "wait"]
    seconds: float = 0.0
    """How long to wait; then the same frame is decided on anew."""


class Pacer:
    """One row of frames. Times are seconds since the start; `interval` the least between two pictures shown."""

    def __init__(self, interval: float = 0.0) -> None:
        self._interval = interval
        self._next = 0.0
        self._dropped = 0

    def decide(self, due: float, following: float | None, now: float) -> Verdict:
        """On the frame due at `due`, when the one after it is due at `following` (None: there is none)."""
        if due > now + EARLY:
            return Verdict("wait", due - now)
        late = following is not None and following <= now + EARLY
        soon = due < self._next - EARLY and following is not None
        if (late or soon) and self._dropped < MOST_DROPPED:
            self._dropped += 1
            return Verdict("drop")
        self._dropped = 0
        # Measured from when it should have come, so that a rate that does not divide the film's is kept on average.
        self._next = max(self._next, due - self._interval) + self._interval
        return Verdict("show")


class TimeForFlow:
    """Whether painting and flow both fit into the time between two pictures, by what they took lately."""

    def __init__(self) -> None:
        self._paint: float | None = None
        self._flow: float | None = None

    def painted(self, seconds: float) -> None:
        self._paint = _recent(self._paint, seconds)

    def steadied(self, seconds: float) -> None:
        self._flow = _recent(self._flow, seconds)

    def fits(self, interval: float) -> bool:
        """Before the first flow nothing is known of it, and it is tried."""
        return (self._paint or 0.0) + (self._flow or 0.0) <= interval


def _recent(before: float | None, now: float) -> float:
    return now if before is None else before + RECENT * (now - before)
