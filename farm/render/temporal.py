"""What a frame starts from and what it is tied to: the temporal heart of a render. Pure arrays in, arrays out.

A *tie* is a stylised frame warped into the present one, with a weight for each pixel: 1 where the flow is to be
trusted, 0 where the pixel was hidden, left the picture, or lies on a motion boundary.

    ties = nearest_visible(warped neighbours)                      which frame shows a pixel, nearest first
    start = warped_start(painted_alike(...), ties)                 pass 1
    start = blended_start(own, ties, blend)                        later passes

Where no earlier frame shows a pixel, a frame does not start from the photograph but from the nearest painting, with
its colours changed as the photograph's are (`painted_alike`). A few optimiser steps turn paint into other paint; they
do not turn a photograph into paint. Ruder et al. 2016 start such pixels from the photograph, with a thousand steps.
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


FIT_PIXELS = 1 << 16
"""Of a frame, on a grid: enough for nine numbers."""


SHRINKAGE = 15.0
"""Grey levels of 255. A colour that varies less than that in the photograph says little about the paint's, and by
chance may seem to say anything: the fit bends towards no change there.
"""


def painted_alike(content: np.ndarray, source: np.ndarray, painted: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """The frame `content` as `painted` might show it: (H, W, 3) float32, 0..255.

    `source` and `painted` are another frame and what was made of it, (H, W, 3) uint8; `flow` (H, W, 2) leads there.
    The result is `p + A (content - s)`: the painting and its source, and what the photograph's change means in paint.
    Where the flow leads to something that looks alike, though nothing proves it right (at the border of what moves),
    p and s are taken from there; elsewhere they stay where they are, since a wrong flow tears strokes to shreds.
    """
    change = color_change(source, painted)
    shifted_source, shifted = _mirrored(source, flow), _mirrored(painted, flow)
    follows = looks_alike(content, shifted_source)[..., None]
    p = follows * shifted + (1 - follows) * painted
    s = follows * shifted_source + (1 - follows) * source
    return np.clip(p + (content - s) @ change, 0, 255).astype(np.float32)


def color_change(source: np.ndarray, painted: np.ndarray) -> np.ndarray:
    """A (3, 3) float32: a pixel of `source` that differs by d is painted with a colour that differs by `d @ A`.

    Ridge regression over all pixels of two (H, W, 3) uint8 pictures of one size. The sums are of integers, so that
    they do not depend on who adds them up in which order.
    """
    step = max(int(np.sqrt(source.shape[0] * source.shape[1] / FIT_PIXELS)), 1)
    x, y = (picture[::step, ::step].reshape(-1, 3).astype(np.int64) for picture in (source, painted))
    count, total_x, total_y = len(x), x.sum(axis=0), y.sum(axis=0)
    within = (count * (x.T @ x) - np.outer(total_x, total_x)) / count**2
    across = (count * (x.T @ y) - np.outer(total_x, total_y)) / count**2
    found: np.ndarray = np.linalg.solve(within + SHRINKAGE**2 * np.eye(3), across)
    return found.astype(np.float32)


def _mirrored(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """`picture` moved along the flow, (H, W, 3) float32: mirrored beyond its edges, where strokes would be smears."""
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    to_x, to_y = x + np.nan_to_num(flow[..., 0]), y + np.nan_to_num(flow[..., 1])
    return cv2.remap(picture.astype(np.float32), to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
