"""What a frame starts from where no earlier frame shows it: not the photograph, but the nearest painting, changed.

    start = warped_start(painted_alike(content, source, painted, flow), ties)

A few optimiser steps turn paint into other paint; they do not turn a photograph into paint. So what comes into view
is begun with strokes that are there already, and given the colours that the painting has where the photograph has
such ones. Not in Ruder 2016, where such pixels start from the photograph and get a thousand steps.
"""

from __future__ import annotations

import cv2
import numpy as np

from farm.ties import looks_alike

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
