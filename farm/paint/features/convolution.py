"""A 3x3 convolution with its ReLU, and its gradient by the input alone, because the weights are frozen.

    layer = Convolution(weight, bias, device, torch.bfloat16)
    out = layer(x)                                # relu(conv(x) + bias), kept by the caller for the way back
    at_input = layer.gradient(at_convolution)     # the loss's gradient by x, from that by the convolution's output

On a CPU that multiplies in bfloat16, the weights are reordered once into the blocks that oneDNN needs, and bias and
ReLU are part of the convolution's own pass. The gradient by the input of a 3x3 convolution of stride 1 is the
convolution with the kernel turned by 180 degrees and its channels exchanged, so it is computed in the same way. In
float32 on a CPU, wide layers may be convolved by winograd.py, for callers to whom an error of a millionth does not
matter.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from farm.paint.device import packs_convolutions
from farm.paint.features.bands import in_bands
from farm.paint.features.winograd import WinogradKernel, pays

_ONE, _NONE = [1, 1], [0, 0]


class Convolution:
    """A 3x3 convolution, zeros around the map, and its ReLU. Maps are (1, C, H, W), channels-last in memory."""

    def __init__(
        self, weight: Tensor, bias: Tensor, device: torch.device, dtype: torch.dtype, *, winograd: bool = False
    ) -> None:
        """`weight` (O, I, 3, 3) and `bias` (O,) are kept in `dtype`, that of the maps.

        `winograd` allows Winograd's convolution where it is faster: in float32 on a CPU, for wide layers.
        """
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
        """relu(conv(x) + bias): (1, I, H, W) -> (1, O, H, W)."""
        if self._turned is not None:
            return _convolve(x, self._weight, self._bias, "relu")
        if wide := self._winograd(x):
            return wide.convolve(x, self._bias, rectify=True)

        def convolve(rows: Tensor) -> Tensor:
            return functional.conv2d(rows, self._weight, self._bias, padding=1).relu_()

        return in_bands(convolve, x, (len(self._bias), x.dtype, "relu"))

    def within(self, padded: Tensor) -> Tensor:
        """The same of the inside of `padded` (1, I, H + 2, W + 2), whose outermost positions take the place of the
        zeros: (1, O, H, W).
        """
        if self._turned is not None:
            return torch.ops.mkldnn._convolution_pointwise(
                padded, self._weight, self._bias, _NONE, _ONE, _ONE, 1, "relu", [], ""
            )
        return functional.conv2d(padded, self._weight, self._bias).relu_()

    def gradient(self, at_output: Tensor) -> Tensor:
        """The gradient by the input (1, I, H, W), from that by the convolution's output (1, O, H, W), before
        the ReLU.
        """
        if self._turned is not None:
            return _convolve(at_output, self._turned, None, "none")
        if wide := self._winograd(at_output):
            return wide.gradient(at_output)

        def gradient(rows: Tensor) -> Tensor:
            like_input = rows.new_empty(()).expand(1, self._channels, *rows.shape[2:])  # only its shape counts
            at_input, _, _ = torch.ops.aten.convolution_backward(
                rows, like_input, self._weight, None, _ONE, _ONE, _ONE, False, [0, 0], 1, [True, False, False]
            )
            return at_input  # type: ignore[no-any-return]

        return in_bands(gradient, at_output, (self._channels, at_output.dtype, "gradient"))

    def _winograd(self, x: Tensor) -> WinogradKernel | None:
        """The transformed kernel, if it is faster for maps of this size. It is transformed when first needed."""
        height, width = x.shape[2:]
        if not self._may_be_wide or not pays(len(self._bias), self._channels, (height, width)):
            return None
        self._wide = self._wide or WinogradKernel(self._weight)
        return self._wide


def relu_gradient_(at_output: Tensor, output: Tensor) -> Tensor:
    """The gradient by a ReLU's input, written over that by its output; both and `output` (1, C, H, W)."""
    return torch.ops.aten.threshold_backward.grad_input(at_output, output, 0, grad_input=at_output)


def _pack(weight: Tensor) -> Tensor:
    # The blocks do not depend on the size of the map (the operator's last argument), so one copy serves all sizes.
    return torch.ops.mkldnn._reorder_convolution_weight(weight, _ONE, _ONE, _ONE, 1, None)


def _convolve(x: Tensor, packed: Tensor, bias: Tensor | None, then: str) -> Tensor:
    def convolve(rows: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(rows, packed, bias, _ONE, _ONE, _ONE, 1, then, [], "")

    return in_bands(convolve, x, (tuple(packed.shape), x.dtype, then))
