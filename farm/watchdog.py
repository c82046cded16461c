"""Which renderer is stuck: at a task, and silent for a generous multiple of what a frame takes. Pure; `now` is any
steady clock in seconds.

    watchdog.began("worker-1", "pass 1", now)
    watchdog.frame("worker-1", now)             # it has committed one
    watchdog.stuck(now)                         # {"worker-3": 640.2}: silent for so many seconds
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
