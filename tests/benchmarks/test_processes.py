"""What the benchmarks read of processes in /proc."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.processes import own_bytes

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux tells it in /proc")


@pytest.mark.process
def test_memory_of_its_own_is_what_a_process_alone_has_written_to():
    """In a process of its own, because what a long session of tests frees meanwhile would count against it."""
    program = (
        "import os; from benchmarks.processes import own_bytes; before = own_bytes(os.getpid()); "
        "kept = bytearray(os.urandom(1 << 20) * 32); print(own_bytes(os.getpid()) - before)"
    )
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert int(told) == pytest.approx(32 << 20, rel=0.1)


@pytest.mark.process
def test_a_process_that_is_gone_has_none():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert own_bytes(gone.pid) == 0
