"""Where a flow can be trusted: occlusions, motion boundaries, and which of several frames shows a pixel.

Source: Ruder, Dosovitskiy and Brox, "Artistic Style Transfer for Videos" (2016), section 4.1, eq. 5 and 6, and
section 4.2; thresholds from Sundaram, Brox and Keutzer (2010). The masks are those of the authors' own
consistencyChecker to the last bit, with its three departures from the paper:

- the test for disocclusion includes equality;
- a target counts as outside the frame unless all four of its bilinear neighbours exist, so a still last column or
  row counts as outside as well;
- the mask is smoothed, from seeds that are -255 where disoccluded, so that a disocclusion grows and its border is
  soft on the outside. The sums are in 32 bits from the first tap to the last and then rounded down, which leaves
  254 in the middle of a perfectly consistent area.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from farm.flow.warp import inside_frame, warp

RELIABLE = 255.0
"""Seed of a pixel that may be taken from the previous frame."""
DISOCCLUDED = -255.0
"""Seed of a pixel that the previous frame does not show."""
UNDECIDED = 0.0
"""Seed of a pixel that leads outside the frame, lies on a motion boundary, or has no known flow."""
DISOCCLUSION_RELATIVE, DISOCCLUSION_ABSOLUTE = 0.01, 0.5
"""Coefficients of eq. 5: a share of the squared motion, and px^2."""
BOUNDARY_RELATIVE, BOUNDARY_ABSOLUTE = 0.01, float(np.float32(0.002))
"""Coefficients of eq. 6: a share of the squared motion, and px^2."""
SMOOTHING_SIGMA = 0.8
"""Standard deviation of the Gaussian that smooths the seeds, in pixels."""
SMOOTHING_REACH = 2
"""Pixels to either side that this Gaussian takes in."""

FloatArray = npt.NDArray[np.float32]
"""float32 of any shape."""


def reliability(backward: FloatArray, forward: FloatArray) -> npt.NDArray[np.uint8]:
    """How far each pixel of the current frame may be taken from the previous one: uint8 (H, W), 255 fully.

    `backward` leads from the current frame to the previous one, and the mask has its pixels. `forward` leads from the
    previous frame to the current one, and is sampled where `backward` leads to. Both are (H, W, 2), in pixels. With the
    two exchanged, the mask is that of the previous frame; flows over several frames give the mask of the two frames
    that they join. Raises ValueError where shapes differ.
    """
    if backward.shape != forward.shape or backward.shape[2:] != (2,):
        raise ValueError(f"backward flow {backward.shape} and forward flow {forward.shape} are of different shapes")
    smooth = _smooth(_smooth(_seeds(backward, forward), axis=1), axis=0)
    return np.clip(smooth, 0, 255).astype(np.uint8)


def reliability_weights(backward: FloatArray, forward: FloatArray) -> FloatArray:
    """`reliability` as the weights c of the temporal loss: float32 (H, W), 0..1."""
    return reliability(backward, forward).astype(np.float32) / np.float32(255)


def disoccluded(there: FloatArray, back: FloatArray) -> npt.NDArray[np.bool_]:
    """Where a flow there does not lead back: (H, W) bool. The test of Ruder et al. 2016, eq. 5, by itself.

    `there` (H, W, 2), in pixels, leads from frame A to frame B, and the result has A's pixels. `back` leads from B to
    A. Unlike `reliability` it asks for neither motion boundaries nor smoothing, and a flow that leaves the frame is
    continued with the flow at the edge. Unknown flow counts as disoccluded. Raises ValueError where shapes differ.
    """
    returned = warp(back, there)
    missed = ((there + returned) ** 2).sum(axis=-1)
    motion = (there**2).sum(axis=-1) + (returned**2).sum(axis=-1)
    return np.asarray(~(missed <= DISOCCLUSION_RELATIVE * motion + DISOCCLUSION_ABSOLUTE))


def consistent_pixels(there: FloatArray, back: FloatArray) -> npt.NDArray[np.bool_]:
    """Where a flow may be judged by: (H, W) bool. Ruder et al. 2016, eq. 5 and 6 as the paper has them, unsmoothed.

    `there` (H, W, 2), in pixels, leads from frame A to frame B, `back` from B to A; the result has A's pixels. A pixel
    counts where the flow leads back, lies on no motion boundary and stays inside the frame. Raises ValueError where
    shapes differ.
    """
    steepest = BOUNDARY_RELATIVE * (there**2).sum(axis=-1) + BOUNDARY_ABSOLUTE
    return np.asarray(~disoccluded(there, back) & (_squared_gradient(there) <= steepest) & inside_frame(there))


def unoccluded_pixels(there: FloatArray, back: FloatArray) -> npt.NDArray[np.bool_]:
    """The mask M of Lai et al. 2018, section 4: (H, W) bool, shapes as in `consistent_pixels`.

    It has the tests of Ruder's eq. 5 and 6 with the authors' differences of neighbours, each minus the next one, and no
    test for a flow that leaves the frame. Raises ValueError where shapes differ.
    """
    gradient = np.zeros(there.shape[:2], np.float32)
    gradient[:, :-1] += (np.diff(there, axis=1) ** 2).sum(axis=-1)
    gradient[:-1] += (np.diff(there, axis=0) ** 2).sum(axis=-1)
    steepest = BOUNDARY_RELATIVE * (there**2).sum(axis=-1) + BOUNDARY_ABSOLUTE
    return np.asarray(~disoccluded(there, back) & (gradient <= steepest))


def long_term_weights(weights: Sequence[FloatArray]) -> list[FloatArray]:
    """Tie each pixel to the nearest frame that shows it: `c_long^j = max(c^j - sum of c^k over nearer k, 0)`.

    `weights` are (H, W) float32, 0..1, of frames at growing distance, nearest first. Returns as many in the same order,
    whose sum is 1 at the most at every pixel (Ruder et al. 2016, section 4.2).
    """
    result = []
    nearer = np.float32(0)
    for weight in weights:
        result.append(np.maximum(weight - nearer, 0).astype(np.float32))
        nearer = nearer + weight
    return result


def _seeds(backward: FloatArray, forward: FloatArray) -> FloatArray:
    height, width = backward.shape[:2]
    u, v = backward[..., 0], backward[..., 1]
    columns = np.arange(width, dtype=np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None]
    x, y = columns + u, rows + v
    left, top = np.floor(x), np.floor(y)
    inside = (left >= 0) & (left + 1 < width) & (top >= 0) & (top + 1 < height)

    forward_u, forward_v = _sample(forward, x, y, left, top, inside)
    with np.errstate(over="ignore", invalid="ignore"):
        squared_length = u * u + v * v
        missed = ((x + forward_u) - columns) ** 2 + ((y + forward_v) - rows) ** 2
        motion = (squared_length + forward_u * forward_u + forward_v * forward_v).astype(np.float64)
        disoccluded = missed >= DISOCCLUSION_RELATIVE * motion + DISOCCLUSION_ABSOLUTE
        steepest = BOUNDARY_RELATIVE * squared_length.astype(np.float64) + BOUNDARY_ABSOLUTE
        boundary = ~(_squared_gradient(backward) <= steepest)  # a gradient of NaN, too
    known = inside & np.isfinite(missed)
    seeds = np.where(boundary, UNDECIDED, RELIABLE)
    seeds[disoccluded] = DISOCCLUDED
    seeds[~known] = UNDECIDED
    return seeds.astype(np.float32)


def _sample(
    flow: FloatArray, x: FloatArray, y: FloatArray, left: FloatArray, top: FloatArray, inside: npt.NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Both components of a flow at (x, y), bilinear, rounded to 32 bits after either axis; junk where not inside."""
    width = flow.shape[1]
    corner = np.where(inside, top * width + left, 0).astype(np.intp)
    right_share, bottom_share = np.where(inside, x - left, 0), np.where(inside, y - top, 0)

    def component(values: FloatArray) -> FloatArray:
        flat = values.ravel()
        upper = _between(flat[corner], flat[np.minimum(corner + 1, flat.size - 1)], right_share)
        below = np.minimum(corner + width, flat.size - 1)
        lower = _between(flat[below], flat[np.minimum(below + 1, flat.size - 1)], right_share)
        return _between(upper, lower, bottom_share)

    return component(flow[..., 0]), component(flow[..., 1])


