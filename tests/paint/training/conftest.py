"""A tiny trained network, photographs painted here, and no more steps than show that something is learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from farm.paint.network.network import ARCHITECTURES, StyleNetwork
from farm.paint.network.network_file import card_of, save_network

SHALLOW = {"content_layers": "relu2_1", "style_layers": "relu1_1,relu2_1"}


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of soft blobs, 96 x 72."""
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(12):
        random = np.random.default_rng(seed)
        coarse = Image.fromarray(random.integers(0, 255, (6, 8, 3), dtype=np.uint8))
        coarse.resize((96, 72), Image.Resampling.BICUBIC).save(folder / f"{seed:02d}.png")
    return folder


@pytest.fixture(scope="session")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network with random weights."""
    torch.manual_seed(3)
    network = StyleNetwork(ARCHITECTURES["small"])
    path = tmp_path_factory.mktemp("network") / "net.safetensors"
    painting = np.random.default_rng(1).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    save_network(path, network, card_of(network, styles=("waves.png",)), painting)
    return path


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)
