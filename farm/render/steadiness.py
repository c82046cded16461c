"""How steady painted frames are: the farm's only definition of warp error, and the seams between chunks.

    error = warp_error(before=first, after=second, flow=match.flow, weight=match.weight)
    errors = pair_errors(job, record, measures)     # {frame: warp error of (frame - 1, frame)}
    rows = seam_table(record.plan, errors, style_losses)

The warp error of a pair is Ruder's (2016, eq. 7): the mean squared difference, pixels 0..1, between a frame and its
predecessor warped into it, where forward and backward flow agree. A cut has none. Neither has a pair of which less
than LEAST_RELIABLE can be followed. The pages, `farm bench` and every benchmark call `warp_error`, so that their
figures compare. They differ in whose flow they give it: `pair_errors` gives the job's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

from farm.flow import warp
from farm.job import JobDirectory, JobRecord
from farm.job.measures import Measures
from farm.plan import RenderPlan, task_id
from farm.render.committed import frame_of_pass
from farm.render.source_frames import SourceFrames, open_flow_store

LEAST_RELIABLE = 0.2
"""Least share of pixels that can be followed, for a pair to have a warp error.

A pair below it says nothing about the paint: it is a cut, or its motion is too fast.
"""
CERTAIN = 0.99
"""Weight above which a pixel can be followed. Masks have 8 bits; smoothing leaves 253 of 255 where no test fails."""
NEAR = 6
"""Frames to either side of a boundary in which a seam is searched."""


@dataclass(frozen=True)
class Seam:
    """A boundary between two chunks of a shot. `frame` is the first one of the later chunk.

    `ratio` is the largest warp error within NEAR frames, over the median of the shot away from boundaries; `worst` is
    the frame where it is. `style_low` and `style_high` are the extremes of the style loss there, over its median. They
    are None where nothing is known. A ratio of 1 is no seam.
    """

    frame: int
    shot: int
    ratio: float | None
    worst: int | None
    style_low: float | None
    style_high: float | None


def pair_errors(
    job: JobDirectory,
    record: JobRecord,
    measures: Measures,
    progress: Callable[[int, int], None] = lambda done, total: None,
    most_seconds: float | None = None,
) -> dict[int, float | None]:
    """The warp error of every pair (frame - 1, frame) whose two frames the last pass has committed, by frame.

    A pair that cannot be judged has None. Pairs in `measures` whose frames are still the same are not measured again.
    `measures` is brought up to date. After `most_seconds` no more pairs are measured, and the others are left out.
    Raises StorageError.
    """
    plan, began = record.plan, time.monotonic()
    store = open_flow_store(job, record, SourceFrames(record))
    hashes = {
        frame: row.sha256
        for chunk in plan.chunks
        for frame, row in job.ledger(task_id(plan.passes, chunk.index)).items()
    }
    pairs = [
        frame
        for shot in plan.shots
        for frame in range(shot.start + 1, shot.stop)
        if frame in hashes and frame - 1 in hashes
    ]
    errors: dict[int, float | None] = {}
    last: tuple[int, np.ndarray] | None = None
    for number, frame in enumerate(pairs):
        key = hashes[frame - 1][:12] + hashes[frame][:12]
        if measures.get(frame, ("",))[0] != key:
            if most_seconds is not None and time.monotonic() - began > most_seconds:
                continue
            before = last[1] if last and last[0] == frame - 1 else frame_of_pass(job, record, plan.passes, frame - 1)
            after = frame_of_pass(job, record, plan.passes, frame)
            match = store.match(frame, frame - 1)
            measures[frame] = (key, warp_error(before=before, after=after, flow=match.flow, weight=match.weight))
            last = (frame, after)
            progress(number + 1, len(pairs))
        errors[frame] = measures[frame][1]
    return errors


def warp_error(*, before: np.ndarray, after: np.ndarray, flow: np.ndarray, weight: np.ndarray) -> float | None:
    """Mean squared difference of `after` and the warped `before`, pixels 0..1, where the flow can be followed.

    `before` and `after` are uint8 (H, W, 3). `flow` float32 (H, W, 2), in pixels, leads from `after` to `before`;
    `weight` float32 (H, W) in 0..1 is its reliability. None where less than LEAST_RELIABLE of the pixels can be
    followed.
    """
    mask = weight > CERTAIN
    if mask.mean() < LEAST_RELIABLE:
        return None
    return float(difference(before, after, flow)[mask].mean())


def difference(before: np.ndarray, after: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Squared difference of `after` and the warped `before`, pixels 0..1, mean of the channels: float32 (H, W).

    The arguments are those of `warp_error`. Every pixel counts, whether the flow can be followed there or not.
    """
    return np.asarray((((after.astype(np.float32) - warp(before, flow)) / 255) ** 2).mean(axis=2), np.float32)


def seam_table(plan: RenderPlan, errors: Mapping[int, float | None], styles: Mapping[int, float]) -> list[Seam]:
    """One row for each chunk of `plan` that is not the first of its shot, in order.

    `errors` and `styles` give the warp error and the style loss of frames, by frame; frames may be missing.
    """
    rows = []
    for shot in plan.shots:
        edges = [chunk.start for chunk in plan.shot_chunks(shot.index)][1:]
        near_edges = {frame for edge in edges for frame in range(edge - NEAR, edge + NEAR + 1)}
        within = range(shot.start, shot.stop)
        error_of = {frame: error for frame in within if (error := errors.get(frame)) is not None}
        style_of = {frame: styles[frame] for frame in within if frame in styles}
        usual_error, usual_style = _usual(error_of, near_edges), _usual(style_of, near_edges)
        for edge in edges:
            around = range(edge - NEAR, edge + NEAR + 1)
            ratios = {frame: error_of[frame] / usual_error for frame in around if frame in error_of and usual_error}
            style = [style_of[frame] / usual_style for frame in around if frame in style_of and usual_style]
            worst = max(ratios, key=ratios.__getitem__, default=None)
            rows.append(
                Seam(
                    frame=edge,
                    shot=shot.index,
                    ratio=None if worst is None else ratios[worst],
                    worst=worst,
                    style_low=min(style, default=None),
                    style_high=max(style, default=None),
                )
            )
    return rows


def _usual(values: Mapping[int, float], excluded: Collection[int]) -> float:
    """The median of the frames that are not `excluded`, or of all where chunks are too short; 0 where there is none."""
    away = [value for frame, value in values.items() if frame not in excluded]
    return median(away or values.values()) if values else 0.0
