"""A 3x3 convolution with its ReLU, and the gradient by its input alone: the weights are frozen.

    layer = Convolution(weight, bias, device, torch.bfloat16)
    out = layer(x)                                # relu(conv(x) + bias), kept by the caller for the way back
    at_input = layer.gradient(at_convolution)     # of the loss, by x, from that by the convolution's output

On a CPU that multiplies in bfloat16, weights are reordered once into the blocks in which oneDNN wants them, and bias
and ReLU are part of the convolution's own pass. The gradient by the input of a 3x3 convolution of stride 1 is
the convolution with the kernel turned by 180 degrees and its channels exchanged, so it takes the same way.
In float32 on a CPU, wide layers may go Winograd's way (winograd.py), where a millionth does not matter.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from farm.paint.device import packs_convolutions
from farm.paint.features.winograd import WinogradKernel, pays

_ONE = [1, 1]


class Convolution:
    """`weight` (O, I, 3, 3), `bias` (O,). Maps are (1, C, H, W) of `dtype`, channels-last in memory."""

    def __init__(
        self, weight: Tensor, bias: Tensor, device: torch.device, dtype: torch.dtype, *, winograd: bool = False
    ) -> None:
        self._channels = weight.shape[1]
        self._bias = bias.to(device, dtype)
        self._weight = weight.to(device, dtype, memory_format=torch.channels_last)
        self._wide: WinogradKernel | None = None
        self._may_be_wide = winograd and device.type == "cpu" and dtype == torch.float32
        self._turned: Tensor | None = None
        if packs_convolutions(device, dtype):
            turned = self._weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
            self._weight, self._turned = _pack(self._weight), _pack(turned)

    def __call__(self, x: Tensor) -> Tensor:
        """(1, I, H, W) -> (1, O, H, W), none of it below 0."""
        if self._turned is not None:
            return _convolve(x, self._weight, self._bias, "relu")
        if wide := self._winograd(x):
            return wide.convolve(x, self._bias, rectify=True)
        return functional.conv2d(x, self._weight, self._bias, padding=1).relu_()

    def gradient(self, at_output: Tensor) -> Tensor:
        """(1, O, H, W), the gradient before the ReLU -> (1, I, H, W)."""
        if self._turned is not None:
            return _convolve(at_output, self._turned, None, "none")
        if wide := self._winograd(at_output):
            return wide.gradient(at_output)
        shape = (1, self._channels, *at_output.shape[2:])
        like_input = at_output.new_empty(()).expand(shape)  # only its shape counts
        at_input, _, _ = torch.ops.aten.convolution_backward(
            at_output, like_input, self._weight, None, _ONE, _ONE, _ONE, False, [0, 0], 1, [True, False, False]
        )
        return at_input  # type: ignore[no-any-return]

    def _winograd(self, x: Tensor) -> WinogradKernel | None:
        """Where it is faster for maps of this size; transformed when first needed."""
        height, width = x.shape[2:]
        if not self._may_be_wide or not pays(len(self._bias), self._channels, (height, width)):
            return None
        self._wide = self._wide or WinogradKernel(self._weight)
        return self._wide


def relu_gradient_(at_output: Tensor, output: Tensor) -> Tensor:
    """In place: the gradient by a ReLU's input, from its output."""
    return torch.ops.aten.threshold_backward.grad_input(at_output, output, 0, grad_input=at_output)


def _pack(weight: Tensor) -> Tensor:
    # The blocks do not depend on the size of the map (the operator's last argument), so one copy serves all sizes.
    return torch.ops.mkldnn._reorder_convolution_weight(weight, _ONE, _ONE, _ONE, 1, None)


def _convolve(x: Tensor, packed: Tensor, bias: Tensor | None, then: str) -> Tensor:
    return torch.ops.mkldnn._convolution_pointwise(x, packed, bias, _ONE, _ONE, _ONE, 1, then, [], "")
