"""Content and style loss on a feature map on its way through the network, with their gradients in closed form.

Same values as `farm.style.losses`, which the tests hold them to. What is saved against plain autograd:
- The gradient of a Gram loss is `4 w / (C^2 C H W) F (G - A)`: one matrix product, where autograd takes two.
- It is added to the gradient from the deeper layers inside that product, without a pass of its own.
- In bfloat16 the product of the backward pass runs in bfloat16, as the gradient it is added to.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from farm.style.losses import flatten_positions, gram_matrix


def style_tap(features: Tensor, target: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """The features unchanged, and the style loss of this layer: `mean((G - target)^2)`.

    `target` (C, C) float32. Only the gradient is multiplied by `scale`: the loss that comes back is a plain
    number for the books, and the caller runs `backward` on the deepest features, not on a sum of losses.
    """
    return _StyleTap.apply(features, target, scale)


def content_tap(features: Tensor, target: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """The features unchanged, and the content loss `mean((features - target)^2)`; `scale` as in style_tap."""
    return _ContentTap.apply(features, target, scale)


class _StyleTap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, target: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        difference = gram_matrix(features) - target
        loss = difference.square().mean()
        ctx.save_for_backward(features, difference * (4 * scale / (difference.numel() * features.numel())))
        ctx.mark_non_differentiable(loss)
        return features.view_as(features), loss

    @staticmethod
    def backward(ctx: Any, from_deeper: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        features, difference = ctx.saved_tensors
        _, channels, height, width = features.shape
        gradient = torch.addmm(
            flatten_positions(from_deeper), flatten_positions(features), difference.to(features.dtype)
        )
        return gradient.reshape(1, height, width, channels).permute(0, 3, 1, 2), None, None


class _ContentTap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, target: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        difference = features.float() - target
        loss = difference.square().mean()
        ctx.save_for_backward((difference * (2 * scale / features.numel())).to(features.dtype))
        ctx.mark_non_differentiable(loss)
        return features.view_as(features), loss

    @staticmethod
    def backward(ctx: Any, from_deeper: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return from_deeper + gradient, None, None
