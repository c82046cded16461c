"""The ReLU outputs of a VGG network (Simonyan and Zisserman 2014), frozen, for the perceptual losses.

    features = VGGFeatures(load_weights(), pooling="max")
    maps = features(image, ("relu1_1", "relu4_2"))      # image (1, 3, H, W), RGB, 0..255
    terms, gradient = features.evaluate(image, {"relu4_2": [ContentLoss(target, 5.0)]})

The network runs only as deep as the deepest layer that is asked for. Its weights never change, so autograd is not
needed: `evaluate` goes forward, keeps the outputs, and goes back, and each loss adds its gradient where its layer is
passed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from farm.errors import InputError
from farm.paint.features.architectures import check_layers, layer_stride, relu_names
from farm.paint.features.convolution import Convolution, relu_gradient_
from farm.paint.features.pooling import Pool, pool_kind
from farm.paint.features.weights import VGGWeights
from farm.paint.stopwatch import timed
from farm.spec.choices import Pooling

Look = Callable[[str, Tensor], None]
"""Takes the name of a layer and its features (1, C, H', W')."""

SeeInput = Callable[[str, int, Tensor], None]
"""Takes the name of a layer, the pixels from one position of its map to the next, and its convolution's input."""

MINIMUM_SIDE = 16
"""Least side of a picture in pixels. Four poolings come before relu5_1, so nothing would be left of a smaller one."""


