"""The farm as a service: what `farm submit`, `status`, `wait`, `cancel`, `resume` and `retry` do.

answer = submit_job(request, job_url, cluster)        # on the user's machine
run_submitted(job_url, submission, progress)          # on the cluster, called by jobs/render.py
handle = find_job("painted.farm", address=None)       # a job by its directory or its submission id
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
"""Seconds that `cancel_job` waits for the job to end."""
SUMMARY_SECONDS = 20.0
"""Seconds that `wait_for_job` waits for a driver to end after it has written how its job ended.

In that time the driver prints its summary and releases its actors.
"""
POLL_SECONDS = 1.0
"""Seconds between two requests to the cluster, while something is waited for."""
SUBMITTING_SECONDS = 60.0
"""Age, in seconds, up to which a PENDING job that the cluster does not know counts as still being submitted.

`submit_job` writes the state to the job's directory before it calls the cluster.
"""
DRIVER_COMMAND = ("PYTHONSAFEPATH=1", "python", "-m", "jobs.render")
"""What Ray gives to a shell on the head to start a driver.

Without the variable, the first place where `python -m` looks for a module is the folder that `ray start` was given in,
often a shared one: a file ffmpeg.py there would run in the driver. Python 3.10 ignores it.
"""
STATE_OF_RAY: dict[str, State] = {"STOPPED": "CANCELLED", "FAILED": "FAILED", "SUCCEEDED": "SUCCEEDED"}
"""The farm's word for each state in which Ray lists a job whose driver has ended."""


def submit_job(request: JobRequest, job_url: str, cluster: Cluster) -> dict[str, Any]:
    """Submit a render to the cluster, unless the same one is running there already.

    Returns `id` (the submission's), `job` (the URL of its directory), `dashboard`, `already_running`, and addresses of
    Prometheus and Grafana where they are known. Raises UsageError where another spec is being rendered in the job's
    directory or has frames there, StorageError where the directory cannot be written, and what `Cluster` raises.
    """
    check_no_secrets(job_url, request.spec)
    job = JobDirectory(job_url)
    base = submission_base(job.url, request.spec)
    submitted_jobs = cluster.jobs()

    def answer(submission: str, already_running: bool) -> dict[str, Any]:
        return {
            "id": submission,
            "job": job.url,
            "dashboard": cluster.dashboard,
            **monitoring_addresses(submission, os.environ),
            "already_running": already_running,
        }

    for other in submitted_jobs:
        if other.active and submission_number(base, other.id):
            return answer(other.id, True)
        if other.active and other.metadata.get("farm_job") == job.url:
            raise UsageError(
                f"{other.id} is at work in {job.url} with another spec", "cancel it, or choose another --job"
            )
    record = job.load_record()
    if record is not None and job.has_frames and (differences := spec_differences(record.spec, request.spec)):
        raise UsageError(
            f"job {job.url} is a render of something else ({'; '.join(differences)})", "choose another --job"
        )
    submission = next_submission(base, [other.id for other in submitted_jobs])
    earlier_request = load_request(job)
    request = request.model_copy(
        update={
            "farm": __version__,
            "dashboard": cluster.dashboard,
            "submissions": (*(earlier_request.submissions if earlier_request else ()), submission),
        }
    )
    job.check_writable()
    save_request(job, request)
    save_state(job, JobState(state="PENDING", submission=submission))
    command = [*DRIVER_COMMAND, job.url, submission]
    try:
        is_new = cluster.submit(submission, command, job_metadata(job.url, request.spec))
    except FarmError as error:
        save_state(job, JobState(state="FAILED", submission=submission, reason=str(error)))
        raise
    return answer(submission, not is_new)


def run_submitted(job_url: str, submission: str, progress: Progress) -> dict[str, Any]:
    """Render a submitted job on the cluster that this process runs on, and return the report of `render_job`.

    Raises StorageError where this node does not see the job's directory, UsageError where another version of the farm
    submitted the job, and what `render_job` raises. The job's state then says how it ended.
    """
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
        mixed=request.mixed,
        save_storage=request.save_storage,
        submission=submission,
    )
    try:
        if request.farm != __version__:
            raise UsageError(f"the cluster has farm {__version__}, the job was submitted by {request.farm}")
        return render_job(request.spec, options, progress)
    except FarmError as error:
        recorded = load_state(job)
        if is_of(recorded, submission) and (recorded is None or recorded.state not in FINISHED):
            state: State = "CANCELLED" if isinstance(error, CancelledError) else "FAILED"
            save_state(job, JobState(state=state, submission=submission, reason=str(error)))
        raise


