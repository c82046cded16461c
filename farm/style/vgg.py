"""The ReLU outputs of a VGG network (Simonyan and Zisserman 2014), frozen, for the perceptual losses.

    features = VGGFeatures(load_weights(), pooling="max")
    found = features(image, ("relu1_1", "relu4_2"))      # image (1, 3, H, W), RGB, 0..255

The network runs only as deep as the deepest layer asked for. `tap` sees each layer on its way and may return
a tensor in its place: that is how `farm.style.taps` adds a loss without a second branch in the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn
from torch.nn import functional

from farm.choices import Pooling
from farm.errors import InputError, UsageError
from farm.style.weights import VGGWeights, layer_names

Tap = Callable[[str, Tensor], Tensor]

MINIMUM_SIDE = 16
"""Pixels. Four poolings come before relu5_1; below this nothing is left of the picture."""


class VGGFeatures(nn.Module):
    """Layers are named `relu1_1` ... `relu5_4` (VGG-16: `relu5_3`). Gradients flow to the image only.

    `pooling`: Gatys et al. 2015 report slightly more appealing results for "avg"; the network was trained,
    and the reference systems run, with "max". Outputs have the module's `dtype`, in channels-last memory.
    """

    mean: Tensor

    def __init__(
        self,
        weights: VGGWeights,
        pooling: Pooling = "max",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if pooling not in ("max", "avg"):
            raise UsageError(f"pooling {pooling!r} is not known", "use max or avg")
        self.weights = weights
        self.pooling = pooling
        self.dtype = dtype
        self.device = torch.device(device)
        self.layers = relu_names(weights.architecture)
        self.register_buffer("mean", torch.tensor(weights.mean, device=device).reshape(1, 3, 1, 1))
        self._kernels = {
            name.replace("conv", "relu"): (
                weight.to(self.device, dtype, memory_format=torch.channels_last),
                bias.to(self.device, dtype),
            )
            for name, (weight, bias) in weights.convolutions.items()
        }

    def with_dtype(self, dtype: torch.dtype) -> VGGFeatures:
        """The same network in another precision; itself if it has that one."""
        if dtype == self.dtype:
            return self
        return VGGFeatures(self.weights, self.pooling, self.device, dtype)

    def forward(self, image: Tensor, layers: Collection[str], tap: Tap | None = None) -> dict[str, Tensor]:
        """`image` (1, 3, H, W) float32 RGB in 0..255 -> {layer: (1, C, H', W')} for every layer asked for.

        Raises UsageError for an unknown layer, InputError for a picture below 16 pixels.
        """
        self._check(image, layers)
        wanted = set(layers)
        found: dict[str, Tensor] = {}
        x = (image - self.mean).to(self.dtype, memory_format=torch.channels_last)
        pool = functional.max_pool2d if self.pooling == "max" else functional.avg_pool2d
        block = "1"
        for name in self.layers:
            if len(found) == len(wanted):
                break
            if name[4] != block:
                block = name[4]
                x = pool(x, 2)
            weight, bias = self._kernels[name]
            x = functional.conv2d(x, weight, bias, padding=1).relu_()
            if name in wanted:
                x = tap(name, x) if tap else x
                found[name] = x
        return found

    def _check(self, image: Tensor, layers: Collection[str]) -> None:
        check_layers(self.weights.architecture, layers)
        if image.ndim != 4 or image.shape[:2] != (1, 3):
            raise ValueError(f"an image must have the shape (1, 3, H, W), not {tuple(image.shape)}")
        height, width = image.shape[2:]
        if min(height, width) < MINIMUM_SIDE:
            raise InputError(
                f"a picture of {width}x{height} pixels is too small to be stylised",
                f"both sides must have at least {MINIMUM_SIDE} pixels",
            )


def relu_names(architecture: str) -> tuple[str, ...]:
    """`relu1_1`, `relu1_2`, `relu2_1`, ... in the order in which they are applied."""
    return tuple(name.replace("conv", "relu") for name in layer_names(architecture))


def check_layers(architecture: str, layers: Collection[str]) -> None:
    """Raises UsageError for a layer that a network of this kind lacks."""
    known = relu_names(architecture)
    if unknown := sorted(set(layers) - set(known)):
        raise UsageError(f"{architecture} has no layer {unknown[0]!r}", f"it has {', '.join(known)}")
