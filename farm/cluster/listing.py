"""The rows of `farm list`: every job that the cluster or the registry knows, one row for each job directory.

rows, trouble = job_rows(address=None, limit=20)

A row costs two to four small files of the job's directory, and the cluster is asked once for all of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from farm.cluster.dashboard_http import same_dashboard
from farm.cluster.handles import word_of, word_of_unlisted
from farm.cluster.jobs_api import Cluster, SubmittedJob
from farm.errors import FarmError, NoAnswerError
from farm.job import JobDirectory
from farm.job.registry import READERS, submitted_jobs
from farm.job.request import JobRequest, job_title, load_request
from farm.job.standing import ClusterWord
from farm.job.status import job_standing, seconds_left
from farm.job.summary import JobSummary, load_summary
from farm.spec.units import format_seconds


@dataclass(frozen=True)
class _Known:
    """A job that is known: its directory, its latest submission, and when that was submitted, in Unix seconds."""

    job: str
    submission: str
    submitted: float
    metadata: Mapping[str, str]


def job_rows(
    address: str | None, *, states: Collection[str] = (), limit: int | None = None
) -> tuple[list[dict[str, Any]], str]:
    """The rows, the latest submission first, and why the cluster could not be asked; empty where it was.

    `states` leaves out jobs in other states, `limit` all rows after so many. Raises UsageError where neither the
    cluster nor the registry knows a job because the cluster does not answer, and where it refuses the token.
    """
    cluster = Cluster(address)
    trouble = ""
    by_id: dict[str, SubmittedJob] | None = None
    try:
        by_id = {job.id: job for job in cluster.jobs()}
    except NoAnswerError as error:
        trouble = error.problem
    known = _known_jobs(by_id or {})
    if not known and trouble:
        raise NoAnswerError(trouble, "check --address and that it runs")

    def row(one: _Known) -> dict[str, Any] | None:
        return _row(one, by_id, cluster.dashboard)

    rows: list[dict[str, Any]] = []
    with ThreadPoolExecutor(READERS) as readers:
        # without --state no more jobs are read than are shown
        for made in readers.map(row, known if states or limit is None else known[: 2 * limit]):
            if made is not None and (not states or made["state"] in states):
                rows.append(made)
    return rows[:limit], trouble


def _known_jobs(by_id: Mapping[str, SubmittedJob]) -> list[_Known]:
    """One entry for each job directory, the latest submission first."""
    known: dict[str, _Known] = {}
    noted = [_Known(entry.job, entry.submission, entry.submitted, {}) for entry in submitted_jobs(os.environ)]
    listed = [_Known(job.metadata["farm_job"], job.id, job.started, job.metadata) for job in by_id.values()]
    for one in sorted([*listed, *noted], key=lambda one: one.submitted):
        earlier = known.get(one.job)
        # The queue submits a job to Ray once more, under its id, when its turn comes or its driver died.
        if earlier is not None and earlier.submission == one.submission:
            one = replace(one, submitted=earlier.submitted, metadata=one.metadata or earlier.metadata)
        known[one.job] = one
    return sorted(known.values(), key=lambda one: one.submitted, reverse=True)


def _row(one: _Known, by_id: Mapping[str, SubmittedJob] | None, dashboard: str) -> dict[str, Any] | None:
    """The row of a job. None where its directory is gone and the cluster does not know it either."""
    trouble = ""
    request, summary, standing = None, None, None
    try:
        job = JobDirectory(one.job)
        request, summary = load_request(job), load_summary(job)
        word = _word(by_id, one.submission, job, request, dashboard)
        _, standing, _ = job_standing(job, lambda *_: word)
        if standing.state == "UNFINISHED" and request is None and word is None:
            return None
    except FarmError as error:
        trouble = error.problem
    return {
        "id": one.submission,
        "state": standing.state if standing else "UNKNOWN",
        "name": job_title(request.spec) if request else one.metadata.get("job_name", ""),
        "job": one.job,
        "reason": standing.reason if standing else trouble,
        "owner": request.owner if request else one.metadata.get("owner", ""),
        "priority": request.priority if request else None,
        **_progress(summary, standing.state if standing else ""),
        "submitted": one.submitted,
        "age": max(round(time.time() - one.submitted), 0),
    }


def _word(
    by_id: Mapping[str, SubmittedJob] | None,
    submission: str,
    job: JobDirectory,
    request: JobRequest | None,
    dashboard: str,
) -> ClusterWord | None:
    """What the cluster that was asked says of a job. It says nothing of jobs that are on another cluster."""
    if by_id is None:
        return None
    if submission in by_id:
        return word_of(by_id[submission], job, request)
    here = request is None or not request.dashboard or _names(request.dashboard, dashboard)
    return word_of_unlisted(by_id.values()) if here else None


def _names(stored: str, dashboard: str) -> bool:
    try:
        return same_dashboard(stored, dashboard)
    except FarmError:
        return False


def _progress(summary: JobSummary | None, state: str) -> dict[str, Any]:
    if summary is None:
        return {"committed": None, "frames": None, "percent": None, "seconds_left": None, "bytes": None}
    return {
        "committed": summary.committed,
        "frames": summary.frames,
        "percent": summary.percent,
        "seconds_left": seconds_left(summary, state),
        "bytes": summary.committed_bytes,
    }


COLUMNS = ("ID", "STATE", "DONE", "LEFT", "PRIO", "OWNER", "AGE", "SIZE", "NAME")
"""What `row_lines` shows. SIZE is that of the committed frames; LEFT is the time until all are committed."""


def row_lines(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as a table for people, each column as wide as its widest cell."""
    table = [COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(COLUMNS))]
    right = {"DONE", "LEFT", "PRIO", "AGE", "SIZE"}
    return [
        "  ".join(
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(COLUMNS, line, widths, strict=True)
        ).rstrip()
        for line in table
    ]


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["id"],
        row["state"],
        "-" if row["percent"] is None else f"{row['percent']} %",
        "-" if row["seconds_left"] is None else format_seconds(row["seconds_left"]),
        "-" if row["priority"] is None else str(row["priority"]),
        row["owner"] or "-",
        format_seconds(row["age"]),
        "-" if row["bytes"] is None else _short_bytes(row["bytes"]),
        row["name"],
    )


def _short_bytes(count: int) -> str:
    """A size of a few characters: `12M`, `3.4G`."""
    power = next((power for power in range(4) if count < 1000 * 1024**power), 4)
    size = count / 1024**power
    return f"{size:.1f}{'BKMGT'[power]}" if power and size < 10 else f"{size:.0f}{'BKMGT'[power]}"
