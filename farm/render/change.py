"""Where a frame is painted anew, and how often: steps of the optimiser follow what changes in the film. Pure.

    change = may_change(carried.moving)                       (H, W) in 0..1, around what moves
    everywhere = steps_everywhere(11, still=False, ...)       of 11 steps; the others are taken where it moves

In most films most of a frame is the frame before, painted already. Steps over all of it paint the same strokes again.
So what rests gets few steps, because its paint was resampled on the way, and none where the camera stands still. All of
this follows from the film alone, so that a frame is the same whoever paints it.
"""

from __future__ import annotations

import cv2
import numpy as np

from farm.flow import Match

MOVES = 0.4
"""Weight of `moving_weight` from which on a pixel is painted anew."""
FULLY = 0.6
"""Weight from which on it may change as far as any.

Why so steep a ramp: a pixel that may change half as far takes four times as many steps. Measured on single frames: with
the plain weight, the content loss of what moves fell by a quarter as much as with steps over the whole picture.
"""
AROUND = 10
"""Pixels around it that may change too: layers of the content see as far as 38 pixels, so that what is beside a shape
holds it back.
"""
RESTS = 0.1
"""Weight up to which a pixel rests."""
STILL = 0.1
"""Median length in pixels of the flow of what rests, up to which the camera stands still."""
REST_STEPS = 4
"""Steps over the whole picture that a frame begins with where the camera moves: what rests was resampled."""
REFRESHED_EVERY = 8
"""Where the camera stands still, every so many frames of pass 1 get all their steps over the whole picture.

Why: slow changes, of light for example, are too small from frame to frame to be noticed.
"""


def may_change(moving: np.ndarray) -> np.ndarray:
    """How far each pixel may change: (H, W) float32, 0..1, 1 where the film moves and AROUND pixels around it.

    `moving` (H, W) is `farm.render.moving_paint.moving_weight`.
    """
    moves = np.clip((moving - MOVES) / (FULLY - MOVES), 0, 1).astype(np.float32)
    around = cv2.dilate(moves, np.ones((2 * AROUND + 1, 2 * AROUND + 1), np.uint8))
    softened: np.ndarray = np.clip(cv2.GaussianBlur(around, (0, 0), AROUND / 2), 0, 1)
    return softened


def stands_still(match: Match, moving: np.ndarray) -> bool:
    """Whether the camera stands still between the two frames of `match`: what rests moves by less than STILL pixels.

    Not so where nothing rests.
    """
    rests = moving < RESTS
    if not rests.any():
        return False
    flow = np.nan_to_num(match.flow[rests])
    return float(np.median(np.hypot(flow[:, 0], flow[:, 1]))) < STILL


def steps_everywhere(steps: int, *, still: bool, refreshed: bool) -> int:
    """How many of a frame's `steps` are taken over the whole picture, before those where it moves.

    `still` says that the camera stands still, `refreshed` that all is painted anew nevertheless.
    """
    if not still:
        return min(REST_STEPS, steps)
    return steps if refreshed else 0
