"""What a frame is tied to and starts from: the temporal heart of a render. Pure arrays in, arrays out.

A *neighbour* is a stylised frame warped into the present one, with a weight per pixel: 1 where the flow is
to be trusted, 0 where the pixel was hidden, left the picture, or lies on a motion boundary.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from farm.flow import long_term_weights
from farm.paint.losses.objective import TemporalTie

ALIKE, UNLIKE = 10.0, 25.0
"""Grey levels of 255. Noise, blur and sampling come to 3 to 8 in hand-held video, other things to 30 and more."""


def nearest_visible(neighbours: Sequence[TemporalTie]) -> list[TemporalTie]:
    """Tie each pixel to the nearest frame that shows it (Ruder 2016, section 4.2); nearest first.

    `c_long^(j) = max(c^(j) - sum of c^(k) over nearer k, 0)`: the weights of one pixel sum to 1 at the most.
    """
    weights = long_term_weights([neighbour.weight for neighbour in neighbours])
    return [TemporalTie(neighbour.image, weight) for neighbour, weight in zip(neighbours, weights, strict=True)]


def looks_alike(frame: np.ndarray, warped: np.ndarray) -> np.ndarray:
    """How far two source frames, the second warped into the first, show the same there: (H, W) float32, 0..1.

    Over many frames flow can agree with itself and be wrong, and would carry dark paint onto a bright wall. Both
    (H, W, 3), 0..255. Compared over 5 pixels, a change of exposure between the two left out: 1 up to a difference
    of ALIKE grey levels, 0 from UNLIKE on. Not in Ruder 2016, whose long-term flow is checked against itself only.
    """
    difference = frame.astype(np.float32) - warped.astype(np.float32)
    difference -= np.median(difference, axis=(0, 1))
    level = cv2.blur(np.abs(difference).mean(axis=2), (5, 5), borderType=cv2.BORDER_REPLICATE)
    return np.clip((UNLIKE - level) / (UNLIKE - ALIKE), 0, 1)


def warped_start(elsewhere: np.ndarray, neighbours: Sequence[TemporalTie]) -> np.ndarray:
    """The warped neighbours where they are known, `elsewhere` where not: (H, W, 3) float32.

    The neighbours' weights must sum to 1 at the most, as `nearest_visible` leaves them.
    """
    known = np.zeros(elsewhere.shape[:2], np.float32)
    total = np.zeros(elsewhere.shape, np.float32)
    for neighbour in neighbours:
        total += neighbour.weight[..., None] * neighbour.image
        known += neighbour.weight
    return total + np.clip(1 - known, 0, 1)[..., None] * elsewhere


def blended_start(own: np.ndarray, neighbours: Sequence[TemporalTie], blend: float) -> np.ndarray:
    """A frame of the previous pass drawn towards its neighbours (Ruder 2016, section 4.4), two-sided.

    `x' = (x + b sum c_k w_k) / (1 + b sum c_k)`, (H, W, 3) float32, with `b` = `blend`.
    """
    total = own.astype(np.float32)
    weight: np.ndarray = np.ones(own.shape[:2], np.float32)
    for neighbour in neighbours:
        total = total + blend * neighbour.weight[..., None] * neighbour.image
        weight = weight + blend * neighbour.weight
    return total / weight[..., None]


def cross_fade(ending: np.ndarray, beginning: np.ndarray, position: int, length: int) -> np.ndarray:
    """Frame `position` of an overlap of `length` frames, from the chunk that ends to the one that begins.

    Only ever a *start* for the passes that follow: as a result it would average two textures into a blur.
    """
    share = (position + 1) / (length + 1)
    mixed = (1 - share) * ending.astype(np.float32) + share * beginning.astype(np.float32)
    return np.rint(mixed).astype(np.uint8)
