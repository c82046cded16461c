"""Which waiting job begins next, when the others may, and whether a job whose driver is gone begins again. Pure.

    >>> film = Waiting("film", came=1.0)
    >>> still = Waiting("still", came=2.0, frames=1)
    >>> next_to_begin([film, still], [Begun("other")], places=1, now=3.0)
    ['still']

A *place* is room for one driver. Jobs begin in the order of their priority, and among equals in the order in which they
came. Beside the places there are some for short jobs only, so that a test frame does not wait for a film.
Times are in seconds since 1970.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from farm.plan.fair_share import DEFAULT_PRIORITY

SHORT_FRAMES = 24
"""Most frames of a short job: one second of film. A job whose number of frames is not known is not short."""
SHORT_SHARE = 4
"""There is one place for short jobs for each SHORT_SHARE places, and at least one."""
DEFAULT_RESTARTS = 3
"""Times that a job is begun again whose driver died, where the job asks for no other number."""
FIRST_PAUSE, PAUSE_FACTOR, LONGEST_PAUSE = 5.0, 4.0, 600.0
"""Seconds before the first restart, how many times longer each further pause is, and the longest pause."""
LONGEST_HELD = 30.0
"""Longest pause, in seconds, through which a job keeps its place."""
CORES_OF_A_WORKER = 4
"""Most CPU cores that a worker takes without being asked to."""
FEW_PLACES = 2
"""Places of a cluster that has no workers yet."""
HEAD = "node:__internal_head__"
"""Ray's resource that the head alone has, 1.0 of it."""
TURNED_AWAY = 75
"""Exit code of a driver that found no place and waits in the queue now: EX_TEMPFAIL of sysexits.h."""
KILLED = 128
"""A shell reports a process that a signal ended by an exit code above this one, Python by a negative one."""


@dataclass(frozen=True)
class Waiting:
    """A job in the queue. `frames` is how many it has to render, None where nobody knows yet.

    It came at `came`, and does not begin before `ready`. `holds`: it had a place, which is kept for it until then,
    because its driver died (`holds_place`).
    """

    job: str
    priority: int = DEFAULT_PRIORITY
    came: float = 0.0
    frames: int | None = None
    ready: float = 0.0
    holds: bool = False

    @property
    def short(self) -> bool:
        """Whether the job may have a place for short jobs."""
        return is_short(self.frames)


@dataclass(frozen=True)
class Begun:
    """A job that has a driver. `seconds_left` is None where nobody knows it."""

    job: str
    short: bool = False
    seconds_left: float | None = None


@dataclass(frozen=True)
class Place:
    """Where a job stands: it is number `number` of `of` waiting jobs, and begins at `begins`, None where not known."""

    number: int
    of: int
    begins: float | None = None


def is_short(frames: int | None) -> bool:
    """Whether a job of so many frames is short."""
    return frames is not None and frames <= SHORT_FRAMES


