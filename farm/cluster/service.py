"""The farm as a service: what `farm submit`, `resume` and `retry` do, and the driver's side of a submitted job.

answer = submit_job(request, job_url, cluster)        # on the user's machine
run_submitted(job_url, submission, progress)          # on the cluster, called by jobs/render.py
resume_job(find_job("painted.farm", None), None, progress)

Jobs that exist are found, looked at, waited for and cancelled by `farm.cluster.handles`. Ray and torch are imported
only by what renders, so that `submit` and `resume` answer soon.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from farm import __version__
from farm.cluster.handles import JobHandle, refuse_while_running
from farm.cluster.jobs_api import Cluster
from farm.cluster.monitoring import monitoring_addresses
from farm.cluster.queued import short_job, ticket_of
from farm.errors import CancelledError, FarmError, StorageError, UsageError
from farm.job import JobDirectory
from farm.job.credentials import check_no_secrets
from farm.job.keep import check_frames_kept
from farm.job.lease import job_lease
from farm.job.registry import note_submission
from farm.job.request import (
    JobRequest,
    job_metadata,
    load_request,
    next_submission,
    save_request,
    submission_base,
    submission_number,
    user_name,
)
from farm.job.state import FINISHED, JobState, State, load_state, save_state, starting
from farm.job.summary import take_from_summary
from farm.plan.fair_share import DEFAULT_PRIORITY
from farm.plan.pace import Progress
from farm.plan.reads import dependents
from farm.spec import FrameRange
from farm.spec.frames import runs
from farm.spec.load import spec_differences

DRIVER_COMMAND = ("PYTHONSAFEPATH=1", "python", "-m", "jobs.render")
"""What Ray gives to a shell on the head to start a driver.

