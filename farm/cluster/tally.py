"""Which frames have been told of: a task that is taken up again tells of its committed ones once more."""

from __future__ import annotations


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
