"""Pictures as NumPy arrays become tensors of the painter, and back. Values are grey levels, 0..255."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def image_to_tensor(image: NDArray[Any], device: torch.device | str = "cpu") -> Tensor:
    """(H, W, 3) of any dtype -> (1, 3, H, W) float32 on the device, channels-last in memory."""
    return torch.from_numpy(np.array(image, dtype=np.float32)).to(device).permute(2, 0, 1).unsqueeze(0)


def tensor_to_image(tensor: Tensor) -> NDArray[np.uint8]:
    """(1, 3, H, W) of any float dtype -> (H, W, 3) uint8, clipped to 0..255 and rounded."""
    pixels = tensor.detach()[0].permute(1, 2, 0).clamp(0, 255).round()
    return np.ascontiguousarray(pixels.to(torch.uint8).cpu().numpy())


def tensor_to_exact(image: Tensor) -> NDArray[np.float32]:
    """(1, 3, H, W) of any float dtype -> (H, W, 3) float32, clipped to 0..255 and not rounded."""
    return image.detach()[0].permute(1, 2, 0).clamp(0, 255).float().cpu().numpy()
