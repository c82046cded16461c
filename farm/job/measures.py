"""The warp errors that were measured, kept in the job directory so that none is measured twice."""

from __future__ import annotations

import json

from farm.job.directory import JobDirectory

MEASURES = "measures.json"


Known = dict[int, tuple[str, float | None]]
"""Of each frame: what its pair was named by when it was measured, and its warp error."""


def load_measures(job: JobDirectory) -> Known:
    """What was measured before, for `pair_errors`; nothing where there is none."""
    data = job.storage.read(MEASURES)
    try:
        rows = {} if data is None else json.loads(data)
        return {int(frame): (str(key), None if value is None else float(value)) for frame, (key, value) in rows.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def save_measures(job: JobDirectory, known: Known) -> None:
    """Raises StorageError."""
    rows = {str(frame): value for frame, value in sorted(known.items())}
    job.storage.write(MEASURES, json.dumps(rows, indent=0).encode())
