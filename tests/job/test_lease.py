"""One driver at a time, on a disk and on object storage, whatever the clocks say."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from farm.errors import UsageError
from farm.files.storage import Storage
from farm.job import lease
from farm.job.lease import LeaseClock, job_lease

HOLD = """
import sys, time
from farm.job.lease import job_lease
from farm.files.storage import Storage
with job_lease(Storage(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


class Clock:
    """Seconds that pass only where somebody sleeps. A lease counts up when it is told to, by `beat`."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.seconds = 0.0
        self.meanwhile = meanwhile
        self._due = threading.Semaphore(0)

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.meanwhile()

    def wait(self, ended: threading.Event, seconds: float) -> bool:
        while not ended.is_set():
            if self._due.acquire(timeout=0.01):
                return False
        return True

    def beat(self, storage: Storage) -> None:
        """Have the lease count up, and return when it has."""
        before = storage.read("lease.json")
        self._due.release()
        while storage.read("lease.json") == before:
            time.sleep(0.001)

    @property
    def lease(self) -> LeaseClock:
        return LeaseClock(self.now, self.sleep, self.wait)


@pytest.fixture
def remote(tmp_path) -> Storage:
    return Storage(f"memory://{tmp_path.name}")


@pytest.mark.process
def test_a_second_driver_on_a_disk_is_refused_and_the_lock_dies_with_its_process(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "job")], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with (
        pytest.raises(UsageError, match=f"is being rendered by process {holder.pid} on"),
        job_lease(Storage(str(tmp_path / "job"))),
    ):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with job_lease(Storage(str(tmp_path / "job"))):
        pass


def test_two_in_one_process_are_two_drivers(tmp_path):
    storage = Storage(str(tmp_path))
    with job_lease(storage), pytest.raises(UsageError), job_lease(storage):
        pass
    with job_lease(storage):
        pass


def count(storage: Storage) -> int:
    return int(json.loads(storage.read("lease.json") or b"{}")["count"])


def test_a_second_driver_on_object_storage_is_refused(remote):
    holder = Clock()
    second = Clock(meanwhile=lambda: holder.beat(remote))
    with job_lease(remote, clock=holder.lease):
        assert count(remote) == 0
        with pytest.raises(UsageError, match="is being rendered by process"), job_lease(remote, clock=second.lease):
            pass
        assert count(remote) == 1, "the first count tells"
        holder.beat(remote)
        assert count(remote) == 2
    assert remote.read("lease.json") is None
    assert second.seconds < lease.SILENT_SECONDS


def test_a_lease_that_counts_no_more_is_taken_over(remote):
    remote.write("lease.json", json.dumps({"driver": "x", "who": "process 1 on elsewhere", "count": 7}).encode())
    told: list[str] = []
    clock = Clock()
    with job_lease(remote, told.append, clock.lease):
        assert json.loads(remote.read("lease.json"))["driver"] != "x"
    assert clock.seconds >= lease.SILENT_SECONDS + lease.SETTLE_SECONDS
    assert len(told) == 1
    assert "process 1 on elsewhere was at work" in told[0]


@pytest.mark.parametrize("data", [b"", b"nonsense", b"[]", b"{}"])
def test_a_damaged_lease_holds_nobody_up(remote, data):
    remote.write("lease.json", data)
    told: list[str] = []
    clock = Clock()
    with job_lease(remote, told.append, clock.lease):
        assert json.loads(remote.read("lease.json"))["who"] == f"process {os.getpid()} on {socket.gethostname()}"
    assert remote.read("lease.json") is None
    assert told == []
    assert clock.seconds == lease.SETTLE_SECONDS, "nobody is waited for"


class Meeting(Storage):
    """Where two drivers look for a lease at the same moment, and neither finds one."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.looked = threading.Barrier(2, timeout=60)
        self._local_state = threading.local()

    def read(self, name: str) -> bytes | None:
        found = super().read(name)
        if not getattr(self._local_state, "met", False):
            self._local_state.met = True
            self.looked.wait()
        return found


def test_of_two_at_the_same_moment_one_goes_on(tmp_path):
    storage = Meeting(f"memory://{tmp_path.name}")
    both_wrote, is_refused = threading.Barrier(2, timeout=60), threading.Event()
    entered, refused = [], []

    def drive() -> None:
        try:
            with job_lease(storage, clock=Clock(meanwhile=both_wrote.wait).lease):
                entered.append(is_refused.wait(60))
        except UsageError:
            refused.append(1)
            is_refused.set()

    drivers = [threading.Thread(target=drive) for _ in range(2)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert (entered, refused) == ([True], [1])


def test_a_clock_that_jumps_decides_nothing(remote, monkeypatch):
    holder = Clock()
    second = Clock(meanwhile=lambda: holder.beat(remote))
    with job_lease(remote, clock=holder.lease):
        monkeypatch.setattr(time, "time", lambda: 4e9)
        with pytest.raises(UsageError), job_lease(remote, clock=second.lease):
            pass


def test_where_the_folder_cannot_be_made(tmp_path):
    from farm.errors import StorageError

    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="lock cannot be written"), job_lease(Storage(str(tmp_path / "file/job"))):
        pass
    assert sorted(Path(tmp_path).iterdir()) == [tmp_path / "file"]
