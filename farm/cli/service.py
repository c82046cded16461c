"""The commands that concern a farm of several machines: submit, list, status, wait, logs, cancel, resume, retry.

JOB is a job directory, its URL, or the id that `farm submit` printed.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from farm.cli.options import FILM, PAINT, film_spec, takes
from farm.errors import UsageError
from farm.plan.fair_share import DEFAULT_PRIORITY
from farm.spec.frames import FrameRange
from farm.spec.load import absolute_path

Job = Annotated[str, typer.Argument(metavar="JOB", help="job directory or URL, or submission id")]
Dashboard = Annotated[
    str | None, typer.Option("--address", help="dashboard of the cluster [RAY_API_SERVER_ADDRESS, or this machine's]")
]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object on stdout and nothing else")]
Priority = Annotated[int, typer.Option(min=1, max=1000, help="share of the cluster against other jobs")]
Stage = Annotated[bool, typer.Option("--copy-inputs", "--stage", help="copy local inputs into the job's storage first")]

service = typer.Typer()


@service.command()
@takes(FILM, PAINT)
def submit(
    given: Mapping[str, Any],
    job: Annotated[str | None, typer.Option(help="job directory: a path or URL; default OUT with .farm")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="renderers at once, at the most")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of a worker")] = None,
    address: Dashboard = None,
    priority: Priority = DEFAULT_PRIORITY,
    stage: Stage = False,
    save_storage: Annotated[
        bool,
        typer.Option(
            "--save-storage", "--spare-storage", help="give up frames as soon as they are in the film: see farm plan"
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an output that is there already")] = False,
    as_json: AsJson = False,
) -> None:
    """Hand a render to a cluster and return at once. The same command again finds the running job."""
    from farm.cluster.jobs_api import Cluster
    from farm.cluster.service import submit_job
    from farm.cluster.staging import copy_inputs
    from farm.job.request import JobRequest

    spec = film_spec(given)
    where = absolute_path(job) if job else str(Path(spec.output).with_suffix(".farm"))
    cluster = Cluster(address)
    if stage:
        spec = copy_inputs(spec, where)
    request = JobRequest(
        spec=spec,
        workers=workers,
        threads=threads,
        priority=priority,
        overwrite=overwrite,
        save_storage=save_storage,
    )
    told = submit_job(request, where, cluster)
    _print(told, as_json, "\n".join(_submitted_lines(told)))


@service.command("list")
def list_jobs(address: Dashboard = None, as_json: AsJson = False) -> None:
    """The jobs of a cluster, latest first."""
    from farm.cluster.jobs_api import Cluster

    jobs = Cluster(address).jobs()
    told = [
        {
            "id": job.id,
            "state": job.state,
            "name": job.metadata.get("job_name", ""),
            "job": job.metadata["farm_job"],
            "seconds": round((job.ended or time.time()) - job.started) if job.started else 0,
        }
        for job in jobs
    ]
    lines = [f"{one['id']:<42} {one['state']:<9} {one['seconds']:>6} s  {one['name']}" for one in told]
    _print(told, as_json, "\n".join(lines) or "no jobs")


@service.command()
def status(
    job: Job,
    verify: Annotated[
        bool, typer.Option("--verify", help="read everything again; exit with 1 if a file is damaged")
    ] = (False),
    address: Dashboard = None,
    as_json: AsJson = False,
) -> None:
    """How far a job is, read from its directory alone."""
    from farm.job.status import job_status, status_lines
    from farm.render.verify_job import verify_job

    job = directory_of(job, address)
    told = job_status(job)
    lines = list(status_lines(told))
    if verify:
        found = verify_job(job)
        told = {**told, "checked": found.checked, "damage": [dataclasses.asdict(one) for one in found.damage]}
        lines += found.lines()
    _print(told, as_json, "\n".join(lines))
    if told.get("damage"):
        raise typer.Exit(1)


@service.command()
def wait(
    job: Job,
    timeout: Annotated[float | None, typer.Option(min=0, help="seconds; then exit with 4")] = None,
    address: Dashboard = None,
    as_json: AsJson = False,
) -> None:
    """Wait until a job is over; exit with 0 done, 1 failed, 3 cancelled, 4 timed out."""
    from farm.cluster.service import find_job, wait_for_job

    shown = ""

    def on_state(state: Any) -> None:
        nonlocal shown
        line = f"{state.state} {state.stage} {state.done}/{state.total}" if state.total else state.state
        if line != shown:
            print(line, file=sys.stderr, flush=True)
            shown = line

    found = find_job(job, address)
    state = wait_for_job(found, timeout, on_state)
    _print({"job": found.job.url, **state.model_dump()}, as_json, f"{found.job.url}: {state.state}")


@service.command()
def logs(
    job: Job,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until the job is over")] = False,
    address: Dashboard = None,
) -> None:
    """What a submitted job's driver wrote."""
    from farm.cluster.service import find_job

    found = find_job(job, address)
    cluster = found.cluster()
    for piece in cluster.follow(found.submission) if follow else [cluster.logs(found.submission)]:
        sys.stdout.write(piece)
        sys.stdout.flush()


