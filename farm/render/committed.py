"""Committed frames, read back from the job directory, and the frames that the film shows."""

from __future__ import annotations

import numpy as np

from farm.errors import DamagedError
from farm.job import JobDirectory, JobRecord
from farm.paint.stopwatch import timed
from farm.plan import task_id


def single_frame_task(frame: int) -> str:
    """Name of the task under which a single frame is committed. Each has its own ledger, so workers do not meet."""
    return f"still/{frame:06d}"


def read_committed(job: JobDirectory, task: str, frame: int) -> np.ndarray:
    """The committed picture of a task's frame, (H, W, 3) uint8. Raises DamagedError where it is gone or damaged."""
    with timed("reread"):
        image = job.read_frame(task, frame)
        if image is None:
            job.forget()  # what is kept of the ledger may be older than the frame
            image = job.read_frame(task, frame)
    if image is None:
        raise DamagedError(f"frame {frame} of {task} is gone or damaged in {job.url}", "run the same command again")
    return image


def frame_of_pass(job: JobDirectory, record: JobRecord, pass_index: int, frame: int) -> np.ndarray:
    """A frame as a pass left it, (H, W, 3) uint8. Where chunks overlap, one fades into the other.

    Raises DamagedError where it is gone or damaged.
    """
    chunk = record.plan.chunk_of(frame)
    beginning = read_committed(job, task_id(pass_index, chunk.index), frame)
    if pass_index != 1 or chunk.first_in_shot:
        return beginning
    previous = record.plan.chunks[chunk.index - 1]
    if frame >= previous.reach:
        return beginning
    from farm.render.temporal import cross_fade  # loads torch; only chunks that overlap need it

    ending = read_committed(job, task_id(1, previous.index), frame)
    return cross_fade(ending, beginning, frame - chunk.start, previous.reach - previous.stop)


def film_frame(job: JobDirectory, record: JobRecord, frame: int) -> np.ndarray:
    """A frame as the film shows it, (H, W, 3) uint8: a person's correction, or else what the last pass left.

    Raises DamagedError where it is gone or damaged.
    """
    version = job.corrections().shown(frame)
    if version is None:
        return frame_of_pass(job, record, record.plan.passes, frame)
    image = job.read_version(frame, version)
    if image is None:
        raise DamagedError(
            f"picture {version.number} of the corrected frame {frame} is gone or damaged in {job.url}",
            "put it back, or show another one with farm restore",
        )
    return image
