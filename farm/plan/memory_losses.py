"""How a job goes on where the memory of its machines runs out and workers are killed for it. Pure.

`now` is any steady clock, in seconds. The first time, lost workers are replaced after a pause. Each further time the
job has fewer workers, and where no frame is committed meanwhile the pauses grow:

    >>> losses = MemoryLosses()
    >>> losses.lost(now=100.0, workers=4)
    >>> losses.may_start(now=104.0), losses.may_start(now=105.0)
    (False, True)
    >>> losses.lost(now=200.0, workers=4)
    3

Several workers that are killed at once are one time. A job that has committed nothing after HOPELESS times is told so:
from then on a loss counts as a failed attempt of the task, so that the job ends where memory is never free again.
"""

from __future__ import annotations

AT_ONCE_SECONDS = 5.0
"""Losses within so many seconds are one time: Ray kills several workers, and they are noticed one after the other."""
PAUSES = (5.0, 5.0, 10.0, 20.0, 40.0, 60.0)
"""Seconds without a new worker, after each time since the latest frame. The last one holds for all further times.

None is shorter than AT_ONCE_SECONDS, so that a worker that was started since is never taken for one of the same time.
"""
HOPELESS = 6
"""Times without a frame between them after which losses count as failures: two minutes or more of full memory."""
SHARE_KEPT = 0.75
"""Share of the workers that is kept each time, but one fewer at least."""


class MemoryLosses:
    """Counts the times that memory ran out in one run of a job. `cap` is the most workers that it may have from now on.

    `cap` is None until memory has run out for the second time.
    """

    def __init__(self) -> None:
        self.cap: int | None = None
        self._times = self._since_frame = 0
        self._latest = self._start_after = float("-inf")

    def lost(self, now: float, workers: int) -> int | None:
        """Count a worker that was killed, of `workers` that the job had. Returns `cap` where this lowered it."""
        if now - self._latest < AT_ONCE_SECONDS:
            return None
        self._latest = now
        self._times += 1
        self._since_frame += 1
        self._start_after = now + PAUSES[min(self._since_frame, len(PAUSES)) - 1]
        if self._times == 1:
            return None
        most = workers if self.cap is None else min(workers, self.cap)
        fewer = max(1, min(most - 1, int(most * SHARE_KEPT)))
        if fewer == self.cap:
            return None
        self.cap = fewer
        return fewer

    def frame(self) -> None:
        """A frame was committed: the job gets on."""
        self._since_frame = 0

    def may_start(self, now: float) -> bool:
        """Whether a new worker may be started."""
        return now >= self._start_after

    @property
    def hopeless(self) -> bool:
        """Whether the job gets nowhere, so that a loss counts as a failed attempt of its task."""
        return self._since_frame > HOPELESS

    @property
    def short(self) -> bool:
        """Whether memory has run out since the latest frame."""
        return self._since_frame > 0
