"""Two frames matched both ways: the flow, and how far each pixel of it is to be trusted.

    there, back = match_both_ways([(flow_ab, flow_ba)])     one estimate, checked against itself
    there, back = create_matcher("dis").match(a, b)         estimated as well

Where an estimate contradicts itself, another may not: fine search finds thin things and small motion, a smoother
field holds together on a bare wall or in blur. With several estimates each pixel takes the one whose forward and
backward flow agree, the first of them in a draw. What stays untied is painted anew in every frame, and flickers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from farm.flow.codec import round_flow
from farm.flow.consistency import reliability_weights
from farm.flow.estimators import FlowEstimator, FlowMethod, create_estimator, create_smooth_search


@dataclass(frozen=True)
class Match:
    """From frame A to frame B: `flow` (H, W, 2) float32 pixels; `weight` (H, W) float32, 0..1 (Ruder eq. 5, 6)."""

    flow: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]


class Matcher:
    """Matches pictures by one estimator or several."""

    def __init__(self, estimators: Sequence[FlowEstimator]) -> None:
        self._estimators = estimators

    def match(self, a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> tuple[Match, Match]:
        """From a to b and from b to a; both uint8 RGB (H, W, 3). Raises ValueError where sizes differ."""
        return match_both_ways([(one.estimate(a, b), one.estimate(b, a)) for one in self._estimators])


def create_matcher(method: FlowMethod, *, weights: str | None = None, device: str = "cpu") -> Matcher:
    """The estimator of that name; beside fine dense search a smooth one."""
    first = create_estimator(method, weights=weights, device=device)
    return Matcher([first, create_smooth_search()] if method == "dis" else [first])


def match_both_ways(
    estimates: Sequence[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]],
) -> tuple[Match, Match]:
    """The best of several estimates (flow A to B, flow B to A), pixel by pixel, in either direction.

    Flows are rounded as the codec rounds them first, so that a kept match equals a fresh one.
    """
    rounded = [(round_flow(there), round_flow(back)) for there, back in estimates]
    there, back = ([_checked(*ways[::step]) for ways in rounded] for step in (1, -1))
    return best_match(there), best_match(back)


def best_match(matches: Sequence[Match]) -> Match:
    """Each pixel from the match that trusts it most, the first of them in a draw."""
    best = matches[0]
    for other in matches[1:]:
        better = other.weight > best.weight
        best = Match(np.where(better[..., None], other.flow, best.flow), np.maximum(best.weight, other.weight))
    return best


def _checked(flow: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> Match:
    # the mask is smoothed, so that an unknown pixel between good ones would be trusted a little
    return Match(flow, np.where(np.isnan(flow).any(axis=-1), np.float32(0), reliability_weights(flow, other)))
