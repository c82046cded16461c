"""Moving pictures along a flow, with exact bilinear sampling and the edge repeated outside the frame.

Why not the usual functions: `cv2.remap` with INTER_LINEAR rounds coordinates to 1/32 px, and `grid_sample` goes through
normalised coordinates, so that not even a zero flow gives back its picture. Here the four neighbours are fetched at
integer positions and blended with the fraction of the flow itself, which is exact and the same everywhere in the frame.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

# cv2 takes integer positions as 16 bits, and no more than four channels.
_LARGEST_SIDE = 32_000
_CHANNELS_AT_A_TIME = 4


def warp(image: npt.NDArray[np.generic], flow: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """`image(x + flow(x))` at every pixel x.

    `image` is uint8 or float32, (H, W) or (H, W, C), of finite values: NaN spreads to the pixels that read it.
    `flow` (H, W, 2) float32, in pixels, leads from the wanted picture to `image`; unknown flow leaves a pixel where it
    is. Returns float32 of the shape and range of the image. Raises ValueError where sizes differ or are too large.
    """
    if image.shape[:2] != flow.shape[:2] or flow.shape[2:] != (2,):
        raise ValueError(f"a picture of shape {image.shape} cannot follow a flow of shape {flow.shape}")
    if max(flow.shape) > _LARGEST_SIDE:
        raise ValueError(f"a picture of shape {image.shape} is larger than {_LARGEST_SIDE} px")
    if image.ndim == 3 and image.shape[2] > _CHANNELS_AT_A_TIME:
        groups = range(0, image.shape[2], _CHANNELS_AT_A_TIME)
        return np.concatenate([warp(image[:, :, c : c + _CHANNELS_AT_A_TIME], flow) for c in groups], axis=2)

    left, right, across = _neighbours(flow[..., 0], axis=1)
    above, below, down = _neighbours(flow[..., 1], axis=0)
    source = np.ascontiguousarray(image if image.dtype == np.uint8 else image.astype(np.float32, copy=False))
    if image.ndim == 3:
        across, down = across[..., None], down[..., None]

    def row(rows: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
        return _blend(_fetch(source, left, rows), _fetch(source, right, rows), across)

    return _blend(row(above), row(below), down).reshape(image.shape)


def warp_sharp(image: npt.NDArray[np.generic], flow: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """`warp` with cubic instead of linear sampling (Catmull and Rom 1974), clipped to the range of 0..255.

    Why: a picture that is carried on from frame to frame loses its fine strokes to linear sampling within a few frames.

    `image` is uint8 or float32, (H, W, C) of up to 4 channels, 0..255; `flow` as in `warp`. Returns float32 (H, W, C).
    Raises ValueError where sizes differ or the image has another shape.
    """
    if image.ndim != 3 or image.shape[2] > _CHANNELS_AT_A_TIME or image.shape[:2] != flow.shape[:2]:
        raise ValueError(f"a picture of shape {image.shape} cannot follow a flow of shape {flow.shape}")
    source = np.ascontiguousarray(image if image.dtype == np.uint8 else image.astype(np.float32, copy=False))
    columns, rows = _cubic_neighbours(flow[..., 0], axis=1), _cubic_neighbours(flow[..., 1], axis=0)
    result = np.zeros(image.shape, np.float32)
    for row, down in rows:
        for column, across in columns:
            result += (down * across)[..., None] * _fetch(source, column, row)
    return np.clip(result, 0, 255, out=result)


def compose(ab: npt.NDArray[np.float32], bc: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The flow from A to C, (H, W, 2) float32: `ab(x) + bc(x + ab(x))`, bilinear; NaN where a flow that it reads is.

    A point that leaves B is continued with the flow at the edge. Along a chain A, B, C, ... the points that never
    left are those `inside_frame` of every flow from A: of `ab`, and of `compose(ab, bc)`, and so on.
    """
    return np.where(np.isnan(ab), np.float32(np.nan), ab + warp(bc, ab))


def inside_frame(flow: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Where a flow (H, W, 2) leads to a point within the outermost pixel centres: (H, W) bool; False where unknown."""
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float64) + flow[..., 0]
    y = np.arange(height, dtype=np.float64)[:, None] + flow[..., 1]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def _neighbours(
    displacement: npt.NDArray[np.float32], axis: int
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16], npt.NDArray[np.float32]]:
    """The two integer positions around every target along an axis, and the weight of the second, 0..1."""
    size = displacement.shape[axis]
    start = np.arange(size, dtype=np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
    # One frame's length is as far as replication can tell apart; it also keeps the sum within 16 bits.
    reach = np.clip(np.nan_to_num(displacement, nan=0.0), -size, size)
    whole = np.floor(reach)
    first = start + whole
    last = np.float32(size - 1)
    return (
        np.clip(first, 0, last).astype(np.int16),
        np.clip(first + 1, 0, last).astype(np.int16),
        reach - whole,
    )


def _cubic_neighbours(
    displacement: npt.NDArray[np.float32], axis: int
) -> list[tuple[npt.NDArray[np.int16], npt.NDArray[np.float32]]]:
    """The four integer positions around every target along an axis, and their weights, which sum to 1."""
    last = displacement.shape[axis] - 1
    _, _, t = _neighbours(displacement, axis)
    start = np.arange(last + 1, dtype=np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
    reach = np.clip(np.nan_to_num(displacement, nan=0.0), -last - 1, last + 1)
    base = start + np.floor(reach)
    weights = (
        (-(t**3) + 2 * t**2 - t) / 2,
        (3 * t**3 - 5 * t**2 + 2) / 2,
        (-3 * t**3 + 4 * t**2 + t) / 2,
        (t**3 - t**2) / 2,
    )
    return [
        (np.clip(base + k - 1, 0, last).astype(np.int16), weight.astype(np.float32, copy=False))
        for k, weight in enumerate(weights)
    ]


def _fetch(
    image: npt.NDArray[np.generic], columns: npt.NDArray[np.int16], rows: npt.NDArray[np.int16]
) -> npt.NDArray[np.float32]:
    fetched = cv2.remap(image, cv2.merge((columns, rows)), None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return fetched.reshape(image.shape).astype(np.float32, copy=False)


def _blend(
    a: npt.NDArray[np.float32], b: npt.NDArray[np.float32], weight_of_b: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """`a + weight (b - a)`, in the memory of b."""
    b -= a
    b *= weight_of_b
    b += a
    return b
