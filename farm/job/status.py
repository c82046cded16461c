"""How far a job is, from its directory alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from farm.errors import UsageError
from farm.job.directory import JobDirectory
from farm.job.state import JobState, load_state, silent_seconds
from farm.plan import Task, plan_tasks
from farm.spec.load import absolute_path


def job_status(job_url: str) -> dict[str, Any]:
    """Frames committed by pass, what the job is doing, and the report if it is done: what `farm status --json` prints.

    Raises UsageError where there is no job, StorageError where it cannot be read.
    """
    job = JobDirectory(absolute_path(job_url))
    record, state = job.load_record(), load_state(job)
    if record is None and state is None:
        raise UsageError(f"{job_url} holds no job", "give the job directory, usually the film's name with .farm")
    tasks = plan_tasks(record.plan) if record else []
    passes = frames_by_pass(tasks, lambda task: len(job.ledger(task.id).keys() & set(task.frames)))
    report = job.load_report()
    doing = current_state(state, report)
    return {
        "job": job.url,
        "state": doing,
        "submission": state.submission if state else "",
        "stage": state.phase if state and doing == "RUNNING" else "",
        "silent_seconds": round(silent_seconds(job, state)),
        "reason": state.reason if state and doing in ("FAILED", "CANCELLED") else "",
        "failures": state.failures if state else {},
        "video": record.spec.video if record else "",
        "output": record.spec.output if record else "",
        "frames": sum(frames for _, frames in passes.values()),
        "committed": sum(committed for committed, _ in passes.values()),
        "stages": {name: {"frames": frames, "committed": committed} for name, (committed, frames) in passes.items()},
        "report": report,
    }


def current_state(state: JobState | None, report: Mapping[str, Any] | None) -> str:
    """PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLED, or UNFINISHED where no file says.

    A report means that the film is there, whatever an earlier run wrote of its end. Only a job that has been begun
    again since is more than that.

    >>> current_state(JobState(state="FAILED"), {"frames": 48})
    'SUCCEEDED'
    """
    if report and (state is None or state.state not in ("PENDING", "RUNNING")):
        return "SUCCEEDED"
    return state.state if state else "UNFINISHED"


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
    yield f"{status['job']}: {status['state']}, {status['committed']} of {status['frames']} frames committed"
    for pass_name, counts in status["stages"].items():
        yield f"  {pass_name:<8} {counts['committed']:>6} / {counts['frames']}"
    if status["silent_seconds"]:
        yield f"  no sign of life for {status['silent_seconds']} s: if its driver is gone, farm resume continues it"
    if status["reason"]:
        yield f"  {status['reason']}"
    for task, lines in status["failures"].items():
        yield from (f"  {task} | {line}" for line in lines)
    if status["video"]:
        yield f"  {status['video']} -> {status['output']}"
