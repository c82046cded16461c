"""How a picture is to be painted: what a still and a film have in common.

`RenderSpec` (farm.spec.render) and `StillSpec` are a `PaintSpec` with something to paint and somewhere to put it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from farm.spec.base import Model, from_text
from farm.spec.choices import ColorMode, Normalization, Optimizer, Pooling, Precision
from farm.spec.units import parse_bytes

SMALLEST_SIZE = 16
"""Pixels. VGG-19 halves a picture four times before relu5_1: anything smaller leaves no features."""

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".pgm")
"""A mask whose name ends otherwise is a video."""


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class StyleImage(Model):
    """One painting. Several are blended: their Gram matrices are averaged with these weights."""

    path: str = Field(min_length=1)
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        """`wave.jpg` or `wave.jpg:0.5`; a colon that no number follows belongs to the name."""
        if not isinstance(value, str):
            return value
        found = re.fullmatch(r"(.+):(\d+(?:\.\d+)?|\.\d+)", value)
        return {"path": found[1], "weight": float(found[2])} if found else {"path": value}


class Region(Model):
    """A part of the picture with a style of its own, or none: `styles` empty (in text `none`) keeps the photograph.

    `mask` is white in the region, grey on a soft edge. A picture is drawn for frame `frame` (the first one rendered, by
    default) and carried along by optical flow within that frame's shot; `static` holds it still instead, in every
    frame. A video is read frame by frame: as many frames as the film, or as are rendered.
    """

    mask: str = Field(min_length=1)
    styles: tuple[StyleImage, ...]
    frame: int | None = Field(default=None, ge=0, description="frame that a mask picture was drawn for")
    static: bool = Field(default=False, description="a mask picture holds still")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return parse_region(value) if isinstance(value, str) else value

    @field_validator("styles", mode="before")
    @classmethod
    def _none_is_no_style(cls, value: Any) -> Any:
        return () if value is None or value == "none" else value

    @model_validator(mode="after")
    def _kind_agrees(self) -> Region:
        if not self.is_picture and (self.static or self.frame is not None):
            raise ValueError(f"{self.mask} is a video, read frame by frame; leave out @")
        if self.static and self.frame is not None:
            raise ValueError("a mask that holds still belongs to no frame; give frame or static")
        return self

    @property
    def is_picture(self) -> bool:
        return Path(self.mask).suffix.lower() in PICTURE_SUFFIXES


def parse_region(text: str) -> dict[str, Any]:
    """`MASK[@FRAME|@static]=STYLE[:WEIGHT][,STYLE..]` or `MASK=none`. Raises ValueError.

    >>> parse_region("cat.png@12=wave.jpg:2,shout.jpg")
    {'mask': 'cat.png', 'frame': '12', 'static': False, 'styles': ['wave.jpg:2', 'shout.jpg']}
    """
    found = re.fullmatch(r"([^=]+?)(?:@(\d+|static))?=([^=]+)", text)
    if not found:
        raise ValueError(f"write {text!r} as MASK=STYLE, MASK@FRAME=STYLE, MASK@static=STYLE or MASK=none")
    mask, at, styles = found.groups()
    return {
        "mask": mask,
        "frame": None if at == "static" else at,
        "static": at == "static",
        "styles": [] if styles == "none" else styles.split(","),
    }


class LossWeights(Model):
    """Factors of the loss terms (Gatys 2015, Ruder 2016 eq. 8), as Ruder's code scales them."""

    content: Weight = 5.0
    style: Weight = 100.0
    temporal: Weight = 1000.0
    tv: Weight = 0.0

    @model_validator(mode="after")
    def _something_weighs(self) -> LossWeights:
        if not (self.content or self.style):
            raise ValueError("content and style both weigh nothing; give one of them a weight")
        return self


def _layers_from_text(value: Any) -> Any:
    """`relu1_1,relu2_1:0.5`, or a list of such; a layer without a weight has 1."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, (list, tuple)):
        return value
    parts = [str(part).strip().partition(":") for part in value]
    if len({name for name, _, _ in parts}) < len(parts):
        raise ValueError("a layer is named twice")
    return {name: weight if colon else 1.0 for name, colon, weight in parts}


def _known_layers(value: dict[str, float]) -> dict[str, float]:
    if not value:
        raise ValueError("name a layer, for example relu4_2")
    for name, weight in value.items():
        if not re.fullmatch(r"relu[1-5]_[1-4]", name):
            raise ValueError(f"there is no layer {name!r}; write relu1_1 to relu5_4, for example relu1_1,relu2_1:0.5")
        if weight == 0:
            raise ValueError(f"{name} weighs nothing; leave it out")
    return value


LayerWeights = Annotated[dict[str, Weight], BeforeValidator(_layers_from_text), AfterValidator(_known_layers)]
"""Weight of each layer in a sum of losses."""


class PaintSpec(Model):
    """What the picture will look like, without the machine it is made on."""

    styles: tuple[StyleImage, ...] = ()
    regions: tuple[Region, ...] = Field(default=(), description="parts with a style of their own, later ones on top")
    size: int | None = Field(default=None, ge=SMALLEST_SIZE, description="longest side of the output, pixels")
    upscale: bool = Field(default=False, description="let `size` exceed the source")
    init: str = Field(
        default="content",
        min_length=1,
        description="how a frame with nothing to go by starts: content, style, noise, or a picture",
    )
    weights: LossWeights = LossWeights()
    content_layers: LayerWeights = Field(default={"relu4_2": 1.0}, description="weight of each layer")
    style_layers: LayerWeights = Field(
        default=dict.fromkeys(("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), 1.0),
        description="weight of each layer",
    )
    style_scale: float = Field(default=1.0, gt=0, le=16, description="stroke size, 1: area as the frame's")
    color: ColorMode = Field(default="none", description="whose colours: the painting's (none), or the content's")
    optimizer: Optimizer = "lbfgs"
    learning_rate: float = Field(default=2.0, gt=0, le=255, description="of adam, in grey levels")
    features: str = Field(default="vgg19", min_length=1, description="vgg19 (built in), or a file of VGG weights")
    features_input: Normalization = Field(default="auto", description="what the network in the file was trained on")
    pooling: Pooling = "max"
    precision: Precision = "auto"
    max_memory: int | None = Field(
        default=None, gt=0, description="bytes of one worker, or text as 6GiB: larger pictures are painted in tiles"
    )
    seed: int = Field(default=0, ge=0, description="of the noise")

    @field_validator("max_memory", mode="before")
    @classmethod
    def _memory_from_text(cls, value: Any) -> Any:
        return from_text(value, parse_bytes)


class StillSpec(PaintSpec):
    """One picture, repainted: `farm stylize`."""

    image: str = Field(min_length=1)
    output: str = Field(min_length=1)
    iterations: int = Field(default=300, ge=0, le=100_000)
    bit_depth: Literal[8, 16] = Field(default=8, description="of a PNG; 16 keeps what rounding to 8 loses")

    @model_validator(mode="after")
    def _has_a_style(self) -> StillSpec:
        if not self.styles:
            raise ValueError("no style is given; add --style PICTURE")
        for region in self.regions:
            if not region.is_picture or region.frame is not None:
                raise ValueError(f"the mask of a still is a picture without a frame, not {region.mask}")
        return self
