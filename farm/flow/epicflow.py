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
AGREEMENT_PX = 0.3
# The interpolator takes fewer than 32767 matches, and needs some neighbours for an affine motion.
MOST_MATCHES = 32_000
FEWEST_MATCHES = 16
NEIGHBOURS = 64
NEIGHBOUR_SIGMA = 0.05
SMOOTHNESS = 40.0  # of the refinement
# The interpolator takes as inliers what lies within half the mean deviation of the neighbours. Under an exactly uniform
# motion, as of scrolling titles, that is nothing, and it returns no motion at all. A few matches set wrong on purpose
# keep the deviation above 32-bit rounding, and are left out as outliers.
EVERY_NTH_A_DECOY = 8
DECOY_PX = 1 / 16

Picture = npt.NDArray[np.uint8]
Flow = npt.NDArray[np.float32]


def epicflow(a: Picture, b: Picture) -> Flow:
    """The flow (H, W, 2) from a to b, uint8 RGB (H, W, 3) of 64 px a side or more."""
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
