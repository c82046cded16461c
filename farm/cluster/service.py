"""The farm as a service: what `farm submit`, `status`, `wait`, `cancel`, `resume` and `retry` do.

answer = submit_job(request, job_url, cluster)        # on the user's machine
run_submitted(job_url, submission, progress)          # on the cluster, called by jobs/render.py
found = find_job("painted.farm", address=None)        # by its directory or its submission id
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm import __version__
from farm.cluster.jobs_api import Cluster, SubmittedJob
from farm.cluster.monitoring import monitoring_addresses
from farm.cluster.render_job import render_job
from farm.cluster.sizing import LaunchOptions
from farm.errors import CancelledError, ChunkFailedError, FarmError, StorageError, TimedOutError, UsageError
from farm.job import JobDirectory
from farm.job.credentials import check_no_secrets
from farm.job.lease import job_lease
from farm.job.request import (
    JobRequest,
    job_metadata,
    load_request,
    next_submission,
    save_request,
    submission_base,
    submission_number,
)
from farm.job.state import FINISHED, JobState, State, load_state, save_state
from farm.plan.pace import Progress
from farm.plan.reads import dependents
from farm.spec import FrameRange
from farm.spec.frames import runs
from farm.spec.load import absolute_path, spec_differences

CANCEL_SECONDS = 60.0
"""Seconds that a cancelled job has to end."""
LAST_WORDS_SECONDS = 20.0
"""Seconds that a driver has to end after its state is written: it prints a summary and releases its actors."""
POLL_SECONDS = 1.0
"""Seconds between two questions to the cluster."""
SUBMITTING_SECONDS = 60.0
"""Longest time, in seconds, from the request in the job's storage to the cluster's knowing the job."""
FROM_RAY: dict[str, State] = {"STOPPED": "CANCELLED", "FAILED": "FAILED", "SUCCEEDED": "SUCCEEDED"}


def submit_job(request: JobRequest, job_url: str, cluster: Cluster) -> dict[str, Any]:
    """Hand a job to the cluster, or find it there.

    Raises UsageError where the job directory is at work on something else, or holds frames of something else.
    """
    check_no_secrets(job_url, request.spec)
    job = JobDirectory(job_url)
    base = submission_base(job.url, request.spec)
    there = cluster.jobs()

    def answer(submission: str, already_running: bool) -> dict[str, Any]:
        return {
            "id": submission,
            "job": job.url,
            "dashboard": cluster.dashboard,
            **monitoring_addresses(submission, os.environ),
            "already_running": already_running,
        }

    for one in there:
        if one.active and submission_number(base, one.id):
            return answer(one.id, True)
        if one.active and one.metadata.get("farm_job") == job.url:
            raise UsageError(
                f"{one.id} is at work in {job.url} with another spec", "cancel it, or choose another --job"
            )
    record = job.load_record()
    if record is not None and job.has_frames and (differences := spec_differences(record.spec, request.spec)):
        raise UsageError(
            f"job {job.url} is a render of something else ({'; '.join(differences)})", "choose another --job"
        )
    submission = next_submission(base, [one.id for one in there])
    earlier = load_request(job)
    request = request.model_copy(
        update={
            "farm": __version__,
            "dashboard": cluster.dashboard,
            "submissions": (*(earlier.submissions if earlier else ()), submission),
        }
    )
    job.check_writable()
    save_request(job, request)
    save_state(job, JobState(state="PENDING", submission=submission))
    command = ["python", "-m", "jobs.render", job.url, submission]
    try:
        first = cluster.submit(submission, command, job_metadata(job.url, request.spec))
    except FarmError as error:
        save_state(job, JobState(state="FAILED", submission=submission, reason=str(error)))
        raise
    return answer(submission, not first)


def run_submitted(job_url: str, submission: str, progress: Progress) -> dict[str, Any]:
    """Render a submitted job on the cluster that this process runs on; return the report. Raises FarmError."""
    job = JobDirectory(job_url)
    request = load_request(job)
    if request is None:
        raise StorageError(
            f"{job.url}/request.json is not to be seen from the cluster", "put the job on shared storage: --job URL"
        )
    options = LaunchOptions(
        job=job.url,
        workers=request.workers,
        threads=request.threads,
        address="auto",
        overwrite=request.overwrite,
        priority=request.priority,
        save_storage=request.save_storage,
        submission=submission,
    )
    try:
        if request.farm != __version__:
            raise UsageError(f"the cluster has farm {__version__}, the job was submitted by {request.farm}")
        return render_job(request.spec, options, progress)
    except FarmError as error:
        now = load_state(job)
        if now is None or now.state not in FINISHED:
            state: State = "CANCELLED" if isinstance(error, CancelledError) else "FAILED"
            save_state(job, JobState(state=state, submission=submission, reason=str(error)))
        raise


@dataclass(frozen=True)
class Found:
    """A job by whatever name it was asked for. `submission` is its latest id, empty if it never was submitted."""

    job: JobDirectory
    request: JobRequest | None
    submission: str
    dashboard: str | None

    def cluster(self) -> Cluster:
        """Raises UsageError where the job was not submitted to any."""
        if not self.submission:
            raise UsageError(f"{self.job.url} was not submitted to a cluster", "it runs in its own shell")
        return Cluster(self.dashboard)

    def submitted(self) -> SubmittedJob | None:
        return self.cluster().job(self.submission) if self.submission else None


def find_job(name: str, address: str | None) -> Found:
    """`name` is a job directory or URL, or a submission id. Raises UsageError where there is no such job."""
    if "://" in name or Path(name).exists():
        job = JobDirectory(absolute_path(name))
        request = load_request(job)
        if request is None:
            return Found(job, None, "", None)
        return Found(job, request, request.submissions[-1], address or request.dashboard)
    if not name.startswith("farm-"):
        raise UsageError(f"{name} holds no job", "give the job directory or the id that farm submit printed")
    cluster = Cluster(address)
    one = cluster.job(name)
    if one is None:
        raise UsageError(f"the cluster at {cluster.dashboard} has no job {name}", "farm list shows its jobs")
    job = JobDirectory(one.metadata["farm_job"])
    return Found(job, load_request(job), name, cluster.dashboard)


def current_state(found: Found) -> JobState:
    """What the job's directory says, corrected by the cluster where the driver ended without a word."""
    said = load_state(found.job) or JobState(state="SUCCEEDED" if found.job.load_report() else "PENDING")
    if said.state in FINISHED and said.submission in ("", found.submission):
        return said
    there = found.submitted()
    if not found.submission or (there is not None and there.active):
        return said
    again = load_state(found.job)
    if again is not None and again.state in FINISHED and again.submission == found.submission:
        return again
    if there is None:
        if said.state == "PENDING" and time.time() - said.updated < SUBMITTING_SECONDS:
            return said
        reason = "the cluster does not know the job any more; farm resume continues it"
        return JobState(state="FAILED", submission=found.submission, reason=reason)
    return JobState(state=FROM_RAY[there.state], submission=there.id, reason=there.message)


