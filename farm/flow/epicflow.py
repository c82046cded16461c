"""EpicFlow: Revaud et al., "EpicFlow: Edge-Preserving Interpolation of Correspondences for Optical Flow" (2015).

Matches on a grid, kept where forward and backward agree; each pixel takes a local affine motion fitted to the matches
that are nearest along paths which avoid picture edges; then a variational refinement.

Departures from the paper: the matches are those of dense inverse search instead of DeepMatching, and the edges are
gradients instead of a learned edge detector, which would need a model file. OpenCV has the rest.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from farm.flow.dis import dense_inverse_search
from farm.flow.warp import inside_frame, warp

GRID_STEP_PX = 4
"""Pixels between matches, where they do not get more than MOST_MATCHES."""
AGREEMENT_PX = 0.3
"""Pixels within which the way forward and back has to end at its start."""
MOST_MATCHES = 32_000
"""Matches at the most: the interpolator takes fewer than 32767."""
FEWEST_MATCHES = 16
"""Matches below which the dense search is returned as it is: an affine motion needs some neighbours."""
NEIGHBOURS = 64
"""Nearest matches that the affine motion of a pixel is fitted to."""
NEIGHBOUR_SIGMA = 0.05
"""Decay of their weights with distance, as OpenCV's interpolator takes it."""
SMOOTHNESS = 40.0
"""Weight of smoothness in the variational refinement (alpha)."""
EVERY_NTH_A_DECOY = 8
"""One in so many matches is set wrong on purpose, by DECOY_PX.

Why: the interpolator takes as inliers what lies within half the mean deviation of the neighbours. Under an exactly
uniform motion, as of scrolling titles, nothing does, and it returns no motion at all. The decoys keep the deviation
above 32-bit rounding, and are left out as outliers.
"""
DECOY_PX = 1 / 16
"""Error of a decoy, in pixels."""

Picture = npt.NDArray[np.uint8]
"""(H, W, 3) RGB."""
Flow = npt.NDArray[np.float32]
"""(H, W, 2), in pixels."""


def epicflow(a: Picture, b: Picture) -> Flow:
    """The flow (H, W, 2) float32, in pixels, from a to b, uint8 RGB (H, W, 3) of 64 px a side or more."""
    forward = dense_inverse_search(a, b)
    points = _consistent_points(forward, dense_inverse_search(b, a))
    if len(points) < FEWEST_MATCHES:
        return forward
    matches = points + forward[points[:, 1], points[:, 0]]
    matches[::EVERY_NTH_A_DECOY] += DECOY_PX

    interpolator = cv2.ximgproc.createEdgeAwareInterpolator()
    interpolator.setK(min(NEIGHBOURS, len(points)))
    interpolator.setSigma(NEIGHBOUR_SIGMA)
    # Its own smoothing costs accuracy before a variational refinement, and depends on the number of threads.
    interpolator.setUsePostProcessing(False)
    blue_green_red = [cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) for picture in (a, b)]
    flow = interpolator.interpolate(
        blue_green_red[0], points.astype(np.float32), blue_green_red[1], matches.astype(np.float32)
    )
    gray_a, gray_b = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (a, b))
    refinement = cv2.VariationalRefinement.create()
    refinement.setAlpha(SMOOTHNESS)
    return refinement.calc(gray_a, gray_b, flow)


def _consistent_points(forward: Flow, backward: Flow) -> npt.NDArray[np.intp]:
    """Grid points (x, y) of the first picture whose way there and back ends within AGREEMENT_PX of its start."""
    height, width = forward.shape[:2]
    step = max(GRID_STEP_PX, math.ceil(math.sqrt(height * width / MOST_MATCHES)))
    missed = np.linalg.norm(forward + warp(backward, forward), axis=-1)
    agrees = (missed < AGREEMENT_PX) & inside_frame(forward)
    rows, columns = np.mgrid[step // 2 : height : step, step // 2 : width : step]
    chosen = agrees[rows, columns]
    return np.stack((columns[chosen], rows[chosen]), axis=-1)
