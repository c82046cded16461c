"""Ctrl-C and SIGTERM that cannot get lost.

A KeyboardInterrupt that is raised while a destructor or a callback of a library happens to run is
printed and dropped by Python. So it is also noted, and long loops `check` the note.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


class Interruption:
    """Whether the user asked to stop."""

    def __init__(self) -> None:
        self.requested = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if a stop was asked for and the exception went astray."""
        if self.requested:
            raise KeyboardInterrupt

    def _asked(self, *_: object) -> None:
        self.requested = True
        raise KeyboardInterrupt


@contextlib.contextmanager
def noted_interruption() -> Iterator[Interruption]:
    """Note SIGINT and SIGTERM inside; outside the main thread, where signals never arrive, do nothing."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, interruption._asked) for kind in kinds]
    try:
        yield interruption
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)
