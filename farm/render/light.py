"""Is another frame of the film lit as this one is? Pure.

    weight = match.weight * lit_alike(content, warp(source, match.flow))     how far the paint of a neighbour may tie
    if lit_alike(content, source).mean() < SAME_LIGHT: ...                   a flash, or a jump of the exposure

Optical flow finds its way also from a white frame to the one after it, and says nothing of the light. Paint that is
carried from there is bleached, and so is what is carried from that: to the end of the shot. Ruder et al. 2016 do not
have this; their neighbours are asked for consistent flow only.
"""

from __future__ import annotations

import cv2
import numpy as np

ALIKE, UNLIKE = 24.0, 56.0
"""Difference in grey levels (of 255) up to which two pictures are lit alike, and from which on they are not.

It is that of means over CELLS, in which an object that moves or turns makes little. A flash makes 50 levels and more.
"""
CELLS = 12
"""Cells along the shorter side of a picture, over which means are taken."""
SAME_LIGHT = 0.5
"""Mean of `lit_alike` from which on two frames count as lit alike."""
SEARCHED = 24
"""Frames before one after a flash among which one is looked for that is lit as it is: a second of film."""


def lit_alike(frame: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far two source frames, (H, W, 3) in 0..255 each, are lit alike at each pixel: (H, W) float32, 0..1.

    They are compared in means over cells. 1 up to a difference of ALIKE grey levels, 0 from UNLIKE on.
    """
    height, width = frame.shape[:2]
    cell = max(min(height, width) / CELLS, 1)
    grid = (max(round(width / cell), 1), max(round(height / cell), 1))
    frame_cells, other_cells = (
        cv2.resize(np.asarray(picture, np.float32), grid, interpolation=cv2.INTER_AREA) for picture in (frame, other)
    )
    level = np.abs(frame_cells - other_cells).mean(axis=2)
    alike = np.clip((UNLIKE - level) / (UNLIKE - ALIKE), 0, 1)
    weight: np.ndarray = cv2.resize(alike, (width, height), interpolation=cv2.INTER_LINEAR)
    return weight


def same_light(frame: np.ndarray, other: np.ndarray) -> bool:
    """Whether two source frames, (H, W, 3) uint8, are lit alike in most of the picture."""
    return float(lit_alike(frame, other).mean()) >= SAME_LIGHT
