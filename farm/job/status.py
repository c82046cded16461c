"""How far a job is, from its directory and from what its cluster says of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from farm.errors import UsageError
from farm.job.directory import JobDirectory
from farm.job.history import Happening, load_history
from farm.job.standing import ClusterWord, Standing, decide
from farm.job.state import FINISHED, Heartbeat, JobState, load_state, silent_seconds
from farm.job.summary import JobSummary, load_summary
from farm.plan import Task, plan_tasks
from farm.spec.load import absolute_path
from farm.spec.units import format_seconds

AskCluster = Callable[[str, JobState | None], ClusterWord | None]
"""Asks a job's cluster what it says of the job in that directory, whose `state.json` is the second argument.

It returns None where there is no cluster to ask, or none that answers.
"""


def nobody_asked(job_url: str, recorded: JobState | None) -> ClusterWord | None:
    """An `AskCluster` that asks nobody."""
    return None


def job_status(job_url: str, ask: AskCluster = nobody_asked) -> dict[str, Any]:
    """Frames committed by pass, what the job is, and the report once it is done: what `farm status --json` prints.

    The counts come from the summary that the driver keeps; where there is none, from the ledgers. `ask` is called for a
    job that has not ended by its own word. Raises UsageError where there is no job, StorageError where it cannot be
    read.
    """
    job = JobDirectory(absolute_path(job_url))
    summary = load_summary(job)
    heartbeat = Heartbeat()
    state, standing, report = job_standing(job, ask, heartbeat=heartbeat)
    if summary is None:
        summary = _counted(job, state, job_url)
    doing = standing.state
    return {
        "job": job.url,
        "state": doing,
        "submission": state.submission if state else "",
        "stage": state.phase if state and doing == "RUNNING" else "",
        "silent_seconds": round(silent_seconds(job, state, heartbeat)) if doing in ("RUNNING", "LOST") else 0,
        "reason": standing.reason,
        "failures": state.failures if state else {},
        "node_problems": [] if doing == "SUCCEEDED" else node_problems(load_history(job)),
        "video": summary.video,
        "output": summary.output,
        "frames": summary.frames,
        "committed": summary.committed,
        "percent": summary.percent,
        "seconds_left": seconds_left(summary, doing),
        "stages": {name: {"frames": frames, "committed": done} for name, (done, frames) in summary.stages.items()},
        "report": report,
    }


def job_standing(
    job: JobDirectory, ask: AskCluster = nobody_asked, asked: str = "", heartbeat: Heartbeat | None = None
) -> tuple[JobState | None, Standing, dict[str, Any] | None]:
    """What `state.json` says at last, what the job is, and the report of a job that is finished.

    `asked` is as for `decide`. Who looks again and again gives the same `heartbeat` each time. The state is read again
    after the cluster has answered, because a driver records its end before it ends. Raises StorageError.
    """
    state = load_state(job)
    word = None
    if state is None or state.state not in FINISHED or (asked and state.submission not in ("", asked)):
        word = ask(job.url, state)
        state = load_state(job) if word is not None else state
    report = job.load_report() if state is None or state.state in FINISHED else None
    silent = silent_seconds(job, state, heartbeat)
    standing = decide(state, word, now=time.time(), has_report=bool(report), asked=asked, silent=silent)
    return state, standing, report


def seconds_left(summary: JobSummary, doing: str) -> float | None:
    """Seconds until all frames are committed; None where the job is not at work, or nobody can tell yet."""
    return summary.seconds_left if doing == "RUNNING" else None


def _counted(job: JobDirectory, state: JobState | None, name: str) -> JobSummary:
    """What a summary would say, counted from the ledgers. Raises UsageError where there is no job."""
    record = job.load_record()
    if record is None and state is None:
        raise UsageError(f"{name} holds no job", "give the job directory, usually the film's name with .farm")
    if record is None:
        return JobSummary()
    stages = frames_by_pass(plan_tasks(record.plan), lambda task: len(job.ledger(task.id).keys() & set(task.frames)))
    return JobSummary(video=record.spec.video, output=record.spec.output, stages=stages)


def current_state(state: JobState | None, report: Mapping[str, Any] | None) -> str:
    """What `decide` makes of the directory alone: PENDING, RUNNING, SUCCEEDED, ..., LOST or UNFINISHED.

    A report means that the film is there, whatever an earlier run wrote of its end. Only a job that has been begun
    again since is more than that.

    >>> current_state(JobState(state="FAILED"), {"frames": 48})
    'SUCCEEDED'
    """
    return decide(state, None, now=time.time(), has_report=bool(report)).state


def node_problems(history: Sequence[Happening]) -> list[str]:
    """A line for each node that the latest run found to be of no use, or of less use than it should be: it does not see
    the job's files, paints with other software, PyTorch cannot use its GPU, or too many tasks failed there.
    """
    lines: dict[str, None] = {}
    for happening in history:
        if happening.kind == "run":
            lines = {}
        elif happening.kind in ("avoided", "refused", "note"):
            lines[happening.text] = None
    return list(lines)


def frames_by_pass(tasks: Iterable[Task], committed: Callable[[Task], int]) -> dict[str, tuple[int, int]]:
    """(frames committed, frames in all) of each pass, by its name, the first pass first.

    `committed` says how many frames of a task are committed.
    """
    counts: dict[str, tuple[int, int]] = {}
    for task in sorted(tasks, key=lambda task: task.pass_index):
        done, frames = counts.get(task.pass_name, (0, 0))
        counts[task.pass_name] = (done + committed(task), frames + len(task.frames))
    return counts


def status_lines(status: dict[str, Any]) -> Iterator[str]:
    """What `farm status` prints for people of what `job_status` returned."""
    left = status["seconds_left"]
    eta = "" if left is None else f", {format_seconds(left)} left"
    yield f"{status['job']}: {status['state']}, {status['committed']} of {status['frames']} frames committed{eta}"
    for pass_name, counts in status["stages"].items():
        yield f"  {pass_name:<8} {counts['committed']:>6} / {counts['frames']}"
    if status["silent_seconds"] and status["state"] == "RUNNING":
        yield f"  no sign of life for {status['silent_seconds']} s, but the cluster says that its driver runs"
    yield from (f"  {line}" for line in status["node_problems"])
    if status["reason"]:
        yield f"  {status['reason']}"
    for task, lines in status["failures"].items():
        yield from (f"  {task} | {line}" for line in lines)
    if status["video"]:
        yield f"  {status['video']} -> {status['output']}"
