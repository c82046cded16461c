"""Pictures whose true flow is known exactly: one analytic texture, sampled at moved coordinates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest


@dataclass(frozen=True)
class Pair:
    """Pictures a and b, uint8 (H, W, 3), and the flow from a to b."""

    a: np.ndarray
    b: np.ndarray
    truth: np.ndarray

    def interior(self, margin: int) -> np.ndarray:
        """Pixels of a that are at least `margin` px from the edge and whose target is in b."""
        height, width = self.truth.shape[:2]
        rows, columns = np.mgrid[:height, :width]
        x, y = columns + self.truth[..., 0], rows + self.truth[..., 1]
        target = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        inner = np.zeros((height, width), bool)
        inner[margin : height - margin, margin : width - margin] = True
        return inner & target


MOTIONS: dict[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "still": lambda x, y: (x, y),
    "translation": lambda x, y: (x + 3.25, y - 1.5),
    "rotation": lambda x, y: (
        x * np.cos(0.05) - y * np.sin(0.05),
        x * np.sin(0.05) + y * np.cos(0.05),
    ),
    "zoom": lambda x, y: (x * 1.06, y * 1.06),
}


@pytest.fixture(scope="session")
def textured_pair() -> Callable[..., Pair]:
    def make(motion: str, height: int = 96, width: int = 128) -> Pair:
        rows, columns = np.mgrid[:height, :width].astype(np.float64)
        x, y = columns - (width - 1) / 2, rows - (height - 1) / 2  # turned and zoomed about the middle
        moved_x, moved_y = MOTIONS[motion](x, y)
        truth = np.stack((moved_x - x, moved_y - y), axis=-1).astype(np.float32)
        return Pair(_texture(moved_x, moved_y), _texture(x, y), truth)

    return make


@pytest.fixture(scope="session")
def smooth_flow() -> Callable[..., np.ndarray]:
    """Random flow fields of gentle waves, a few pixels long."""

    def make(seed: int, height: int = 40, width: int = 56, amplitude_px: float = 3) -> np.ndarray:
        generator = np.random.default_rng(seed)
        rows, columns = np.mgrid[:height, :width]
        flow = np.zeros((height, width, 2))
        for component in range(2):
            for _ in range(4):
                fx, fy = generator.normal(0, 0.08, 2)
                flow[..., component] += np.cos(fx * columns + fy * rows + generator.uniform(0, 6.3))
        return (flow * amplitude_px / 4).astype(np.float32)

    return make


def _texture(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A sum of waves of 6 to 40 px in all directions, evaluated at any real coordinate."""
    generator = np.random.default_rng(7)
    channels = []
    for _ in range(3):
        total = np.zeros_like(x)
        for _ in range(30):
            frequency = 2 * np.pi / generator.uniform(6, 40)
            angle, phase = generator.uniform(0, 2 * np.pi, 2)
            total += np.cos(frequency * (np.cos(angle) * x + np.sin(angle) * y) + phase)
        channels.append(total)
    values = np.stack(channels, axis=-1) / np.sqrt(30 / 2)
    return np.clip(np.rint(128 + 45 * values), 0, 255).astype(np.uint8)
