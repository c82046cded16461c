"""Frames painted by a trained network.

painter = InstantPainter(path, runtime)
painted = painter.paint([frame, frame])       # (H, W, 3) uint8 each
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from farm.paint.device import choose_device, configure_threads
from farm.paint.network.folded import folded
from farm.paint.network.network import StyleNetwork
from farm.paint.network.network_file import load_network_file
from farm.plan import Runtime

Frame = NDArray[np.uint8]
"""(H, W, 3) RGB."""


class InstantPainter:
    """One network at work. A frame's picture depends on that frame alone.

    On a CPU, frames are painted one by one, because a batch gains nothing there and does not fit into the caches. On a
    GPU every batch is filled up to the same length, because cuDNN may choose another algorithm for another length.
    """

    network: nn.Module
    """The network in its fast form: (N, 3, H, W) in 0..255 -> the same shape, float32."""
    batch: int
    """Frames that are worth painting together."""

    def __init__(self, path: str, runtime: Runtime) -> None:
        """Load the network in the file at `path`. Raises WeightsError, and UsageError for a device that is not
        there.
        """
        configure_threads(runtime.threads)
        self._device = choose_device(runtime.device)
        self.network = prepared(load_network_file(path)[0], self._device, runtime.precision == "bf16")
        self.batch = 8
        self._at_once = 1 if self._device.type == "cpu" else self.batch

    def paint(self, frames: Sequence[Frame]) -> list[Frame]:
        """The painted pictures of frames of one size, in order."""
        painted: list[Frame] = []
        with torch.inference_mode():
            for begin in range(0, len(frames), self._at_once):
                some = list(frames[begin : begin + self._at_once])
                filled = np.stack(some + some[-1:] * (self._at_once - len(some)))
                x = torch.from_numpy(filled).to(self._device).permute(0, 3, 1, 2)
                images = self.network(x).clamp_(0, 255).round_().to(torch.uint8).permute(0, 2, 3, 1)
                painted += list(images.contiguous().cpu().numpy()[: len(some)])
        return painted


def prepared(network: StyleNetwork, device: torch.device, bf16: bool) -> nn.Module:
    """The network for inference: on the device, in bfloat16 or float32, channels-last in memory, in its fast form."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    network = network.to(device, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return folded(network)
