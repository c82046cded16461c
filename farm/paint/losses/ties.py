"""What a picture is tied to. It loads no torch, so that what carries paint without an optimiser need not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TemporalTie:
    """A picture that the result must resemble: a neighbour, already warped to this frame."""

    image: NDArray[Any]
    """(H, W, 3) float32 or uint8 in 0..255. It may hold anything, NaN too, where the weight is 0."""
    weight: NDArray[np.float32]
    """(H, W) in 0..1: how far the flow is trusted at each pixel."""
