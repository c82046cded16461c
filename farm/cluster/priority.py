"""A job's share of a cluster by the priority in its request, also where that is changed while the job runs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection
from typing import Protocol

from farm.errors import StorageError
from farm.job import JobDirectory
from farm.job.request import load_request

READ_SECONDS = 15.0
"""Seconds between two looks at the request of a job. Each is one request to object storage."""


class PrioritisedQuota(Protocol):
    """A `farm.cluster.pool.Quota` whose job's priority can be changed."""

    start_seconds: float | None

    def allowed(self, wanted: int, unusable: Collection[str] = ()) -> int:
        """Number of workers that the job may hold now."""
        ...

    def prioritise(self, priority: int) -> None:
        """From now on, the job has this priority."""
        ...

    def leave(self) -> None:
        """Give the job's share back."""
        ...


class FollowedPriority:
    """The quota of a submitted job, with the priority that its `request.json` names, read every READ_SECONDS."""

    def __init__(self, quota: PrioritisedQuota, job: JobDirectory, now: Callable[[], float] = time.monotonic) -> None:
        self._quota, self._job, self._now = quota, job, now
        self._read = now()
        self.start_seconds = quota.start_seconds

    def allowed(self, wanted: int, unusable: Collection[str] = ()) -> int:
        """Number of workers that the job may hold now, where it has work for `wanted`."""
        if self._now() - self._read >= READ_SECONDS:
            self._read = self._now()
            with contextlib.suppress(StorageError):  # the priority stays as it was
                if (request := load_request(self._job)) is not None:
                    self._quota.prioritise(request.priority)
        return self._quota.allowed(wanted, unusable)

    def leave(self) -> None:
        """Give the job's share back."""
        self._quota.leave()
