"""What no flow shows of a mask: taken from known pixels nearby that have the same colour.

A joint bilateral filter (Petschnigg et al. 2004, Eisemann and Durand 2004) as a normalised convolution: the kernel
is of place and of colour in the frame itself, so that the edge of the mask comes to lie on an edge of the picture.
Near pixels are asked first; where none of them resembles, coarser levels of a pyramid reach farther.
"""

from __future__ import annotations

import cv2
import numpy as np

RADIUS = 6
"""Pixels of each level that the kernel reaches."""
PLACE_SIGMA = 3.0
COLOUR_SIGMAS = (12.0, 12.0, 18.0, 27.0, 40.0, 1e9)
"""Grey levels, of the distance in RGB, one for each level: the farther away, the less is asked of the colour."""
ENOUGH = 1.0
"""Sum of kernel weights from which a level's answer counts: about one near pixel of the same colour."""
KNOWN = 0.9


def fill_unknown(values: np.ndarray, known: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """`values` (H, W) float32 where `known` (H, W) 0..1 is near 1, in between mixed with what colours say.

    `picture` (H, W, 3) uint8 is the frame. Where nothing is known at all, it is 0.
    """
    rows, columns = np.nonzero(known < KNOWN)
    if len(rows) == 0:
        return values
    trusted = np.where(known < KNOWN, 0, known).astype(np.float32)
    guessed = np.zeros(len(rows), np.float32)
    colours = picture[rows, columns].astype(np.float32)
    open_ = np.arange(len(rows))
    layers = np.dstack([picture.astype(np.float32) * trusted[..., None], values * trusted, trusted])
    for level, sigma in enumerate(COLOUR_SIGMAS):
        found, weight = _ask(layers, colours[open_], rows[open_] >> level, columns[open_] >> level, sigma)
        answered = weight >= ENOUGH
        guessed[open_[answered]] = found[answered]
        open_ = open_[~answered]
        if len(open_) == 0:
            break
        layers = cv2.resize(_even(layers), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    result = values.astype(np.float32).copy()
    share = known[rows, columns]
    result[rows, columns] = share * result[rows, columns] + (1 - share) * guessed
    return result


def _ask(
    layers: np.ndarray, colours: np.ndarray, rows: np.ndarray, columns: np.ndarray, sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """The mean value around each place, and the sum of its weights. `layers` (H, W, 5): colour, value, trust."""
    padded = np.pad(layers, ((RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)))
    total = np.zeros(len(rows), np.float32)
    weight = np.zeros(len(rows), np.float32)
    for dy in range(-RADIUS, RADIUS + 1):
        for dx in range(-RADIUS, RADIUS + 1):
            near = padded[rows + dy + RADIUS, columns + dx + RADIUS]
            trust = near[:, 4]
            apart = near[:, :3] / np.maximum(trust, 1e-6)[:, None] - colours
            closeness = np.exp(-(apart * apart).sum(1) / (2 * sigma**2))
            kernel = np.float32(np.exp(-(dy * dy + dx * dx) / (2 * PLACE_SIGMA**2))) * closeness
            total += kernel * near[:, 3]
            weight += kernel * trust
    return total / np.maximum(weight, 1e-12), weight


def _even(layers: np.ndarray) -> np.ndarray:
    """Both sides made even by a row or column that is not trusted, so that halving keeps to the same grid."""
    height, width = layers.shape[:2]
    return np.pad(layers, ((0, height % 2), (0, width % 2), (0, 0)))
