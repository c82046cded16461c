"""A 3x3 convolution with a quarter of the multiplications: Winograd's F(4x4, 3x3) (Lavin and Gray 2016), float32, CPU.

    kernel = WinogradKernel(weight)                      # (O, I, 3, 3)
    out = kernel.convolve(x, bias, rectify=True)         # relu(conv(x) + bias), zeros around x
    at_input = kernel.gradient(at_output)                # the gradient by the convolution's input

A product of polynomials is determined by its values at enough points: 6x6 of them for tiles of 4x4 outputs. The values
of maps and kernel there are multiplied point by point and summed over channels, which is 36 matrix products. oneDNN,
which PyTorch calls, did not use this method on any CPU that was tried.

The points are 0, infinity, and two pairs of a and 1/a, so that the reciprocal of each is one of them. A kernel turned
by 180 degrees has its values at the reciprocals; so forward and backward share one transformed kernel, which takes four
times the memory of the plain one. With a = 0.7 the root mean square error is 1e-6, half that of the usual points (0, 1,
2 and negatives).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

TILE, TAPS = 4, 3
"""Outputs of a tile, and taps of a kernel, along each side."""
POINTS = TILE + TAPS - 1
"""Points along each side. A tile sees as many inputs."""
FINITE = (0.0, 0.7, -0.7, 1 / 0.7, -1 / 0.7)
"""The points but the last, which is infinity."""
RECIPROCAL = [5, 3, 4, 1, 2, 0]
"""Index of each point's reciprocal, in the order of FINITE and then infinity."""
FEWEST_PRODUCTS = 64 * 128
"""Least product of input and output channels for which Winograd's method is used. With less, the transforms take as
long as they save.
"""
FEWEST_TILES = 20
"""Least number of tiles for which Winograd's method is used. With fewer, reading the transformed kernel takes as long
as multiplying by the plain one.
"""


def pays(outputs: int, inputs: int, size: tuple[int, int] | None = None) -> bool:
    """Whether Winograd's method is faster than the plain convolution, for maps of (height, width); None is large maps.

    >>> pays(128, 64), pays(64, 64), pays(128, 64, (12, 12))
    (True, False, False)
    """
    tiles = -(-size[0] // TILE) * -(-size[1] // TILE) if size else FEWEST_TILES
    return outputs * inputs >= FEWEST_PRODUCTS and tiles >= FEWEST_TILES


class WinogradKernel:
    """A transformed 3x3 kernel. Maps are (1, C, H, W) float32, channels-last in memory."""

    def __init__(self, weight: Tensor) -> None:
        """Transform `weight` (O, I, 3, 3) float32."""
        outputs, inputs = weight.shape[:2]
        _, of_kernel, _ = transforms()
        values = torch.einsum("ai,bj,ocij->abco", of_kernel, of_kernel, weight.double())
        self._values = values.reshape(POINTS**2, inputs, outputs).to(weight.dtype)

    def convolve(self, x: Tensor, bias: Tensor, rectify: bool = False, reflect: bool = False) -> Tensor:
        """conv(x) + bias, and its ReLU with `rectify`: (1, I, H, W) and (O,) -> (1, O, H, W).

        Around the map are zeros or, with `reflect`, its mirror image.
        """
        size = (x.shape[2], x.shape[3])
        if reflect:
            x = functional.pad(x, (1, 1, 1, 1), mode="reflect")
        return _convolve(x, size, self._values, *_of_tiles(), bias, rectify)

    def gradient(self, at_output: Tensor) -> Tensor:
        """The gradient by the convolution's input (1, I, H, W), from that by its output (1, O, H, W)."""
        size = (at_output.shape[2], at_output.shape[3])
        return _convolve(at_output, size, self._values.transpose(1, 2), *_of_turned_tiles(), None, False)


def _convolve(
    x: Tensor,
    size: tuple[int, int],
    values: Tensor,
    to_points: Tensor,
    to_outputs: Tensor,
    bias: Tensor | None,
    rectify: bool,
) -> Tensor:
    """Convolve strip by strip of tiles, so that intermediate values stay in the cache.

    `x` has the size (height, width), or one pixel more on each side.
    """
    height, width = size
    inputs, outputs = values.shape[1:]
    down, across = -(-height // TILE), -(-width // TILE)
    before = (height + 2 - x.shape[2]) // 2
    right, below = across * TILE + 2 - before - x.shape[3], down * TILE + 2 - before - x.shape[2]
    padded = functional.pad(x[0].permute(1, 2, 0), (0, 0, before, right, before, below))
    out = padded.new_empty(down * TILE, across * TILE, outputs)
    # A strip has about as many tiles as the kernel has outputs: then its values take no more memory than the kernel's.
    rows = max(1, outputs // across)
    for first in range(0, down, rows):
        count = min(rows, down - first)
        strip = padded[first * TILE : (first + count) * TILE + TAPS - 1]
        tiles = strip.unfold(0, POINTS, TILE).unfold(1, POINTS, TILE).permute(3, 4, 0, 1, 2)
        transformed = to_points.mm(tiles.reshape(POINTS**2, -1)).view(POINTS**2, count * across, inputs)
        blocks = to_outputs.mm(transformed.bmm(values).view(POINTS**2, -1)).view(TILE, TILE, count, across, outputs)
        part = out[first * TILE : (first + count) * TILE]
        part.view(count, TILE, across, TILE, outputs).copy_(blocks.permute(2, 0, 3, 1, 4))
        if bias is not None:
            part.add_(bias)
        if rectify:
            part.relu_()
    return out[:height, :width].permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)


@lru_cache
def transforms() -> tuple[Tensor, Tensor, Tensor]:
    """The matrices that transform inputs (6, 6), a kernel (6, 3) and products (4, 6), in one dimension, float64.

    They are those of Toom and Cook's multiplication, transposed (Blahut 2010, section 5). The kernel's row of a finite
    point is divided by the point and the inputs' row multiplied by it: the rows of a and 1/a are then each other's
    reverse.
    """
    scale = np.array([point or 1.0 for point in FINITE])
    of_inputs, of_kernel, of_products = np.zeros((POINTS, POINTS)), np.zeros((POINTS, TAPS)), np.zeros((TILE, POINTS))
    for row, point in enumerate(FINITE):
        others = [other for other in FINITE if other != point]
        of_inputs[row, :-1] = np.poly(others)[::-1] / np.prod([point - other for other in others]) * scale[row]
    of_inputs[-1] = np.poly(FINITE)[::-1]
    of_kernel[:-1] = np.vander(FINITE, TAPS, increasing=True) / scale[:, None]
    of_products[:, :-1] = np.vander(FINITE, TILE, increasing=True).T
    of_kernel[-1, -1] = of_products[-1, -1] = 1
    return torch.from_numpy(of_inputs), torch.from_numpy(of_kernel), torch.from_numpy(of_products)


@lru_cache
def _of_tiles() -> tuple[Tensor, Tensor]:
    """The matrices that transform a tile's inputs (36, 36) and its products (16, 36), in two dimensions, float32."""
    of_inputs, _, of_products = transforms()
    return torch.kron(of_inputs, of_inputs).float(), torch.kron(of_products, of_products).float()


@lru_cache
def _of_turned_tiles() -> tuple[Tensor, Tensor]:
    """The same for a kernel turned by 180 degrees, whose values stay in the order of the kernel's own."""
    of_inputs, _, of_products = transforms()
    of_inputs, of_products = of_inputs[RECIPROCAL], of_products[:, RECIPROCAL]
    return torch.kron(of_inputs, of_inputs).float(), torch.kron(of_products, of_products).float()
