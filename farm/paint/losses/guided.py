"""A style of its own for each region of a picture, by Gram matrices that are taken over a region only.

    subject = StyledRegion(weight, StyleTargets.of(features, [Style(wave)], (height, width)))
    kept = StyledRegion(other_weight, None)                                   # stays the photograph
    optimizer.stylize(frame, start, 300, regions=[subject, kept])             # the rest has the optimizer's targets

Source: Gatys, Ecker, Bethge, Hertzmann, Shechtman, "Controlling Perceptual Factors in Neural Style Transfer" (2017),
section 3, spatial guidance by guided Gram matrices. Two choices of ours:

- A guided Gram matrix is `sum m f f^T / (C sum m)`, so the paper's guidance channel is the square root of the mask. The
  regions of a soft edge then share each position, and regions that cover a picture add up to its Gram matrix.
- The loss of a region is weighted by its share of the area. A position is then drawn to the style by the same factor in
  a small region, in a large one, and in a picture that is all one style. A small region still has strokes of its own,
  because its Gram matrix is a mean over that region alone.

The mask of a layer has at each position the mean over the pixels that the network pools into it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from farm.paint.features.architectures import layer_stride
from farm.paint.losses.functional import flatten_positions
from farm.paint.losses.layer_losses import positions_of
from farm.paint.losses.targets import StyleTargets
from farm.paint.losses.tiles import StyleParts

KEEP_WEIGHT = 1000.0
"""Weight of the mean squared distance to the photograph where it is kept. It equals the default weight of a temporal
tie.
"""
FEATHER = 1.0
"""Standard deviation in pixels of the soft edge outside a region whose photograph is pasted over the painting."""
SMALLEST_AREA = 1.0
"""Least number of positions of a layer that a region must cover to have a Gram matrix there."""


@dataclass(frozen=True)
class StyledRegion:
    """A region of a picture, and its style at the picture's size."""

    weight: NDArray[np.float32]
    """(H, W) in 0..1: how far each pixel belongs to the region."""
    targets: StyleTargets | None
    """None keeps the photograph."""


