"""How far a job is, from its directory alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from farm.errors import UsageError
from farm.job.directory import JobDirectory
from farm.job.state import load_state
from farm.plan import plan_tasks
from farm.spec.load import absolute_path


def job_status(job_url: str) -> dict[str, Any]:
    """Frames committed by stage, what the job is doing, and the report if it is done.

    Raises UsageError where there is no job.
    """
    job = JobDirectory(absolute_path(job_url))
    record, state = job.load_record(), load_state(job)
    if record is None and state is None:
        raise UsageError(f"{job_url} holds no job", "give the job directory, usually the film's name with .farm")
    stages: dict[str, dict[str, int]] = {}
    for task in plan_tasks(record.plan) if record else ():
        stage = stages.setdefault(task.pass_name, {"frames": 0, "committed": 0})
        stage["frames"] += len(task.frames)
        stage["committed"] += len(job.ledger(task.id).keys() & set(task.frames))
    report = job.load_report()
    total = sum(stage["frames"] for stage in stages.values())
    committed = sum(stage["committed"] for stage in stages.values())
    if report and (state is None or state.state not in ("PENDING", "RUNNING")):
        doing = "SUCCEEDED"
    else:
        doing = state.state if state else "UNFINISHED"
    return {
        "job": job.url,
        "state": doing,
        "submission": state.submission if state else "",
        "stage": state.stage if state and doing == "RUNNING" else "",
        "silent_seconds": round(state.silent_for(time.time())) if state else 0,
        "reason": state.reason if state and doing in ("FAILED", "CANCELLED") else "",
        "failures": state.failures if state else {},
        "video": record.spec.video if record else "",
        "output": record.spec.output if record else "",
        "frames": total,
        "committed": committed,
        "stages": stages,
        "report": report,
    }


def status_lines(told: dict[str, Any]) -> Iterator[str]:
    yield f"{told['job']}: {told['state']}, {told['committed']} of {told['frames']} frames committed"
    for name, stage in told["stages"].items():
        yield f"  {name:<8} {stage['committed']:>6} / {stage['frames']}"
    if told["silent_seconds"]:
        yield f"  no sign of life for {told['silent_seconds']} s: if its driver is gone, farm resume continues it"
    if told["reason"]:
        yield f"  {told['reason']}"
    for task, lines in told["failures"].items():
        yield from (f"  {task} | {line}" for line in lines)
    if told["video"]:
        yield f"  {told['video']} -> {told['output']}"
