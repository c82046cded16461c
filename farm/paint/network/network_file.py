"""A trained network as one safetensors file: weights, the painting that it learnt, settings, and a note on its licence.

    save_network("starry.safetensors", network, card, painting)
    network, card = load_network_file("starry.safetensors")

Nothing in the file is executed when it is read. A file that is not a network of this farm is refused with WeightsError.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from farm.errors import WeightsError
from farm.files import write_atomically
from farm.paint.network.network import Architecture, StyleNetwork
from farm.spec import Model

FORMAT = 1
"""Version of the file's layout. A file of another version is refused."""
KEY = "farm_network"
"""Name of the metadata entry that holds the network's card."""
STYLE_TENSOR = "style_picture"
"""Name of the tensor that holds the painting, as JPEG bytes."""
STYLE_SIDE = 1024
"""Longest side of the painting in the file, in pixels."""
LICENCE_NOTE = (
    "The weights derive from the style picture, the training pictures and VGG-19 features; whoever shares this file "
    "needs the right to share what derives from those pictures."
)
"""Written into every file: who may share it."""
_REMEDY = "give a .safetensors file that farm train made"


class Layout(Model):
    """`Architecture` as it is stored in the file. Its bounds keep a malicious file from asking for all memory."""

    down: tuple[int, ...] = Field(min_length=1, max_length=2)
    trunk: int = Field(ge=1, le=512)
    blocks: int = Field(ge=0, le=32)
    up: tuple[int, int]
    stem: int = Field(ge=1, le=15)
    head: int = Field(ge=1, le=15)
    coarse: int = Field(default=0, ge=0, le=512)


class NetworkCard(Model):
    """What a file says of its network beside the weights."""

    format: int = FORMAT
    layout: Layout
    styles: tuple[str, ...]
    """File names of the paintings."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The spec of the training, without folders."""
    steps: int = 0
    """Steps of the training when the network was at its best."""
    seconds: float = 0.0
    losses: dict[str, float] = Field(default_factory=dict)
    """Losses of the held-out pictures, by term."""
    painted_shape: tuple[int, int] | None = None
    """(height, width) of the pictures that the network was trained for. The painting was scaled to their area, which
    sets the size of the strokes.
    """
    licence: str = LICENCE_NOTE
    farm: str = ""
    """Version of the farm that trained the network."""


def save_network(path: str | Path, network: StyleNetwork, card: NetworkCard, painting: NDArray[np.uint8]) -> None:
    """Write the file, whole or not at all. `painting` (H, W, 3) uint8 is stored as a JPEG. Raises OSError."""
    picture = io.BytesIO()
    image = Image.fromarray(painting)
    image.thumbnail((STYLE_SIDE, STYLE_SIDE))
    image.save(picture, "JPEG", quality=92)
    tensors = {name: value.detach().float().cpu().contiguous() for name, value in network.state_dict().items()}
    tensors[STYLE_TENSOR] = torch.frombuffer(bytearray(picture.getvalue()), dtype=torch.uint8)
    write_atomically(Path(path), save(tensors, {KEY: card.model_dump_json(), "licence": card.licence}))


def card_of(network: StyleNetwork, **fields: Any) -> NetworkCard:
    """The card of a network: its layout, and the other `fields` of NetworkCard."""
    return NetworkCard(layout=Layout(**asdict(network.architecture)), **fields)


def load_network_file(path: str | Path, data: bytes | None = None) -> tuple[StyleNetwork, NetworkCard]:
    """The network, on the CPU in float32 and without gradients, and its card. `data` are the file's bytes where the
    caller has read them. Raises WeightsError.
    """
    card, tensors = _read(Path(path), data)
    tensors.pop(STYLE_TENSOR, None)
    layout = card.layout.model_dump()
    # On the meta device, so that nothing is allocated before the shapes in the file are found to agree.
    with torch.device("meta"):
        network = StyleNetwork(Architecture(**layout))
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    if {name: value.shape for name, value in tensors.items()} != shapes:
        raise WeightsError(f"the weights in {path} are not those of the network that it describes", _REMEDY)
    if not all(value.isfinite().all() for value in tensors.values()):
        raise WeightsError(f"{path} holds NaN or infinity", _REMEDY)
    network.load_state_dict({name: value.float() for name, value in tensors.items()}, assign=True)
    return network.requires_grad_(False).eval(), card


def style_picture(path: str | Path) -> NDArray[np.uint8]:
    """The painting that the network learnt, (H, W, 3) uint8. Raises WeightsError."""
    jpeg = _read(Path(path))[1].get(STYLE_TENSOR)
    try:
        if jpeg is None:
            raise ValueError("it is missing")
        with Image.open(io.BytesIO(jpeg.numpy().tobytes()), formats=["JPEG"]) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"the style picture in {path} cannot be read ({error})", _REMEDY) from None


def _read(path: Path, data: bytes | None = None) -> tuple[NetworkCard, dict[str, Tensor]]:
    if data is None and not path.is_file():
        raise WeightsError(f"there is no network {path}", _REMEDY)
    try:
        if data is None:
            with safe_open(path, framework="pt", device="cpu") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        else:
            tensors = load(data)
            metadata = _metadata(data)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is not a safetensors file, or is damaged", _REMEDY) from error
    if KEY not in metadata:
        raise WeightsError(f"{path} is not a network of farm train", _REMEDY)
    try:
        card = json.loads(metadata[KEY])
        if card.get("format") != FORMAT:
            raise WeightsError(f"{path} is of another version of the farm", "train it anew")
        return NetworkCard.model_validate(card), tensors
    except (ValidationError, ValueError, AttributeError) as error:
        raise WeightsError(f"{path} does not describe its network", _REMEDY) from error


def _metadata(data: bytes) -> dict[str, str]:
    """The metadata in the header of a safetensors file: JSON, after its length as 8 bytes, little-endian."""
    length = int.from_bytes(data[:8], "little")
    metadata: dict[str, str] | None = json.loads(data[8 : 8 + length]).get("__metadata__")
    return metadata or {}
