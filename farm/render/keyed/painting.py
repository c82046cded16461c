"""A frame of the film, painted from painted keys alone: no style, no optimiser. Pure.

    painted = paint(content, left, right, neighbour, position)

Each pixel comes from the first of these that shows it: the keys (`from_keys`), the committed frame beside it, and patch
synthesis in the manner of the keys. Weights between 0 and 1 mix them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from farm.flow import Match, warp_sharp
from farm.render.keyed.merging import Merged, handover_times, merge
from farm.render.keyed.synthesis import synthesise
from farm.render.keyed.views import KeyView, shows_the_same
from farm.render.moving_paint import detail_energy, keep_detail
from farm.render.temporal import color_change

KNOWN = 0.98
"""Weight from which on a pixel is known, and nothing is looked for there."""
RENEWED = 0.15
"""Share of the paint kept from the neighbour that is synthesised anew in each frame.

Why: what is kept is resampled in each frame, and what it shows changes. Measured, the geese clip: .15 raises PSNR by
.4 dB over none, and warp error is no higher, because what does not fit is not kept until it breaks.
"""
LIGHT_REACH = 8.0
"""Standard deviation in pixels of the Gaussian that a change of light is averaged with."""
LEAST_AROUND = 0.05
"""Weight around a pixel below which a change of light is followed less."""
DETAIL_KEPT = 0.5
"""Share of the detail that means and resampling take away that is given back.

Why not all of it: what is given back is the strokes of one key or the other, sharpened, not those of the truth. Half of
it leaves as much detail as a single key has that is resampled once.
"""
MOST_KEPT = 1.6
"""Largest factor by which detail is raised to what the keys have."""


@dataclass(frozen=True)
class Neighbour:
    """A frame beside the one to paint, that is painted and committed."""

    source: np.ndarray
    """The film's frame: uint8 (H, W, 3)."""
    painted: np.ndarray
    """Its painting: uint8 (H, W, 3)."""
    match: Match
    """Leads from the frame to paint to this one."""


def paint(
    content: np.ndarray,
    left: KeyView | None,
    right: KeyView | None,
    neighbour: Neighbour | None,
    position: float,
) -> np.ndarray:
    """The film's frame `content`, uint8 (H, W, 3), in paint: uint8 (H, W, 3).

    `left` and `right` are the keys before and after it in its shot, seen from it. `position` is the frame's place
    between them: 0 is the left one, 1 the right one. `neighbour` is a frame beside it, as it was committed; see
    farm.render.keyed for which one. Raises ValueError where there is no key.
    """
    views = [view for view in (left, right) if view is not None]
    merged = from_keys(content, left, right, position)
    weight, known = merged.weight, merged.picture
    if neighbour is not None:
        kept = (1 - weight) * (1 - RENEWED) * _kept(content, neighbour)
        carried = warp_sharp(neighbour.painted, neighbour.match.flow)
        share = kept / np.maximum(weight + kept, 1e-6)
        known = known + share[..., None] * (carried - known)
        weight = weight + kept
    filled = synthesise(content, known, weight < KNOWN, views)
    painted = known + (1 - weight[..., None]) * (filled.picture - known)
    of_keys = merged.weight[..., None]
    energy = of_keys * merged.energy + (1 - of_keys) * detail_energy(filled.sharp)
    painted += DETAIL_KEPT * (keep_detail(painted, energy, MOST_KEPT, np.zeros_like(weight)) - painted)
    return np.rint(np.clip(painted, 0, 255)).astype(np.uint8)


def from_keys(content: np.ndarray, left: KeyView | None, right: KeyView | None, position: float) -> Merged:
    """What the keys show of the frame `content`. Arguments and error are those of `paint`."""
    if left is not None and right is not None:
        times = warp_sharp(handover_times(left.weight.shape, left.key.number)[..., None], left.there)[..., 0]
        pictures = (in_light(left, content), in_light(right, content))
        return merge(pictures, (left.weight, right.weight), position, times)
    view = left or right
    if view is None:
        raise ValueError("a frame is painted from at least one key")
    picture = in_light(view, content)
    return Merged(picture, view.weight, detail_energy(picture))


def in_light(view: KeyView, content: np.ndarray) -> np.ndarray:
    """The key's painting as the frame `content` would show it, in that frame's light: float32 (H, W, 3), 0..255.

    What the film's frame differs by from the key's, averaged over LIGHT_REACH where both show the same, is added as it
    would look in paint (`farm.render.temporal.color_change`).
    """
    around = np.maximum(cv2.GaussianBlur(view.weight, (0, 0), LIGHT_REACH), LEAST_AROUND)
    difference = view.weight[..., None] * (content.astype(np.float32) - view.source())
    soft = cv2.GaussianBlur(difference, (0, 0), LIGHT_REACH) / around[..., None]
    return np.clip(view.picture() + soft @ color_change(view.key.source, view.key.picture), 0, 255)


def _kept(content: np.ndarray, neighbour: Neighbour) -> np.ndarray:
    """How far the paint of the neighbour is kept: float32 (H, W), 0..1."""
    shown = warp_sharp(neighbour.source, neighbour.match.flow)
    return neighbour.match.weight * shows_the_same(content, shown)
