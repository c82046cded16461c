"""What happens in a job directory, seen from outside: which frames are committed, when, how often.

watch = Watch(job, output)       # frames that are there now have been committed once
with watch:                      # as often as need be: it goes on counting
    watch.wait(lambda: watch.commits >= 7)
watch.twice                      # commits of frames beyond the first of each, whatever became of that
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

POLL_SECONDS = 0.01


class Watch:
    """Looks at every frame's file again and again: another inode or time is another commit."""

    def __init__(self, job: Path, output: Path) -> None:
        self._job, self._output = job, output
        self._seen: dict[str, tuple[int, int]] = {}
        self.count: Counter[str] = Counter()
        """Of each frame that was ever seen here, how often it was committed."""
        self.commits = 0
        """Of frames, since this watch was made."""
        self.steps = 0
        """Commits of frames, of encoded segments, and of the film."""
        self.last = 0.0
        """Monotonic seconds of the latest of them."""
        self._look()
        self.commits = self.steps = 0
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def __enter__(self) -> Watch:
        self._ended.clear()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._thread is not None
        self._ended.set()
        self._thread.join()
        self._look()

    @property
    def twice(self) -> int:
        return sum(times - 1 for times in self.count.values())

    def overlook(self) -> None:
        """What was changed just now, while nobody was watching, was done by the benchmark: it is no commit."""
        self._seen |= {path: state for path, state in self._states() if path in self._seen}

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
        for path, state in self._states():
            if self._seen.get(path) == state:
                continue
            self._seen[path] = state
            if path.startswith(f"{self._job}/frames/"):
                self.count[path] += 1
                self.commits += 1
            self.steps += 1
            self.last = time.monotonic()

    def _states(self) -> Iterator[tuple[str, tuple[int, int]]]:
        for path in self._paths():
            try:
                found = Path(path).stat()
            except FileNotFoundError:
                continue
            yield path, (found.st_ino, found.st_mtime_ns)

    def _paths(self) -> Iterator[str]:
        """A segment is committed with its record; files that are not whole yet have names with a dot."""
        for kind, suffix in (("frames", ".png"), ("segments", ".json")):
            for folder, _, names in os.walk(self._job / kind):
                yield from (f"{folder}/{name}" for name in names if name.endswith(suffix) and not name.startswith("."))
        yield str(self._output)
