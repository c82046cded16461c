"""Which frames are shown, and when. The decisions are pure: the time is handed in.

>>> pacer = Pacer(interval=0.1)                         # at most ten pictures a second
>>> pacer.decide(due=2.0, following=2.04, now=2.1)      # a newer frame is due already
Verdict(kind='drop', seconds=0.0)
>>> pacer.decide(due=2.5, following=2.54, now=2.25)
Verdict(kind='wait', seconds=0.25)
"""

from __future__ import annotations

from typing import Literal, NamedTuple

MOST_DROPPED = 50
"""Most frames dropped in a row. Without this limit, a film that decodes more slowly than it plays would never show a
frame."""
EARLY = 1e-6
"""Seconds by which two times may differ and still count as the same, because they are read from clocks."""
RECENT = 0.2
"""Weight of the newest duration in the running mean of recent ones."""


class Verdict(NamedTuple):
    """What is to be done with one frame."""

    kind: Literal["show", "drop", "wait"]
    """Show the frame, leave it out, or wait and then decide on it again."""
    seconds: float = 0.0
    """How long to wait, in seconds; 0 for the other kinds."""


class Pacer:
    """Decides on the frames of one source, in order. All times are seconds since the start of the show."""

    def __init__(self, interval: float = 0.0) -> None:
        """Show at most one picture in `interval` seconds."""
        self._interval = interval
        self._next = 0.0
        self._dropped = 0

    def decide(self, due: float, following: float | None, now: float) -> Verdict:
        """Decide at time `now` on the frame that is due at `due`.

        The frame after it is due at `following`, which is None for the last frame. The last frame is never dropped.
        """
        if due > now + EARLY:
            return Verdict("wait", due - now)
        late = following is not None and following <= now + EARLY
        soon = due < self._next - EARLY and following is not None
        if (late or soon) and self._dropped < MOST_DROPPED:
            self._dropped += 1
            return Verdict("drop")
        self._dropped = 0
        # Counted from when the picture should have come, so that a rate that does not divide the film's rate is kept
        # on average.
        self._next = max(self._next, due - self._interval) + self._interval
        return Verdict("show")


class TimeForFlow:
    """Whether painting and flow both fit into the time between two pictures, by running means of what they took."""

    def __init__(self) -> None:
        """Begin without any measured time."""
        self._paint: float | None = None
        self._flow: float | None = None

    def painted(self, seconds: float) -> None:
        """Note that one picture was painted in `seconds`."""
        self._paint = _recent(self._paint, seconds)

    def steadied(self, seconds: float) -> None:
        """Note that flow was measured and applied in `seconds`."""
        self._flow = _recent(self._flow, seconds)

    def fits(self, interval: float) -> bool:
        """Whether both fit into `interval` seconds. Before the first flow its time counts as 0, so that it is tried."""
        return (self._paint or 0.0) + (self._flow or 0.0) <= interval


def _recent(mean: float | None, newest: float) -> float:
    """The running mean with the newest duration in it."""
    return newest if mean is None else mean + RECENT * (newest - mean)