def short_places(places: int) -> int:
    """Number of places for short jobs, beside `places` for any job."""
    return max(1, places // SHORT_SHARE)


def next_to_begin(waiting: Sequence[Waiting], begun: Sequence[Begun], places: int, now: float) -> list[str]:
    """The jobs that begin now, in this order, where there are `places` places for jobs of any length."""
    reserved = short_places(places)
    short = sum(job.short for job in begun)
    # Short jobs fill the places for short jobs first.
    ordinary = len(begun) - min(short, reserved)
    chosen = []
    for job in sorted(waiting, key=_order):
        if job.ready > now and not job.holds:
            continue
        if job.short and short < reserved:
            short += 1
        elif ordinary < places:
            ordinary += 1
            short += job.short
        else:
            continue
        if job.ready <= now:
            chosen.append(job.job)
    return chosen


def _order(job: Waiting) -> tuple[bool, int, float, str]:
    return not job.holds, -job.priority, job.came, job.job


def forecast_places(
    waiting: Sequence[Waiting], begun: Sequence[Begun], places: int, now: float, seconds_per_frame: float | None
) -> dict[str, Place]:
    """The place of each waiting job, by its name, found by playing the queue through.

    A job of unknown length counts as long as the mean of those that are known. `begins` is None for all where nothing
    is known of any running job, and where there is no place at all.
    """
    lengths = {job.job: None if seconds_per_frame is None else _seconds(job, seconds_per_frame) for job in waiting}
    lengths |= {job.job: job.seconds_left for job in begun}
    known = [seconds for seconds in lengths.values() if seconds is not None]
    guess = sum(known) / len(known) if known else 1.0
    ends = [(now + (lengths[job.job] or guess), job.job) for job in begun]
    heapq.heapify(ends)
    at_work = {job.job: job for job in begun}
    left = {job.job: job for job in waiting}
    begins: dict[str, float] = {}
    clock = now
    while left:
        for name in next_to_begin(list(left.values()), list(at_work.values()), places, clock):
            job = left.pop(name)
            begins[name] = clock
            at_work[name] = Begun(name, job.short)
            seconds = lengths[name]
            heapq.heappush(ends, (clock + (guess if seconds is None else seconds), name))
        later = min((job.ready for job in left.values() if job.ready > clock), default=None)
        if not ends and later is None:
            break
        if ends and (later is None or ends[0][0] <= later):
            clock, name = heapq.heappop(ends)
            del at_work[name]
        else:
            assert later is not None
            clock = later
    order = sorted(left, key=lambda name: _order(left[name]))
    return {
        name: Place(number, len(waiting), begins.get(name) if known else None)
        for number, name in enumerate([*begins, *order], start=1)
    }


def _seconds(job: Waiting, seconds_per_frame: float) -> float | None:
    return None if job.frames is None else job.frames * seconds_per_frame


Verdict = Literal["over", "failed", "again"]


def verdict(ray_state: str, exit_code: int | None, *, recorded: bool, restarts_left: int) -> Verdict:
    """What becomes of a job whose driver has ended.

    `over`: it has ended in order, or was cancelled. `failed`: it ended without a word, and a further driver would end
    alike. `again`: its driver died, and another one is started. `ray_state` is Ray's word for the end. `exit_code` is
    the driver's, None where the process that watches it died with it, or never started it. `recorded` says that the
    driver recorded in the job's directory how the job ended.
    """
    if recorded or ray_state in ("STOPPED", "SUCCEEDED"):
        return "over"
    died = exit_code is None or exit_code < 0 or exit_code > KILLED
    return "again" if died and restarts_left > 0 else "failed"


def restart_pause(restarts: int) -> float:
    """Seconds before a job is begun again that has been begun again `restarts` times before.

    >>> [restart_pause(restarts) for restarts in range(4)]
    [5.0, 20.0, 80.0, 320.0]
    """
    return float(min(FIRST_PAUSE * PAUSE_FACTOR**restarts, LONGEST_PAUSE))


def holds_place(pause: float) -> bool:
    """Whether a place is kept for a job that had it, through a pause of so many seconds.

    Why: a film that lost its driver would otherwise wait for the hours of the next one. A long pause is that of a job
    whose drivers die again and again, and others are not to wait for it.

    >>> [holds_place(restart_pause(restarts)) for restarts in range(4)]
    [True, True, False, False]
    """
    return pause <= LONGEST_HELD


def driver_places(nodes: Sequence[Mapping[str, float]], driver_bytes: int, most: int | None = None) -> int:
    """How many drivers a cluster runs at once. `nodes` are the resources of each node, as Ray names them.

    `most` is what the user set. Without it there is one driver for each worker that could paint, and two at least, so
    that the next job reads its inputs meanwhile. In either case the drivers fit the head's memory, of which a quarter
    stays free for jobs that are being submitted.
    """
    painters = sum(node.get("GPU", 0.0) or math.ceil(node.get("CPU", 0.0) / CORES_OF_A_WORKER) for node in nodes)
    memory = sum(node.get("memory", 0.0) for node in nodes if HEAD in node)
    fitting = int(memory * 3 / 4 / driver_bytes) if memory else FEW_PLACES
    return max(1, min(most if most is not None else max(FEW_PLACES, int(painters)), fitting))
