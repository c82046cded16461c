"""The networks that paint a photograph (Johnson et al. 2016, supplementary material).

    network = StyleNetwork(ARCHITECTURES["small"])
    painted = network(photographs)            # (N, 3, H, W) float32 RGB in 0..255, in and out

What departs from the paper: instance instead of batch normalisation (Ulyanov et al. 2016), reflection padding, and
nearest-neighbour enlargement before a convolution instead of a transposed convolution, which leaves checkerboards
(Odena et al. 2016).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from farm.spec.choices import NetworkKind

HALF_RANGE = 127.5
"""Half of the range of grey levels."""


@dataclass(frozen=True)
class Architecture:
    """The layout of a network. The trunk is at a quarter of the picture's size."""

    down: tuple[int, ...]
    """Channels of the layers before the trunk. Where there is only one, the first convolution halves the size
    already.
    """
    trunk: int
    """Channels of the trunk."""
    blocks: int
    """Residual blocks of the trunk."""
    up: tuple[int, int]
    """Channels of the layers that enlarge."""
    stem: int
    """Side of the first kernel."""
    head: int
    """Side of the last kernel."""
    coarse: int = 0
    """Channels of the residual blocks if they are at an eighth of the size, beside the identity; 0 has them at a
    quarter.
    """

    @property
    def stride(self) -> int:
        """Pixels of the picture in one pixel of the smallest map. Sides are padded to a multiple of it."""
        return 8 if self.coarse else 4


ARCHITECTURES: dict[NetworkKind, Architecture] = {
    "johnson": Architecture(down=(32, 64), trunk=128, blocks=5, up=(64, 32), stem=9, head=9),
    "small": Architecture(down=(24,), trunk=48, blocks=6, up=(24, 8), stem=5, head=3, coarse=96),
}
"""The networks that `farm train` knows. `small` takes a sixth of the time of `johnson` (float32, one core).

`small` has no convolution at full size but the last two, which have 8 and 3 channels. Its blocks are at an eighth of
the size with twice the channels, for nearly the same work, because strokes are longer than what a block at a quarter
sees: each half of the blocks that moved there lowered the style loss after four minutes by a tenth.
"""


class StyleNetwork(nn.Module):
    """Turns photographs into paintings. Sides that are no multiple of its stride are padded, and cut again."""

    def __init__(self, architecture: Architecture) -> None:
        """Random weights, by PyTorch's generator."""
        super().__init__()
        self.architecture = architecture
        first, *rest = (*architecture.down, architecture.trunk)
        halved = len(architecture.down) == 1
        self.down = nn.Sequential(Layer(3, first, architecture.stem, stride=2 if halved else 1))
        before = first
        for after in rest:
            self.down.append(Layer(before, after, 3, stride=2))
            before = after
        coarse = architecture.coarse
        self.trunk = nn.Sequential(*(Residual(coarse or before) for _ in range(architecture.blocks)))
        if coarse:
            down, up = Layer(before, coarse, 3, stride=2), Layer(coarse, before, 3, enlarge=True)
            self.trunk = nn.Sequential(Hourglass(down, self.trunk, up))
        middle, last = architecture.up
        self.up = nn.Sequential(Layer(before, middle, 3, enlarge=True), Layer(middle, last, 3, enlarge=True))
        self.head = Layer(last, 3, architecture.head, normalize=False)

    def forward(self, photograph: Tensor) -> Tensor:
        """Photographs (N, 3, H, W) in 0..255 -> paintings of the same shape, float32, mostly within 0..255.

        Each painting depends on one photograph.
        """
        height, width = photograph.shape[2:]
        x = padded(normalized(photograph), self.head.convolution.weight.dtype, self.architecture.stride)
        return in_range(self.head(self.up(self.trunk(self.down(x)))))[..., :height, :width]


def normalized(photograph: Tensor) -> Tensor:
    """Grey levels 0..255 as -1..1, of the same shape."""
    return photograph / HALF_RANGE - 1


def padded(x: Tensor, dtype: torch.dtype, stride: int) -> Tensor:
    """(N, C, H, W) in `dtype`, channels-last in memory, mirrored at its end until the sides are multiples of
    `stride`.
    """
    height, width = x.shape[2:]
    x = x.to(dtype, memory_format=torch.channels_last)
    return functional.pad(x, (0, -width % stride, 0, -height % stride), mode="reflect")


def in_range(x: Tensor) -> Tensor:
    """The last layer's output as grey levels float32, of the same shape.

    As in Johnson's networks they go a little beyond 0..255, so that black and white need no infinite weights.
    """
    return torch.tanh(x.float()) * 150 + HALF_RANGE


class Layer(nn.Module):
    """Reflection padding, convolution, instance normalisation, ReLU."""

    def __init__(
        self, before: int, after: int, kernel: int, stride: int = 1, enlarge: bool = False, normalize: bool = True
    ) -> None:
        """`before` and `after` are channels, `kernel` is a side. `enlarge` doubles the size before the convolution.

        Without `normalize` the layer is padding and convolution alone, as the last of a network.
        """
        super().__init__()
        self.convolution = nn.Conv2d(before, after, kernel, stride)
        self.norm = InstanceNorm(after) if normalize else None
        self.pad = kernel // 2
        self.enlarges = enlarge

    def forward(self, x: Tensor, activate: bool = True) -> Tensor:
        """(N, I, H, W) -> (N, O, H', W'); `activate` applies the ReLU."""
        if self.enlarges:
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
        x = self.convolution(functional.pad(x, (self.pad,) * 4, mode="reflect"))
        if self.norm is None:
            return x
        x = self.norm(x)
        return x.relu() if activate else x


class Residual(nn.Module):
    """Two convolutions beside the identity, without a ReLU after the sum (Gross and Wilber 2016)."""

    def __init__(self, channels: int) -> None:
        """Two layers of 3x3 kernels."""
        super().__init__()
        self.first, self.second = Layer(channels, channels, 3), Layer(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return x + self.second(self.first(x), activate=False)


class Hourglass(nn.Module):
    """Blocks at half the size, beside the identity (as in Newell et al. 2016, of depth one)."""

    def __init__(self, down: nn.Module, blocks: nn.Module, up: nn.Module) -> None:
        """`down` halves the size, `up` doubles it."""
        super().__init__()
        self.down, self.blocks, self.up = down, blocks, up

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return x + self.up(self.blocks(self.down(x)), activate=False)


class InstanceNorm(nn.Module):
    """Each channel of each picture to mean 0 and variance 1, then scaled and shifted.

    For one picture this is batch normalisation with the batch's own statistics, which PyTorch computes in channels-last
    memory. Its instance normalisation copies every tensor twice, and took as long as the convolutions.
    """

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        """`epsilon` is added to the variance."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        one_by_one = [
            functional.batch_norm(picture, None, None, self.weight, self.bias, training=True, eps=self.epsilon)
            for picture in x.split(1)
        ]
        return one_by_one[0] if len(one_by_one) == 1 else torch.cat(one_by_one)
