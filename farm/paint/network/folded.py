"""The fast form of a trained network: enlargement is folded into the convolution that follows it. It paints the same.

    network = folded(network)
    painted = network(photographs)      # as `StyleNetwork`

A 3x3 convolution of a map that was enlarged twofold by repetition sees each small pixel more than once. Its output at
the four places (a, b), with a and b in 0, 1, within a small pixel is a convolution of the small map with the kernel's
taps added up: 2x2 taps, 4/9 of the work, four times the channels (Shi et al. 2016 for the rearrangement). The last two
layers have maps of 8 and 3 channels at full size. They stay in the folded form, 32 and 12 channels at half the size,
because these fill a processor's vectors. Reflection at the edge of an enlarged map is repetition at the edge of the
small one. In float32 on a CPU the layers of many channels are convolved by Winograd's method.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from farm.paint.features.winograd import WinogradKernel, pays
from farm.paint.network.network import HALF_RANGE, InstanceNorm, Layer, StyleNetwork, in_range, padded

TAPS = torch.tensor([[[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]], dtype=torch.float32)
"""`TAPS[a, s, d]` is 1 where tap d of the enlarged map's kernel, at place a, falls on tap s of the small map's
kernel.
"""


def folded(network: StyleNetwork) -> nn.Module:
    """The fast form of `network`, for inference: a copy on the same device, in the same precision."""
    copy = deepcopy(network)
    at_half_size = network.architecture.head == 3  # a larger kernel, as the paper's, would take more work so
    for module in list(copy.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Layer) and child.enlarges and not (at_half_size and child is copy.up[-1]):
                setattr(module, name, Enlarged(child))
            elif isinstance(child, Layer) and not child.enlarges and Wide.is_for(child.convolution):
                setattr(module, name, Wide(child))
    return FoldedNetwork(copy) if at_half_size else copy


class FoldedNetwork(nn.Module):
    """A network whose first layer takes grey levels (`Stem`) and whose last two layers are at half the size."""

    last_weight: Tensor
    last_bias: Tensor
    head_weight: Tensor
    head_bias: Tensor

    def __init__(self, network: StyleNetwork) -> None:
        """The layers between are those of `network`, shared and not copied."""
        super().__init__()
        *before, last = network.up
        assert isinstance(last, Layer)
        self.architecture = network.architecture
        stem, *down = network.down
        assert isinstance(stem, Layer)
        self.down = nn.Sequential(Stem(stem), *down)
        self.trunk = network.trunk
        self.middle = nn.Sequential(*before)
        self._last_norm = last.norm
        self._register("last", _small_kernel(last.convolution.weight), last.convolution.bias)
        self._register("head", _places_kernel(network.head.convolution.weight), network.head.convolution.bias)

    def forward(self, photograph: Tensor) -> Tensor:
        """Photographs (N, 3, H, W) in 0..255 -> paintings of the same shape, float32. Each depends on one
        photograph.
        """
        height, width = photograph.shape[2:]
        x = padded(photograph, self.head_weight.dtype, self.architecture.stride)
        x = self.middle(self.trunk(self.down(x)))
        x = functional.conv2d(_beyond(x), self.last_weight, self.last_bias)
        rows, columns = x.shape[2:]
        # The places of a pixel are adjacent in memory: seen as four times the columns, they are normalised as one map.
        flat = x.permute(0, 2, 3, 1).reshape(len(x), rows, columns * 4, -1).permute(0, 3, 1, 2)
        assert self._last_norm is not None
        flat = self._last_norm(flat).relu_().permute(0, 2, 3, 1)
        x = flat.reshape(len(x), rows, columns, -1).permute(0, 3, 1, 2)
        x = functional.conv2d(_beyond(x), self.head_weight, self.head_bias)
        return in_range(_apart(x))[..., :height, :width]

    def _register(self, name: str, weight: Tensor, bias: Tensor | None) -> None:
        self.register_buffer(f"{name}_weight", weight.contiguous(memory_format=torch.channels_last))
        self.register_buffer(f"{name}_bias", _repeated(bias, weight))


class Stem(nn.Module):
    """The first layer, for a picture in 0..255 instead of the -1..1 of `normalized`.

    Why: bfloat16 holds grey levels exactly. The layer's output is HALF_RANGE times as large; the instance normalisation
    after it divides by that factor again, with an epsilon that is larger by its square.
    """

    bias: Tensor

    def __init__(self, layer: Layer) -> None:
        """Share the weights of `layer`."""
        super().__init__()
        assert layer.norm is not None
        assert layer.convolution.bias is not None
        self.convolution, self._pad = layer.convolution, layer.pad
        self.norm = InstanceNorm(len(layer.norm.weight), layer.norm.epsilon * HALF_RANGE**2)
        self.norm.weight, self.norm.bias = layer.norm.weight, layer.norm.bias
        exact = layer.convolution.weight.detach().float()
        bias = (layer.convolution.bias.detach().float() - exact.sum((1, 2, 3))) * HALF_RANGE
        self.register_buffer("bias", bias.to(layer.convolution.bias.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in 0..255 -> (N, C, h, w)."""
        x = functional.pad(x, (self._pad,) * 4, mode="reflect")
        x = functional.conv2d(x, self.convolution.weight, self.bias, self.convolution.stride)
        return self.norm(x).relu_()


