"""What the benchmarks read of processes in /proc."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.processes import Process, Seen, TreeUsage, cpu_ticks, own_bytes

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


def seen(pid: int, parent: int | None, look: int, own: int, waited: int = 0) -> tuple[tuple[int, int], Seen]:
    return (pid, 0), Seen(None if parent is None else (parent, 0), Process(pid, parent or 0, 0, own, waited, 0), look)


@pytest.mark.parametrize(
    ("tree", "ticks"),
    [
        ([seen(1, None, 9, 50)], 50),
        ([seen(1, None, 9, 50), seen(2, 1, 9, 30)], 80),
        # its parent has waited for it and counts its time, and what it took after it was last seen
        ([seen(1, None, 9, 50, waited=32), seen(2, 1, 5, 30)], 82),
        # children that ended between two looks are known to their parent alone
        ([seen(1, None, 9, 50, waited=7)], 57),
        ([seen(1, None, 9, 50, waited=7), seen(2, 1, 9, 30)], 87),
        # nobody has waited for it
        ([seen(1, None, 9, 50), seen(2, 1, 5, 30), seen(3, 2, 4, 10)], 90),
        # its own child is in what its parent has waited for
        ([seen(1, None, 9, 50, waited=40), seen(2, 1, 5, 30, waited=10), seen(3, 2, 4, 10)], 90),
    ],
)
def test_no_cpu_time_of_a_tree_counts_twice(tree: list[tuple[tuple[int, int], Seen]], ticks: int):
    assert cpu_ticks(dict(tree)) == ticks


@pytest.mark.process
def test_the_memory_of_a_tree_has_that_of_children_in_it():
    program = "import sys; kept = bytearray(b'x' * (64 << 20)); print(flush=True); sys.stdin.read()"
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    command = [sys.executable, "-c", parent, program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        usage = TreeUsage(child.pid)
        usage.look()
        assert len(usage.alive()) == 2
        assert usage.peak_bytes > 64 << 20
        assert usage.worker_bytes == 0  # none is of Ray
        child.communicate()
    assert usage.alive() == []
