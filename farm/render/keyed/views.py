"""A key as another frame of its shot sees it: a map of positions, composed from frame to frame. Pure.

    view = first_view(key)                              the key's own frame
    view = follow(view, there, back, content)           the next frame, further away from the key
    picture = view.picture()                            the key's paint there, resampled once

The map of frame n is `phi_n(x) = phi_{n-1}(x + w(x))`, where w is the flow from frame n to frame n - 1, the neighbour
that is nearer to the key. Only positions are carried from frame to frame. The paint itself is resampled once, so that
it is as sharp forty frames away as it is one frame away.

A map that is composed of many flows drifts, and what was hidden in between is lost. Both show in three tests, of which
the weight of a pixel is the least: the composed map back (from the key to the frame) does not lead back, the source
looks different from the key's source there, or the map leads outside the key's frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from farm.flow import Match, compose, inside_frame, warp
from farm.render.keyed.sampling import lanczos

ALIKE, UNLIKE = 5.0, 16.0
"""Difference in grey levels (of 255), mean over ALIKE_REACH, up to which a frame shows what the key's source shows, and
from which on it does not."""
ALIKE_REACH = 1.5
"""Standard deviation in pixels of the Gaussian that the difference is averaged with."""
LIGHT_REACH = 12.0
"""Standard deviation in pixels of the Gaussian that parts a change of light from a change of what is shown."""
RETURNS, STRAYS = 1.0, 3.0
"""Pixels by which a map there and back misses its start, up to which it is trusted, and from which on it is not. They
grow by a hundredth of the distance that was moved."""

EDGE = 1.5
"""Standard deviation in pixels of the soft edge of what a key shows. A hard one would be seen as a seam."""
REFINED = 0.05
"""Share of what a composed map is off by that is mended in each frame.

Why so little: the search finds something else by a fraction of a pixel in each frame, and the paint would tremble.
Measured on the geese clip, .25 and .05: 27.1 and 27.0 dB for an oil filter, 20.6 and 19.4 for a hatching, 21.0 and 24.1
for a film of the farm, whose paint sticks to what it is painted on as a painter's would. Warp errors fall with it: .97
and .82, 2.97 and 2.27, 10.8 and 4.0 e-4.
"""
MOST_REFINED = 4.0
"""Pixels beyond which nothing more of it is believed."""
SMALLEST_SEARCHED = 64
"""Shorter side in pixels below which dense inverse search has no level left."""


@dataclass(frozen=True, eq=False)
class Key:
    """A frame that somebody painted. Two keys are the same only if they are one object."""

    number: int
    """The frame's number in the film."""
    source: np.ndarray
    """The film's frame of that number: uint8 (H, W, 3)."""
    picture: np.ndarray
    """Its painting: uint8 (H, W, 3)."""


@dataclass(frozen=True)
class KeyView:
    """A key, seen from a frame of its shot."""

    key: Key
    there: np.ndarray
    """Flow from the frame to the key, in pixels: float32 (H, W, 2)."""
    back: np.ndarray
    """Flow from the key to the frame, in pixels: float32 (H, W, 2)."""
    weight: np.ndarray
    """How far a pixel of the frame shows what the key shows there: float32 (H, W), 0..1."""

    def picture(self) -> np.ndarray:
        """The key's painting as the frame would show it: float32 (H, W, 3), 0..255."""
        return lanczos(self.key.picture, self.there)

    def source(self) -> np.ndarray:
        """The key's source as the frame would show it: float32 (H, W, 3), 0..255."""
        return lanczos(self.key.source, self.there)


def first_view(key: Key) -> KeyView:
    """The key seen from its own frame."""
    still = np.zeros((*key.source.shape[:2], 2), np.float32)
    return KeyView(key, still, still, np.ones(still.shape[:2], np.float32))


def follow(view: KeyView, there: Match, back: Match, content: np.ndarray) -> KeyView:
    """The view of the next frame, one frame further from the key than `view` is.

    `content` (H, W, 3) uint8 is that frame of the film. `there` leads from it to the frame of `view`, `back` from that
    one to it. Flow that is not known counts as none.
    """
    to_key = refined(compose(np.nan_to_num(there.flow), view.there), content, view.key.source)
    from_key = refined(compose(view.back, np.nan_to_num(back.flow)), view.key.source, content)
    weight = np.minimum(returning(to_key, from_key), shows_the_same(content, lanczos(view.key.source, to_key)))
    return KeyView(view.key, to_key, from_key, soft_edged(weight * inside_frame(to_key)))


def refined(flow: np.ndarray, here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """A composed flow, drawn a little to what dense inverse search finds from there: float32 (H, W, 2), in pixels.

    `flow` leads from the picture `here` to the picture `there`, both uint8 (H, W, 3). Pictures smaller than
    SMALLEST_SEARCHED pixels are not searched.
    """
    if min(flow.shape[:2]) < SMALLEST_SEARCHED:
        return flow
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    gray_here, gray_there = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (here, there))
    missed = search.calc(gray_here, gray_there, flow.copy()) - flow
    length = np.linalg.norm(missed, axis=2, keepdims=True)
    return np.asarray(flow + REFINED * missed * np.clip(MOST_REFINED / np.maximum(length, 1e-6), 0, 1), np.float32)


def soft_edged(weight: np.ndarray) -> np.ndarray:
    """`weight` (H, W), 0..1, falling softly towards where it is 0, from the inside: float32 (H, W)."""
    exact = weight.astype(np.float32)
    return np.minimum(exact, cv2.GaussianBlur(exact, (0, 0), EDGE))


def returning(there: np.ndarray, back: np.ndarray) -> np.ndarray:
    """How far the flow `there`, followed by `back`, comes back to where it started: float32 (H, W), 0..1.

    Both are float32 (H, W, 2), in pixels.
    """
    missed = np.linalg.norm(there + warp(back, there), axis=2) - 0.01 * np.linalg.norm(there, axis=2)
    return np.clip((STRAYS - missed) / (STRAYS - RETURNS), 0, 1).astype(np.float32)


def shows_the_same(content: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far two aligned pictures (H, W, 3) of the film, 0..255, show the same thing: float32 (H, W), 0..1.

    What differs softly is light, and is left out.
    """
    difference = content.astype(np.float32) - other
    difference -= cv2.GaussianBlur(np.clip(difference, -UNLIKE, UNLIKE), (0, 0), LIGHT_REACH)
    level = cv2.GaussianBlur(np.abs(difference).mean(axis=2), (0, 0), ALIKE_REACH)
    return np.clip((UNLIKE - level) / (UNLIKE - ALIKE), 0, 1).astype(np.float32)
