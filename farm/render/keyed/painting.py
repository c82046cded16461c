"""A frame of the film, painted from painted keys alone: no style, no optimiser. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from farm.flow import Match, warp_sharp
from farm.render.keyed.merging import Merged, handover_times, merge
from farm.render.keyed.synthesis import synthesise
from farm.render.keyed.views import KeyView, shows_the_same

FILLED = 0.98
"""How far a pixel is known from which on nothing is looked for there."""


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

    `left` and `right` are the keys before and after it in its shot, at least one. `position` is the frame's place
    between them, 0 at the left one and 1 at the right one. `neighbour` is the frame beside it, as it was
    committed: see farm.render.keyed.
    """
    views = [view for view in (left, right) if view is not None]
    merged = from_keys(left, right, position)
    known = merged.picture
    weight = merged.known
    if neighbour is not None:
        shown = warp_sharp(neighbour.source, neighbour.match.flow)
        kept = neighbour.match.weight * shows_the_same(content, shown)
        rest = (1 - weight) * kept
        carried = warp_sharp(neighbour.painted, neighbour.match.flow)
        total = weight + rest
        known = (weight[..., None] * known + rest[..., None] * carried) / np.maximum(total, 1e-4)[..., None]
        weight = total
    hole = weight < FILLED
    filled = synthesise(content, known, hole, views)
    share = weight[..., None]
    return np.rint(np.clip(share * known + (1 - share) * filled, 0, 255)).astype(np.uint8)


def from_keys(left: KeyView | None, right: KeyView | None, position: float) -> Merged:
    """What the keys show of a frame. Arguments as for `paint`."""
    if left is None or right is None:
        view = left or right
        assert view is not None
        return Merged(view.picture(), view.weight)
    times = handover_times(left.weight.shape, left.key.number)
    seen = cv2.remap(times, *_positions(left.there), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return merge(left.picture(), right.picture(), (left.weight, right.weight), position, seen)


def _positions(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = flow.shape[:2]
    return (
        np.arange(width, dtype=np.float32) + flow[..., 0],
        np.arange(height, dtype=np.float32)[:, None] + flow[..., 1],
    )
