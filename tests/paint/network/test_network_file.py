"""The file of a network: what it carries, and what is refused in one line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from farm.errors import WeightsError
from farm.paint.network.network_file import KEY, load_network_file, style_picture


def test_what_is_written_is_read(network_file):
    network, card = load_network_file(network_file)
    assert card.styles == ("waves.png",)
    assert "right to share" in card.licence
    assert style_picture(network_file).shape == (40, 60, 3)
    assert network.trunk[0].blocks[0].first.convolution.weight.shape == (96, 96, 3, 3)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_bytes_of_a_file_are_the_same_network(network_file):
    network, card = load_network_file(network_file)
    same, same_card = load_network_file("elsewhere.safetensors", network_file.read_bytes())
    assert same_card == card
    values, same_values = network.state_dict(), same.state_dict()
    assert values.keys() == same_values.keys()
    assert all(torch.equal(values[name], same_values[name]) for name in values)


def refusals(path) -> list[str]:
    """What is said of a file that is read here, and of its bytes."""
    said = []
    for data in (None, path.read_bytes()):
        with pytest.raises(WeightsError) as refused:
            load_network_file(path, data)
        said.append(str(refused.value))
    return said


def changed(network_file, path, change_card=None, change_tensors=None):
    with safe_open(network_file, framework="pt") as file:
        card = json.loads(file.metadata()[KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if change_card:
        change_card(card)
    if change_tensors:
        change_tensors(tensors)
    save_file(tensors, path, {KEY: json.dumps(card)})
    return path


def without_a_tensor(tensors):
    del tensors["head.convolution.bias"]


def of_another_shape(tensors):
    tensors["head.convolution.bias"] = torch.zeros(4)


def with_nan(tensors):
    tensors["head.convolution.bias"] = torch.full((3,), float("nan"))


@pytest.mark.parametrize(
    ("change_card", "change_tensors", "said"),
    [
        (None, without_a_tensor, "are not those of the network"),
        (None, of_another_shape, "are not those of the network"),
        (None, with_nan, "NaN"),
        (lambda card: card["layout"].update(trunk=10**9), None, "does not describe"),
        (lambda card: card["layout"].update(trunk=64), None, "are not those of the network"),
        (lambda card: card.pop("layout"), None, "does not describe"),
        (lambda card: card.update(format=99), None, "another version"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(network_file, tmp_path, change_card, change_tensors, said):
    path = changed(network_file, tmp_path / "bad.safetensors", change_card, change_tensors)
    for line in refusals(path):
        assert said in line
        assert "\n" not in line


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a network", np.random.default_rng(0).bytes(5000)])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "bad.safetensors").write_bytes(content)
    assert all("is not a safetensors file" in line for line in refusals(tmp_path / "bad.safetensors"))


def test_a_file_that_is_cut_short_is_refused(network_file, tmp_path):
    (tmp_path / "cut.safetensors").write_bytes(network_file.read_bytes()[:-100])
    assert all("damaged" in line for line in refusals(tmp_path / "cut.safetensors"))


def test_weights_of_something_else_are_refused(tmp_path):
    save_file({"features.0.weight": torch.zeros(2)}, tmp_path / "vgg.safetensors")
    assert all("not a network of farm train" in line for line in refusals(tmp_path / "vgg.safetensors"))
    with pytest.raises(WeightsError, match="there is no network"):
        load_network_file(tmp_path / "none.safetensors")
