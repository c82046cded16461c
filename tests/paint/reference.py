"""The network once more, from its published description, for autograd: what the farm's own is held to."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

BLUE_GREEN_RED_MEAN = torch.tensor([103.939, 116.779, 123.68]).reshape(1, 3, 1, 1)


def plain_vgg(image: Tensor, weights, pooling="max") -> dict[str, Tensor]:
    """BGR, mean subtracted, 3x3 convolutions, ReLU, 2x2 pooling, in the weights' precision. Every layer by its name."""
    pool = {"max": functional.max_pool2d, "avg": functional.avg_pool2d}[pooling]
    x, found, block = (image.flip(1) - BLUE_GREEN_RED_MEAN), {}, "1"
    x = x.to(weights.convolutions["conv1_1"][0].dtype)
    for name, (weight, bias) in weights.convolutions.items():
        if name[4] != block:
            x, block = pool(x, 2), name[4]
        kernel = weight.flip(1) if name == "conv1_1" else weight
        x = torch.relu(functional.conv2d(x, kernel, bias, padding=1))
        found[name.replace("conv", "relu")] = x
    return found
