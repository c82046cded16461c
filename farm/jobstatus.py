"""How far a job is, from its directory alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from farm.errors import UsageError
from farm.job import JobDirectory
from farm.plan import plan_tasks
from farm.spec import absolute_path


def job_status(job_url: str) -> dict[str, Any]:
    """Frames committed by stage, and the report if the job is done. Raises UsageError where there is no job."""
    job = JobDirectory(absolute_path(job_url))
    record = job.load_record()
    if record is None:
        raise UsageError(f"{job_url} holds no job", "give the job directory, usually the film's name with .farm")
    stages: dict[str, dict[str, int]] = {}
    for task in plan_tasks(record.plan):
        stage = stages.setdefault(task.stage, {"frames": 0, "committed": 0})
        stage["frames"] += len(task.frames)
        stage["committed"] += len(job.ledger(task.id).keys() & set(task.frames))
    report = job.load_report()
    total = sum(stage["frames"] for stage in stages.values())
    committed = sum(stage["committed"] for stage in stages.values())
    state = "SUCCEEDED" if report else "RENDERED" if committed == total else "UNFINISHED"
    return {
        "job": job.url,
        "state": state,
        "video": record.spec.video,
        "output": record.spec.output,
        "frames": total,
        "committed": committed,
        "stages": stages,
        "report": report,
    }


def status_lines(told: dict[str, Any]) -> Iterator[str]:
    yield f"{told['job']}: {told['state']}, {told['committed']} of {told['frames']} frames committed"
    for name, stage in told["stages"].items():
        yield f"  {name:<8} {stage['committed']:>6} / {stage['frames']}"
    yield f"  {told['video']} -> {told['output']}"
