"""How a network's weights follow the gradient: Muon for the kernels, Adam for the rest, and no step far beyond the
usual.

    descent = Descent(network, learning_rate)
    descent.step(share=1.0)                  # uses the gradients in `parameter.grad`

Muon (Jordan et al. 2024) makes a step of equal length along all singular directions of a kernel, seen as a matrix of
outputs by inputs and taps. Why: a kernel's gradient is nearly all along a few directions, which are soon learnt. After
four minutes the style loss was a sixth lower than with Adam alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from farm.paint.network.network import StyleNetwork
from farm.paint.training.muon import Muon

LARGEST_GRADIENT = 3.0
"""Largest length of a gradient, as a multiple of the running mean of earlier lengths."""
VARIANCE_MEMORY = 0.99
"""Adam's second beta. Its usual 0.999 averages over a thousand steps, and a training has only thousands."""
KERNEL_RATE = 10.0
"""Muon's learning rate, as a multiple of Adam's. Muon's step is 1 along each direction, Adam's about 1 for each number.

Measured: rates from 7 to 17 made little difference in four minutes; with 33 the style loss was 1.35 times as large.
"""
KERNEL_MOMENTUM = 0.9
"""Momentum of Muon."""


class Descent:
    """A network's two optimisers."""

    def __init__(self, network: StyleNetwork, learning_rate: float) -> None:
        """`network` must stay where it is in memory. `learning_rate` is Adam's."""
        self._parameters = list(network.parameters())
        kernels: list[Tensor] = []
        others: list[Tensor] = []
        for parameter in self._parameters:
            # The last kernel makes pixels of features, not features of features: Jordan et al. 2024 leave such layers
            # to Adam as well.
            inner = parameter.ndim == 4 and parameter is not network.head.convolution.weight
            (kernels if inner else others).append(parameter)
        matrices = [nn.Parameter(as_matrix(kernel.detach())) for kernel in kernels]
        self._kernels = list(zip(kernels, matrices, strict=True))
        self._adam = torch.optim.Adam(others, learning_rate, betas=(0.9, VARIANCE_MEMORY))
        rate = KERNEL_RATE * learning_rate
        self._muon = Muon(matrices, rate, momentum=KERNEL_MOMENTUM)
        self._rates = (learning_rate, rate)
        self._usual = 0.0

    def step(self, share: float) -> None:
        """Make one step from the gradients in `parameter.grad`, with `share` 0..1 of the learning rate.

        A gradient longer than LARGEST_GRADIENT allows is shortened. One that is not finite is ignored. Why there are
        such: normalisation divides by the deviation of a channel, which is nearly 0 where a crop is flat.
        """
        limit = LARGEST_GRADIENT * self._usual if self._usual else math.inf
        norm = float(nn.utils.clip_grad_norm_(self._parameters, limit))
        if not math.isfinite(norm):
            return
        self._usual = min(norm, limit) if not self._usual else 0.95 * self._usual + 0.05 * min(norm, limit)
        for kernel, matrix in self._kernels:
            assert kernel.grad is not None
            matrix.grad = as_matrix(kernel.grad)
        for optimizer, rate in zip((self._adam, self._muon), self._rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * share
            optimizer.step()

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on but the network, for `torch.save`."""
        return {"adam": self._adam.state_dict(), "muon": self._muon.state_dict(), "usual": self._usual}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`, which `state()` gave. Raises KeyError, ValueError or RuntimeError for another."""
        self._adam.load_state_dict(state["adam"])
        self._muon.load_state_dict(state["muon"])
        self._usual = state["usual"]


def as_matrix(kernel: Tensor) -> Tensor:
    """A kernel (O, I, K, K) as a matrix (O, K K I): a view where the memory is channels-last, as a network's is."""
    return kernel.permute(0, 2, 3, 1).flatten(1)
