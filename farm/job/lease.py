"""One driver at a time works in a job directory.

    with job_lease(job.storage):     # UsageError where somebody else is at work there
        ...

On a disk the lease is a lock on the file `lock`. The lock ends with its process, however that ends. Object storage has
no locks: there `lease.json` names the driver and holds a counter that rises every BEAT_SECONDS. A driver that finds a
lease watches its counter for SILENT_SECONDS on its own monotonic clock. Wall clocks are never compared, so a wrong one
cannot steal a job.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from farm.errors import StorageError, UsageError
from farm.files import Storage
from farm.files.checked_json import parse_or_none

BEAT_SECONDS = 5.0
"""Seconds between two counts of a lease on object storage."""
SILENT_SECONDS = 30.0
"""Seconds after which a lease whose counter stands still belongs to nobody any more: six beats."""
SETTLE_SECONDS = 1.0
"""Seconds between writing a lease and reading it back.

Why: of two drivers that take a lease at the same moment the later write stands, and by then both see whose it is.
"""
NAME = "lease.json"
"""Name of the lease in the job directory, on object storage."""


@dataclass(frozen=True)
class LeaseClock:
    """What a counting lease knows of time: this machine's steady clock. Tests have one of their own."""

    now: Callable[[], float] = time.monotonic
    """Seconds, from any moment on."""
    sleep: Callable[[float], None] = time.sleep
    wait: Callable[[threading.Event, float], bool] = threading.Event.wait
    """Waits for an event, for so many seconds at the most. True where the event was set."""


STEADY_CLOCK = LeaseClock()
"""The clock of every lease outside the tests."""


@contextlib.contextmanager
def job_lease(
    storage: Storage, on_note: Callable[[str], None] = lambda _: None, clock: LeaseClock = STEADY_CLOCK
) -> Iterator[None]:
    """Hold the job while inside the block. `on_note` is told once if another driver's lease has to be watched first.

    Raises UsageError where another driver is at work in the job, StorageError where the lease cannot be written.
    """
    with _file_lock(storage, storage.local) if storage.local else _counting_lease(storage, on_note, clock):
        yield


@contextlib.contextmanager
def _file_lock(storage: Storage, folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(f"{storage.url}/lock cannot be written: {error.strerror}", "choose another --job") from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise _busy(storage, os.pread(file, 200, 0).decode("utf-8", "replace").strip()) from None
            # a file system without locks: two drivers would do the work twice, and lose nothing
        else:
            with contextlib.suppress(OSError):  # of a full disk: the lock holds all the same
                os.ftruncate(file, 0)
                os.pwrite(file, _who().encode(), 0)
        yield
    finally:
        os.close(file)


@contextlib.contextmanager
def _counting_lease(storage: Storage, on_note: Callable[[str], None], clock: LeaseClock) -> Iterator[None]:
    driver_id = uuid.uuid4().hex
    _wait_until_silent(storage, on_note, clock)
    _write(storage, driver_id, 0)
    clock.sleep(SETTLE_SECONDS)
    holder = _read(storage)
    if holder is not None and holder["driver"] != driver_id:
        raise _busy(storage, holder["who"])
    ended = threading.Event()

    def count_up() -> None:
        count = 0
        while not clock.wait(ended, BEAT_SECONDS):
            count += 1
            with contextlib.suppress(StorageError):  # the next one may get through
                _write(storage, driver_id, count)

    beating = threading.Thread(target=count_up, name="lease", daemon=True)
    beating.start()
    try:
        yield
    finally:
        ended.set()
        beating.join(BEAT_SECONDS)
        with contextlib.suppress(StorageError):
            holder = _read(storage)
            if holder is not None and holder["driver"] == driver_id:
                storage.remove(NAME)


def _wait_until_silent(storage: Storage, on_note: Callable[[str], None], clock: LeaseClock) -> None:
    """Return when nobody holds the lease. Raises UsageError as soon as its counter rises."""
    first = _read(storage)
    if first is None:
        return
    on_note(f"{first['who']} was at work in {storage.url}: waiting {SILENT_SECONDS:.0f} s to see whether it still is")
    began = clock.now()
    while clock.now() - began < SILENT_SECONDS:
        clock.sleep(min(BEAT_SECONDS, SILENT_SECONDS) / 4)
        now = _read(storage)
        if now is None:
            return
        if now != first:
            raise _busy(storage, now["who"])


def _read(storage: Storage) -> dict[str, str] | None:
    """The lease as it is written. None where there is none, or one that cannot be understood."""
    lease = parse_or_none(storage.read(NAME), json.loads)
    return lease if isinstance(lease, dict) and {"driver", "who", "count"} <= lease.keys() else None


def _write(storage: Storage, driver: str, count: int) -> None:
    storage.write(NAME, json.dumps({"driver": driver, "who": _who(), "count": count}).encode())


def _who() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _busy(storage: Storage, who: str) -> UsageError:
    return UsageError(
        f"job {storage.url} is being rendered by {who or 'another process'}", "wait for it, or stop it first"
    )
