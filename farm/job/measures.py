"""Warp errors of a job's frames, kept in the job directory so that none is measured twice."""

from __future__ import annotations

import json

from farm.files.checked_json import parse_or_none
from farm.job.directory import JobDirectory

MEASURES = "measures.json"
"""Name of the file in the job directory."""

Measures = dict[int, tuple[str, float | None]]
"""By frame: the key of its pair (hashes of both frames) when it was measured, and the pair's warp error.

The error is None where the two frames share too few pixels to measure.
"""


def load_measures(job: JobDirectory) -> Measures:
    """What was measured before, for `pair_errors`. Empty where nothing was, or the file is damaged."""
    return parse_or_none(job.storage.read(MEASURES), _parse) or {}


def save_measures(job: JobDirectory, measures: Measures) -> None:
    """Write `measures.json`. Raises StorageError."""
    rows = {str(frame): value for frame, value in sorted(measures.items())}
    job.storage.write(MEASURES, json.dumps(rows, indent=0).encode())


def _parse(data: bytes) -> Measures:
    rows = json.loads(data).items()
    return {int(frame): (str(key), None if value is None else float(value)) for frame, (key, value) in rows}
