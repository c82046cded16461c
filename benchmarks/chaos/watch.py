"""What happens in a job directory, seen from outside: which frames are committed, when, and how often.

watch = Watch(job, output)       # frames that are there now have been committed once
with watch:                      # may be entered again and again: it goes on counting
    watch.wait(lambda: watch.commits >= 7)
watch.twice                      # commits of frames that had been committed before
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

POLL_SECONDS = 0.01
"""Seconds between two looks at the files."""


class Watch:
    """Looks at the files of a job again and again: another inode or another time is another commit.

    `job` is the job directory, `output` the film.
    """

    def __init__(self, job: Path, output: Path) -> None:
        self._job, self._output = job, output
        self._seen: dict[str, tuple[int, int]] = {}
        self.count: Counter[str] = Counter()
        """How often each frame was committed, by the path of its file."""
        self.commits = 0
        """Commits of frames since this watch was made."""
        self.steps = 0
        """Commits of frames, of encoded segments, and of the film, since this watch was made."""
        self.last = 0.0
        """Monotonic seconds of the latest of these commits."""
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
        """Commits of frames beyond the first of each."""
        return sum(times - 1 for times in self.count.values())

    def overlook(self) -> None:
        """Count no commit for what was changed since the last look: the benchmark has done it itself."""
        self._seen |= {path: state for path, state in self._states() if path in self._seen}

    def wait(self, happened: Callable[[], bool], seconds: float = 120.0) -> bool:
        """Wait until `happened` returns true. Returns False where it did not within so many seconds."""
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
                state = Path(path).stat()
            except FileNotFoundError:
                continue
            yield path, (state.st_ino, state.st_mtime_ns)

    def _paths(self) -> Iterator[str]:
        """A segment is committed with its record; files that are not whole yet have names with a dot."""
        for kind, suffix in (("frames", ".png"), ("segments", ".json")):
            for folder, _, names in os.walk(self._job / kind):
                yield from (f"{folder}/{name}" for name in names if name.endswith(suffix) and not name.startswith("."))
        yield str(self._output)
