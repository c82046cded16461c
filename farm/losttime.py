"""Time that tasks lose with their workers: pure, `now` is any steady clock in seconds.

A task's loss lasts from its last sign of life (a committed frame, or its beginning) until the first frame that
another worker commits, less the seconds of work on that frame: what was thrown away, noticing it, finding a worker.
"""

from __future__ import annotations


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
