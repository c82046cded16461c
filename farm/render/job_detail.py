"""How much fine detail the frames of a job have where the film moves, without painting a still for each of them.

    details = fine_details(job, record, known)       # {frame: FineDetail}, and nothing is painted
    detail = compare_with_still(renderer, 24)        # FrameDetail over a still, which is painted and kept in the job

The reference of a shot is the frame that its first pass began with, as that pass left it: it was painted from nothing,
so nothing in it was warped or resampled. Its fine detail, a mean over the whole picture, is what the style has at this
size. Other frames show other things, so that a ratio below 1 in what moves need not be a loss: what rests, and the
picture, stand beside it, and a still decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from farm.job import JobDirectory, JobRecord
from farm.plan import RenderPlan, task_id
from farm.render.committed import film_frame, frame_of_pass, read_committed, single_frame_task
from farm.render.detail import (
    FRAMES_BEFORE,
    Mask,
    StillReference,
    fine_detail,
    mean_within,
    moving_area,
)
from farm.render.detail_figures import FineDetail, FrameDetail
from farm.render.source_frames import SourceFrames

if TYPE_CHECKING:
    from farm.render.chunk import ChunkRenderer  # loads torch, which a process that only measures does without

MEASURED = 48
"""Frames that are measured, evenly spread over the film.

Why: what moves in a frame is found by twelve flows, which take half a second at 1280x720.
"""

Known = dict[int, tuple[str, FineDetail]]
"""By frame: hashes of the frame and of its reference when it was measured, and what was measured."""


def frames_to_measure(plan: RenderPlan) -> list[int]:
    """Up to MEASURED frames, evenly spread over those that have a frame of their shot before them, in order."""
    frames = [frame for shot in plan.shots for frame in range(shot.start + 1, shot.stop)]
    step = max(len(frames) / MEASURED, 1.0)
    return [frames[round((i + 1) * step) - 1] for i in range(min(len(frames), MEASURED))]


def moving_of_frame(plan: RenderPlan, source: Callable[[int], np.ndarray], frame: int) -> Mask:
    """Where a frame of the film moves against the frames of its shot before it: see `moving_area`.

    `source` gives source frames (H, W, 3) uint8 by number.
    """
    first = max(plan.shots[plan.chunk_of(frame).shot].start, frame - FRAMES_BEFORE)
    frames = [source(other) for other in range(first, frame + 1)]
    return moving_area(frames, len(frames) - 1)


def fine_details(
    job: JobDirectory,
    record: JobRecord,
    known: Known,
    progress: Callable[[int, int], None] = lambda done, total: None,
    most_seconds: float | None = None,
) -> dict[int, FineDetail]:
    """The fine detail of the `frames_to_measure` that the last pass has committed, by frame.

    Frames in `known` that are still the same are not measured again, and `known` is brought up to date. After
    `most_seconds` no more are measured; the rest is left out, as are shots whose reference has no detail.
    Raises StorageError, and VideoError where the film cannot be decoded.
    """
    plan, source, began = record.plan, SourceFrames(record), time.monotonic()
    references: dict[int, float] = {}
    details: dict[int, FineDetail] = {}
    frames = frames_to_measure(plan)
    for number, frame in enumerate(frames):
        begin = plan.begin_of(frame)
        corrected = job.corrections().shown(frame)
        own = _hash(job, plan, plan.passes, frame)
        hashes = [corrected.sha256[:12] if own and corrected else own, _hash(job, plan, 1, begin)]
        if not all(hashes):
            continue
        key = "".join(hashes)
        if known.get(frame, ("",))[0] != key:
            if most_seconds is not None and time.monotonic() - began > most_seconds:
                continue
            if begin not in references:
                references[begin] = float(fine_detail(frame_of_pass(job, record, 1, begin)).mean())
            if not references[begin]:
                continue
            painted = film_frame(job, record, frame)
            moving = moving_of_frame(plan, source, frame)
            known[frame] = (key, _fine_detail_of(painted, moving, references[begin]))
            progress(number + 1, len(frames))
        details[frame] = known[frame][1]
    return details


def compare_with_still(renderer: ChunkRenderer, frame: int) -> FrameDetail:
    """The figures of a frame as the film shows it over those of a still.

    The still is painted with the steps of a first frame, unless the job has it already, and stays in the job (see
    `ChunkRenderer.single_frame`). For method optimize. Raises as a render does.
    """
    renderer.single_frame(frame)
    still = read_committed(renderer.job, single_frame_task(frame), frame)
    moving = moving_of_frame(renderer.plan, renderer.source, frame)
    reference = StillReference(renderer.source(frame), still, moving, renderer.content_features)
    return reference.compare(film_frame(renderer.job, renderer.record, frame))


def _fine_detail_of(painted: np.ndarray, moving: Mask, reference: float) -> FineDetail:
    fine = fine_detail(painted)
    means = [mean_within(fine, area) for area in (moving, ~moving)]
    over = [None if mean is None else mean / reference for mean in means]
    return FineDetail(float(moving.mean()), *over)


def _hash(job: JobDirectory, plan: RenderPlan, pass_index: int, frame: int) -> str:
    """Part of the hash of a committed frame; empty where it is not committed."""
    row = job.ledger(task_id(pass_index, plan.chunk_of(frame).index)).get(frame)
    return row.sha256[:12] if row else ""
