"""The built-in weights, and files of torchvision's form, right and wrong."""

from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import save_file

from farm.errors import WeightsError
from farm.paint.features.vgg import VGGFeatures
from farm.paint.features.weights import (
    CHANNELS,
    CONVOLUTIONS,
    TORCHVISION_MEAN,
    TORCHVISION_STD,
    layer_names,
    load_weights,
)
from tests.conftest import small_vgg


def state_dict(architecture, generator, gain=0.02):
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):
        keys = getattr(torchvision.models, architecture)().features.state_dict()
    return {
        f"features.{key}": torch.randn(value.shape, generator=generator, dtype=torch.float16) * gain
        for key, value in keys.items()
    }


def test_built_in_weights_have_the_shapes_of_vgg19(weights):
    before = 3
    assert tuple(weights.convolutions) == layer_names("vgg19")
    assert len(weights.convolutions) == sum(CONVOLUTIONS["vgg19"]) == 16
    for name, (weight, bias) in weights.convolutions.items():
        after = CHANNELS[int(name[4]) - 1]
        assert weight.shape == (after, before, 3, 3)
        assert bias.shape == (after,)
        before = after
    assert weights.convolutions["conv2_1"][0].unique().numel() <= 256  # the codebook


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_reads_torchvision_state_dicts(tmp_path, generator, architecture, suffix):
    stored = state_dict(architecture, generator)
    stored["classifier.0.weight"] = torch.zeros(2, 2)  # ignored
    path = tmp_path / f"network{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(stored, path)
    found = load_weights(path)
    assert found.architecture == architecture
    last = {"vgg16": "features.28.weight", "vgg19": "features.34.weight"}[architecture]
    assert torch.equal(list(found.convolutions.values())[-1][0], stored[last].float())


@pytest.mark.parametrize("prefix", ["", "module.features.", "vgg.net."])
def test_any_prefix_will_do_and_other_layers_are_ignored(tmp_path, prefix):
    stored = {**small_vgg(prefix), "fc6.weight": torch.zeros(8, 8), "fc6_conv.weight": torch.zeros(4, 512, 7, 7)}
    save_file(stored, tmp_path / "network.safetensors")
    found = load_weights(tmp_path / "network.safetensors")
    assert found.architecture == "vgg11"
    for name, (weight, _) in list(found.convolutions.items())[1:]:
        at = {"conv2_1": 3, "conv3_1": 6, "conv3_2": 8, "conv4_1": 11, "conv4_2": 13, "conv5_1": 16, "conv5_2": 18}
        assert torch.equal(weight, stored[f"{prefix}{at[name]}.weight"].float())


def test_a_network_with_names_of_its_own(tmp_path):
    names = ["conv1_1", "conv2_1", "conv3_1", "conv3_2", "conv4_1", "conv4_2", "conv5_1", "conv5_2"]
    given = small_vgg()
    at = list(given)[::2]
    renamed = {}
    for name, key in reversed(list(zip(names, at, strict=True))):  # the order in the file is no help
        renamed[f"{name}.weight"], renamed[f"{name}.bias"] = given[key], given[key.replace("weight", "bias")]
    torch.save(renamed, tmp_path / "faces.pth")
    found = load_weights(tmp_path / "faces.pth", "caffe")
    assert tuple(found.convolutions) == tuple(names)
    for name in names[1:]:
        assert torch.equal(found.convolutions[name][0], renamed[f"{name}.weight"].float())
    assert torch.equal(found.convolutions["conv1_1"][0], renamed["conv1_1.weight"].float().flip(1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda stored: stored.pop("features.3.bias"), r"conv2_1 \(features.3\) has no bias"),
        (lambda stored: stored.pop("features.3.weight"), "it has 7 3x3 convolutions"),
        (lambda stored: stored.update({"head.0.weight": torch.zeros(3, 512, 3, 3)}), "it has 9 3x3 convolutions"),
        (lambda stored: stored.update({"features.3.bias": torch.zeros(3)}), "conv2_1 has shape"),
    ],
)
def test_what_is_not_quite_a_vgg(tmp_path, change, message):
    stored = small_vgg()
    change(stored)
    torch.save(stored, tmp_path / "network.pth")
    with pytest.raises(WeightsError, match=message):
        load_weights(tmp_path / "network.pth")


