"""What happens in a job directory while it is rendered, seen from outside: which frames are committed, when, how often.

with Watch(job) as watch:
    watch.wait(lambda: watch.commits >= 7)
    watch.twice                  # frames that were committed more than once
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

POLL_SECONDS = 0.01


class Watch:
    """Looks at every frame's file again and again: another inode or time is another commit."""

    def __init__(self, job: Path) -> None:
        self._job = job
        self._seen: dict[str, tuple[int, int]] = {}
        self.count: Counter[str] = Counter()
        self.last = 0.0
        """Monotonic seconds of the latest commit."""
        self._look()
        self.count.clear()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    @property
    def commits(self) -> int:
        return sum(self.count.values())

    @property
    def twice(self) -> int:
        return sum(times - 1 for times in self.count.values() if times > 1)

    def wait(self, happened: Callable[[], bool], seconds: float = 120.0) -> bool:
        """False where it did not happen within so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if happened():
                return True
            time.sleep(POLL_SECONDS / 2)
        return False

    def _watch(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            self._look()

    def _look(self) -> None:
        for folder, _, names in os.walk(self._job / "frames"):
            for name in names:
                if name.startswith("."):
                    continue
                path = f"{folder}/{name}"
                try:
                    found = Path(path).stat()
                except FileNotFoundError:
                    continue
                state = found.st_ino, found.st_mtime_ns
                if self._seen.get(path) != state:
                    self._seen[path] = state
                    self.count[path] += 1
                    self.last = time.monotonic()
