"""One driver at a time, on a disk and on object storage, whatever the clocks say."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from farm.errors import UsageError
from farm.files.storage import Storage
from farm.job import lease
from farm.job.lease import job_lease

HOLD = """
import sys, time
from farm.job.lease import job_lease
from farm.files.storage import Storage
with job_lease(Storage(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def remote(tmp_path, monkeypatch) -> Storage:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(lease, "SILENT_SECONDS", 0.6)
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.1)
    return Storage(f"memory://{tmp_path.name}")


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


def test_a_second_driver_on_object_storage_is_refused(remote):
    with job_lease(remote):
        with pytest.raises(UsageError, match="is being rendered by process"), job_lease(remote):
            pass
        time.sleep(0.2)
        assert json.loads(remote.read("lease.json"))["count"] > 0
    assert remote.read("lease.json") is None


def test_a_lease_that_counts_no_more_is_taken_over(remote):
    remote.write("lease.json", json.dumps({"driver": "x", "who": "process 1 on elsewhere", "count": 7}).encode())
    told: list[str] = []
    began = time.monotonic()
    with job_lease(remote, told.append):
        assert json.loads(remote.read("lease.json"))["driver"] != "x"
    assert time.monotonic() - began >= 0.6
    assert len(told) == 1
    assert "process 1 on elsewhere was at work" in told[0]


@pytest.mark.parametrize("data", [b"", b"nonsense", b"[]", b"{}"])
def test_a_damaged_lease_holds_nobody_up(remote, data):
    remote.write("lease.json", data)
    with job_lease(remote):
        pass


def test_of_two_at_the_same_moment_one_goes_on(remote):
    at_once, entered, refused = threading.Barrier(2), [], []

    def drive() -> None:
        at_once.wait()
        try:
            with job_lease(remote):
                entered.append(1)
                time.sleep(0.5)
        except UsageError:
            refused.append(1)

    drivers = [threading.Thread(target=drive) for _ in range(2)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert (len(entered), len(refused)) == (1, 1)


def test_a_clock_that_jumps_decides_nothing(remote, monkeypatch):
    with job_lease(remote):
        monkeypatch.setattr(time, "time", lambda: 4e9)
        with pytest.raises(UsageError), job_lease(remote):
            pass


def test_where_the_folder_cannot_be_made(tmp_path):
    from farm.errors import StorageError

    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="lock cannot be written"), job_lease(Storage(str(tmp_path / "file/job"))):
        pass
    assert sorted(Path(tmp_path).iterdir()) == [tmp_path / "file"]
