"""A mask taken from the frame it was drawn for to any other frame of the shot.

The frame numbers alone decide which masks a frame's mask is made of, so that every worker makes the same one:

    drawn      D                the picture that the user drew, for frame D
    stations   D + 8, D + 16    and D - 8, ...: each from the station before it, an earlier one, and D
    others                      likewise: from the last station on the way from D

A pixel takes its value from the nearest of these masks that shows it (weights as in Ruder et al. 2016, section 4.2),
over flow that is composed or direct, whichever is more consistent (`farm.flow.store`). So an error is handed on once in
8 frames only, and a pixel that was hidden at one station is found again at an earlier one.

Where the colours do not agree, the flow is not trusted. Why: composed flow is continuous, so a hidden background is
squeezed into the edge of what hid it, forwards and backwards alike, and no check of the flow alone finds that. Pixels
that none of the masks shows are decided by `farm.render.regions.fill`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from farm.flow import warp
from farm.render.regions.fill import fill_unknown

STATION_FRAMES = 8
"""Frames from one station to the next."""
STATIONS_BACK = (0, 1, 3)
"""Stations that a mask is made of, counted back from the nearest. The drawn mask is always added as the last."""
KNOWN_ENOUGH = 0.999
"""Share of the pixels with a known value from which on no farther mask is asked. Each would cost two flow fields."""
SAME_COLOUR, OTHER_COLOUR = 15.0, 30.0
"""Distances in RGB, in grey levels (of 255), between means over 3x3 pixels.

Up to the first a flow is trusted, from the second on it is not.
"""


@dataclass(frozen=True)
class View:
    """Another frame, as the frame whose mask is wanted sees it.

    `mask` (H, W) uint8 and `picture` (H, W, 3) uint8 are the other frame's. `flow` (H, W, 2) float32 leads to it, in
    pixels, and `weight` (H, W) float32 0..1 is how far that flow is trusted.
    """

    mask: np.ndarray
    picture: np.ndarray
    flow: np.ndarray
    weight: np.ndarray


def sources(frame: int, drawn: int) -> list[int]:
    """Frames whose masks the mask of `frame` is made of, nearest first. `drawn` is the frame that the user drew for.

    The list is empty for `drawn` itself.

    >>> sources(30, 0), sources(8, 0), sources(75, 100)
    ([24, 16, 0], [0], [76, 84, 100])
    """
    if frame == drawn:
        return []
    direction = 1 if frame > drawn else -1
    nearest = (abs(frame - drawn) - 1) // STATION_FRAMES
    numbers = [nearest - back for back in STATIONS_BACK if nearest - back > 0]
    return [drawn + direction * STATION_FRAMES * number for number in (*numbers, 0)]


def stations(frame: int, drawn: int) -> Iterator[int]:
    """The stations between `frame` and `drawn`, the frame that the user drew for, nearest to `frame` first.

    >>> list(stations(30, 0))
    [24, 16, 8]
    """
    while (frame := next(iter(sources(frame, drawn)), drawn)) != drawn:
        yield frame


def carry(picture: np.ndarray, views: Iterable[View]) -> np.ndarray:
    """The mask (H, W) uint8, 255 inside, of a frame whose source picture is (H, W, 3) uint8.

    `views` come nearest first. Only as many are taken from the iterable as are needed.
    """
    weighted_sum = np.zeros(picture.shape[:2], np.float32)
    confidence = np.zeros_like(weighted_sum)
    for view in views:
        weight = view.weight * _agreement(picture, view)
        added = np.maximum(weight - confidence, 0)
        weighted_sum += added * warp(view.mask, view.flow)
        confidence += added
        if (confidence > 0.5).mean() >= KNOWN_ENOUGH:
            break
    mean = weighted_sum / np.maximum(confidence, 1e-6)
    return fill_unknown(mean, confidence, picture).round().clip(0, 255).astype(np.uint8)


def _agreement(picture: np.ndarray, view: View) -> np.ndarray:
    """How well the other frame has the same colours along the flow: (H, W) float32, 1 the same, 0 others."""
    difference = cv2.blur(warp(view.picture, view.flow) - picture, (3, 3))
    distance = np.sqrt((difference * difference).sum(2))
    return np.clip((OTHER_COLOUR - distance) / (OTHER_COLOUR - SAME_COLOUR), 0, 1)
