"""Seconds that a process spends, by name. Each second is counted once.

    with timed("flow"):
        frames(3)               # is timed as "decode" itself: those seconds are not counted as flow
    taken()                     # {"flow": 2.1, "decode": 0.8}; counting begins anew

Entering and leaving a timed block takes about a microsecond, so the blocks stay in the code. Seconds are of the wall
clock. Work that a GPU does later is counted where the process waits for it.
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
    """Count the seconds spent in the block under `name`, without those of timed blocks inside it. Blocks may nest."""
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
    """Seconds by name, since the last call of this function."""
    global _seconds
    seconds, _seconds = _seconds, {}
    return seconds
