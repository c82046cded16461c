"""A trained network as one safetensors file: weights, the painting it learnt, settings, and a word on its licence.

    save_network("starry.safetensors", network, card, painting)
    network, card = load_network_file("starry.safetensors")

Nothing in the file is executed when it is read; what is not a network of this farm is refused in one line.
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
from safetensors.torch import save
from torch import Tensor

from farm.errors import WeightsError
from farm.files.atomic import write_atomically
from farm.paint.network.network import Architecture, StyleNetwork
from farm.spec.base import Model

FORMAT = 1
KEY = "farm_network"
STYLE_TENSOR = "style_picture"
STYLE_SIDE = 1024
"""Longest side of the painting as it is kept, pixels."""
LICENCE_NOTE = (
    "The weights derive from the style picture, the training pictures and VGG-19 features; whoever shares this file "
    "needs the right to share what derives from those pictures."
)
_REMEDY = "give a .safetensors file that farm train made"


class Layout(Model):
    """`Architecture` as the file has it; bounds keep a malicious file from asking for all memory."""

    down: tuple[int, ...] = Field(min_length=1, max_length=2)
    trunk: int = Field(ge=1, le=512)
    blocks: int = Field(ge=0, le=32)
    up: tuple[int, int]
    stem: int = Field(ge=1, le=15)
    head: int = Field(ge=1, le=15)
    coarse: int = Field(default=0, ge=0, le=512)


class NetworkCard(Model):
    """What is known of a network beside its weights.

    `settings`: the training's spec; `losses`: held-out; `painted_shape`: (height, width) of the pictures it was trained
    for, by whose area the painting was scaled: it sets the size of the strokes.
    """

    format: int = FORMAT
    layout: Layout
    styles: tuple[str, ...]
    settings: dict[str, Any] = Field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    losses: dict[str, float] = Field(default_factory=dict)
    painted_shape: tuple[int, int] | None = None
    licence: str = LICENCE_NOTE
    farm: str = ""


def save_network(path: str | Path, network: StyleNetwork, card: NetworkCard, painting: NDArray[np.uint8]) -> None:
    """Write the file whole or not at all. `painting` (H, W, 3) uint8 is kept as JPEG bytes. Raises OSError."""
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


def load_network_file(path: str | Path) -> tuple[StyleNetwork, NetworkCard]:
    """The network on the CPU in float32, and its card. Raises WeightsError."""
    card, tensors = _read(Path(path))
    tensors.pop(STYLE_TENSOR, None)
    layout = card.layout.model_dump()
    # On the meta device, so that nothing is allocated before the shapes in the file are known to agree.
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


def _read(path: Path) -> tuple[NetworkCard, dict[str, Tensor]]:
    if not path.is_file():
        raise WeightsError(f"there is no network {path}", _REMEDY)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
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
