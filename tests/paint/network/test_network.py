"""The networks: shapes, independence of pictures, and the norm against PyTorch's own."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from farm.paint.network.folded import folded
from farm.paint.network.network import ARCHITECTURES, InstanceNorm, StyleNetwork


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("size", [(32, 48), (35, 41), (16, 18)])
def test_what_comes_out_has_the_size_of_what_goes_in(kind, size):
    network = StyleNetwork(ARCHITECTURES[kind])
    with torch.no_grad():
        painted = network(torch.rand(1, 3, *size) * 255)
    assert painted.shape == (1, 3, *size)
    assert painted.dtype == torch.float32
    assert painted.min() >= -22.5
    assert painted.max() <= 277.5


def test_a_picture_does_not_depend_on_those_beside_it():
    network = StyleNetwork(ARCHITECTURES["small"]).eval()
    pictures = torch.rand(3, 3, 32, 32) * 255
    with torch.no_grad():
        together = network(pictures)
        alone = torch.cat([network(picture[None]) for picture in pictures])
    assert torch.allclose(together, alone, atol=1e-3)
    assert not torch.allclose(together[0], together[1], atol=5)


def test_the_norm_is_instance_normalisation():
    norm = InstanceNorm(5)
    torch.nn.init.uniform_(norm.weight)
    torch.nn.init.uniform_(norm.bias)
    x = torch.randn(2, 5, 7, 9, generator=torch.Generator().manual_seed(0)) * 3 + 1
    wanted = functional.instance_norm(x, weight=norm.weight, bias=norm.bias)
    assert torch.allclose(norm(x), wanted, atol=1e-5)


def test_the_paper_s_network_has_its_parameters():
    """Johnson et al. 2016, supplementary table 1, with instance norm."""
    convolutions = [m for m in StyleNetwork(ARCHITECTURES["johnson"]).modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0]) for m in convolutions[:3]] == [
        (3, 32, 9, 1),
        (32, 64, 3, 2),
        (64, 128, 3, 2),
    ]
    assert [m.out_channels for m in convolutions[3:]] == [128] * 10 + [64, 32, 3]


FORMS = {
    **ARCHITECTURES,
    "without an hourglass": replace(ARCHITECTURES["small"], blocks=1, coarse=0),
    "wide": replace(ARCHITECTURES["small"], blocks=1, coarse=128),
}


@pytest.mark.parametrize("size", [(32, 48), (35, 41), (16, 18)])
@pytest.mark.parametrize("form", FORMS)
def test_the_folded_network_paints_the_same(form, size):
    torch.manual_seed(1)
    network = StyleNetwork(FORMS[form]).eval().requires_grad_(False)
    for layer in network.modules():
        if isinstance(layer, InstanceNorm):
            layer.weight.uniform_(0.5, 1.5)
            layer.bias.uniform_(-0.5, 0.5)
    pictures = torch.rand(2, 3, *size) * 255
    with torch.no_grad():
        plain, fast = network(pictures), folded(network)(pictures)
        again = network(pictures)
    assert plain.std() > 10
    assert torch.allclose(plain, fast, atol=0.02)
    assert torch.equal(plain, again), "the network itself is left as it is"


def test_a_picture_that_is_all_but_flat_is_folded_the_same():
    """What normalisation adds to the variance then decides: grey levels are 127.5 times as far apart."""
    torch.manual_seed(1)
    network = StyleNetwork(ARCHITECTURES["small"]).eval().requires_grad_(False)
    picture = 100 + torch.eye(32).expand(1, 3, 32, 32).to(torch.uint8)
    with torch.no_grad():
        plain, fast = network(picture), folded(network)(picture)
    assert plain.std() > 1
    assert (plain - fast).abs().max() < 0.5


def test_what_is_folded():
    """Every layer that enlarges, and in float32 on a CPU the wide ones of stride 1."""

    def kinds(network):
        return Counter(type(module).__name__ for module in folded(network).modules())

    assert kinds(StyleNetwork(ARCHITECTURES["small"])) >= Counter(FoldedNetwork=1, Enlarged=2, Wide=12)
    assert kinds(StyleNetwork(ARCHITECTURES["small"]).bfloat16())["Wide"] == 0
    assert kinds(StyleNetwork(ARCHITECTURES["johnson"])) >= Counter(Enlarged=2, Wide=10)
