"""Where a process spends its time: named stages, each second counted once.

    with timed("flow"):
        frames(3)               # its own stage, "decode": those seconds are not counted as flow
    taken()                     # {"flow": 2.1, "decode": 0.8}, and everything begins anew

Entering and leaving a stage takes about a microsecond, so they stay where they are. Seconds are of the wall clock;
work that a GPU does later is counted where somebody waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_seconds: dict[str, float] = {}
_of_thread = threading.local()


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Count the seconds spent inside, those of stages within it excepted. May be entered again while it runs."""
    inner: list[float] = _of_thread.__dict__.setdefault("inner", [])
    inner.append(0.0)
    began = time.perf_counter()
    try:
        yield
    finally:
        whole = time.perf_counter() - began
        _seconds[name] = _seconds.get(name, 0.0) + whole - inner.pop()
        if inner:
            inner[-1] += whole


def taken() -> dict[str, float]:
    """Seconds by stage since this was last asked."""
    global _seconds
    seconds, _seconds = _seconds, {}
    return seconds