def _between(a: FloatArray, b: FloatArray, share_of_b: FloatArray) -> FloatArray:
    # The checker multiplies b in 32 and a in 64 bits.
    return ((1.0 - share_of_b.astype(np.float64)) * a + share_of_b * b).astype(np.float32)


def _squared_gradient(flow: FloatArray) -> FloatArray:
    """|grad u|^2 + |grad v|^2 from the differences [-1/2, 0, 1/2], the outermost pixels repeated."""
    padded = np.pad(flow, ((1, 1), (1, 1), (0, 0)), mode="edge")
    dx = np.float32(0.5) * padded[1:-1, 2:] - np.float32(0.5) * padded[1:-1, :-2]
    dy = np.float32(0.5) * padded[2:, 1:-1] - np.float32(0.5) * padded[:-2, 1:-1]
    dx, dy = dx * dx, dy * dy
    return ((dx[..., 0] + dx[..., 1]) + dy[..., 0]) + dy[..., 1]


def _smooth(values: FloatArray, axis: int) -> FloatArray:
    """A Gaussian along one axis with mirrored edges (d c b a | a b c d), tap by tap in 32 bits."""
    length = values.shape[axis]
    pad = [(0, 0), (0, 0)]
    pad[axis] = (SMOOTHING_REACH, SMOOTHING_REACH)
    padded = np.pad(values, pad, mode="symmetric")
    total = np.zeros_like(values)
    for tap, weight in enumerate(_gaussian()):
        total += weight * padded.take(range(tap, tap + length), axis=axis)
    return total


def _gaussian() -> FloatArray:
    sigma = np.float32(SMOOTHING_SIGMA)
    twice_variance = 2 * float(sigma * sigma)
    scale = float(sigma) * math.sqrt(2 * math.pi)
    taps = range(-SMOOTHING_REACH, SMOOTHING_REACH + 1)
    kernel = np.array([math.exp(-(i * i) / twice_variance) / scale for i in taps], dtype=np.float32)
    total = np.float32(0)
    for weight in kernel:
        total += weight
    return kernel * np.float32(1 / float(total))
