"""The CPU cores of this machine and what workers get of them, without PyTorch: drivers and plans ask too."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """CPU cores that this process may run on: those of its affinity mask, or all where the system has no such mask."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads(cpus: int, *, gpu: bool) -> int:
    """Threads of one worker on a machine of `cpus` cores.

    Why: the threads of a GPU worker only feed the GPU. On a CPU, workers of one thread lose the least time to waiting,
    but a shot with few chunks must not leave most of a large machine idle.
    """
    if gpu:
        return 2
    return 1 if cpus <= 2 else 2 if cpus <= 8 else 4


def usual_workers(threads: int | None = None, *, gpu: bool = False) -> int:
    """How many workers this machine has where nobody says: as many as its cores are for, with so many threads each."""
    cores = usable_cores()
    return max(1, cores // (threads or default_threads(cores, gpu=gpu)))
