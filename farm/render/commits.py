"""Frames of one task, committed in another thread while the next ones are painted: pictures first, then the ledger.

    with CommitsBehind(job, "pass-1/00003") as commits:
        commits.add(image, record)          # a later frame may read it at once
        for record in commits.announced():  # on storage, and named in the ledger
            ...
        for record in commits.finish():     # the rest
            ...

A frame is announced only once the ledger names it. Frames are named in the order in which they were added, so whatever
a committed frame was made of is committed as well. A frame that a later one reads before that is the very picture that
is being committed: 8 bits, and PNG loses nothing of it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from types import TracebackType

import numpy as np

from farm.job import FrameRecord, JobDirectory

MOST_UNNAMED = 16
"""Frames that may be lost with a worker at most, beside the one at work: stored, and not named yet."""
LEDGER_SECONDS = 1.0
"""Seconds between two writes of a ledger on object storage, where each is two requests. On a disk there is no pause."""


class CommitsBehind:
    """Commits frames of `task`. Use as a context manager: leaving it waits for what is under way, and raises nothing.

    `add`, `announced` and `finish` raise what the thread raised, such as StorageError; then nothing more is committed.
    """

    def __init__(self, job: JobDirectory, task: str, ledger_seconds: float | None = None) -> None:
        self._job, self._task = job, task
        default = 0.0 if job.storage.local is not None else LEDGER_SECONDS
        self._pause = default if ledger_seconds is None else ledger_seconds
        self._changed = threading.Condition()
        self._waiting: deque[tuple[np.ndarray, FrameRecord]] = deque()
        self._stored: list[FrameRecord] = []
        self._unnamed: set[int] = set()
        self._hurry = self._closed = False
        self._named: list[FrameRecord] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="commits", daemon=True)
        self._thread.start()

    def __enter__(self) -> CommitsBehind:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._hurry = self._closed = True
            self._changed.notify_all()
        self._thread.join()
        for frame in self._unnamed:
            self._job.hold_picture(self._task, frame, None)

    def add(self, image: np.ndarray, record: FrameRecord) -> None:
        """Commit a picture (H, W, 3) uint8 soon. Waits while MOST_UNNAMED frames are not named yet."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._unnamed) < MOST_UNNAMED or self._error is not None)
            self._raise()
            self._job.hold_picture(self._task, record.frame, image)
            self._unnamed.add(record.frame)
            self._waiting.append((image, record))
            self._changed.notify_all()

    def announced(self) -> list[FrameRecord]:
        """The frames that were committed since the last question, in order; it does not wait."""
        with self._changed:
            self._raise()
            named, self._named = self._named, []
        return named

    def finish(self) -> list[FrameRecord]:
        """Wait until all frames are committed, and return those not announced yet."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._unnamed or self._error is not None)
            self._hurry = False
        return self.announced()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        """Store pictures as they come. Name them where no further one waits and the pause is over."""
        due = 0.0  # on the monotonic clock: when the ledger may be written again
        try:
            while True:
                item = self._next(due)
                if item is not None:
                    self._stored.append(self._job.store_picture(self._task, *item))
                elif not self._stored:
                    return
                if item is None or len(self._stored) == MOST_UNNAMED:
                    self._job.name_frames(self._task, self._stored)
                    self._announce(self._stored)
                    self._stored, due = [], time.monotonic() + self._pause
        except BaseException as error:  # handed on to the thread that paints
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _next(self, due: float) -> tuple[np.ndarray, FrameRecord] | None:
        """The next picture to store. None where what is stored shall be named, and where all is done."""
        pause = max(due - time.monotonic(), 0.0) if self._stored else None
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed or (self._stored and self._hurry), pause)
            return self._waiting.popleft() if self._waiting else None

    def _announce(self, records: list[FrameRecord]) -> None:
        for record in records:
            self._job.hold_picture(self._task, record.frame, None)
        with self._changed:
            self._named += records
            self._unnamed.difference_update(record.frame for record in records)
            self._changed.notify_all()
