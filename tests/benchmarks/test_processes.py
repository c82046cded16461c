"""What the benchmarks read of processes in /proc."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.processes import own_bytes

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux tells it in /proc")


def test_memory_of_its_own_is_what_a_process_alone_has_written_to():
    before = own_bytes(os.getpid())
    kept = bytearray(os.urandom(1 << 20) * 32)
    assert own_bytes(os.getpid()) - before == pytest.approx(len(kept), rel=0.1)


@pytest.mark.process
def test_a_process_that_is_gone_has_none():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert own_bytes(gone.pid) == 0