class LayerLoss(Protocol):
    """A loss on the features (1, C, H, W) of one layer."""

    term: str
    """Name of the term of the whole loss that this loss is a part of."""

    def measure(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted loss, a float32 scalar, and what `add_gradient` will need of these features."""

    def add_gradient(self, features: Tensor, remembered: Tensor, gradient: Tensor) -> None:
        """Add the gradient of the weighted loss to `gradient` (1, C, H, W), in place.

        `features` are those that were measured, `remembered` is what `measure` gave.
        """


class VGGFeatures:
    """A frozen VGG. Its layers are named `relu1_1` to `relu5_4` (VGG-16: `relu5_3`)."""

    def __init__(
        self,
        weights: VGGWeights,
        pooling: Pooling = "max",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        winograd: bool = False,
    ) -> None:
        """Features have `dtype`, in channels-last memory.

        `pooling`: Gatys et al. 2015 report slightly more appealing results for "avg"; the network was trained, and the
        reference systems run, with "max". `winograd`: in float32 on a CPU, wide layers are convolved by winograd.py, in
        half the time and with an error of a millionth. It is for training only: L-BFGS compares losses that differ by
        less, and had to begin again on black frames.
        Raises UsageError for an unknown pooling.
        """
        self._pool = pool_kind(pooling)
        self._winograd = winograd
        self.weights = weights
        self.pooling = pooling
        self.dtype = dtype
        self.device = torch.device(device)
        self.layers = relu_names(weights.architecture)
        self.mean = torch.tensor(weights.mean, device=device).reshape(1, 3, 1, 1)
        self._convolutions = {
            name.replace("conv", "relu"): Convolution(weight, bias, self.device, dtype, winograd=winograd)
            for name, (weight, bias) in weights.convolutions.items()
        }

    def with_dtype(self, dtype: torch.dtype) -> VGGFeatures:
        """The same network in another precision; this object if it has that precision."""
        if dtype == self.dtype:
            return self
        return VGGFeatures(self.weights, self.pooling, self.device, dtype, winograd=self._winograd)

    @torch.no_grad()
    def __call__(self, image: Tensor, layers: Collection[str], look: Look | None = None) -> dict[str, Tensor]:
        """The features (1, C, H', W') of every layer in `layers`, for `image` (1, 3, H, W) float32 RGB in 0..255.

        With `look`, each layer's features are passed to it as soon as they are computed, and are not kept: the result
        is empty.
        Raises UsageError for an unknown layer, InputError for a picture below 16 pixels, ValueError for another shape.
        """
        maps: dict[str, Tensor] = {}
        look = look or maps.__setitem__
        self._forward(image, layers, lambda step: look(step.layer, step.output) if step.layer in layers else None)
        return maps

    @torch.no_grad()
    def evaluate(
        self, image: Tensor, losses: Mapping[str, Sequence[LayerLoss]], with_gradient: bool = True
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """The losses of the layers, added up by term, and the gradient (1, 3, H, W) float32 of the sum of all.

        `image` (1, 3, H, W) float32 RGB in 0..255. Losses are float32 scalars, which autograd cannot differentiate. The
        gradient is None if it is not asked for. Raises as a call does.
        """
        terms: dict[str, Tensor] = {}
        steps: list[_Step] = []

        def measure(step: _Step) -> None:
            for loss in losses.get(step.layer, ()):
                with timed("losses"):
                    value, remembered = loss.measure(step.output)
                terms[loss.term] = terms[loss.term] + value if loss.term in terms else value
                step.remembered.append(remembered)
            if with_gradient:
                steps.append(step)

        with timed("forward"):
            self._forward(image, losses, measure)
        if not with_gradient:
            return terms, None
        with timed("backward"):
            return terms, self._backward(image, losses, steps)

    @torch.no_grad()
    def look_at_inputs(self, image: Tensor, layers: Collection[str], see: SeeInput, look: Look) -> None:
        """Pass what goes into each convolution to `see`, as deep as the deepest of `layers`, and these to `look`.

        `see` is given the name of the convolution's layer, the pixels from one position of its map to the next, and the
        map (1, C, H', W'). `image` is that of a call, which this raises as.
        """
        self._forward(image, layers, lambda step: look(step.layer, step.output) if step.layer in layers else None, see)

    def centred(self, image: Tensor) -> Tensor:
        """What goes into the first convolution: `image` (1, 3, H, W) without the mean, in the network's precision."""
        return (image - self.mean).to(self.dtype, memory_format=torch.channels_last)

    def convolution(self, layer: str) -> Convolution:
        """The convolution whose ReLU is `layer`."""
        return self._convolutions[layer]

    def _forward(
        self,
        image: Tensor,
        layers: Collection[str],
        visit: Callable[[_Step], None],
        see: SeeInput | None = None,
    ) -> None:
        self._check(image, layers)
        x = self.centred(image)
        before: _Step | None = None
        for name in self.layers[: 1 + max(self.layers.index(layer) for layer in layers)] if layers else ():
            pool = None
            if before and name[4] != before.layer[4]:
                pool = self._pool(x)
                x = pool.pooled
            if see:
                see(name, layer_stride(name), x)
            x = self._convolutions[name](x)
            before = _Step(name, x, pool)
            visit(before)

    def _backward(self, image: Tensor, losses: Mapping[str, Sequence[LayerLoss]], steps: list[_Step]) -> Tensor:
        """The gradient by the image. The list of steps is emptied from its end, so that their memory is freed on the
        way.
        """
        if not steps:
            return torch.zeros_like(image)
        gradient = torch.zeros_like(steps[-1].output)
        masked = False
        while steps:
            step = steps.pop()
            for loss, remembered in zip(losses.get(step.layer, ()), step.remembered, strict=True):
                with timed("losses"):
                    loss.add_gradient(step.output, remembered, gradient)
                masked = False
            if not masked:
                relu_gradient_(gradient, step.output)
            gradient = self._convolutions[step.layer].gradient(gradient)
            masked = False
            if step.pool:
                gradient = step.pool.gradient(gradient)
                masked = step.pool.masked
        return gradient.to(image.dtype)

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


@dataclass
class _Step:
    """One layer on the way forward: its output, the pooling before it, and what its losses need for the way back."""

    layer: str
    output: Tensor
    pool: Pool | None
    remembered: list[Tensor] = field(default_factory=list)
