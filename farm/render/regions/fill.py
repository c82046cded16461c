"""Parts of a mask that no flow shows, decided by the edges of the picture, as a random walker does (Grady 2006).

The mask a minimises `sum k_uv (a_u - a_v)^2 + sum c_u (a_u - value_u)^2 + prior sum a_u^2`. Neighbouring pixels are
tied to each other, hardly so across an edge of the picture, and pixels that the flow shows are tied to their values.
So the edge of the mask comes to lie on an edge of the frame. The prior is not Grady's: pixels of which nothing is known
lie outside. Why: a new thing that comes into the picture does not belong to a region because of its colour.
"""

from __future__ import annotations

import cv2
import numpy as np

EDGE_SIGMA = 8.0
"""Distance in RGB, in grey levels (of 255), between two neighbouring pixels that makes an edge."""
WEAKEST_TIE = 0.02
"""How firmly pixels are tied across the sharpest edge, where 1 is on an even colour.

Why not 0: it closes small holes, such as a reflection in a window.
"""
REACH = 1 / 16
"""How far known values spread over unknown pixels of an even colour, as a share of the longer side."""
KNOWN = 0.9
"""Weight (0..1) from which on a pixel keeps its value."""
CONTRAST = 3.0
"""Factor by which filled-in values are moved away from middle grey.

Why: greys are doubt, and would spread as the mask is carried on.
"""
SWEEPS = 40
"""Sweeps of the relaxation at each size of the picture."""
RELAXATION = 1.6
"""Factor of over-relaxation, between 1 and 2."""
COARSEST_SIDE = 48
"""Longest side, in pixels, of the smallest picture that the relaxation begins with."""


def fill_unknown(values: np.ndarray, confidence: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """A whole mask, (H, W) float32, 0..255: `values` where they are known, a guess elsewhere.

    `values` is (H, W) float32, 0..255, and `confidence` (H, W), 0..1, how far each is known. `picture` (H, W, 3)
    uint8 is the frame, whose edges the guess follows.
    """
    if (confidence >= KNOWN).all():
        return values
    # A confidence of 1/2 ties a pixel to its value as firmly as to one neighbour of its colour.
    trust = (confidence / (1.001 - confidence)).astype(np.float32)
    reach = REACH * max(values.shape)
    guess = _relax(values.astype(np.float32), trust, picture.astype(np.float32), reach)
    guess = np.clip(127.5 + CONTRAST * (guess - 127.5), 0, 255)
    return np.where(confidence >= KNOWN, values, guess).astype(np.float32)


def _relax(values: np.ndarray, trust: np.ndarray, picture: np.ndarray, reach: float) -> np.ndarray:
    """Nearly the minimum, by red-black over-relaxation that starts from the solution at half the size."""
    height, width = values.shape
    mask = np.where(trust > 1, values, 0).astype(np.float32)
    if max(height, width) > COARSEST_SIDE:
        half = ((width + 1) // 2, (height + 1) // 2)
        smaller = [cv2.resize(layer, half, interpolation=cv2.INTER_AREA) for layer in (values * trust, trust, picture)]
        coarse = _relax(smaller[0] / np.maximum(smaller[1], 1e-6), smaller[1], smaller[2], reach / 2)
        mask = np.where(trust > 1, values, cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))
    across, down = _ties(picture[:, 1:] - picture[:, :-1]), _ties(picture[1:] - picture[:-1])
    left, right = np.pad(across, ((0, 0), (1, 0))), np.pad(across, ((0, 0), (0, 1)))
    above, below = np.pad(down, ((1, 0), (0, 0))), np.pad(down, ((0, 1), (0, 0)))
    pull = trust * values
    total_weight = left + right + above + below + trust + np.float32(1 / max(reach, 1.0) ** 2)
    squares = np.add.outer(np.arange(height), np.arange(width)) % 2 == 0
    around = np.pad(mask, 1)
    inner = around[1:-1, 1:-1]
    for _ in range(SWEEPS):
        for color in (squares, ~squares):
            mean = left * around[1:-1, :-2] + right * around[1:-1, 2:] + above * around[:-2, 1:-1]
            mean = (mean + below * around[2:, 1:-1] + pull) / total_weight
            inner[color] += RELAXATION * (mean - inner)[color]
    return inner.copy()


def _ties(difference: np.ndarray) -> np.ndarray:
    return np.exp((difference * difference).sum(2) / np.float32(-2 * EDGE_SIGMA**2)) + np.float32(WEAKEST_TIE)
