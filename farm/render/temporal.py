"""What a frame starts from, and what it is tied to. Pure: arrays in, arrays out.

A *tie* (`TemporalTie`) is a stylised frame (H, W, 3) warped into the present one, with a weight (H, W) for each pixel:
1 where the flow can be trusted, 0 where the pixel was hidden, left the picture, or lies on a motion boundary.

    ties = nearest_visible(warped neighbours)                      which frame shows a pixel, nearest first
    start = warped_start(painted_alike(...), ties)                 pass 1
    start = blended_start(painted, ties, blend)                    later passes

Where no earlier frame shows a pixel, it does not start from the photograph but from the nearest painting, with colours
changed as the photograph's are (`painted_alike`). Why: a few optimiser steps turn paint into other paint, but do not
turn a photograph into paint. Ruder et al. 2016 start such pixels from the photograph, and take a thousand steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from farm.flow import long_term_weights
from farm.paint.losses.ties import TemporalTie

ALIKE, UNLIKE = 10.0, 25.0
"""Difference in grey levels (of 255) up to which two pictures show the same thing, and from which they do not.

Measured in hand-held video: noise, blur and sampling make 3 to 8 levels, another thing makes 30 and more.
"""
FIT_PIXELS = 1 << 16
"""Pixels of a frame, on a grid, that `color_change` fits to. They are enough for the nine numbers it looks for."""
SHRINKAGE = 15.0
"""Ridge of that fit: a standard deviation in grey levels (of 255).

Why: a colour that varies less than that in the photograph says little about the paint's, and by chance may seem to say
anything. The fit bends towards no change there.
"""


def nearest_visible(neighbours: Sequence[TemporalTie]) -> list[TemporalTie]:
    """The ties with weights changed so that each pixel is tied to the nearest frame that shows it.

    `neighbours` come nearest first. `c_long^(j) = max(c^(j) - sum of c^(k) over nearer k, 0)` (Ruder 2016, section
    4.2), so that the weights of one pixel sum to 1 at the most.
    """
    weights = long_term_weights([neighbour.weight for neighbour in neighbours])
    return [TemporalTie(neighbour.image, weight) for neighbour, weight in zip(neighbours, weights, strict=True)]


def looks_alike(frame: np.ndarray, warped: np.ndarray) -> np.ndarray:
    """How far a source frame and another one, warped into it, show the same thing at a pixel: (H, W) float32, 0..1.

    `frame` and `warped` are (H, W, 3), 0..255. They are compared over 5 pixels, after the median difference (a change
    of exposure) is taken off: 1 up to a difference of ALIKE grey levels, 0 from UNLIKE on.

    Why: over many frames flow can agree with itself and be wrong, and would carry dark paint onto a bright wall.
    Ruder 2016 does not have this; its long-term flow is checked against itself only.
    """
    difference = frame.astype(np.float32) - warped.astype(np.float32)
    difference -= np.median(difference, axis=(0, 1))
    level = cv2.blur(np.abs(difference).mean(axis=2), (5, 5), borderType=cv2.BORDER_REPLICATE)
    return np.clip((UNLIKE - level) / (UNLIKE - ALIKE), 0, 1)


def warped_start(elsewhere: np.ndarray, neighbours: Sequence[TemporalTie]) -> np.ndarray:
    """The warped neighbours, mixed by their weights, and `elsewhere` for the rest to 1: (H, W, 3) float32, 0..255.

    `elsewhere` is (H, W, 3), 0..255. The weights must sum to 1 at the most, as `nearest_visible` leaves them.
    """
    covered = np.zeros(elsewhere.shape[:2], np.float32)
    total = np.zeros(elsewhere.shape, np.float32)
    for neighbour in neighbours:
        total += neighbour.weight[..., None] * neighbour.image
        covered += neighbour.weight
    return total + np.clip(1 - covered, 0, 1)[..., None] * elsewhere


def blended_start(painted: np.ndarray, neighbours: Sequence[TemporalTie], blend: float) -> np.ndarray:
    """A frame of the pass before, drawn towards its neighbours: (H, W, 3) float32, 0..255.

    `painted` is (H, W, 3), 0..255. `x' = (x + b sum c_k w_k) / (1 + b sum c_k)`, with `b` = `blend`: Ruder 2016,
    section 4.4, for neighbours on both sides.
    """
    total = painted.astype(np.float32)
    weight: np.ndarray = np.ones(painted.shape[:2], np.float32)
    for neighbour in neighbours:
        total = total + blend * neighbour.weight[..., None] * neighbour.image
        weight = weight + blend * neighbour.weight
    return total / weight[..., None]


def cross_fade(ending: np.ndarray, beginning: np.ndarray, position: int, length: int) -> np.ndarray:
    """Frame `position` (from 0) of an overlap of `length` frames: (H, W, 3) uint8.

    It fades from `ending`, the frame in the chunk that ends, to `beginning`, the same frame in the next chunk. Later
    passes start from it. As a result it would not do: it averages two textures into a blur.
    """
    share = (position + 1) / (length + 1)
    mixed = (1 - share) * ending.astype(np.float32) + share * beginning.astype(np.float32)
    return np.rint(mixed).astype(np.uint8)


def painted_alike(content: np.ndarray, source: np.ndarray, painted: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """A guess at how the source frame `content` would be painted: (H, W, 3) float32, 0..255.

    `content` is (H, W, 3) uint8. `source` and `painted` are another frame and its painting, (H, W, 3) uint8, and `flow`
    (H, W, 2) leads there, in pixels. The result is `p + A (content - s)`: a pixel p of the painting, and what the
    difference between `content` and its source pixel s means in paint (A is `color_change`).

    Where the flow leads to something that looks alike, p and s are taken from there, though nothing proves the flow
    right (at the border of what moves). Elsewhere they stay at the same place, because a wrong flow tears strokes to
    shreds.
    """
    change = color_change(source, painted)
    shifted_source, shifted = _mirrored(source, flow), _mirrored(painted, flow)
    follows = looks_alike(content, shifted_source)[..., None]
    p = follows * shifted + (1 - follows) * painted
    s = follows * shifted_source + (1 - follows) * source
    return np.clip(p + (content - s) @ change, 0, 255).astype(np.float32)


def color_change(source: np.ndarray, painted: np.ndarray) -> np.ndarray:
    """Matrix A, (3, 3) float32: a pixel of `source` that differs by d is painted with a colour that differs by `d @ A`.

    Ridge regression over about FIT_PIXELS pixels of two (H, W, 3) uint8 pictures of one size. The sums are of integers,
    so that they do not depend on the order in which they are added up.
    """
    step = max(int(np.sqrt(source.shape[0] * source.shape[1] / FIT_PIXELS)), 1)
    x, y = (picture[::step, ::step].reshape(-1, 3).astype(np.int64) for picture in (source, painted))
    count, total_x, total_y = len(x), x.sum(axis=0), y.sum(axis=0)
    within = (count * (x.T @ x) - np.outer(total_x, total_x)) / count**2
    across = (count * (x.T @ y) - np.outer(total_x, total_y)) / count**2
    change: np.ndarray = np.linalg.solve(within + SHRINKAGE**2 * np.eye(3), across)
    return change.astype(np.float32)


def _mirrored(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """`picture` moved along the flow, (H, W, 3) float32. Beyond its edges it is mirrored, not repeated into smears."""
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    to_x, to_y = x + np.nan_to_num(flow[..., 0]), y + np.nan_to_num(flow[..., 1])
    return cv2.remap(picture.astype(np.float32), to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
