"""The record of a short film that is nowhere: for tests that render nothing."""

from __future__ import annotations

from benchmarks.longjob import make_record as record_of
from farm.job import JobRecord
from farm.spec import build_spec


def make_record(frames: int = 20) -> JobRecord:
    """A record of `frames` frames in chunks of 8, two passes."""
    values = {"video": "/films/a.mp4", "styles": ["/styles/a.png"], "output": "/films/out.mp4"}
    return record_of(build_spec({**values, "chunk_frames": 8, "passes": 2}), frames)
