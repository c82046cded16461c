"""Processes as Linux shows them in /proc: children, command lines, and signals to them.

for pid in descendants(driver.pid):
    if command_of(pid).startswith("ray::"):
        send([pid], signal.SIGKILL)

usage = TreeUsage(driver.pid)
while driver.poll() is None:
    usage.look()
print(usage.cpu_seconds(), usage.peak_bytes, usage.worker_bytes)
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
"""Units of CPU time in a second."""
PAGE = os.sysconf("SC_PAGE_SIZE")
"""Bytes of a page of memory."""


@dataclass(frozen=True)
class Process:
    """One line of /proc/PID/stat. Times are in ticks (TICKS); `waited` is that of children that it has waited for."""

    pid: int
    parent: int
    began: int
    own: int
    waited: int
    resident: int
    """Bytes of memory, those included that it shares with others."""


def processes() -> dict[int, Process]:
    """All processes of this machine, by id."""
    everyone = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                stat = Path(entry.path, "stat").read_text(errors="replace")  # a name is cut after 15 bytes
            except OSError:
                continue
            fields = stat.rpartition(")")[2].split()
            own, waited = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
            pid, parent, began, pages = int(entry.name), int(fields[1]), int(fields[19]), int(fields[21])
            everyone[pid] = Process(pid, parent, began, own, waited, pages * PAGE)
    return everyone


def descendants(pid: int) -> list[int]:
    """Ids of all processes below this one: its children, and theirs."""
    return _below(pid, processes())


def _below(pid: int, everyone: Mapping[int, Process]) -> list[int]:
    children: dict[int, list[int]] = {}
    for process in everyone.values():
        children.setdefault(process.parent, []).append(process.pid)
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


@dataclass
class Seen:
    """A process as it was when it was last seen. `parent` is the key of its first parent in the tree, if any."""

    parent: tuple[int, int] | None
    last: Process
    look: int
    """Number of the look at which it was last there."""


def cpu_ticks(seen: Mapping[tuple[int, int], Seen]) -> int:
    """CPU time in ticks of all processes that were seen, and of those that began and ended between two looks.

    A process that has waited for its children counts their time as well. Those that were seen by themselves are taken
    from it, so that no time counts twice.
    """
    children: dict[tuple[int, int] | None, list[tuple[int, int]]] = {}
    for key, process in seen.items():
        children.setdefault(process.parent, []).append(key)

    def whole(key: tuple[int, int]) -> int:
        process, below = seen[key], {child: whole(child) for child in children.get(key, [])}
        gone = sum(ticks for child, ticks in below.items() if seen[child].look < process.look)
        return process.last.own + sum(below.values()) + max(process.last.waited - gone, 0)

    return sum(whole(key) for key in children.get(None, []))


class TreeUsage:
    """CPU time and memory of a process and of all below it, from looks at /proc while they run.

    The last instants of a process, between the last look and its end, are not counted.
    """

    def __init__(self, pid: int) -> None:
        self._root = pid
        self._seen: dict[tuple[int, int], Seen] = {}
        self._looks = 0
        self._workers: set[tuple[int, int]] = set()
        self.peak_bytes = 0
        """Most memory that all had at once. What several share counts for each of them."""
        self.worker_bytes = 0
        """Most memory that any worker process of Ray had (VmHWM, shared pages included): that of one that paints."""

    def look(self) -> None:
        """Look once."""
        everyone = processes()
        # one whose parent has ended belongs to another parent now, and is still of the tree
        roots = {self._root, *(key[0] for key in self.alive(everyone))}
        members = {pid for root in roots for pid in (root, *_below(root, everyone)) if pid in everyone}
        keys = {pid: (pid, everyone[pid].began) for pid in members}
        self._looks += 1
        for pid, key in keys.items():
            known = self._seen.get(key)
            parent = known.parent if known else keys.get(everyone[pid].parent)
            self._seen[key] = Seen(parent, everyone[pid], self._looks)
            if key in self._workers or command_of(pid).startswith("ray::"):
                self._workers.add(key)
                self.worker_bytes = max(self.worker_bytes, peak_bytes(pid))
        self.peak_bytes = max(self.peak_bytes, sum(everyone[pid].resident for pid in members))

    def alive(self, everyone: Mapping[int, Process] | None = None) -> list[tuple[int, int]]:
        """Those that were seen and still run: (process id, when it began)."""
        everyone = processes() if everyone is None else everyone
        return [key for key in self._seen if key[0] in everyone and everyone[key[0]].began == key[1]]

    def cpu_seconds(self) -> float:
        """CPU time of all processes that were seen."""
        return cpu_ticks(self._seen) / TICKS


def peak_bytes(pid: int) -> int:
    """Most memory that a process ever had (VmHWM), in bytes. 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