def test_torchvision_normalization_is_folded_in(tmp_path, generator):
    stored = state_dict("vgg16", generator, gain=0.1)
    torch.save(stored, tmp_path / "network.pth")
    image = torch.rand(1, 3, 20, 24, generator=generator) * 255
    found = VGGFeatures(load_weights(tmp_path / "network.pth"))(image, ("relu1_1", "relu1_2"))

    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (TORCHVISION_MEAN, TORCHVISION_STD))
    x = (image / 255 - mean) / std
    for index, layer in ((0, "relu1_1"), (2, "relu1_2")):
        weight, bias = (stored[f"features.{index}.{part}"].float() for part in ("weight", "bias"))
        x = torch.relu(torch.nn.functional.conv2d(x, weight, bias, padding=1))
        scale = 255 * float(std.mean())
        assert torch.allclose(found[layer], scale * x, rtol=1e-3, atol=1e-2)


def test_recognises_the_original_network_in_a_file(tmp_path, weights):
    positions = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    stored = {}
    for at, (weight, bias) in zip(positions, weights.convolutions.values(), strict=True):
        stored[f"features.{at}.weight"] = weight.flip(1).contiguous() if at == 0 else weight
        stored[f"features.{at}.bias"] = bias
    save_file(stored, tmp_path / "original.safetensors")
    found = load_weights(tmp_path / "original.safetensors")
    assert found.mean == weights.mean
    for name, (weight, _) in weights.convolutions.items():
        assert torch.equal(found.convolutions[name][0], weight)


class Boom:
    def __reduce__(self):
        return (print, ("this must never run",))


def bad_file(kind, path, generator):
    stored = state_dict("vgg16", generator)
    if kind == "missing":
        return path
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "noise":
        path.write_bytes(bytes(range(256)) * 40)
    elif kind == "code":
        path.write_bytes(pickle.dumps(Boom()))
    elif kind == "code in torch's format":
        torch.save({"features.0.weight": Boom()}, path)
    elif kind == "tensor":
        torch.save(torch.zeros(3), path)
    elif kind == "another network":
        torch.save({"layer1.weight": torch.zeros(3)}, path)
    elif kind == "batch norm":
        torch.save({**stored, "features.1.running_mean": torch.zeros(64)}, path)
    elif kind == "shape":
        torch.save({**stored, "features.2.weight": torch.zeros(64, 32, 3, 3)}, path)
    elif kind == "NaN":
        stored["features.2.bias"][5] = float("nan")
        torch.save(stored, path)
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "there is no weights file"),
        ("empty", "read safely"),
        ("noise", "read safely"),
        ("code", "read safely"),
        ("code in torch's format", "read safely"),
        ("tensor", "plain state dict"),
        ("another network", "it has 0 3x3 convolutions"),
        ("batch norm", "batch normalisation"),
        ("shape", r"conv1_2 has shape \(64, 32, 3, 3\)"),
        ("NaN", "conv1_2 holds NaN"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_refuses_other_files_with_a_remedy(tmp_path, capsys, generator, kind, message):
    path = bad_file(kind, tmp_path / "network.pth", generator)
    with pytest.raises(WeightsError, match=message) as caught:
        load_weights(path)
    assert caught.value.remedy
    assert "must never run" not in capsys.readouterr().out


def test_refuses_a_broken_safetensors_file(tmp_path):
    path = tmp_path / "network.safetensors"
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(WeightsError, match="read safely"):
        load_weights(path)
