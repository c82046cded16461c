"""The frames of the last pass become one film."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from farm.job import JobDirectory, JobRecord
from farm.media.encode import encode_film
from farm.render import stage_frame


def stitch_film(
    job: JobDirectory, record: JobRecord, output: str | Path, progress: Callable[[int], None] | None = None
) -> tuple[str, ...]:
    """Write the film to `output`, checked by probing it, and return notes on what could not be kept.

    Raises StorageError where a frame is gone, EncodeError where ffmpeg or the check fails;
    an earlier file at `output` is then untouched.
    """
    job.forget()

    def frames() -> Iterator[np.ndarray]:
        for frame in record.plan.frames:
            yield stage_frame(job, record, record.plan.passes, frame)

    return encode_film(
        frames(),
        record.probe,
        record.plan.frames,
        output,
        record.spec.encode,
        progress,
    )
