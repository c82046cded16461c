"""The CPU cores of this machine, without PyTorch, which takes seconds to load: a driver asks too."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """CPU cores that this process may run on: those of its affinity mask, or all where the system has no such mask."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
