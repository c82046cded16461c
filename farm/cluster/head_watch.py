"""Ends this process where the head of its cluster is lost: with one line, exit code 1, and what has to be kept written.

    with watched_head("10.0.0.5:6379"):
        with if_head_is_lost(lambda line: state.end("FAILED", line)):
            ...
            work_begins()

Why not leave it to Ray: its calls then hang in C++ code, which nothing can interrupt, until Ray itself ends the process
after a minute, with a line of its own. So a thread asks the head whether it is alive (farm.cluster.joining).
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

from farm.cluster.joining import head_address, head_question
from farm.errors import FarmError, RenderError
from farm.files.remote import remove_copies

ASK_SECONDS = 1.0
"""Seconds between two questions."""
ANSWER_SECONDS = 4.0
"""Seconds that the head has for one answer."""
LOST_SECONDS = 8.0
"""Seconds without an answer after which the head is lost, before any work has begun."""
LOST_AT_WORK_SECONDS = 50.0
"""The same at work. A head that keeps its data in Redis may be restarted in that time. Ray gives up after 60 s."""
KEEP_SECONDS = 5.0
"""Seconds that may be spent on keeping what is to be kept."""

Keep = Callable[[str], None]
"""Keeps something before the process ends, given the line that is printed."""


class HeadWatch:
    """Decides when a head is lost, from `ask`, which raises FarmError where it does not answer. `now` is in seconds."""

    def __init__(self, ask: Callable[[], None], now: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._now = ask, now
        self._answered = now()
        self.at_work = False
        """Whether there is work whose loss would cost more than a wait for the head."""
        self.kept: list[Keep] = []

    def silence(self) -> float | None:
        """Ask once. The seconds without an answer where the head is lost by now, otherwise None."""
        try:
            self._ask()
            self._answered = self._now()
        except FarmError:
            silent = self._now() - self._answered
            if silent >= (LOST_AT_WORK_SECONDS if self.at_work else LOST_SECONDS):
                return silent
        return None

    def keep(self, line: str) -> None:
        """Keep all that is to be kept, what came last first, within KEEP_SECONDS."""

        def keep_all() -> None:
            for one in reversed(self.kept):
                with contextlib.suppress(Exception):
                    one(line)

        keeping = threading.Thread(target=keep_all, name="keep", daemon=True)
        keeping.start()
        keeping.join(KEEP_SECONDS)


_watch: HeadWatch | None = None
"""The watch of the cluster that this process is in."""


@contextlib.contextmanager
def watched_head(address: str | None) -> Iterator[Callable[[], None]]:
    """Watch the head at `address`, `host:port` or `auto`, inside the block, or until the function is called.

    None is Ray that this process has started: nothing is watched. Raises as `head_address` does.
    """
    global _watch
    ended = threading.Event()
    if address is None:
        yield ended.set
        return
    place = head_address(address)
    shown = place if address == "auto" else address
    with head_question(place, shown, ANSWER_SECONDS) as ask:
        watch = _watch = HeadWatch(ask)

        def follow() -> None:
            while not ended.wait(ASK_SECONDS):
                silence = watch.silence()
                if silence is not None and not ended.is_set():
                    _end_process(watch, shown, silence)

        thread = threading.Thread(target=follow, name="head", daemon=True)
        thread.start()
        try:
            yield ended.set
        finally:
            ended.set()
            _watch = None
            thread.join(ASK_SECONDS + ANSWER_SECONDS)


@contextlib.contextmanager
def if_head_is_lost(keep: Keep) -> Iterator[None]:
    """Have `keep(line)` called where the head is lost inside the block. Without a watch this does nothing."""
    watch = _watch
    if watch is None:
        yield
        return
    watch.kept.append(keep)
    try:
        yield
    finally:
        watch.kept.remove(keep)


def work_begins() -> None:
    """From now on wait longer for a head that does not answer, until the watch ends."""
    if _watch is not None:
        _watch.at_work = True


def _end_process(watch: HeadWatch, shown: str, silence: float) -> None:
    error = RenderError(
        f"the head of the cluster at {shown} was lost: no answer for {silence:.0f} s", "run the same command again"
    )
    watch.keep(str(error))
    with contextlib.suppress(OSError):
        remove_copies()
    with contextlib.suppress(Exception):
        # A bar of progress is on the line, and its cursor is hidden.
        before = "\r\x1b[K\x1b[?25h" if sys.stderr.isatty() else ""
        os.write(2, f"{before}farm: {error}\n".encode())
    os._exit(error.exit_code)
