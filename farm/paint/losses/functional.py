"""The losses of neural style transfer, as plain differentiable functions: the definitions.

Images are float32 RGB in 0..255, features (1, C, H, W) of any float dtype. Every sum is taken in float32, because Gram
matrices overflow float16 and lose their small entries in bfloat16.

    total = content_weight * content_loss + style_weight * style_loss
          + temporal_weight * temporal_loss + tv_weight * total_variation + range_weight * range_loss

The scales follow the systems of Johnson (neural-style) and Ruder (artistic-videos), not Gatys' formulas: they are means
instead of sums, so that weights hold at every size. Weights 5 : 100 : 1000 are Ruder's alpha 1, beta 20, gamma 200.

`range_loss` is ours. Why: a picture is clipped to 0..255 in the end. Clipping the result of an unbounded optimisation
raised the style loss by 38 % on a photograph of 160 pixels, and by more on harder cases. With this term the clipped
picture has the lower loss, and the optimisation takes no longer.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from farm.paint.device import multiplies_bfloat16
from farm.spec import PaintSpec

_DEFAULTS = PaintSpec()

CONTENT_WEIGHT: float = _DEFAULTS.weights.content
"""Default weight of `content_loss`; this and the next three are those of farm.spec.paint."""
STYLE_WEIGHT: float = _DEFAULTS.weights.style
"""Default weight of `style_loss`."""
TEMPORAL_WEIGHT: float = _DEFAULTS.weights.temporal
"""Default weight of `temporal_loss`."""
TV_WEIGHT: float = _DEFAULTS.weights.tv
"""Default weight of `total_variation`."""
RANGE_WEIGHT = 100_000.0
"""Weight of `range_loss`. No option sets it."""

CONTENT_LAYERS = tuple(_DEFAULTS.content_layers)
"""Layers of the content loss by default, each of weight 1."""
STYLE_LAYERS = tuple(_DEFAULTS.style_layers)
"""Layers of the style loss by default, each of weight 1."""
GRAM_BLOCKS = 8
"""Parts that `gram_sum` cuts the positions of bfloat16 features into."""


def gram_matrix(features: Tensor) -> Tensor:
    """The Gram matrix `F F^T / (C H W)` of a layer: (1, C, H, W) -> (C, C) float32.

    Gatys et al. 2015, eq. 3, with Johnson's scale.
    """
    flat = flatten_positions(features)
    return gram_sum(flat) / flat.numel()


def gram_sum(flat: Tensor) -> Tensor:
    """The sum over positions of `f f^T`: (N, C) -> (C, C) float32.

    Features of bfloat16 are multiplied in bfloat16 where the CPU can do so, twice as fast as in float32. Sums are taken
    in float32 within each of GRAM_BLOCKS parts, each part's sum is rounded to bfloat16, and the parts are added up in
    float32. The error of the matrix is then 5e-4 of its norm, at random; that of the features is larger.
    """
    if flat.dtype != torch.bfloat16 or flat.device.type != "cpu" or not multiplies_bfloat16(flat.device):
        exact = flat.float()
        return exact.t() @ exact
    even = flat.shape[0] // GRAM_BLOCKS * GRAM_BLOCKS
    blocks = flat[:even].view(GRAM_BLOCKS, -1, flat.shape[1])
    total = torch.bmm(blocks.mT, blocks).float().sum(0)
    rest = flat[even:].float()
    return total.addmm_(rest.t(), rest)


def flatten_positions(features: Tensor) -> Tensor:
    """(1, C, H, W) -> (H W, C), one row for each position; a view where the memory is channels-last."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of features (1, C, H, W) to a target of the same shape: a float32 scalar.

    Gatys et al. 2015, eq. 1, as a mean.
    """
    return (features.float() - target.float()).square().mean()


def style_loss(
    grams: Mapping[str, Tensor], targets: Mapping[str, Tensor], layer_weights: Mapping[str, float]
) -> Tensor:
    """Sum over layers of weight times the mean squared difference of Gram matrices (C, C): a float32 scalar.

    Gatys et al. 2015, eqs. 4 and 5.
    """
    terms = [weight * (grams[name] - targets[name]).square().mean() for name, weight in layer_weights.items()]
    return torch.stack(terms).sum()


def temporal_loss(image: Tensor, warped: Tensor, weight: Tensor) -> Tensor:
    """`1/D sum c (x - warped)^2` with D = 3 H W, a float32 scalar. Ruder et al. 2016, eq. 7.

    `image` and `warped` (1, 3, H, W); `weight` (H, W) is c in 0..1, how far the flow is trusted at a pixel. Objective
    computes the same in closed form, and is tested against this definition, which nothing else calls.
    """
    return (weight * (image - warped).square()).mean()


def total_variation(image: Tensor) -> Tensor:
    """Mean squared differences of neighbours in y, plus those in x, of an image (1, 3, H, W); 0 for a constant
    image.
    """
    vertical = image[..., 1:, :] - image[..., :-1, :]
    horizontal = image[..., :, 1:] - image[..., :, :-1]
    return vertical.square().mean() + horizontal.square().mean()


def range_loss(image: Tensor) -> Tensor:
    """Mean squared distance of an image from 0..255, a float32 scalar; 0 for every picture that can be stored.

    Objective computes the same in closed form, and is tested against this definition, which nothing else calls.
    """
    return (image - image.clamp(0, 255)).square().mean()