Without the variable, the first place where `python -m` looks for a module is the folder that `ray start` was given in,
often a shared one: a file ffmpeg.py there would run in the driver. Python 3.10 ignores it.
"""


def submit_job(request: JobRequest, job_url: str, cluster: Cluster, *, priority: int | None = None) -> dict[str, Any]:
    """Submit a render to the cluster, unless the same one is queued or running there already.

    `priority` is the job's from now on, also where it runs already; None leaves it as it is, or as `request` has it.
    Returns `id` (the submission's), `job` (the URL of its directory), `dashboard`, `already_running`, `priority`, and
    addresses of Prometheus and Grafana where they are known. Raises UsageError where another spec is being rendered in
    the job's directory or has frames there, StorageError where it cannot be written, and what `Cluster` raises.
    """
    check_no_secrets(job_url, request.spec)
    job = JobDirectory(job_url)
    base = submission_base(job.url, request.spec)
    submitted_jobs = cluster.jobs()
    if priority is not None:
        request = request.model_copy(update={"priority": priority})

    def answer(submission: str, already_running: bool, priority: int = request.priority) -> dict[str, Any]:
        return {
            "id": submission,
            "job": job.url,
            "dashboard": cluster.dashboard,
            **monitoring_addresses(submission, os.environ),
            "already_running": already_running,
            "priority": priority,
        }

    for other in submitted_jobs:
        if other.active and submission_number(base, other.id):
            return answer(other.id, True, _prioritise(job, priority))
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
            "owner": request.owner or user_name(),
            "submissions": (*(earlier_request.submissions if earlier_request else ()), submission),
        }
    )
    job.check_writable()
    save_request(job, request)
    save_state(job, JobState(state="PENDING", submission=submission))
    command = [*DRIVER_COMMAND, job.url, submission]
    metadata = job_metadata(job.url, request.spec, request.owner, request.priority)
    try:
        is_new = cluster.submit(submission, command, metadata)
    except FarmError as error:
        save_state(job, JobState(state="FAILED", submission=submission, reason=str(error)))
        raise
    note_submission(job.url, submission, os.environ)
    return answer(submission, not is_new)


def _prioritise(job: JobDirectory, priority: int | None) -> int:
    """Write another priority into a job's request, where its driver or the queue reads it; returns the job's."""
    request = load_request(job)
    if request is None:
        return priority or DEFAULT_PRIORITY
    if priority is not None and priority != request.priority:
        save_request(job, request.model_copy(update={"priority": priority}))
    return priority or request.priority


def run_submitted(job_url: str, submission: str, progress: Progress) -> dict[str, Any] | None:
    """Render a submitted job on the cluster that this process runs on, and return the report of `render_job`.

    Returns None where the cluster has no room for the job: it waits in the queue, which starts it again.

    Raises StorageError where this node does not see the job's directory, UsageError where another version of the farm
    submitted the job, and what `render_job` raises. The job's state then says how it ended.
    """
    job = JobDirectory(job_url)
    request = load_request(job)
    if request is None:
        raise StorageError(
            f"{job.url}/request.json is not to be seen from the cluster", "put the job on shared storage: --job URL"
        )
    from farm.cluster.render_job import render_job
    from farm.cluster.session import ray_session
    from farm.cluster.sizing import LaunchOptions

    options = LaunchOptions(
        job=job.url,
        workers=request.workers,
        threads=request.threads,
        address="auto",
        overwrite=request.overwrite,
        priority=request.priority,
        mixed=request.mixed,
        save_storage=request.save_storage,
        keep=request.keep,
        submission=submission,
    )
    try:
        if request.farm != __version__:
            raise UsageError(f"the cluster has farm {__version__}, the job was submitted by {request.farm}")
        with ray_session("auto"):
            came = _enter_queue(job, request, submission)
            if came is None:
                return None
            options = replace(options, came=came, short=short_job(request))
            with starting(job, submission):
                return render_job(request.spec, options, progress)
    except FarmError as error:
        with contextlib.suppress(StorageError):  # the reason is `error`, not the storage that cannot take it
            recorded = load_state(job)
            if recorded is None or (recorded.submission == submission and recorded.state not in FINISHED):
                state: State = "CANCELLED" if isinstance(error, CancelledError) else "FAILED"
                save_state(job, JobState(state=state, submission=submission, reason=str(error)))
        raise


def _enter_queue(job: JobDirectory, request: JobRequest, submission: str) -> float | None:
    """When the job came, where it begins now; None where it waits in the queue, as its state then says.

    Raises CancelledError where the job was cancelled while it waited.
    """
    from farm.cluster.queue import enter_queue

    state = load_state(job)
    if state is not None and (state.state, state.submission) == ("CANCELLED", submission):
        raise CancelledError(f"{submission} was cancelled while it waited", "farm resume continues it")
    came = enter_queue(ticket_of(submission, job, request))
    if came is None:
        save_state(job, JobState(state="QUEUED", submission=submission))
    return came


def resume_job(
    handle: JobHandle,
    address: str | None,
    progress: Progress,
    *,
    overwrite: bool = False,
    priority: int | None = None,
    mixed: bool = False,
) -> dict[str, Any]:
    """Continue a job on its cluster, or on this machine where it was never submitted.

    `address` names a cluster to submit it to instead. `overwrite` lets the film replace a file that was not made by
    this job. `priority` is the job's from now on, also where it is queued or running. With `mixed` it goes on with
    other software than it was begun with.

    Returns what `submit_job` returns, or the report of `render_job`. Raises UsageError where the directory
    holds no job, and what these two raise.
    """
    request, record = handle.request, handle.job.load_record()
    cluster = Cluster(address) if address or not handle.submission else handle.cluster()
    if request is None and record is None:
        raise UsageError(f"{handle.job.url} holds no job", "give the job directory, usually the film's name with .farm")
    if request is None and record is not None and address is None:
        if priority is not None:
            raise UsageError("a job of this machine has no priority", "it shares its workers with no other job")
        from farm.cluster.render_job import render_job
        from farm.cluster.sizing import LaunchOptions

        options = LaunchOptions(
            job=handle.job.url,
            overwrite=overwrite,
            mixed=mixed,
            save_storage=record.save_storage,
            keep=record.keep,
        )
        return render_job(record.spec, options, progress)
    if request is None:
        assert record is not None
        request = JobRequest(spec=record.spec, save_storage=record.save_storage, keep=record.keep)
    changes = {"overwrite": overwrite or request.overwrite, "mixed": mixed or request.mixed}
    return submit_job(request.model_copy(update=changes), handle.job.url, cluster, priority=priority)


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

    Pictures that a person edited and nobody accepted are put aside. Corrected frames stay what the film shows.

    Raises UsageError while the job is running, where it has no plan yet, and where `frames` are not all in the film.
    """
    from farm.render.given_pictures import put_edits_aside

    if handle.submission:
        handle.cluster()  # raises where the job cannot be submitted again afterwards
    refuse_while_running(handle)
    check_frames_kept(handle.job)
    with job_lease(handle.job.storage):
        record = handle.job.load_record()
        if record is None:
            raise UsageError(f"{handle.job.url} has no frames yet")
        if frames.start < record.plan.start or frames.stop > record.plan.stop:
            raise UsageError(f"frames {frames} are not all in this job, which renders {record.plan.frames}")
        handle.job.forget()
        affected: dict[str, set[int]] = {}
        dropped: dict[str, int] = {}
        made_again = dependents(record.plan, record.spec, frames)
        put_edits_aside(handle.job, record, sorted({frame for numbers in made_again.values() for frame in numbers}))
        for task, numbers in made_again.items():
            pass_name = task.partition("/")[0].replace("-", " ")
            affected.setdefault(pass_name, set()).update(numbers)
            dropped[pass_name] = dropped.get(pass_name, 0) + handle.job.drop_frames(task, numbers)
        handle.job.drop_report()
        take_from_summary(handle.job, dropped)
    return Dropped({pass_name: runs(numbers) for pass_name, numbers in affected.items()}, dropped)