class Enlarged(nn.Module):
    """A layer that enlarges, computed with 2x2 taps on the small map."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: Layer) -> None:
        """Fold the kernel of `layer`, and share its normalisation."""
        super().__init__()
        assert layer.norm is not None
        self.norm = layer.norm
        weight = _corner_kernel(layer.convolution.weight)
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", _repeated(layer.convolution.bias, weight))

    def forward(self, x: Tensor, activate: bool = True) -> Tensor:
        """(N, I, H, W) -> (N, O, 2 H, 2 W); `activate` applies the ReLU."""
        x = functional.conv2d(_beyond(x), self.weight, self.bias)
        x = self.norm(_apart(x)[..., 1:-1, 1:-1].contiguous(memory_format=torch.channels_last))
        return x.relu_() if activate else x


class Wide(nn.Module):
    """A layer of many channels, in float32 on a CPU, by Winograd's convolution."""

    def __init__(self, layer: Layer) -> None:
        """Transform the kernel of `layer`, and share its normalisation."""
        super().__init__()
        assert layer.norm is not None
        assert layer.convolution.bias is not None
        self.norm = layer.norm
        self._kernel, self._bias = WinogradKernel(layer.convolution.weight.detach()), layer.convolution.bias.detach()

    @staticmethod
    def is_for(convolution: nn.Conv2d) -> bool:
        """Whether Winograd's method applies to the convolution and is faster."""
        weight = convolution.weight
        plain = convolution.kernel_size == (3, 3) and convolution.stride == (1, 1)
        return plain and weight.device.type == "cpu" and weight.dtype == torch.float32 and pays(*weight.shape[:2])

    def forward(self, x: Tensor, activate: bool = True) -> Tensor:
        """(N, I, H, W) -> (N, O, H, W); `activate` applies the ReLU."""
        maps = [self._kernel.convolve(single, self._bias, reflect=True) for single in x.split(1)]
        x = self.norm(maps[0] if len(maps) == 1 else torch.cat(maps))
        return x.relu_() if activate else x


def _repeated(bias: Tensor | None, weight: Tensor) -> Tensor:
    """The bias (O,) repeated for each place: as long as `weight`."""
    assert bias is not None
    return bias.detach().repeat(len(weight) // len(bias))


def _beyond(x: Tensor) -> Tensor:
    return functional.pad(x, (1, 1, 1, 1), mode="replicate")


def _apart(x: Tensor) -> Tensor:
    """(N, 4 C, H, W), place by place -> (N, C, 2 H, 2 W)."""
    count, channels, rows, columns = x.shape
    places = x.permute(0, 2, 3, 1).reshape(count, rows, columns, 2, 2, channels // 4)
    return places.permute(0, 1, 3, 2, 4, 5).reshape(count, rows * 2, columns * 2, channels // 4).permute(0, 3, 1, 2)


def _small_kernel(kernel: Tensor) -> Tensor:
    """(O, I, 3, 3) for the enlarged map -> (4 O, I, 3, 3) for the small one, place by place."""
    exact = kernel.detach().float().cpu()
    folded_kernel = torch.einsum("asd,bte,oide->aboist", TAPS, TAPS, exact)
    return folded_kernel.reshape(-1, kernel.shape[1], 3, 3).to(kernel)


def _corner_kernel(kernel: Tensor) -> Tensor:
    """(O, I, 3, 3) -> (4 O, I, 2, 2): a window of 2x2 small pixels gives the four places around its middle.

    Along each axis these are the last place of one pixel and the first of the next: the places are in reverse order.
    """
    exact = kernel.detach().float().cpu()
    taps = torch.stack([TAPS[1, 1:], TAPS[0, :2]])
    folded_kernel = torch.einsum("asd,bte,oide->aboist", taps, taps, exact)
    return folded_kernel.reshape(-1, kernel.shape[1], 2, 2).to(kernel)


def _places_kernel(kernel: Tensor) -> Tensor:
    """(O, I, 3, 3) at full size -> (4 O, 4 I, 3, 3) from places to places at half size."""
    exact = kernel.detach().float().cpu()
    out, into = kernel.shape[:2]
    places = torch.zeros(2, 2, out, 2, 2, into, 3, 3)
    for a in (0, 1):
        for b in (0, 1):
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    row, column = a + down, b + right
                    place = (a, b, slice(None), row % 2, column % 2, slice(None), row // 2 + 1, column // 2 + 1)
                    places[place] = exact[:, :, down + 1, right + 1]
    return places.reshape(4 * out, 4 * into, 3, 3).to(kernel)