def wait_for_job(
    found: Found,
    timeout: float | None,
    on_state: Callable[[JobState], None],
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> JobState:
    """Return when the job has succeeded. `timeout` is in seconds, and None where it may take any time.

    Raises ChunkFailedError when it failed, CancelledError when it was cancelled, TimedOutError after `timeout`.
    """
    deadline = math.inf if timeout is None else now() + timeout
    while True:
        state = current_state(found)
        on_state(state)
        if state.state in FINISHED:
            _wait_for_last_words(found, deadline, now, sleep)
        if state.state == "SUCCEEDED":
            return state
        if state.state == "FAILED":
            raise ChunkFailedError(f"{found.job.url} failed: {state.reason}", "farm logs tells more")
        if state.state == "CANCELLED":
            raise CancelledError(f"{found.job.url} was cancelled", "farm resume continues it")
        if now() >= deadline:
            raise TimedOutError(
                f"{found.job.url} is {state.state} after {timeout:g} seconds", "it goes on all the same"
            )
        sleep(POLL_SECONDS)


def _wait_for_last_words(
    found: Found, deadline: float, now: Callable[[], float], sleep: Callable[[float], None]
) -> None:
    """A driver says how its job ended before it has printed its last lines: whoever waited may read them at once.

    Bounded, and without a complaint about a cluster that is gone: the job has ended either way.
    """
    deadline = min(deadline, now() + LAST_WORDS_SECONDS)
    with contextlib.suppress(FarmError):
        while now() < deadline and (there := found.submitted()) is not None and there.active:
            sleep(POLL_SECONDS)


def cancel_job(found: Found) -> JobState:
    """Stop a submitted job so that it can be resumed; a job that has ended stays as it is.

    Raises TimedOutError where it has not ended after CANCEL_SECONDS, UsageError where it was not submitted.
    """
    cluster = found.cluster()
    there = cluster.job(found.submission)
    if there is not None and there.active:
        cluster.stop(found.submission)
    deadline = time.monotonic() + CANCEL_SECONDS
    while there is not None and there.active:
        if time.monotonic() > deadline:
            raise TimedOutError(f"{found.submission} has not ended after {CANCEL_SECONDS:g} seconds")
        time.sleep(POLL_SECONDS)
        there = cluster.job(found.submission)
    state = current_state(found)
    if state.state not in FINISHED:  # nobody on the cluster knows it any more
        state = JobState(state="CANCELLED", submission=found.submission)
    save_state(found.job, state)
    return state


def resume_job(found: Found, address: str | None, progress: Progress, *, overwrite: bool = False) -> dict[str, Any]:
    """Go on with a job where it was: on its cluster, or on this machine if it never was on one."""
    request, record = found.request, found.job.load_record()
    if request is None and record is None:
        raise UsageError(f"{found.job.url} holds no job", "give the job directory, usually the film's name with .farm")
    if request is None and record is not None and address is None:
        options = LaunchOptions(job=found.job.url, overwrite=overwrite, save_storage=record.save_storage)
        return render_job(record.spec, options, progress)
    if request is None:
        assert record is not None
        request = JobRequest(spec=record.spec, save_storage=record.save_storage)
    cluster = Cluster(address or found.dashboard)
    return submit_job(request.model_copy(update={"overwrite": overwrite or request.overwrite}), found.job.url, cluster)


@dataclass(frozen=True)
class Dropped:
    """What is made again, by pass: all frames that depend on those asked for, and how many of them were `committed`."""

    frames: dict[str, list[FrameRange]]
    committed: dict[str, int]

    def lines(self) -> Iterator[str]:
        """`pass 2: frames 9-12 (4, of which 3 had been made)`"""
        for pass_name, ranges in self.frames.items():
            count, made = sum(map(len, ranges)), self.committed[pass_name]
            had = "" if made == count else f", of which {made} had been made"
            yield f"{pass_name}: frames {', '.join(map(str, ranges))} ({count}{had})"


def drop_frames(found: Found, frames: FrameRange) -> Dropped:
    """Forget committed frames and all that was made from them, so that resuming makes them again.

    Raises UsageError while the job is at work or where it has no such frames.
    """
    refuse_while_running(found)
    with job_lease(found.job.storage):
        record = found.job.load_record()
        if record is None:
            raise UsageError(f"{found.job.url} has no frames yet")
        if frames.start < record.plan.start or frames.stop > record.plan.stop:
            raise UsageError(f"frames {frames} are not all in this job, which renders {record.plan.frames}")
        found.job.forget()
        affected: dict[str, set[int]] = {}
        dropped: dict[str, int] = {}
        for task, numbers in dependents(record.plan, record.spec, frames).items():
            pass_name = task.partition("/")[0].replace("-", " ")
            affected.setdefault(pass_name, set()).update(numbers)
            dropped[pass_name] = dropped.get(pass_name, 0) + found.job.drop_frames(task, numbers)
        found.job.drop_report()
    return Dropped({pass_name: runs(numbers) for pass_name, numbers in affected.items()}, dropped)


def refuse_while_running(found: Found) -> None:
    """Raises UsageError where the job is at work on a cluster; the lease refuses one that runs elsewhere."""
    if found.submission and current_state(found).state == "RUNNING":
        raise UsageError(f"{found.job.url} is running", "farm cancel it first")
