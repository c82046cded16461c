"""A trained network as it runs fastest: enlargement folded into the convolutions that follow it. The same pictures.

    network = folded(network)
    painted = network(photographs)      # as `StyleNetwork`

A 3x3 convolution of a map that was enlarged twofold by repetition sees each small pixel more than once. Its output at
the four places (a, b), a, b in 0, 1, within a pixel is a convolution of the small map with the kernel's taps added up:
2x2 taps, 4/9 of the work, four times the channels (Shi et al. 2016 for the rearrangement). The last two layers, whose
maps at full size have 8 and 3 channels, stay in that form, 32 and 12 channels at half size, which fill a processor's
vectors. Reflection at the edge of an enlarged map is repetition at the edge of the small one. In float32 on a CPU
the layers of many channels go Winograd's way.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from farm.paint.features.winograd import WinogradKernel, pays
from farm.paint.network.network import HALF_RANGE, InstanceNorm, Layer, StyleNetwork, in_range, padded

TAPS = torch.tensor([[[1, 0, 0], [0, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 0], [0, 0, 1]]], dtype=torch.float32)
"""`TAPS[a, s, d]`: whether tap d of the enlarged map's kernel, at place a, falls on tap s of the small map's."""


def folded(network: StyleNetwork) -> nn.Module:
    """For inference: a copy, on the network's device, in its precision."""
    copy = deepcopy(network)
    at_half_size = network.architecture.head == 3  # with a larger kernel, as the paper's, that would be more work
    for module in list(copy.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Layer) and child.enlarges and not (at_half_size and child is copy.up[-1]):
                setattr(module, name, Enlarged(child))
            elif isinstance(child, Layer) and not child.enlarges and Wide.is_for(child.convolution):
                setattr(module, name, Wide(child))
    return FoldedNetwork(copy) if at_half_size else copy


class FoldedNetwork(nn.Module):
    """The first layer takes grey levels (`Stem`), the last two stay at half the size; the others are `network`'s."""

    last_weight: Tensor
    last_bias: Tensor
    head_weight: Tensor
    head_bias: Tensor

    def __init__(self, network: StyleNetwork) -> None:
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
        """(N, 3, H, W) in 0..255 -> the same in float32. No picture depends on the others."""
        height, width = photograph.shape[2:]
        x = padded(photograph, self.head_weight.dtype, self.architecture.stride)
        x = self.middle(self.trunk(self.down(x)))
        x = functional.conv2d(_beyond(x), self.last_weight, self.last_bias)
        rows, columns = x.shape[2:]
        # The places of a pixel lie side by side in memory, so as many columns more normalise them as one map.
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
    """The first layer, of a picture in 0..255, which bfloat16 holds exactly: not of what `normalized` makes of it.

    The normalisation behind it takes out again by how much that is more, once it adds as much more to the variance.
    """

    bias: Tensor

    def __init__(self, layer: Layer) -> None:
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
        x = functional.pad(x, (self._pad,) * 4, mode="reflect")
        x = functional.conv2d(x, self.convolution.weight, self.bias, self.convolution.stride)
        return self.norm(x).relu_()


class Enlarged(nn.Module):
    """A layer that enlarges, as 2x2 taps of the small map; its normalisation is the layer's own."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        assert layer.norm is not None
        self.norm = layer.norm
        weight = _corner_kernel(layer.convolution.weight)
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", _repeated(layer.convolution.bias, weight))

    def forward(self, x: Tensor, activate: bool = True) -> Tensor:
        x = functional.conv2d(_beyond(x), self.weight, self.bias)
        x = self.norm(_apart(x)[..., 1:-1, 1:-1].contiguous(memory_format=torch.channels_last))
        return x.relu_() if activate else x


class Wide(nn.Module):
    """A layer of many channels, in float32 on a CPU, by Winograd's convolution."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        assert layer.norm is not None
        assert layer.convolution.bias is not None
        self.norm = layer.norm
        self._kernel, self._bias = WinogradKernel(layer.convolution.weight.detach()), layer.convolution.bias.detach()

    @staticmethod
    def is_for(convolution: nn.Conv2d) -> bool:
        weight = convolution.weight
        plain = convolution.kernel_size == (3, 3) and convolution.stride == (1, 1)
        return plain and weight.device.type == "cpu" and weight.dtype == torch.float32 and pays(*weight.shape[:2])

    def forward(self, x: Tensor, activate: bool = True) -> Tensor:
        maps = [self._kernel.convolve(single, self._bias, reflect=True) for single in x.split(1)]
        x = self.norm(maps[0] if len(maps) == 1 else torch.cat(maps))
        return x.relu_() if activate else x


def _repeated(bias: Tensor | None, weight: Tensor) -> Tensor:
    """For each place."""
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
    """(O, I, 3, 3) -> (4 O, I, 2, 2): a window of 2x2 small pixels makes the four places about its middle.

    Those are the last place of one pixel and the first of the next, so the places come in the other order.
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
