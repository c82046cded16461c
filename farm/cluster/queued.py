"""What the client says of jobs that wait: read from Ray's list of jobs and from the job directory, without Ray.

waits(submitted)               # whether a job of Ray's list waits in the queue and has no driver
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from farm.cluster.queue_table import Ticket
from farm.plan.queue import Place, is_short
from farm.spec.units import format_seconds

if TYPE_CHECKING:
    from farm.cluster.jobs_api import SubmittedJob
    from farm.job import JobDirectory
    from farm.job.request import JobRequest
    from farm.job.state import JobState

QUEUE_FIELD = "farm_queue"
"""Field of a waiting job's metadata in Ray's list: JSON of its place."""
BEGIN_SECONDS = 120.0
"""Seconds from the first submission on a new head until its queue has begun and lists the jobs that wait."""
JUDGED_SECONDS = 60.0
"""Seconds after the end of a driver in which the queue decides what becomes of its job."""


def waits(submitted: SubmittedJob) -> bool:
    """Whether this job of Ray's list waits in the queue and has no driver."""
    return submitted.active and QUEUE_FIELD in submitted.metadata


def queue_has_begun(listed: Iterable[SubmittedJob], now: float) -> bool:
    """Whether the cluster's queue has begun since its head was started, by the farm's jobs in Ray's list.

    A job waits in it, or was submitted long enough ago to have started it. `now` is in seconds since 1970.
    """
    return any(waits(job) or now - job.started > BEGIN_SECONDS for job in listed)


def is_judged_soon(submitted: SubmittedJob | None, recorded: JobState, request: JobRequest | None, now: float) -> bool:
    """Whether a driver has just ended without recording how, so that the queue is about to decide what becomes of it.

    `recorded` is what the job's directory says. `now` is in seconds since 1970, as are the cluster's times.
    """
    if submitted is None or submitted.state not in ("FAILED", "SUCCEEDED") or request is None:
        return False
    turned_away = recorded.state == "QUEUED"
    died = submitted.state == "FAILED" and request.restarts > 0
    return (turned_away or died) and abs(now - submitted.ended) < JUDGED_SECONDS


def waiting_line(place: Place, reason: str, now: float) -> str:
    """A waiting job's place as text: `number 2 of 5 in the queue, begins in about 4 min`."""
    line = f"number {place.number} of {place.of} in the queue"
    if place.begins is not None:
        minutes = int(max(place.begins - now, 0.0)) // 60
        duration = f"{minutes} min" if minutes < 60 else format_seconds(minutes * 60)
        line += f", begins in about {duration}" if minutes else ", begins within a minute"
    return f"{line}; {reason}" if reason else line


def ticket_of(submission: str, job: JobDirectory, request: JobRequest) -> Ticket:
    """What the queue has to know of a submitted job. A job that was begun before knows how many frames it has."""
    frames = None if request.spec.frames is None else len(request.spec.frames)
    if frames is None and (record := job.load_record()) is not None:
        frames = len(record.plan.frames)
    return Ticket(submission, job.url, request.priority, request.restarts, frames)


def short_job(request: JobRequest) -> bool:
    """Whether the job is short by what was asked for."""
    return request.spec.frames is not None and is_short(len(request.spec.frames))