@service.command()
def cancel(job: Job, address: Dashboard = None, as_json: AsJson = False) -> None:
    """Stop a submitted job; what is committed stays, and farm resume goes on from there."""
    from farm.cluster.service import cancel_job, find_job

    found = find_job(job, address)
    state = cancel_job(found)
    _print({"job": found.job.url, **state.model_dump()}, as_json, f"{found.job.url}: {state.state}")


@service.command()
def resume(job: Job, address: Dashboard = None, as_json: AsJson = False) -> None:
    """Go on with a job where it was: on its cluster, or on this machine if it never was on one."""
    from farm.cli.progress import JobProgress
    from farm.cluster.service import find_job, resume_job

    with JobProgress() as progress:
        told = resume_job(find_job(job, address), address, progress)
    _print(told, as_json, "\n".join(_submitted_lines(told)))


@service.command()
def retry(
    job: Job,
    failed: Annotated[
        bool, typer.Option("--failed", help="only the tasks that failed, and what waits for them")
    ] = False,
    frames: Annotated[
        str | None, typer.Option(metavar="A-B", help="these frames and all that is made from them")
    ] = None,
    address: Dashboard = None,
    as_json: AsJson = False,
) -> None:
    """Render failed tasks, or a range of frames, once more."""
    from farm.cli.progress import JobProgress
    from farm.cluster.service import current_state, drop_frames, find_job, refuse_while_running, resume_job

    if failed == (frames is not None):
        raise UsageError("say what to retry", "give either --failed or --frames A-B")
    found = find_job(job, address)
    again: dict[str, Any] = {"dropped": {}, "again": {}}
    if frames is not None:
        dropped = drop_frames(found, FrameRange.parse(frames))
        print("rendered again, with all that is made from them:", *dropped.lines(), sep="\n  ", file=sys.stderr)
        ranges = {stage: [str(one) for one in ranges] for stage, ranges in dropped.frames.items()}
        again = {"dropped": dropped.committed, "again": ranges}
    else:
        refuse_while_running(found)
        if current_state(found).state != "FAILED":
            raise UsageError(f"nothing failed in {found.job.url}", "farm resume continues a job that was stopped")
    with JobProgress() as progress:
        told = {**resume_job(found, address, progress, overwrite=True), **again}
    _print(told, as_json, "\n".join(_submitted_lines(told)))


def directory_of(job: str, address: str | None) -> str:
    """JOB's directory; only for a submission id is a cluster asked. Raises UsageError where it knows none."""
    if "://" in job or Path(job).exists() or not job.startswith("farm-"):
        return job
    from farm.cluster.service import find_job

    return find_job(job, address).job.url


def _submitted_lines(told: dict[str, Any]) -> list[str]:
    """For people: what was submitted, or what was rendered on this machine."""
    if "id" not in told:
        return [f"{told['output']}: {told['frames']} frames, {told['rendered']} rendered, {told['reused']} kept"]
    running = " (is running already)" if told["already_running"] else ""
    return [
        f"{told['id']}{running}",
        f"  job        {told['job']}",
        f"  dashboard  {told['dashboard']}/#/jobs",
        *(f"  {name:<10} {told[name]}" for name in ("prometheus", "grafana") if name in told),
        f"  watch      farm logs -f {told['id']} --address {told['dashboard']}",
    ]


def _print(told: Any, as_json: bool, text: str) -> None:
    print(json.dumps(told) if as_json else text)