@dataclass(frozen=True)
class JobHandle:
    """A job that exists, and its place on a cluster.

    `submission` is the id that it was asked for by, or its latest one, and empty for a job that was never submitted.
    `request` is None for such a job, and `dashboard` is the address of the cluster, None for the default one.
    """

    job: JobDirectory
    request: JobRequest | None
    submission: str
    dashboard: str | None

    def cluster(self) -> Cluster:
        """The cluster that has the job. Raises UsageError where the job was never submitted, and as `Cluster` does."""
        if not self.submission:
            raise UsageError(f"{self.job.url} was not submitted to a cluster", "it runs in its own shell")
        return Cluster(self.dashboard)

    def submitted(self) -> SubmittedJob | None:
        """The job as its cluster lists it. None where the cluster does not know it, or it was never submitted."""
        return self.cluster().job(self.submission) if self.submission else None


def find_job(name: str, address: str | None) -> JobHandle:
    """The job whose directory, URL or submission id is `name`.

    `address` is that of the cluster; None takes the one that the job was submitted to, or the default one. Raises
    UsageError where `name` is no path that exists and no submission of the cluster's.
    """
    if "://" in name or Path(name).exists():
        job = JobDirectory(absolute_path(name))
        request = load_request(job)
        if request is None:
            return JobHandle(job, None, "", None)
        return JobHandle(job, request, request.submissions[-1], address or request.dashboard)
    if not name.startswith("farm-"):
        raise UsageError(f"{name} holds no job", "give the job directory or the id that farm submit printed")
    cluster = Cluster(address)
    submitted = cluster.job(name)
    if submitted is None:
        raise UsageError(f"the cluster at {cluster.dashboard} has no job {name}", "farm list shows its jobs")
    job = JobDirectory(submitted.metadata["farm_job"])
    return JobHandle(job, load_request(job), name, cluster.dashboard)


def is_of(recorded: JobState | None, submission: str) -> bool:
    """Whether a recorded state may be replaced by one of `submission`: it is not that of another run.

    >>> is_of(JobState(state="RUNNING", submission="farm-a-2"), "farm-a")
    False
    """
    return recorded is None or recorded.submission in ("", submission)


def current_state(handle: JobHandle) -> JobState:
    """The state that is recorded in the job's directory, or the cluster's where the driver could not record its end.

    A driver that was killed leaves RUNNING in the directory; then the cluster tells how it ended.
    """
    recorded = load_state(handle.job) or JobState(state="SUCCEEDED" if handle.job.load_report() else "PENDING")
    if recorded.state in FINISHED and recorded.submission in ("", handle.submission):
        return recorded
    submitted = handle.submitted()
    if not handle.submission or (submitted is not None and submitted.active):
        return recorded
    # The driver has ended. It may have recorded its end between the two look-ups above.
    latest = load_state(handle.job)
    if latest is not None and latest.state in FINISHED and latest.submission == handle.submission:
        return latest
    if submitted is None:
        if recorded.state == "PENDING" and time.time() - recorded.updated < SUBMITTING_SECONDS:
            return recorded
        reason = "the cluster does not know the job any more; farm resume continues it"
        return JobState(state="FAILED", submission=handle.submission, reason=reason)
    return JobState(state=STATE_OF_RAY[submitted.state], submission=submitted.id, reason=submitted.message)


