"""Ctrl-C and SIGTERM that cannot get lost.

    with noted_interruption() as interruption:
        for step in steps:
            interruption.check()

Python prints and drops a KeyboardInterrupt that is raised while a destructor or a callback of a library happens to run.
So the signal is also noted, and long loops `check` the note.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


class Interruption:
    """Whether the user asked to stop: `requested`."""

    def __init__(self) -> None:
        self.requested = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if a stop was asked for. For the case that the exception itself got lost."""
        if self.requested:
            raise KeyboardInterrupt

    def _asked(self, *_: object) -> None:
        self.requested = True
        raise KeyboardInterrupt


@contextlib.contextmanager
def noted_interruption() -> Iterator[Interruption]:
    """Note SIGINT and SIGTERM inside the block; either also raises KeyboardInterrupt there.

    Outside the main thread, where signals never arrive, it does nothing.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.signal(number, interruption._asked) for number in signals]
    try:
        yield interruption
    finally:
        for number, handler in zip(signals, handlers, strict=True):
            signal.signal(number, handler)
