"""Two frames matched both ways: the flow, and how far each pixel of it is to be trusted.

    there, back = match_both_ways([(flow_ab, flow_ba)])     one estimate, checked against itself
    there, back = create_matcher("dis").match(a, b)         estimated as well

Why several estimates: where one contradicts itself, another may not. Fine search finds thin things and small motion; a
smoother field holds together on a bare wall or in blur. Each pixel takes the estimate whose forward and backward flow
agree best, the first of them in a draw. Pixels that stay untied are painted anew in every frame, and flicker.
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
    """The flow from frame A to frame B, and how far each of its pixels can be trusted (Ruder 2016, eq. 5 and 6).

    `flow` is (H, W, 2) float32, in pixels; `weight` is (H, W) float32, 0..1.
    """

    flow: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]


class Matcher:
    """Matches pictures by one flow estimator or several."""

    def __init__(self, estimators: Sequence[FlowEstimator]) -> None:
        self._estimators = estimators

    def match(self, a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> tuple[Match, Match]:
        """(match from a to b, match from b to a) of uint8 RGB (H, W, 3). Raises ValueError where sizes differ."""
        estimates = [(estimator.estimate(a, b), estimator.estimate(b, a)) for estimator in self._estimators]
        return match_both_ways(estimates)


def create_matcher(method: FlowMethod, *, weights: str | None = None, device: str = "cpu") -> Matcher:
    """A matcher with the estimator of that name, for `dis` with a smooth search too. Parameters and errors are those of
    `create_estimator`.
    """
    first = create_estimator(method, weights=weights, device=device)
    return Matcher([first, create_smooth_search()] if method == "dis" else [first])


def match_both_ways(
    estimates: Sequence[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]],
) -> tuple[Match, Match]:
    """(match from A to B, match from B to A): pixel by pixel the best of several estimates (flow A to B, flow B to A).

    Flows (H, W, 2), in pixels, are first rounded as the codec rounds them, so that a stored match equals a fresh one.
    """
    rounded = [(round_flow(forward), round_flow(backward)) for forward, backward in estimates]
    forward, backward = ([_checked(*pair[::step]) for pair in rounded] for step in (1, -1))
    return best_match(forward), best_match(backward)


def best_match(matches: Sequence[Match]) -> Match:
    """A match with each pixel from the match that has the largest weight there, the first of them in a draw."""
    best = matches[0]
    for other in matches[1:]:
        better = other.weight > best.weight
        best = Match(np.where(better[..., None], other.flow, best.flow), np.maximum(best.weight, other.weight))
    return best


def _checked(flow: npt.NDArray[np.float32], opposite: npt.NDArray[np.float32]) -> Match:
    # the mask is smoothed, so that an unknown pixel between good ones would be trusted a little
    return Match(flow, np.where(np.isnan(flow).any(axis=-1), np.float32(0), reliability_weights(flow, opposite)))