def wait_for_job(
    handle: JobHandle,
    timeout: float | None,
    on_state: Callable[[JobState], None],
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> JobState:
    """Return when the job has succeeded and its driver has printed its summary.

    `timeout` is in seconds, None for any time. `on_state` is called with every state that is read, about once a second.
    `now` and `sleep` are the clock, in seconds. Raises ChunkFailedError when the job failed, CancelledError when it was
    cancelled, TimedOutError after `timeout`.
    """
    deadline = math.inf if timeout is None else now() + timeout
    while True:
        state = current_state(handle)
        on_state(state)
        if state.state in FINISHED:
            _wait_for_summary(handle, deadline, now, sleep)
        if state.state == "SUCCEEDED":
            return state
        if state.state == "FAILED":
            raise ChunkFailedError(f"{handle.job.url} failed: {state.reason}", "farm logs tells more")
        if state.state == "CANCELLED":
            raise CancelledError(f"{handle.job.url} was cancelled", "farm resume continues it")
        if now() >= deadline:
            raise TimedOutError(
                f"{handle.job.url} is {state.state} after {timeout:g} seconds", "it goes on all the same"
            )
        sleep(POLL_SECONDS)


def _wait_for_summary(
    handle: JobHandle, deadline: float, now: Callable[[], float], sleep: Callable[[float], None]
) -> None:
    """Wait until the driver has ended, for SUMMARY_SECONDS at most.

    A driver records how its job ended before it prints its summary. Why to wait: `farm logs` right after `farm wait`
    has the summary. A cluster that does not answer is no error here, as the job has ended.
    """
    deadline = min(deadline, now() + SUMMARY_SECONDS)
    with contextlib.suppress(FarmError):
        while now() < deadline and (submitted := handle.submitted()) is not None and submitted.active:
            sleep(POLL_SECONDS)


def cancel_job(handle: JobHandle) -> JobState:
    """Stop a submitted job, wait for its end, and return its state. Its frames stay, so it can be resumed.

    A job that has ended already keeps its state, and that of a later run in the same directory stays as it is. Raises
    TimedOutError where the job has not ended after CANCEL_SECONDS, and UsageError where it was never submitted.
    """
    cluster = handle.cluster()
    submitted = cluster.job(handle.submission)
    if submitted is not None and submitted.active:
        cluster.stop(handle.submission)
    deadline = time.monotonic() + CANCEL_SECONDS
    while submitted is not None and submitted.active:
        if time.monotonic() > deadline:
            raise TimedOutError(f"{handle.submission} has not ended after {CANCEL_SECONDS:g} seconds")
        time.sleep(POLL_SECONDS)
        submitted = cluster.job(handle.submission)
    state = current_state(handle)
    if state.state not in FINISHED:  # the cluster does not know the job any more
        state = JobState(state="CANCELLED", submission=handle.submission)
    if is_of(load_state(handle.job), handle.submission):
        save_state(handle.job, state)
    return state


def resume_job(
    handle: JobHandle, address: str | None, progress: Progress, *, overwrite: bool = False, mixed: bool = False
) -> dict[str, Any]:
    """Continue a job on its cluster, or on this machine where it was never submitted.

    `address` names a cluster to submit it to instead. `overwrite` lets the film replace a file that was not made by
    this job. With `mixed` it goes on with other software than it was begun with. Returns what `submit_job` returns, or
    the report of `render_job`. Raises UsageError where the directory holds no job, and what these two raise.
    """
    request, record = handle.request, handle.job.load_record()
    if request is None and record is None:
        raise UsageError(f"{handle.job.url} holds no job", "give the job directory, usually the film's name with .farm")
    if request is None and record is not None and address is None:
        options = LaunchOptions(job=handle.job.url, overwrite=overwrite, mixed=mixed, save_storage=record.save_storage)
        return render_job(record.spec, options, progress)
    if request is None:
        assert record is not None
        request = JobRequest(spec=record.spec, save_storage=record.save_storage)
    cluster = Cluster(address or handle.dashboard)
    changes = {"overwrite": overwrite or request.overwrite, "mixed": mixed or request.mixed}
    return submit_job(request.model_copy(update=changes), handle.job.url, cluster)


@dataclass(frozen=True)
class Dropped:
    """What `drop_frames` dropped, by the name of the pass, such as `pass 2`.

    `frames` are the frames that were asked for and all that are made from them. `committed` is how many of these had
    been rendered and are removed.
    """

    frames: dict[str, list[FrameRange]]
    committed: dict[str, int]

    def lines(self) -> Iterator[str]:
        """One line for each pass: `pass 2: frames 9-12 (4, of which 3 had been made)`"""
        for pass_name, ranges in self.frames.items():
            count, committed = sum(map(len, ranges)), self.committed[pass_name]
            remark = "" if committed == count else f", of which {committed} had been made"
            yield f"{pass_name}: frames {', '.join(map(str, ranges))} ({count}{remark})"


def drop_frames(handle: JobHandle, frames: FrameRange) -> Dropped:
    """Remove `frames` in every pass, and all that was made from them, so that the next run renders them again.

    Raises UsageError while the job is running, where it has no plan yet, and where `frames` are not all in the film.
    """
    refuse_while_running(handle)
    with job_lease(handle.job.storage):
        record = handle.job.load_record()
        if record is None:
            raise UsageError(f"{handle.job.url} has no frames yet")
        if frames.start < record.plan.start or frames.stop > record.plan.stop:
            raise UsageError(f"frames {frames} are not all in this job, which renders {record.plan.frames}")
        handle.job.forget()
        affected: dict[str, set[int]] = {}
        dropped: dict[str, int] = {}
        for task, numbers in dependents(record.plan, record.spec, frames).items():
            pass_name = task.partition("/")[0].replace("-", " ")
            affected.setdefault(pass_name, set()).update(numbers)
            dropped[pass_name] = dropped.get(pass_name, 0) + handle.job.drop_frames(task, numbers)
        handle.job.drop_report()
    return Dropped({pass_name: runs(numbers) for pass_name, numbers in affected.items()}, dropped)


def refuse_while_running(handle: JobHandle) -> None:
    """Raise UsageError where the job is running on a cluster. A job that runs elsewhere is refused by its lease."""
    if handle.submission and current_state(handle).state == "RUNNING":
        raise UsageError(f"{handle.job.url} is running", "farm cancel it first")
