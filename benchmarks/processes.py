"""Processes as Linux shows them in /proc: children, command lines, and signals to them.

for pid in descendants(driver.pid):
    if command_of(pid).startswith("ray::"):
        send([pid], signal.SIGKILL)
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """Ids of all processes below this one: its children, and theirs."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                stat = Path(entry.path, "stat").read_text(errors="replace")  # a name is cut after 15 bytes
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    below, waiting = [], [pid]
    while waiting:
        own = children.get(waiting.pop(), [])
        below += own
        waiting += own
    return below


def command_of(pid: int) -> str:
    """Command line of a process, its arguments joined by spaces; empty where the process is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def send(pids: Iterable[int], kind: int = signal.SIGKILL) -> bool:
    """Send a signal to each of the processes. Returns whether any of them was still there."""
    was_there = False
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, kind)
            was_there = True
    return was_there


def own_bytes(pid: int) -> int:
    """Bytes of memory that a process shares with no other: what its end gives back. 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))