def region_at(weight: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """The weight (H, W) float32 in 0..1 of a region, resized to (height, width)."""
    resized = cv2.resize(weight, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return np.clip(resized, 0, 1, dtype=np.float32)


def layer_weights(masks: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
    """How far each pixel belongs to each region, where regions lie on top of each other and the last one on top.

    `masks` (H, W) uint8 in 0..255 -> as many weights (H, W) float32 in 0..1. Their sum is 1 at most; the rest is the
    background.
    """
    weights: list[NDArray[np.float32]] = []
    left = np.float32(1)
    for mask in reversed(masks):
        covered = mask.astype(np.float32) / np.float32(255)
        weights.append((left * covered).astype(np.float32))
        left = left * (1 - covered)
    return weights[::-1]


def paste(painted: NDArray[Any], photograph: NDArray[np.uint8], weight: NDArray[np.float32]) -> NDArray[Any]:
    """The photograph (H, W, 3) pasted over the painted picture (H, W, 3).

    It is exact where `weight` (H, W) is 1, with a soft edge outside. The result has the dtype of `painted`: uint8, or
    float32 in 0..255.
    """
    share = np.maximum(weight, cv2.GaussianBlur(weight, (0, 0), FEATHER))[..., None]
    mixed = share * photograph.astype(np.float32) + (1 - share) * painted.astype(np.float32)
    return mixed.round().clip(0, 255).astype(np.uint8) if painted.dtype == np.uint8 else mixed


def guided_gram(features: Tensor, weight: Tensor) -> Tensor:
    """The Gram matrix `sum m f f^T / (C sum m)` of a region: (1, C, H, W) and weights m (H W,) -> (C, C) float32.

    For a weight of ones it is `gram_matrix`.
    """
    flat = flatten_positions(features).float()
    return (flat.t() @ (flat * weight[:, None])) / (float(weight.sum(dtype=torch.float64)) * flat.shape[1])


class Guide:
    """The regions of one frame at the resolution of every layer, and the background that they leave."""

    kept: NDArray[np.float32] | None
    """(H, W) in 0..1: how far each pixel stays the photograph. None where no region does."""
    keep: Tensor | None
    """`kept` as (1, 1, H, W) on the device."""

    def __init__(
        self,
        regions: Sequence[StyledRegion],
        background: StyleTargets,
        layers: Collection[str],
        device: torch.device | str,
    ) -> None:
        """`background` has the targets of what the regions leave; `layers` are the style layers."""
        rest = np.clip(1 - sum(region.weight for region in regions), 0, 1).astype(np.float32)
        parts = [StyledRegion(rest, background), *regions]
        keeping = [region.weight for region in regions if region.targets is None]
        self.kept = np.sum(keeping, axis=0, dtype=np.float32).clip(0, 1) if keeping else None
        self.keep = None if self.kept is None else torch.from_numpy(self.kept)[None, None].to(device)
        self._weights: dict[str, Tensor] = {}
        self._targets: dict[str, Tensor] = {}
        styled = [(torch.from_numpy(part.weight).to(device), part.targets.grams) for part in parts if part.targets]
        for name in layers:
            pooled = [(pool_to_layer(weight, name), grams[name]) for weight, grams in styled]
            pooled = [(weight, gram) for weight, gram in pooled if float(weight.sum()) >= SMALLEST_AREA]
            if pooled:
                self._weights[name] = torch.stack([weight for weight, _ in pooled])
                self._targets[name] = torch.stack([gram for _, gram in pooled])

    def style_losses(self, layer_weights: Mapping[str, float]) -> dict[str, GuidedStyleLoss]:
        """The loss of every layer that a region reaches, of the weight in `layer_weights`; see GuidedStyleLoss."""
        return {
            name: GuidedStyleLoss(masks, self._targets[name], layer_weights[name])
            for name, masks in self._weights.items()
        }

    def parts(self, size: Sequence[int]) -> dict[str, StyleParts]:
        """The targets and masks of every layer, for a picture of `size` (height, width) that tiles.py computes in
        tiles.
        """
        return {
            name: StyleParts(
                self._targets[name], weights.reshape(-1, size[0] // layer_stride(name), size[1] // layer_stride(name))
            )
            for name, weights in self._weights.items()
        }


def pool_to_layer(weight: Tensor, layer: str) -> Tensor:
    """The mask of a layer, as the mean over each position's pixels: (H, W) -> (H' W',).

    Sides are halved as often as the network pools before `layer`.
    """
    pooled = weight[None, None]
    for _ in range(int(layer[4]) - 1):
        pooled = functional.avg_pool2d(pooled, 2)
    return pooled.flatten()


class GuidedStyleLoss:
    """The style loss of R regions, with its gradient in closed form: a LayerLoss.

    With `a_r` the mean of a region's mask, the loss is `w sum a_r mean((G_r - target_r)^2)`. Its gradient is
    `4 w / (C^2 C H W) sum m_r F (G_r - target_r)`: the area cancels.
    """

    term = "style"
    """See LayerLoss."""

    def __init__(self, masks: Tensor, targets: Tensor, weight: float) -> None:
        """`masks` (R, H W) float32 in 0..1, none of them all 0; `targets` (R, C, C) float32."""
        self._masks = masks
        self._targets = targets
        self._weight = weight

    def measure(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted loss, and the differences (R, C, C) of the Gram matrices to their targets."""
        differences = torch.stack([guided_gram(features, mask) for mask in self._masks]) - self._targets
        loss = (self._masks.mean(1) * differences.square().mean((1, 2))).sum()
        return self._weight * loss, differences

    def add_gradient(self, features: Tensor, remembered: Tensor, gradient: Tensor) -> None:
        """Add the gradient in place; see LayerLoss."""
        pulls = remembered * (4 * self._weight / (remembered[0].numel() * features.numel()))
        flat, sums = flatten_positions(features), positions_of(gradient)
        for mask, pull in zip(self._masks, pulls.to(flat.dtype), strict=True):
            sums.addmm_(flat * mask[:, None].to(flat.dtype), pull)
