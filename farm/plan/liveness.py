"""Which renderers are stuck, how much time lost workers cost, and which frames were reported before. Pure.

`now` is any steady clock, in seconds. A `Watchdog` calls a renderer stuck that has a task and has been silent for a
generous multiple of what a frame takes:

    >>> watchdog = Watchdog(least=60)
    >>> watchdog.began("worker-3", "pass 1", now=0)
    >>> watchdog.frame("worker-3", now=10)              # it has committed a frame
    >>> watchdog.stuck(now=650.2)
    {'worker-3': 640.2}

A `FrameTally` tells new reports from repeated ones, because a task that is begun again reports the frames that were
committed before once more:

    >>> tally = FrameTally()
    >>> [tally.is_new("pass-1/00000", frame) for frame in (0, 1, 0, 1, 2)]
    [True, True, False, False, True]

`LostTime` adds up what lost workers cost. The loss of a task lasts from its last sign of life (a committed frame, or
its beginning) until another worker commits a frame of it, less the seconds of work on that frame. It is the work that
was thrown away, the time until the loss was noticed, and the time until another worker was found.

    >>> lost_time = LostTime()
    >>> lost_time.sign("pass-1/00000", now=10)
    >>> lost_time.lost("pass-1/00000")
    >>> lost_time.committed("pass-1/00000", work=5, now=35)
    20
"""

from __future__ import annotations

import statistics
from collections import deque

SILENCE_FACTOR = 20.0
"""A renderer counts as stuck after a silence of this many median frames of its pass."""
LEAST_SILENCE_SECONDS = 120.0
"""Seconds of silence that every renderer is allowed. Why: a loaded machine, slow storage, or a flow that has to be
estimated first.
"""
UNKNOWN_PASS_FACTOR = 5.0
"""How many times longer than in the slowest known pass a silence may be in a pass that has no finished frame yet."""
FIRST_FRAME_SECONDS = 1800.0
"""Seconds of silence that are allowed while no frame of any pass is finished. Why: the first frame loads networks, and
may be a large picture.
"""
REMEMBERED_FRAMES = 200
"""Latest frames of a pass whose times the median is taken over."""


class Watchdog:
    """Follows the renderers of one job. `least` is how many seconds of silence each of them is allowed at any rate."""

    def __init__(self, least: float = LEAST_SILENCE_SECONDS) -> None:
        self._least = least
        self._last_sign: dict[str, tuple[str, float]] = {}
        self._frame_seconds: dict[str, deque[float]] = {}

    def began(self, worker: str, pass_name: str, now: float) -> None:
        """The worker has been given a task of this pass."""
        self._last_sign[worker] = (pass_name, now)

    def frame(self, worker: str, now: float, *, reused: bool = False) -> None:
        """The worker has reported a frame.

        A frame that was committed before (`reused`) is a sign of life, but says nothing of how long frames take.
        """
        pass_name, before = self._last_sign[worker]
        self._last_sign[worker] = (pass_name, now)
        if not reused:
            self._frame_seconds.setdefault(pass_name, deque(maxlen=REMEMBERED_FRAMES)).append(now - before)

    def ended(self, worker: str) -> None:
        """The worker has no task any more, so its silence means nothing."""
        self._last_sign.pop(worker, None)

    def limit(self, pass_name: str) -> float:
        """Seconds of silence that are allowed in a pass."""
        if pass_name in self._frame_seconds:
            # The lower one of two: a renderer's first frame, which loads networks, says little of the others.
            return max(self._least, SILENCE_FACTOR * statistics.median_low(self._frame_seconds[pass_name]))
        if self._frame_seconds:
            slowest = max(statistics.median(seconds) for seconds in self._frame_seconds.values())
            return max(self._least, UNKNOWN_PASS_FACTOR * SILENCE_FACTOR * slowest)
        return max(self._least, FIRST_FRAME_SECONDS)

    def stuck(self, now: float) -> dict[str, float]:
        """Workers that should have reported a frame by now, each with the seconds since its last sign of life."""
        return {
            worker: now - since
            for worker, (pass_name, since) in self._last_sign.items()
            if now - since > self.limit(pass_name)
        }


class FrameTally:
    """Remembers the reported frames of the tasks at work and of no others, so it does not grow with the film."""

    def __init__(self) -> None:
        self._reported: dict[str, set[int]] = {}

    def is_new(self, task: str, frame: int) -> bool:
        """Whether this frame of the task is reported for the first time. The next call with it gives False."""
        frames = self._reported.setdefault(task, set())
        if frame in frames:
            return False
        frames.add(frame)
        return True

    def ended(self, task: str) -> None:
        """The task is done: nobody will report its frames any more."""
        self._reported.pop(task, None)


class LostTime:
    """Follows the tasks of one job. `total` is the seconds of all losses that have ended."""

    def __init__(self) -> None:
        self._last_sign: dict[str, float] = {}
        self._lost_since: dict[str, float] = {}
        self.total = 0.0

    def sign(self, task: str, now: float) -> None:
        """The task has begun, or has committed a frame."""
        self._last_sign[task] = now

    def lost(self, task: str) -> None:
        """The task's worker is gone. A second loss before the next frame belongs to the first."""
        self._lost_since.setdefault(task, self._last_sign[task])

    def committed(self, task: str, work: float, now: float) -> float | None:
        """The task has committed a frame that took `work` seconds. Seconds of the loss that ends with it, else None."""
        self.sign(task, now)
        since = self._lost_since.pop(task, None)
        if since is None:
            return None
        seconds = max(now - since - work, 0.0)
        self.total += seconds
        return seconds
