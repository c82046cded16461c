"""The features of windows of a picture whose surroundings do not change: a step over a tenth of it costs a tenth.

    windowed = WindowedFeatures(features, start, windows, layers, look)     # one pass of the network over the whole
    steps = windowed.forward(image, visit)
    gradient = windowed.backward(image, steps, add)                          # 0 outside the windows

A network that sees 80 pixels far would need halos that are larger than what moves in a small frame. So what a
convolution sees beyond the edge of a window is taken, at every layer, from the features of the picture that the
optimisation starts from. Inside, the features are exact for that surrounding. What is neglected is how changes inside
change the features outside: those within the network's reach of an edge.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from farm.paint.features.convolution import relu_gradient_
from farm.paint.features.pooling import Pool, pool_kind
from farm.paint.features.vgg import Look, VGGFeatures
from farm.paint.stopwatch import timed

WINDOW_GRID = 16
"""Pixels of the grid that windows lie on: the stride of the deepest layer, so that their poolings are the whole's."""


@dataclass(frozen=True)
class Window:
    """A rectangle of a picture, half-open, in pixels. It begins on the grid and ends there, or with the picture."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def area(self) -> int:
        """Pixels."""
        return (self.bottom - self.top) * (self.right - self.left)

    def of(self, feature_map: Tensor, stride: int = 1) -> Tensor:
        """The window in a map (..., H', W') of the whole picture, whose positions are `stride` pixels apart: a view."""
        return feature_map[..., self.top // stride : self.bottom // stride, self.left // stride : self.right // stride]


class _Surroundings:
    """What a convolution sees one position beyond a window: 0 beyond the picture."""

    def __init__(self, window: Window, whole: Tensor, stride: int) -> None:
        """`whole` (1, C, H', W') is the convolution's input, of the whole picture."""
        rows, columns = whole.shape[2:]
        top, bottom = window.top // stride, window.bottom // stride
        left, right = window.left // stride, window.right // stride
        wide = slice(max(left - 1, 0), min(right + 1, columns))
        beside = (int(left == 0), int(right == columns))

        def row(at: int) -> Tensor:
            if not 0 <= at < rows:
                return whole.new_zeros((1, whole.shape[1], right - left + 2))
            return functional.pad(whole[:, :, at, wide], beside)

        def column(at: int) -> Tensor:
            if not 0 <= at < columns:
                return whole.new_zeros((1, whole.shape[1], bottom - top))
            return whole[:, :, top:bottom, at].clone()

        self._above, self._below = row(top - 1), row(bottom)
        self._left, self._right = column(left - 1), column(right)

    def around(self, inside: Tensor) -> Tensor:
        """`inside` (1, C, h, w) with one position around it: (1, C, h + 2, w + 2)."""
        _, channels, height, width = inside.shape
        padded = torch.empty(
            (1, channels, height + 2, width + 2),
            dtype=inside.dtype,
            device=inside.device,
            memory_format=torch.channels_last,
        )
        padded[:, :, 1:-1, 1:-1] = inside
        padded[:, :, 0], padded[:, :, -1] = self._above, self._below
        padded[:, :, 1:-1, 0], padded[:, :, 1:-1, -1] = self._left, self._right
        return padded


@dataclass
class WindowStep:
    """One layer of one window on the way forward."""

    layer: str
    output: Tensor
    """(1, C, h, w), after the ReLU."""
    pool: Pool | None
    """The pooling before the layer."""
    remembered: list[Tensor] = field(default_factory=list)
    """What the caller needs on the way back."""


class WindowedFeatures:
    """A network that looks at windows of pictures which are the same outside of them."""

    def __init__(
        self,
        features: VGGFeatures,
        picture: Tensor,
        windows: Sequence[Window],
        layers: Collection[str],
        look: Look,
    ) -> None:
        """Look at the whole `picture` (1, 3, H, W) float32 once, as deep as the deepest of `layers`.

        `look` is given the features of each of `layers` of the whole picture. Raises as VGGFeatures does.
        """
        self._features = features
        self.windows = list(windows)
        deepest = max((features.layers.index(layer) for layer in layers), default=-1)
        self._layers = features.layers[: 1 + deepest]
        self._around: list[dict[str, _Surroundings]] = [{} for _ in windows]

        def keep(layer: str, stride: int, seen: Tensor) -> None:
            for window, around in zip(self.windows, self._around, strict=True):
                around[layer] = _Surroundings(window, seen, stride)

        with timed("forward"):
            features.look_at_inputs(picture, layers, keep, look)

    def forward(self, image: Tensor, visit: Callable[[int, WindowStep], None]) -> list[list[WindowStep]]:
        """The steps of every window of `image` (1, 3, H, W), in order. `visit(window, step)` sees each as it is made.

        `image` must be `picture` outside the windows. What it shows there is not looked at.
        """
        steps = []
        pool_of = pool_kind(self._features.pooling)
        for index, (window, around) in enumerate(zip(self.windows, self._around, strict=True)):
            x = self._features.centred(window.of(image))
            mine: list[WindowStep] = []
            for layer in self._layers:
                pool = None
                if mine and layer[4] != mine[-1].layer[4]:
                    pool = pool_of(x)
                    x = pool.pooled
                x = self._features.convolution(layer).within(around[layer].around(x))
                mine.append(WindowStep(layer, x, pool))
                visit(index, mine[-1])
            steps.append(mine)
        return steps

    def backward(
        self, image: Tensor, steps: list[list[WindowStep]], add: Callable[[int, WindowStep, Tensor], bool]
    ) -> Tensor:
        """The gradient by `image`, (1, 3, H, W), 0 outside the windows.

        `add(window, step, gradient)` adds that of a layer's own losses, and says whether it added any.
        """
        whole = torch.zeros_like(image)
        for index, (window, mine) in enumerate(zip(self.windows, steps, strict=True)):
            if not mine:  # no layer has a loss
                continue
            gradient = torch.zeros_like(mine[-1].output)
            masked = False
            while mine:
                step = mine.pop()
                if add(index, step, gradient):
                    masked = False
                if not masked:
                    relu_gradient_(gradient, step.output)
                gradient = self._features.convolution(step.layer).gradient(gradient)
                masked = False
                if step.pool:
                    gradient = step.pool.gradient(gradient)
                    masked = step.pool.masked
            window.of(whole).copy_(gradient)
        return whole
