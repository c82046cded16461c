"""The content's colours kept (Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer").

There are two ways, both of the paper:
- Colour matching: the painting is given the content's colour statistics before it becomes a target (`match_color`).
- Luminance only: luminance is painted (`luminance`, `match_luminance`), then combined with the content's colour
  (`recombine`).

In a video, the content's statistics are taken once a shot (`color_statistics` of a few of its frames). Taken for each
frame they would make the colours flicker. All arithmetic is float64.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from farm.errors import UsageError

Method = Literal["match", "match-cholesky"]
"""How a transform is chosen among those that match the covariance; see `color_transform`."""
Matrix = NDArray[np.float64]
"""(3, 3), or a vector (3,)."""

YIQ_FROM_RGB: Matrix = np.array(
    [[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]]
)
"""(3, 3): rows are Y, I and Q of NTSC, luminance and chrominance, as the paper uses them."""

VARIANCE_FLOOR = 1e-2
"""Grey levels squared, added to every variance of a picture whose colours do not span three dimensions."""


def color_statistics(frames: Iterable[NDArray[np.uint8]]) -> tuple[Matrix, Matrix]:
    """Mean (3,) and covariance (3, 3) of the RGB pixels of all frames (H, W, 3) together, in grey levels.

    Raises UsageError where there is no frame.
    """
    count, total, products = 0, np.zeros(3), np.zeros((3, 3))
    for frame in frames:
        pixels = frame.reshape(-1, 3).astype(np.float64) - 127.5  # centred, for less cancellation below
        count += len(pixels)
        total += pixels.sum(0)
        products += pixels.T @ pixels
    if count == 0:
        raise UsageError("colour statistics need at least one frame")
    mean = total / count
    return mean + 127.5, products / count - np.outer(mean, mean)


def match_color(
    style: NDArray[np.uint8], content_mean: Matrix, content_covariance: Matrix, method: Method = "match"
) -> NDArray[np.uint8]:
    """The painting (H, W, 3) with the content's mean and covariance of colour, up to clipping and rounding."""
    mean, covariance = color_statistics([style])
    return move_colors(style, mean, color_transform(covariance, content_covariance, method), content_mean)


def move_colors(picture: NDArray[np.uint8], mean: Matrix, transform: Matrix, to_mean: Matrix) -> NDArray[np.uint8]:
    """`x' = A (x - mu) + mu'` for every pixel of an RGB picture (H, W, 3), rounded and clipped."""
    moved = (picture.reshape(-1, 3) - mean) @ transform.T + to_mean
    return _to_uint8(moved).reshape(picture.shape)


def color_transform(style_covariance: Matrix, content_covariance: Matrix, method: Method = "match") -> Matrix:
    """The transform A (3, 3) with `A Sigma_S A^T = Sigma_C`, of covariances (3, 3). Section 3.1 of the paper.

    "match" is `Sigma_C^(1/2) Sigma_S^(-1/2)` with symmetric roots (Image Analogies), which the paper prefers.
    "match-cholesky" is `L_C L_S^-1`. VARIANCE_FLOOR is added to a degenerate covariance, such as that of a grey
    picture, so that rounding noise does not become colour.
    Raises UsageError for another method.
    """
    style_covariance = _regular(style_covariance)
    if method == "match":
        # The content's covariance is not inverted, so a grey content may make the painting exactly grey.
        values, vectors = np.linalg.eigh(content_covariance)
        content_root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
        values, vectors = np.linalg.eigh(style_covariance)
        return np.asarray(content_root @ (vectors / np.sqrt(values)) @ vectors.T)
    if method == "match-cholesky":
        content_root = np.linalg.cholesky(_regular(content_covariance))
        return np.linalg.solve(np.linalg.cholesky(style_covariance).T, content_root.T).T
    raise UsageError(f"colour method {method!r} is not known", "use match or match-cholesky")


def luminance(image: NDArray[Any]) -> NDArray[Any]:
    """The Y of an RGB picture (H, W, 3), in all three channels: what is painted in place of the picture.

    uint8 gives uint8, rounded. Float gives float32, not clipped, and NaN where a channel is NaN.
    """
    grey = image.astype(np.float64) @ YIQ_FROM_RGB[0]
    grey = _to_uint8(grey) if image.dtype == np.uint8 else grey.astype(np.float32)
    return np.repeat(grey[..., None], 3, axis=2)


def match_luminance(style: NDArray[np.uint8], content_mean: float, content_deviation: float) -> NDArray[np.uint8]:
    """The luminance of the painting (H, W, 3) with the content's mean and deviation, in all three channels.

    `L_S' = (sigma_C / sigma_S) (L_S - mu_S) + mu_C`. Section 3.2 of the paper.
    """
    grey = style.astype(np.float64) @ YIQ_FROM_RGB[0]
    deviation = max(float(grey.std()), VARIANCE_FLOOR**0.5)
    matched = (grey - grey.mean()) * (content_deviation / deviation) + content_mean
    return np.repeat(_to_uint8(matched)[..., None], 3, axis=2)


def luminance_statistics(mean: Matrix, covariance: Matrix) -> tuple[float, float]:
    """Mean and standard deviation of Y, in grey levels, from mean (3,) and covariance (3, 3) of RGB."""
    weights = YIQ_FROM_RGB[0]
    return float(weights @ mean), float(np.sqrt(max(0.0, weights @ covariance @ weights)))


def recombine(stylized_luminance: NDArray[Any], content: NDArray[np.uint8]) -> NDArray[Any]:
    """The picture with the Y of `stylized_luminance` and the I and Q of `content`, all (H, W, 3).

    The result has the dtype of the first: uint8, or float32 in 0..255. Where RGB would leave 0..255, Y is moved to the
    nearest value that gives a colour within 0..255, so that I and Q stay the content's exactly.
    """
    painted = stylized_luminance.astype(np.float64) @ YIQ_FROM_RGB[0]
    original = content.astype(np.float64)
    # A change of Y moves every channel by the same amount, because the inverse's first column is all ones.
    shift = painted - original @ YIQ_FROM_RGB[0]
    is_uint8 = stylized_luminance.dtype == np.uint8
    shift = (shift.round() if is_uint8 else shift).clip(-original.min(axis=-1), 255 - original.max(axis=-1))
    return (original + shift[..., None]).astype(np.uint8 if is_uint8 else np.float32)


def _regular(covariance: Matrix) -> Matrix:
    if np.linalg.eigvalsh(covariance)[0] >= VARIANCE_FLOOR:
        return covariance
    return covariance + VARIANCE_FLOOR * np.eye(3)


def _to_uint8(values: Matrix) -> NDArray[np.uint8]:
    return values.round().clip(0, 255).astype(np.uint8)
