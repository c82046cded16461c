"""The commands for jobs on a cluster: submit, list, status, wait, logs, cancel, resume, retry.

`status`, `resume` and `retry` also take a job of this machine, by its directory.
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from farm.cli.arguments import (
    AsJson,
    Dashboard,
    Job,
    JobDirectory,
    JobThreads,
    KeepFiles,
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
from farm.plan.queue import DEFAULT_RESTARTS
from farm.spec import FrameRange
from farm.spec.load import absolute_path

if TYPE_CHECKING:
    from farm.cluster.handles import JobHandle
    from farm.job.standing import Standing
    from farm.job.state import JobState

service = typer.Typer()
"""Typer's group of the commands of this module. `farm.cli.main` adds them to `farm`."""
Priority = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=1000,
        help=f"Jobs of a higher priority begin first, and twice as high gets twice as many workers. A job that is "
        f"queued or running gets it within 20 seconds. {DEFAULT_PRIORITY} if never given.",
    ),
]


@service.command()
@takes(FILM, PAINT)
def submit(
    options: Mapping[str, Any],
    job: JobDirectory = None,
    workers: Workers = None,
    threads: JobThreads = None,
    address: Dashboard = None,
    priority: Priority = None,
    restarts: Annotated[
        int, typer.Option(min=0, max=100, help="Times that the job is begun again after its driver died.")
    ] = DEFAULT_RESTARTS,
    copy_inputs: Annotated[
        bool, typer.Option("--copy-inputs", help="Copy local films and pictures into the job's storage first.")
    ] = False,
    save_storage: SaveStorage = False,
    keep: KeepFiles = "all",
    mixed: Mixed = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Hand a render to a cluster and return at once.

    The job waits in the cluster's queue until there is room for it. The same command again finds the job that is
    running, and gives it the --priority that it names.
    """
    from farm.cluster.jobs_api import Cluster
    from farm.cluster.service import submit_job
    from farm.files.output import check_can_put, job_beside
    from farm.files.remote import is_remote
    from farm.job.request import JobRequest

    spec = film_spec(options)
    directory = absolute_path(job) if job else job_beside(spec.output)
    if is_remote(spec.output):
        check_can_put(spec.output, overwrite=True)  # whether a film that is there may be replaced, the driver finds out
    cluster = Cluster(address)
    cluster.check()
    if copy_inputs:
        from farm.cluster import staging

        spec = staging.copy_inputs(spec, directory)
    request = JobRequest(
        spec=spec,
        workers=workers,
        threads=threads,
        priority=priority or DEFAULT_PRIORITY,
        restarts=restarts,
        overwrite=overwrite,
        mixed=mixed,
        save_storage=save_storage,
        keep=keep,
    )
    submission = submit_job(request, directory, cluster, priority=priority)
    print_result(submission, as_json, "\n".join(_submitted_lines(submission)))


@service.command("list")
def list_jobs(
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            help="Only jobs in this state, such as RUNNING or LOST; may be given several times.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Show at most so many jobs, the latest.")] = None,
    address: Dashboard = None,
    as_json: AsJson = False,
) -> None:
    """List submitted jobs, latest first.

    They are those that the cluster knows, and those in the registry, which outlives the cluster's head.
    """
    from farm.cluster.listing import job_rows, row_lines
    from farm.job.standing import ShownState

    wanted = [word.upper() for word in state or []]
    if unknown := set(wanted) - set(get_args(ShownState)):
        raise UsageError(f"{', '.join(sorted(unknown))} is no state", f"choose from {', '.join(get_args(ShownState))}")
    rows, trouble = job_rows(address, states=wanted, limit=limit)
    if trouble:
        print(f"farm: {trouble}; this is what the jobs' directories tell", file=sys.stderr)
    print_result(rows, as_json, "\n".join(row_lines(rows)) if rows else "no jobs")


@service.command()
def status(
    job: Job,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all files again, and exit with 1 if one is damaged.")
    ] = False,
    address: Dashboard = None,
    as_json: AsJson = False,
) -> None:
    """Show how far a job is.

    It is read from the job's directory; the cluster is asked whether the driver of a job that has not ended is there.
    """
    from farm.cluster.handles import ask_cluster
    from farm.job.status import job_status, status_lines

    job = directory_of(job, address)
    report = job_status(job, ask_cluster(address))
    lines = list(status_lines(report))
    if verify:
        from farm.render.verify_job import verify_job

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

    The exit code is 0 if the job is done, 1 if it failed or was lost, 3 if it was cancelled, 4 if the time is over.
    """
    from farm.cluster.handles import find_job, wait_for_job

    last_line = ""

    def on_look(recorded: JobState | None, standing: Standing) -> None:
        nonlocal last_line
        counts = f" {recorded.phase} {recorded.done}/{recorded.total}" if recorded and recorded.total else ""
        line = f"QUEUED {standing.reason}".rstrip() if standing.state == "QUEUED" else f"{standing.state}{counts}"
        if line != last_line:
            print(line, file=sys.stderr, flush=True)
            last_line = line

    target = find_job(job, address)
    standing = wait_for_job(target, timeout, on_look)
    print_result(_standing_result(target, standing), as_json, f"{target.job.url}: {standing.state}")


@service.command()
def logs(
    job: Job,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job is over; the exit code is that of farm wait.")
    ] = False,
    address: Dashboard = None,
) -> None:
    """Print what the driver of a job wrote, from the job's directory.

    Where no driver has written there, it is what Ray kept of the driver's output.
    """
    from farm.cluster.handles import find_job, follow_logs, read_logs

    target = find_job(job, address)
    for piece in follow_logs(target) if follow else read_logs(target):
        sys.stdout.write(piece)
        sys.stdout.flush()


