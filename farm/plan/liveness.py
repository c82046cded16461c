"""Which renderer is stuck, how much time lost workers cost, and which frames were reported before. Pure.

`now` is any steady clock, in seconds. A `Watchdog` calls a renderer stuck that is at a task and has been silent for a
generous multiple of what a frame takes:

    >>> watchdog = Watchdog(least=60)
    >>> watchdog.began("worker-3", "pass 1", now=0)
    >>> watchdog.frame("worker-3", now=10)              # it has committed a frame
    >>> watchdog.stuck(now=650.2)
    {'worker-3': 640.2}

A `FrameTally` tells new reports from repeated ones: a task that is taken up again reports its committed frames once
more. `LostTime` adds up what lost workers cost: a task's loss lasts from its last sign of life (a committed frame, or
its beginning) until the first frame that another worker commits, less the seconds of work on that frame. It is what
was thrown away, the time until the loss was noticed, and the time until another worker was found.
"""

from __future__ import annotations

import statistics
from collections import deque

FACTOR = 20.0
"""Silent for so many times the median frame of its stage, a renderer counts as stuck."""
LEAST_SECONDS = 120.0
"""No renderer counts as stuck before: a loaded machine, slow storage, or a flow that has to be estimated first."""
UNKNOWN_FACTOR = 5.0
"""A stage of which no frame is known may take so many times as long as the slowest that is known."""
FIRST_SECONDS = 1800.0
"""Allowed where no frame at all is known yet: the first one loads networks and may be a large picture."""
REMEMBERED = 200


class Watchdog:
    """Follows the renderers of one job. `least` is LEAST_SECONDS unless told otherwise."""

    def __init__(self, least: float = LEAST_SECONDS) -> None:
        self._least = least
        self._heard: dict[str, tuple[str, float]] = {}
        self._took: dict[str, deque[float]] = {}

    def began(self, worker: str, stage: str, now: float) -> None:
        """The worker has been given a task of this stage."""
        self._heard[worker] = (stage, now)

    def frame(self, worker: str, now: float, *, reused: bool = False) -> None:
        """It told of a frame; one that was there already (`reused`) says nothing of how long frames take."""
        stage, before = self._heard[worker]
        self._heard[worker] = (stage, now)
        if not reused:
            self._took.setdefault(stage, deque(maxlen=REMEMBERED)).append(now - before)

    def ended(self, worker: str) -> None:
        """It has no task any more."""
        self._heard.pop(worker, None)

    def limit(self, stage: str) -> float:
        """Seconds of silence that are allowed in a stage."""
        if stage in self._took:
            return max(self._least, FACTOR * statistics.median(self._took[stage]))
        if self._took:
            slowest = max(statistics.median(took) for took in self._took.values())
            return max(self._least, UNKNOWN_FACTOR * FACTOR * slowest)
        return max(self._least, FIRST_SECONDS)

    def stuck(self, now: float) -> dict[str, float]:
        """Workers that should have told of a frame by now, with the seconds since they last did."""
        silent = {worker: (stage, now - heard) for worker, (stage, heard) in self._heard.items()}
        return {worker: seconds for worker, (stage, seconds) in silent.items() if seconds > self.limit(stage)}


class FrameTally:
    """Remembers the frames of the tasks at work, and no others: their number does not grow with the film."""

    def __init__(self) -> None:
        self._told: dict[str, set[int]] = {}

    def is_new(self, task: str, frame: int) -> bool:
        """Whether this frame of the task is told of for the first time."""
        told = self._told.setdefault(task, set())
        if frame in told:
            return False
        told.add(frame)
        return True

    def ended(self, task: str) -> None:
        """Nobody will tell of its frames any more."""
        self._told.pop(task, None)


class LostTime:
    """Follows the tasks of one job. Only losses that ended are counted."""

    def __init__(self) -> None:
        self._heard: dict[str, float] = {}
        self._lost: dict[str, float] = {}
        self.total = 0.0

    def sign(self, task: str, now: float) -> None:
        """The task has begun, or committed a frame."""
        self._heard[task] = now

    def lost(self, task: str) -> None:
        """Its worker is gone. A second loss before the next frame belongs to the first."""
        self._lost.setdefault(task, self._heard[task])

    def committed(self, task: str, work: float, now: float) -> float | None:
        """A frame that took `work` seconds: the loss that ends with it, if one does."""
        self.sign(task, now)
        since = self._lost.pop(task, None)
        if since is None:
            return None
        seconds = max(now - since - work, 0.0)
        self.total += seconds
        return seconds
