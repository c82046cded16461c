"""Two keys merged into one picture, without a double image. Pure.

    merged = merge((left, right), weights, position, times)

Where both keys show the same paint, they are blended by time, so that nothing jumps. Where they differ, a blend would
show both at once. There each stroke is handed over from the left key to the right one, once in the interval between
them, at a time of its own: `handover_times`, smooth noise that travels with the left key. The border between what has
been handed over and what has not is narrow and soft.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from farm.render.moving_paint import detail_energy

SAME, DIFFERENT = 8.0, 24.0
"""Difference of the two paintings in grey levels (of 255), mean over SAME_REACH, up to which they are blended, and from
which on they are handed over stroke by stroke."""
SAME_REACH = 1.5
"""Standard deviation in pixels of the Gaussian that this difference is averaged with."""
STROKE = 1 / 40
"""Standard deviation of the noise, as a share of the longer side: about the size of what is handed over at once."""
HANDOVER = (0.3, 0.7)
"""Share of the interval at which the first stroke is handed over, and at which the last one has been.

Why not from key to key: near a key its own paint is the truest. Measured, the geese clip, hatching: 21.2 dB with the
middle half of the interval, 20.8 dB with all of it.
"""
SOFT_TIME = 0.06
"""Share of the interval that the handover of one pixel takes. It makes the border soft."""
CONFIDENCE_SHIFT = 0.35
"""Share of the interval by which a key that is surely seen is preferred to one that is not seen."""
LEAST_WEIGHT = 1e-4
"""Weight that a key has in a blend even where it is not seen. The keys of a pixel that neither shows have to mix
somehow, and nothing must be divided by 0."""


@dataclass(frozen=True)
class Merged:
    """What the keys show of a frame."""

    picture: np.ndarray
    """float32 (H, W, 3), 0..255."""
    weight: np.ndarray
    """How far a key shows it: float32 (H, W), 0..1."""
    energy: np.ndarray
    """`farm.render.moving_paint.detail_energy` that this paint has in the keys: float32 (H, W, bands)."""


def handover_times(shape: tuple[int, int], number: int) -> np.ndarray:
    """When each pixel of key `number` is handed over to the next key: float32 (H, W), evenly spread over 0..1.

    It is smooth noise, the same for the same number and shape.
    """
    noise = np.random.default_rng((number, *shape)).standard_normal(shape).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), max(STROKE * max(shape), 1.0))
    ranks = np.empty(smooth.size, np.float32)
    ranks[np.argsort(smooth, axis=None, kind="stable")] = np.arange(smooth.size, dtype=np.float32)
    return ((ranks + 0.5) / smooth.size).reshape(shape)


def merge(
    pictures: tuple[np.ndarray, np.ndarray],
    weights: tuple[np.ndarray, np.ndarray],
    position: float,
    times: np.ndarray,
) -> Merged:
    """The paintings of the left and of the right key as one.

    `pictures` are both, float32 (H, W, 3), 0..255, aligned with the frame. `weights` says how far each is to be
    trusted, float32 (H, W), 0..1. `position` is the frame's place between the keys: 0 is the left one, 1 the right one.
    `times` are the left key's `handover_times`, seen from the frame.
    """
    left, right = pictures
    blended = blended_share(*weights, position)
    apart = cv2.GaussianBlur(np.abs(left - right).mean(axis=2), (0, 0), SAME_REACH)
    differ = np.clip((apart - SAME) / (DIFFERENT - SAME), 0, 1)
    share = blended + differ * (handed_over(*weights, position, times) - blended)
    energy = detail_energy(left)
    energy += share[..., None] * (detail_energy(right) - energy)
    return Merged(left + share[..., None] * (right - left), np.maximum(*weights), energy)


def blended_share(of_left: np.ndarray, of_right: np.ndarray, position: float) -> np.ndarray:
    """The right key's share where both are blended: by time, and by how far each is trusted. float32 (H, W), 0..1."""
    before = (1 - position) * np.maximum(of_left, LEAST_WEIGHT)
    after = position * np.maximum(of_right, LEAST_WEIGHT)
    return np.asarray(after / (before + after), np.float32)


def handed_over(of_left: np.ndarray, of_right: np.ndarray, position: float, times: np.ndarray) -> np.ndarray:
    """The right key's share where the two differ: 0 before a pixel's time, 1 after it. float32 (H, W), 0..1.

    Where one key is not seen at all, the other one is taken, whatever the time.
    """
    begin, end = HANDOVER
    starts = begin + times * (end - begin - SOFT_TIME)
    by_time = np.clip((position + CONFIDENCE_SHIFT * (of_right - of_left) - starts) / SOFT_TIME, 0, 1)
    both = np.minimum(of_left, of_right) / np.maximum(np.maximum(of_left, of_right), LEAST_WEIGHT)
    seen = blended_share(of_left, of_right, position)
    return np.asarray(seen + both * (by_time - seen), np.float32)