@service.command()
def cancel(job: Job, address: Dashboard = None, as_json: AsJson = False) -> None:
    """Stop a submitted job.

    Frames that are finished stay, and farm resume goes on from there.
    """
    from farm.cluster.handles import cancel_job, find_job

    target = find_job(job, address)
    standing = cancel_job(target)
    print_result(_standing_result(target, standing), as_json, f"{target.job.url}: {standing.state}")


@service.command()
def resume(
    job: Job, priority: Priority = None, mixed: Mixed = False, address: Dashboard = None, as_json: AsJson = False
) -> None:
    """Go on with a job where it stopped.

    A job that was on a cluster goes on there, any other on this machine. With --priority, a job that is queued or
    running gets another priority.
    """
    from farm.cli.progress import JobProgress
    from farm.cluster.handles import find_job
    from farm.cluster.service import resume_job

    with JobProgress() as progress:
        submission = resume_job(find_job(job, address), address, progress, priority=priority, mixed=mixed)
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
    from farm.cluster.handles import find_job, refuse_while_running
    from farm.cluster.service import drop_frames, resume_job

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
        if target.submission:
            target.cluster()  # raises where the job cannot be submitted again
        refuse_while_running(target)
        if target.standing().state != "FAILED":
            raise UsageError(f"nothing failed in {target.job.url}", "farm resume continues a job that was stopped")
    with JobProgress() as progress:
        submission = {**resume_job(target, address, progress, overwrite=True, mixed=mixed), **dropped_frames}
    print_result(submission, as_json, "\n".join(_submitted_lines(submission)))


def _standing_result(target: JobHandle, standing: Standing) -> dict[str, Any]:
    """What `wait` and `cancel` print as JSON: the job, its state and why, and what its directory has recorded."""
    from farm.job.state import load_state

    recorded = load_state(target.job)
    fields = recorded.model_dump() if recorded else {}
    return {"job": target.job.url, **fields, "state": standing.state, "reason": standing.reason}


def _submitted_lines(submission: dict[str, Any]) -> list[str]:
    """The result of `submit_job`, or of a render on this machine, as lines of text for people."""
    if "id" not in submission:
        return [
            f"{submission['output']}: {submission['frames']} frames, {submission['rendered']} rendered, "
            f"{submission['reused']} kept"
        ]
    running = f" (is there already; priority {submission['priority']})" if submission["already_running"] else ""
    return [
        f"{submission['id']}{running}",
        f"  job        {submission['job']}",
        f"  dashboard  {submission['dashboard']}/#/jobs",
        *(f"  {name:<10} {submission[name]}" for name in ("prometheus", "grafana") if name in submission),
        f"  watch      farm watch {shlex.quote(submission['job'])}",
        f"  log        farm logs -f {submission['id']} --address {submission['dashboard']}",
    ]
