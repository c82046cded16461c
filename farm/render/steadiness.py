"""How steady painted frames are: the farm's only definition of warp error. Seams are in `farm.render.seams`.

    error = warp_error(before=first, after=second, flow=match.flow, weight=match.weight)
    errors = pair_errors(job, record, measures)     # {frame: warp error of (frame - 1, frame)}

The warp error of a pair is Ruder's (2016, eq. 7): the mean squared difference, pixels 0..1, between a frame and its
predecessor warped into it, where forward and backward flow agree. A cut has none. Neither has a pair of which less
than LEAST_RELIABLE can be followed. The pages, `farm bench` and every benchmark call `warp_error`, so that their
figures compare. They differ in whose flow they give it: `pair_errors` gives the job's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from farm.flow import warp
from farm.job import JobDirectory, JobRecord
from farm.job.measures import Measures
from farm.plan import task_id
from farm.render.committed import film_frame
from farm.render.source_frames import SourceFrames, open_flow_store

LEAST_RELIABLE = 0.2
"""Least share of pixels that can be followed, for a pair to have a warp error.

A pair below it says nothing about the paint: it is a cut, or its motion is too fast.
"""
CERTAIN = 0.99
"""Weight above which a pixel can be followed. Masks have 8 bits; smoothing leaves 253 of 255 where no test fails."""


def pair_errors(
    job: JobDirectory,
    record: JobRecord,
    measures: Measures,
    progress: Callable[[int, int], None] = lambda done, total: None,
    most_seconds: float | None = None,
) -> dict[int, float | None]:
    """The warp error of every pair (frame - 1, frame) whose two frames the last pass has committed, by frame.

    Frames that were corrected are measured as the film shows them.

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
    hashes |= {one.frame: one.current.sha256 for one in job.corrections() if one.is_corrected}
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
            before = last[1] if last and last[0] == frame - 1 else film_frame(job, record, frame - 1)
            after = film_frame(job, record, frame)
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


def lai_warp_error(*, before: np.ndarray, after: np.ndarray, flow: np.ndarray, unoccluded: np.ndarray) -> float | None:
    """The warp error of a pair by Lai et al. 2018, section 4 (E_warp), pixels 0..1, mean of the channels.

    It goes the other way than `warp_error`: `after` is warped to `before`. `before` and `after` are uint8 (H, W, 3),
    `flow` float32 (H, W, 2), in pixels, leads from `before` to `after`, and `unoccluded` (H, W) bool is the mask of
    `before`. None where it holds no pixel.
    """
    return float(difference(after, before, flow)[unoccluded].mean()) if unoccluded.any() else None


def difference(before: np.ndarray, after: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Squared difference of `after` and the warped `before`, pixels 0..1, mean of the channels: float32 (H, W).

    The arguments are those of `warp_error`. Every pixel counts, whether the flow can be followed there or not.
    """
    return np.asarray((((after.astype(np.float32) - warp(before, flow)) / 255) ** 2).mean(axis=2), np.float32)
