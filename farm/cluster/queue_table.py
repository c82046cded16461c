"""The jobs that a cluster's queue knows: those that wait and those that have begun. A plain class, without Ray.

    table = QueueTable()
    table.admit(Ticket("farm-film-1a2b", "/jobs/film.farm"), places=2, now=time.time())    # True: begin
    table.ended("farm-film-1a2b", Ended("FAILED", -9), now=time.time())                    # "again": its driver died

`farm.plan.queue` has the rules. Times are in seconds since 1970.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from farm.plan.fair_share import DEFAULT_PRIORITY
from farm.plan.queue import (
    DEFAULT_RESTARTS,
    Begun,
    Place,
    Verdict,
    Waiting,
    forecast_places,
    holds_place,
    is_short,
    next_to_begin,
    restart_pause,
    verdict,
)

SETTLING_SECONDS = 5.0
"""Seconds before a job begins that was just turned away. Why: Ray has to notice first that its driver has ended."""


@dataclass(frozen=True)
class Ticket:
    """What a driver tells the queue of its job. `job` is its submission, `frames` None where they are not known."""

    job: str
    url: str
    priority: int = DEFAULT_PRIORITY
    restarts: int = DEFAULT_RESTARTS
    frames: int | None = None


@dataclass(frozen=True)
class Ended:
    """How a driver ended: Ray's state of the job, the driver's exit code, and whether it recorded its end itself."""

    ray_state: str
    exit_code: int | None = None
    recorded: bool = False
    message: str = ""


@dataclass
class Entry:
    """A job in the table.

    `waiting`: it has no driver. `starting`: Ray was told to start its driver. `begun`: its driver was admitted.
    `info` is what Ray kept of the job when it came: command, metadata and so on. `died` counts the drivers that died,
    and `reason` says why the job waits, where it is not its first time. `holds`: its place is kept for it meanwhile.
    """

    ticket: Ticket
    came: float
    state: Literal["waiting", "starting", "begun"] = "waiting"
    ready: float = 0.0
    began: float = 0.0
    died: int = 0
    holds: bool = False
    reason: str = ""
    seconds_left: float | None = None
    info: dict[str, Any] = field(default_factory=dict)


class QueueTable:
    """The table of one cluster, by submission. `seconds_per_frame` is what jobs of known length took, None at first."""

    def __init__(self, entries: Mapping[str, Entry] | None = None, seconds_per_frame: float | None = None) -> None:
        self.entries = dict(entries or {})
        self.seconds_per_frame = seconds_per_frame

    def admit(self, ticket: Ticket, places: int, now: float, came: float | None = None) -> bool:
        """Whether the driver of this job begins now. Where not, the job waits from now on.

        `came` is when it was submitted. Its driver asks later, and drivers that start together ask in any order.
        """
        entry = self.entries.get(ticket.job)
        if entry is None or entry.state == "waiting":
            entry = self.entries.setdefault(ticket.job, Entry(ticket, came=now if came is None else came))
            entry.ticket = ticket
            if ticket.job not in self.next(places, now):
                entry.ready = max(entry.ready, now + SETTLING_SECONDS)
                return False
        entry.state, entry.began, entry.seconds_left, entry.reason = "begun", now, None, ""
        return True

    def next(self, places: int, now: float) -> list[str]:
        """The jobs that begin now."""
        return next_to_begin(self._waiting(), self._begun(), places, now)

    def places(self, places: int, now: float) -> dict[str, Place]:
        """The place of each waiting job."""
        return forecast_places(self._waiting(), self._begun(), places, now, self.seconds_per_frame)

    def starting(self, job: str, now: float) -> None:
        """Ray is told to start the job's driver."""
        self.entries[job].state, self.entries[job].began = "starting", now

    def wait(self, job: str, reason: str, now: float, pause: float = 0.0) -> None:
        """The job waits, and does not begin before `pause` seconds are over. One that had begun keeps its place."""
        entry = self.entries[job]
        entry.holds = entry.state != "waiting" and holds_place(pause)
        entry.state, entry.reason, entry.ready, entry.seconds_left = "waiting", reason, now + pause, None

    def ended(self, job: str, end: Ended, now: float) -> Verdict:
        """The driver of a job has ended. The job leaves the table, or waits to be begun again."""
        entry = self.entries[job]
        left = entry.ticket.restarts - entry.died
        judged = verdict(end.ray_state, end.exit_code, recorded=end.recorded, restarts_left=left)
        if judged == "again":
            pause = restart_pause(entry.died)
            entry.died += 1
            reason = f"its driver died ({cause_of_death(end)}); restart {entry.died} of {entry.ticket.restarts}"
            self.wait(job, reason, now, pause)
        else:
            self._learn(entry, end, now)
            del self.entries[job]
        return judged

    def progress(self, job: str, done: int, total: int, now: float) -> None:
        """A begun job has committed `done` of `total` frames, those of every pass counted."""
        entry = self.entries[job]
        if entry.state == "begun" and 0 < done <= total:
            entry.seconds_left = (now - entry.began) * (total - done) / done

    def prioritise(self, job: str, priority: int) -> None:
        """The job has another priority from now on."""
        entry = self.entries[job]
        entry.ticket = dataclasses.replace(entry.ticket, priority=priority)

    def to_json(self) -> str:
        """The table as text, for `from_json`."""
        entries = {job: dataclasses.asdict(entry) for job, entry in self.entries.items()}
        return json.dumps({"entries": entries, "seconds_per_frame": self.seconds_per_frame})

    @classmethod
    def from_json(cls, text: str) -> QueueTable:
        """The table that `to_json` wrote. Raises ValueError, KeyError or TypeError for any other text."""
        stored = json.loads(text)
        entries = {job: Entry(**{**row, "ticket": Ticket(**row["ticket"])}) for job, row in stored["entries"].items()}
        return cls(entries, stored["seconds_per_frame"])

    def _waiting(self) -> list[Waiting]:
        return [
            Waiting(job, entry.ticket.priority, entry.came, entry.ticket.frames, entry.ready, entry.holds)
            for job, entry in self.entries.items()
            if entry.state == "waiting"
        ]

    def _begun(self) -> list[Begun]:
        return [
            Begun(job, is_short(entry.ticket.frames), entry.seconds_left)
            for job, entry in self.entries.items()
            if entry.state != "waiting"
        ]

    def _learn(self, entry: Entry, end: Ended, now: float) -> None:
        if end.ray_state == "SUCCEEDED" and entry.ticket.frames and entry.state == "begun":
            rate = (now - entry.began) / entry.ticket.frames
            before = self.seconds_per_frame
            self.seconds_per_frame = rate if before is None else (before + rate) / 2


def cause_of_death(end: Ended) -> str:
    """Why a driver died, in a few words."""
    if end.exit_code is None:
        return "the process that watched it is gone"
    signal = -end.exit_code if end.exit_code < 0 else end.exit_code - 128
    return "SIGKILL, perhaps for want of memory" if signal == 9 else f"signal {signal}"
