"""One driver at a time works in a job directory.

    with job_lease(job.storage):     # UsageError where somebody else is at work there
        ...

On a disk it is a lock on the file `lock`, which ends with its process, however that ends. On object storage there are
no locks: `lease.json` names the driver and counts up every few seconds. Whoever finds one there waits to see whether it
still counts, by its own steady clock, so that neither a clock that jumps nor two that differ decide anything.
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
from farm.files.storage import Storage

BEAT_SECONDS = 5.0
SILENT_SECONDS = 30.0
"""A lease that does not count up for so long belongs to nobody any more."""
SETTLE_SECONDS = 1.0
"""Two that take a lease at the same moment: the later one stands, and after so long both see which."""
NAME = "lease.json"


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
    """Hold the job while inside. Raises UsageError where another driver has it, StorageError."""
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
    mine = uuid.uuid4().hex
    _wait_until_silent(storage, on_note, clock)
    _write(storage, mine, 0)
    clock.sleep(SETTLE_SECONDS)
    holder = _read(storage)
    if holder is not None and holder["driver"] != mine:
        raise _busy(storage, holder["who"])
    ended = threading.Event()

    def count_up() -> None:
        count = 0
        while not clock.wait(ended, BEAT_SECONDS):
            count += 1
            with contextlib.suppress(StorageError):  # the next one may get through
                _write(storage, mine, count)

    beating = threading.Thread(target=count_up, name="lease", daemon=True)
    beating.start()
    try:
        yield
    finally:
        ended.set()
        beating.join(BEAT_SECONDS)
        with contextlib.suppress(StorageError):
            holder = _read(storage)
            if holder is not None and holder["driver"] == mine:
                storage.remove(NAME)


def _wait_until_silent(storage: Storage, on_note: Callable[[str], None], clock: LeaseClock) -> None:
    """Return when nobody holds the lease. Raises UsageError as soon as it counts up."""
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
    """None where there is no lease, or none that can be understood."""
    data = storage.read(NAME)
    try:
        said = json.loads(data) if data else None
    except ValueError:
        return None
    return said if isinstance(said, dict) and {"driver", "who", "count"} <= said.keys() else None


def _write(storage: Storage, driver: str, count: int) -> None:
    storage.write(NAME, json.dumps({"driver": driver, "who": _who(), "count": count}).encode())


def _who() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _busy(storage: Storage, who: str) -> UsageError:
    return UsageError(
        f"job {storage.url} is being rendered by {who or 'another process'}", "wait for it, or stop it first"
    )
