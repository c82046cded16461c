"""Every picture that the corrected frames of a job have had.

    list_versions(job_url)                   {"job": ..., "frames": [{"frame": 120, "shown": 2, "versions": [...]}]}
    version_lines(listed["frames"])          the same for people

`farm.render.correct_frames` changes which of them the film shows.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from farm.errors import UsageError
from farm.job.corrections import CorrectedFrame, version_name, with_painted
from farm.job.directory import JobDirectory, frame_name
from farm.job.record import JobRecord
from farm.plan import RenderPlan, task_id
from farm.spec.load import absolute_path


def list_versions(job_url: str, frame: int | None = None) -> dict[str, Any]:
    """Every picture that corrected frames have had, one frame's or all: what `farm versions --json` prints.

    Raises UsageError where there is no job, or the frame is none of it.
    """
    job = job_that_exists(job_url)
    record = job.load_record()
    if record is None:
        raise UsageError(f"{job.url} holds no job that has begun", "give the job directory")
    if frame is not None and frame not in record.plan.frames:
        raise UsageError(f"frame {frame} is not in this job, which renders {record.plan.frames}")
    corrections = job.corrections()
    listed = [one for one in corrections if frame in (None, one.frame)]
    if frame is not None and not listed:
        row = job.ledger(last_task(record.plan, frame)).get(frame)
        listed = [with_painted(frame, row.sha256)] if row else []
    return {"job": job.url, "frames": [_listed(job, record, one) for one in listed]}


def version_lines(frames: Iterable[Mapping[str, Any]]) -> list[str]:
    """`list_versions` for people: a line for each picture, `*` before the one that the film shows."""
    lines = []
    for one in frames:
        lines.append(f"frame {one['frame']}")
        for version in one["versions"]:
            mark = "*" if version["number"] == one["shown"] else " "
            reach = f", carried {version['reach']} frames" if version["reach"] else ""
            when = time.strftime(" %Y-%m-%d %H:%M", time.localtime(version["added"])) if version["added"] else ""
            lines.append(f"  {mark} {version['number']} {version['origin']}{reach}{when}  {version['file']}")
    return lines or ["no frame was corrected"]


def last_task(plan: RenderPlan, frame: int) -> str:
    """Id of the task of the last pass that painted a frame."""
    return task_id(plan.passes, plan.chunk_of(frame).index)


def job_that_exists(job_url: str) -> JobDirectory:
    """The directory of a job that has begun. Raises UsageError where there is none."""
    job = JobDirectory(absolute_path(job_url))
    if job.load_record() is None:
        raise UsageError(f"{job.url} holds no job that has begun", "give the job directory")
    return job


def _listed(job: JobDirectory, record: JobRecord, one: CorrectedFrame) -> dict[str, Any]:
    """A frame's pictures as plain JSON, each with the name of its file in the job directory."""
    painted = frame_name(last_task(record.plan, one.frame), one.frame)
    versions = [
        {
            **version.model_dump(include={"number", "origin", "sha256", "reach", "added"}),
            "file": painted if version.origin == "painted" else version_name(one.frame, version.number),
        }
        for version in one.versions
    ]
    return {"frame": one.frame, "shown": one.shown, "held": one.held, "versions": versions}
