"""One network and two small pictures, painted here, for all tests of the style core."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from farm.paint.features.vgg import VGGFeatures
from farm.paint.features.weights import VGGWeights, load_weights

SIZE = (64, 80)


@pytest.fixture(scope="session")
def weights() -> VGGWeights:
    return load_weights()


@pytest.fixture(scope="session")
def features(weights: VGGWeights) -> VGGFeatures:
    return VGGFeatures(weights)


@pytest.fixture(scope="session")
def content() -> NDArray[np.uint8]:
    """A disc before a gradient."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    image = np.stack([x / SIZE[1], y / SIZE[0], np.full_like(x, 0.4)], axis=-1) * 255
    image[np.hypot(y - 30, x - 40) < 18] = (230, 200, 60)
    return image.astype(np.uint8)


@pytest.fixture(scope="session")
def painting() -> NDArray[np.uint8]:
    """Diagonal waves in blue and yellow."""
    y, x = np.mgrid[:96, :96].astype(np.float32)
    wave = np.sin((x + y) / 4 + 2 * np.sin(x / 9)) * 0.5 + 0.5
    colours = wave[..., None] * (240, 210, 80) + (1 - wave[..., None]) * (20, 50, 140)
    return colours.round().astype(np.uint8)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)
