"""Two keys merged into one picture, without a double image. Pure.

    merged = merge(left, right, weights, position, handover)     Merged: the picture, and how much of it is known

Where both keys show the same paint, they are blended by time, so that nothing jumps. Where they differ, a blend would
show both at once. There each stroke is handed over from the left key to the right one, once in the interval between
them, at a time of its own: `handover_times`, a field of smooth noise that travels with the left key's map. The border
between what has been handed over and what has not is narrow and soft.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SAME, DIFFERENT = 4.0, 16.0
"""Difference of the two paintings in grey levels (of 255), mean over SAME_REACH, up to which they are blended, and from
which on they are handed over stroke by stroke."""
SAME_REACH = 1.5
"""Standard deviation in pixels of the Gaussian that this difference is averaged with."""
STROKE = 1 / 40
"""Size of a patch that is handed over at once, as a share of the longer side: the standard deviation of the noise."""
SOFT_TIME = 0.12
"""Share of the interval that the handover of one pixel takes. It makes the border soft."""
CONFIDENCE_SHIFT = 0.35
"""Share of the interval by which a key that is surely seen is preferred to one that is not seen."""


@dataclass(frozen=True)
class Merged:
    """What the keys show of a frame."""

    picture: np.ndarray
    """float32 (H, W, 3), 0..255."""
    known: np.ndarray
    """How far a key shows it: float32 (H, W), 0..1."""


def handover_times(shape: tuple[int, int], number: int) -> np.ndarray:
    """When each pixel of key `number` is handed over to the next key: float32 (H, W), evenly spread over 0..1.

    It is smooth noise, the same for the same number and shape.
    """
    height, width = shape
    deviation = max(STROKE * max(shape), 1.0)
    noise = np.random.default_rng((number, height, width)).standard_normal(shape).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), deviation)
    ranks = np.empty(smooth.size, np.float32)
    ranks[np.argsort(smooth, axis=None, kind="stable")] = np.arange(smooth.size, dtype=np.float32)
    return ((ranks + 0.5) / smooth.size).reshape(shape)


def merge(
    left: np.ndarray,
    right: np.ndarray,
    weights: tuple[np.ndarray, np.ndarray],
    position: float,
    times: np.ndarray,
) -> Merged:
    """The paintings `left` and `right` as one.

    Both are float32 (H, W, 3), 0..255, and aligned with the frame. `weights` says how far each is to be trusted,
    float32 (H, W), 0..1. `position` is the frame's place between the keys: 0 is the left one, 1 the right one. `times`
    are the left key's `handover_times`, seen from the frame.
    """
    of_left, of_right = weights
    at_once = share_of_right(of_left, of_right, position)
    apart = cv2.GaussianBlur(np.abs(left - right).mean(axis=2), (0, 0), SAME_REACH)
    differ = np.clip((apart - SAME) / (DIFFERENT - SAME), 0, 1)
    share = (1 - differ) * at_once + differ * handed_over(of_left, of_right, position, times)
    picture = left + share[..., None] * (right - left)
    return Merged(picture, np.maximum(of_left, of_right))


def share_of_right(of_left: np.ndarray, of_right: np.ndarray, position: float) -> np.ndarray:
    """The right key's share where both are blended: by time, and by how far each is trusted. float32 (H, W)."""
    mine, other = position * of_right + 1e-4 * position, (1 - position) * of_left + 1e-4 * (1 - position)
    return np.asarray(mine / (mine + other), np.float32)


def handed_over(of_left: np.ndarray, of_right: np.ndarray, position: float, times: np.ndarray) -> np.ndarray:
    """The right key's share where the two differ: 0 before the pixel's time, 1 after it. float32 (H, W)."""
    # A key that is not seen at all never wins against one that is.
    shift = CONFIDENCE_SHIFT * (of_right - of_left)
    begins = times * (1 - SOFT_TIME)
    share = np.clip((position + shift - begins) / SOFT_TIME, 0, 1)
    only = share_of_right(of_left, of_right, position)
    sure = np.minimum(of_left, of_right) / np.maximum(np.maximum(of_left, of_right), 1e-4)
    return np.asarray(sure * share + (1 - sure) * only, np.float32)
