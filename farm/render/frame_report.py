"""What a renderer reports after each frame. Apart from the renderer, because the driver reads it and loads no torch."""

from __future__ import annotations

from dataclasses import dataclass

from farm.job import FrameRecord


@dataclass(frozen=True)
class FrameReport:
    """One frame of a task is committed. `reused` where it was committed before the task was begun."""

    task: str
    frame: int
    record: FrameRecord
    reused: bool = False
