"""Is another frame of the film lit as this one is, and how would it look in this one's light? Pure.

    weight = match.weight * lit_alike(content, warp(source, match.flow))     how far the paint of a neighbour may tie
    same_light(content, source)                                              not so after a flash
    source = in_light_of(content, source, match)                             fades, and cameras that adapt

Optical flow finds its way also from a white frame to the one after it, and says nothing of the light. Paint that is
carried from there is bleached, and so is what is carried from that: to the end of the shot. Ruder et al. 2016 do not
have this; their neighbours are asked for consistent flow only.

Where light changes slowly, every neighbour is lit alike, and what is followed of the film from frame to frame adds up:
not to nothing where the light comes back, since what a change means in paint is another thing in each light. So a
neighbour is seen in the light of the frame before the two are compared.
"""

from __future__ import annotations

import cv2
import numpy as np

from farm.flow import Match, warp
from farm.render.temporal import FIT_PIXELS

ALIKE, UNLIKE = 24.0, 56.0
"""Difference in grey levels (of 255) up to which two pictures are lit alike, and from which on they are not.

It is that of means over CELLS, in which an object that moves or turns makes little. A flash makes 50 levels and more.
"""
CELLS = 12
"""Cells along the shorter side of a picture, over which means are taken."""
SAME_LIGHT = 0.5
"""Mean of `lit_alike` from which on two frames count as lit alike."""
TRUSTED = 0.5
"""Weight of a match from which on a pixel counts for the light of a frame."""
FEWEST_TRUSTED = 0.1
"""Share of a picture below which they are too few to tell it."""
STEADY = 1.0
"""Root mean square of a channel's change, in grey levels (of 255), up to which the light is steady."""
EXPLAINED = 0.5
"""Share of the difference between two frames, in means over cells, that a change of light may leave."""
GAIN_RIDGE = 8.0
"""Ridge of the gain, a standard deviation in grey levels (of 255)."""
GAINS = (0.25, 4.0)
"""Smallest and largest gain between two frames."""
SEARCHED = 24
"""Frames before one after a flash among which one is looked for that is lit as it is: a second of film."""


def lit_alike(frame: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far two source frames, (H, W, 3) in 0..255 each, are lit alike at each pixel: (H, W) float32, 0..1.

    They are compared in means over cells. 1 up to a difference of ALIKE grey levels, 0 from UNLIKE on.
    """
    height, width = frame.shape[:2]
    frame_cells, other_cells = (_cell_means(np.asarray(picture, np.float32)) for picture in (frame, other))
    level = np.abs(frame_cells - other_cells).mean(axis=2)
    alike = np.clip((UNLIKE - level) / (UNLIKE - ALIKE), 0, 1)
    weight: np.ndarray = cv2.resize(alike, (width, height), interpolation=cv2.INTER_LINEAR)
    return weight


def same_light(frame: np.ndarray, other: np.ndarray) -> bool:
    """Whether two source frames, (H, W, 3) uint8, are lit alike in most of the picture."""
    return float(lit_alike(frame, other).mean()) >= SAME_LIGHT


def in_light_of(frame: np.ndarray, other: np.ndarray, match: Match) -> np.ndarray:
    """`other` as it would look in the light of `frame`: (H, W, 3) uint8, as both are.

    `match` leads from `frame` to `other`. Each channel gets the gain and the offset that fit best, by least squares
    over about FIT_PIXELS pixels: those whose flow is trusted, or all of them at their place where it is trusted nearly
    nowhere, as in a flash. A ridge of GAIN_RIDGE draws the gain to 1: a picture that light or darkness has washed out
    does not say how strong the light of another one is. Where the light differs by less than STEADY levels, or where
    the fit does not explain most of the difference, the picture stays as it is: that is no change of light, but what
    moves.
    """
    step = max(int(np.sqrt(match.weight.size / FIT_PIXELS)), 1)
    trusted = match.weight[::step, ::step] > TRUSTED
    seen = other
    if trusted.mean() < FEWEST_TRUSTED:
        trusted[:] = True
    else:
        seen = np.rint(warp(other, match.flow)).astype(np.uint8)
    here, there = (picture[::step, ::step][trusted].astype(np.int64) for picture in (frame, seen))
    count = len(here)
    # Sums of integers do not depend on the order in which they are added up.
    total_here, total_there = here.sum(axis=0), there.sum(axis=0)
    across = (count * (here * there).sum(axis=0) - total_here * total_there) / count**2
    within = (count * (there * there).sum(axis=0) - total_there * total_there) / count**2
    gain = np.clip((across + GAIN_RIDGE**2) / (within + GAIN_RIDGE**2), *GAINS)
    offset = (total_here - gain * total_there) / count
    shift = (gain - 1) * total_there / count + offset
    if np.sqrt(shift**2 + (gain - 1) ** 2 * within).max() < STEADY:
        return other
    levels = np.arange(256)[:, None] * gain + offset
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)

    def lit(picture: np.ndarray) -> np.ndarray:
        return np.stack([table[:, channel][picture[..., channel]] for channel in range(3)], axis=-1)

    left, before = (_light_between(frame, picture, trusted, step) for picture in (lit(seen), seen))
    return lit(other) if left <= EXPLAINED * before else other


def _light_between(frame: np.ndarray, other: np.ndarray, trusted: np.ndarray, step: int) -> float:
    """Mean difference in grey levels of two pictures, each averaged over the trusted pixels of a cell.

    `trusted` is a mask of the pictures' pixels, of each `step`-th in either direction.
    """
    mask = trusted.astype(np.float32)
    off = (frame[::step, ::step].astype(np.float32) - other[::step, ::step]) * mask[..., None]
    level = np.abs(_cell_means(off)).mean(axis=2)
    return float(level.sum(dtype=np.float64) / max(_cell_means(mask).sum(dtype=np.float64), 1e-6))


def _cell_means(picture: np.ndarray) -> np.ndarray:
    """Means of a float32 picture, (H, W) or (H, W, 3), over square cells, CELLS along its shorter side."""
    height, width = picture.shape[:2]
    cell = max(min(height, width) / CELLS, 1)
    grid = (max(round(width / cell), 1), max(round(height / cell), 1))
    means: np.ndarray = cv2.resize(picture, grid, interpolation=cv2.INTER_AREA)
    return means
