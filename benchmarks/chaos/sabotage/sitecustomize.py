"""Makes trouble in every Python process that has this folder on its path: FARM_SABOTAGE names it, comma by comma.

    clock    the wall clock jumps by up to a day, forwards and back, every second; only the farm's own code sees it
    slow     every file takes a tenth of a second to reach the disk, and a fiftieth to be read from a job
    flaky    every tenth call that reads from a job, or waits for a file to reach the disk, fails with EIO

Python imports a module of this name when it starts. No part of the farm knows of it.
"""

import errno
import os
import pathlib
import random
import sys
import time

_kinds = os.environ.get("FARM_SABOTAGE", "").split(",")
_real_time, _real_fsync, _real_read = time.time, os.fsync, pathlib.Path.read_bytes
_calls = 0


def _of_the_farm(depth: int = 2) -> bool:
    return sys._getframe(depth).f_globals.get("__name__", "").startswith("farm.")


def _jumping_time() -> float:
    now = _real_time()
    return now + random.Random(int(now)).uniform(-86_400, 86_400) if _of_the_farm() else now


def _trouble(name: str) -> None:
    global _calls
    if "slow" in _kinds:
        time.sleep(0.1 if name == "fsync" else 0.02)
    if "flaky" in _kinds:
        _calls += 1
        if _calls % 10 == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def _fsync(descriptor: int) -> None:
    if _of_the_farm():
        _trouble("fsync")
    _real_fsync(descriptor)


def _read_bytes(path: pathlib.Path) -> bytes:
    if ".farm/" in str(path) and _of_the_farm():
        _trouble("read")
    return _real_read(path)


if "clock" in _kinds:
    time.time = _jumping_time
if "slow" in _kinds or "flaky" in _kinds:
    os.fsync, pathlib.Path.read_bytes = _fsync, _read_bytes  # type: ignore[assignment, method-assign]
