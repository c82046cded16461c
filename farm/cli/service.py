"""The commands for jobs on a cluster: submit, list, status, wait, logs, cancel, resume, retry.

`status`, `resume` and `retry` also take a job of this machine, by its directory.
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from farm.cli.arguments import (
    AsJson,
    Dashboard,
    Job,
    JobDirectory,
    JobThreads,
    Mixed,
    Overwrite,
    SaveStorage,
    Workers,
    directory_of,
    print_result,
)
from farm.cli.options import FILM, PAINT, film_spec, takes
from farm.errors import UsageError
from farm.plan.fair_share import DEFAULT_PRIORITY
from farm.spec import FrameRange
from farm.spec.load import absolute_path

service = typer.Typer()
"""Typer's group of the commands of this module. `farm.cli.main` adds them to `farm`."""


@service.command()
@takes(FILM, PAINT)
def submit(
    options: Mapping[str, Any],
    job: JobDirectory = None,
    workers: Workers = None,
    threads: JobThreads = None,
    address: Dashboard = None,
    priority: Annotated[
        int,
        typer.Option(
            min=1, max=1000, help="Share of the cluster against other jobs: twice as high gets twice as many workers."
        ),
    ] = DEFAULT_PRIORITY,
    copy_inputs: Annotated[
        bool, typer.Option("--copy-inputs", help="Copy local films and pictures into the job's storage first.")
    ] = False,
    save_storage: SaveStorage = False,
    mixed: Mixed = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Hand a render to a cluster and return at once.

    The same command again finds the job that is running.
    """
    from farm.cluster import staging
    from farm.cluster.jobs_api import Cluster
    from farm.cluster.service import submit_job
    from farm.job.request import JobRequest

    spec = film_spec(options)
    directory = absolute_path(job) if job else str(Path(spec.output).with_suffix(".farm"))
    cluster = Cluster(address)
    if copy_inputs:
        spec = staging.copy_inputs(spec, directory)
    request = JobRequest(
        spec=spec,
        workers=workers,
        threads=threads,
        priority=priority,
        overwrite=overwrite,
        mixed=mixed,
        save_storage=save_storage,
    )
    submission = submit_job(request, directory, cluster)
    print_result(submission, as_json, "\n".join(_submitted_lines(submission)))


@service.command("list")
def list_jobs(address: Dashboard = None, as_json: AsJson = False) -> None:
    """List the jobs of a cluster, latest first."""
    from farm.cluster.jobs_api import Cluster

    rows = [
        {
            "id": job.id,
            "state": job.state,
            "name": job.metadata.get("job_name", ""),
            "job": job.metadata["farm_job"],
            "seconds": round((job.ended or time.time()) - job.started) if job.started else 0,
        }
        for job in Cluster(address).jobs()
    ]
    lines = [f"{row['id']:<42} {row['state']:<9} {row['seconds']:>6} s  {row['name']}" for row in rows]
    print_result(rows, as_json, "\n".join(lines) or "no jobs")


@service.command()
def status(
    job: Job,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all files again, and exit with 1 if one is damaged.")
    ] = False,
    address: Dashboard = None,
    as_json: AsJson = False,
) -> None:
    """Show how far a job is, read from its directory alone."""
    from farm.job.status import job_status, status_lines
    from farm.render.verify_job import verify_job

    job = directory_of(job, address)
    report = job_status(job)
    lines = list(status_lines(report))
    if verify:
        check = verify_job(job)
        damage = [dataclasses.asdict(item) for item in check.damage]
        report = {**report, "checked": check.checked, "damage": damage}
        lines += check.lines()
    print_result(report, as_json, "\n".join(lines))
    if report.get("damage"):
        raise typer.Exit(1)


@service.command()
def wait(
    job: Job,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Seconds to wait at most; then the exit code is 4.")
    ] = None,
    address: Dashboard = None,
    as_json: AsJson = False,
) -> None:
    """Wait until a job is over.

    The exit code is 0 if the job is done, 1 if it failed, 3 if it was cancelled, 4 if the time is over.
    """
    from farm.cluster.service import find_job, wait_for_job

    last_line = ""

    def on_state(state: Any) -> None:
        nonlocal last_line
        line = f"{state.state} {state.phase} {state.done}/{state.total}" if state.total else state.state
        if line != last_line:
            print(line, file=sys.stderr, flush=True)
            last_line = line

    target = find_job(job, address)
    state = wait_for_job(target, timeout, on_state)
    print_result({"job": target.job.url, **state.model_dump()}, as_json, f"{target.job.url}: {state.state}")


@service.command()
def logs(
    job: Job,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job is over.")] = False,
    address: Dashboard = None,
) -> None:
    """Print what the driver of a submitted job wrote."""
    from farm.cluster.service import find_job

    target = find_job(job, address)
    cluster = target.cluster()
    for piece in cluster.follow(target.submission) if follow else [cluster.logs(target.submission)]:
        sys.stdout.write(piece)
        sys.stdout.flush()


@service.command()
def cancel(job: Job, address: Dashboard = None, as_json: AsJson = False) -> None:
    """Stop a submitted job.

    Frames that are finished stay, and farm resume goes on from there.
    """
    from farm.cluster.service import cancel_job, find_job

    target = find_job(job, address)
    state = cancel_job(target)
    print_result({"job": target.job.url, **state.model_dump()}, as_json, f"{target.job.url}: {state.state}")


@service.command()
def resume(job: Job, mixed: Mixed = False, address: Dashboard = None, as_json: AsJson = False) -> None:
    """Go on with a job where it stopped.

    A job that was on a cluster goes on there, any other on this machine.
    """
    from farm.cli.progress import JobProgress
    from farm.cluster.service import find_job, resume_job

    with JobProgress() as progress:
        submission = resume_job(find_job(job, address), address, progress, mixed=mixed)
    print_result(submission, as_json, "\n".join(_submitted_lines(submission)))


@service.command()
def retry(
    job: Job,
    failed: Annotated[
        bool, typer.Option("--failed", help="Render the tasks that failed, and those that wait for them.")
    ] = False,
    frames: Annotated[
        str | None,
        typer.Option(metavar="A-B", help="Render the frames A to B, and all that is made from them, once more."),
    ] = None,
    mixed: Mixed = False,
    address: Dashboard = None,
    as_json: AsJson = False,
) -> None:
    """Render failed tasks, or a range of frames, once more."""
    from farm.cli.progress import JobProgress
    from farm.cluster.service import current_state, drop_frames, find_job, refuse_while_running, resume_job

    if failed == (frames is not None):
        raise UsageError("say what to retry", "give either --failed or --frames A-B")
    target = find_job(job, address)
    dropped_frames: dict[str, Any] = {"dropped": {}, "again": {}}
    if frames is not None:
        dropped = drop_frames(target, FrameRange.parse(frames))
        print("rendered again, with all that is made from them:", *dropped.lines(), sep="\n  ", file=sys.stderr)
        ranges = {name: [str(part) for part in parts] for name, parts in dropped.frames.items()}
        dropped_frames = {"dropped": dropped.committed, "again": ranges}
    else:
        refuse_while_running(target)
        if current_state(target).state != "FAILED":
            raise UsageError(f"nothing failed in {target.job.url}", "farm resume continues a job that was stopped")
    with JobProgress() as progress:
        submission = {**resume_job(target, address, progress, overwrite=True, mixed=mixed), **dropped_frames}
    print_result(submission, as_json, "\n".join(_submitted_lines(submission)))


def _submitted_lines(submission: dict[str, Any]) -> list[str]:
    """The result of `submit_job`, or of a render on this machine, as lines of text for people."""
    if "id" not in submission:
        return [
            f"{submission['output']}: {submission['frames']} frames, {submission['rendered']} rendered, "
            f"{submission['reused']} kept"
        ]
    running = " (is running already)" if submission["already_running"] else ""
    return [
        f"{submission['id']}{running}",
        f"  job        {submission['job']}",
        f"  dashboard  {submission['dashboard']}/#/jobs",
        *(f"  {name:<10} {submission[name]}" for name in ("prometheus", "grafana") if name in submission),
        f"  watch      farm watch {shlex.quote(submission['job'])}",
        f"  log        farm logs -f {submission['id']} --address {submission['dashboard']}",
    ]
