"""How a picture is to be painted: what a still and a film have in common.

`RenderSpec` (farm.spec.render) and `StillSpec` are a `PaintSpec` with something to paint and somewhere to put it.

Each field's description and default stand here alone: the help of the commands (farm.cli.options), `docs/cli.md` and
`farm schema` show them, and `farm.paint.losses.functional` takes its default weights and layers from them.
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
"""Shortest allowed value of `size`, in pixels. VGG-19 halves a picture four times before relu5_1: anything smaller
leaves no features."""

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".pgm")
"""File name endings of a mask that is a picture. A mask whose name ends otherwise is a video."""

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A factor in a sum of losses: finite and not negative."""


class StyleImage(Model):
    """One painting. Several are blended: their Gram matrices are averaged with these weights."""

    path: str = Field(min_length=1, description="Picture file of the painting.")
    weight: float = Field(
        default=1.0, gt=0, allow_inf_nan=False, description="Share of this painting where several are blended."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        """`wave.jpg` or `wave.jpg:0.5`; a colon that no number follows belongs to the name."""
        if not isinstance(value, str):
            return value
        match = re.fullmatch(r"(.+):(\d+(?:\.\d+)?|\.\d+)", value)
        return {"path": match[1], "weight": float(match[2])} if match else {"path": value}


class Region(Model):
    """A part of the picture with a style of its own, or none: `styles` empty (in text `none`) keeps the photograph.

    `mask` is white in the region, grey on a soft edge. A picture is drawn for frame `frame` (the first one rendered, by
    default) and carried along by optical flow within that frame's shot; `static` holds it still instead, in every
    frame. A video is read frame by frame: as many frames as the film, or as are rendered.
    """

    mask: str = Field(min_length=1, description="Picture or video that is white where the region is.")
    styles: tuple[StyleImage, ...] = Field(
        description="Paintings of this region; none of them keeps the photograph there."
    )
    frame: int | None = Field(
        default=None, ge=0, description="Frame that a mask picture was drawn for; if left out, the first one rendered."
    )
    static: bool = Field(
        default=False, description="Keep a mask picture where it is in every frame, instead of moving it with the film."
    )

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
        """Whether the mask is a picture, by the ending of its name; otherwise it is a video."""
        return Path(self.mask).suffix.lower() in PICTURE_SUFFIXES


def parse_region(text: str) -> dict[str, Any]:
    """`MASK[@FRAME|@static]=STYLE[:WEIGHT][,STYLE..]` or `MASK=none`. Raises ValueError.

    >>> parse_region("cat.png@12=wave.jpg:2,shout.jpg")
    {'mask': 'cat.png', 'frame': '12', 'static': False, 'styles': ['wave.jpg:2', 'shout.jpg']}
    """
    match = re.fullmatch(r"([^=]+?)(?:@(\d+|static))?=([^=]+)", text)
    if not match:
        raise ValueError(f"write {text!r} as MASK=STYLE, MASK@FRAME=STYLE, MASK@static=STYLE or MASK=none")
    mask, at, styles = match.groups()
    return {
        "mask": mask,
        "frame": None if at == "static" else at,
        "static": at == "static",
        "styles": [] if styles == "none" else styles.split(","),
    }


class LossWeights(Model):
    """Factors of the loss terms (Gatys 2015, Ruder 2016 eq. 8), as Ruder's code scales them."""

    content: Weight = Field(
        default=5.0, description="Weight of the content loss: higher values keep more of the photograph's shapes."
    )
    style: Weight = Field(
        default=100.0, description="Weight of the style loss: higher values put more of the painting into the picture."
    )
    temporal: Weight = Field(
        default=1000.0,
        description="Weight of the temporal loss: higher values let the paint flicker less from frame to frame.",
    )
    tv: Weight = Field(
        default=0.0, description="Weight of the total variation: higher values make the picture smoother."
    )

    @model_validator(mode="after")
    def _something_weighs(self) -> LossWeights:
        if not (self.content or self.style):
            raise ValueError("content and style both weigh nothing; give one of them a weight")
        return self


def _layers_from_text(value: Any) -> Any:
    """The mapping from layer to weight of `relu1_1,relu2_1:0.5`, or of a list of such; a layer alone weighs 1."""
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
"""Weight of each layer in a sum of losses, by the layer's name: relu1_1 to relu5_4."""


class PaintSpec(Model):
    """What the picture will look like, without the machine it is made on."""

    styles: tuple[StyleImage, ...] = Field(
        default=(), description="Painting whose style the picture takes; several are blended by their weights."
    )
    regions: tuple[Region, ...] = Field(
        default=(), description="Part of the picture with styles of its own, or none; later regions cover earlier ones."
    )
    size: int | None = Field(
        default=None,
        ge=SMALLEST_SIZE,
        description="Longest side of the output, in pixels; if left out, as large as the source.",
    )
    upscale: bool = Field(default=False, description="Let the output be larger than the source.")
    init: str = Field(
        default="content",
        min_length=1,
        description="What a frame without an earlier painted frame starts from: the photograph (content), "
        "the painting (style), noise, or a picture file.",
    )
    weights: LossWeights = Field(default=LossWeights(), description="Weights of the losses.")
    content_layers: LayerWeights = Field(
        default={"relu4_2": 1.0},
        description="Layers of the network, with their weights, that compare the picture's shapes with the photograph.",
    )
    style_layers: LayerWeights = Field(
        default=dict.fromkeys(("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), 1.0),
        description="Layers of the network, with their weights, that compare the picture's strokes with the painting.",
    )
    style_scale: float = Field(
        default=1.0,
        gt=0,
        le=16,
        description="Size of the strokes: at 1 the painting covers the same area as the frame, higher values make "
        "strokes larger.",
    )
    color: ColorMode = Field(
        default="none",
        description="Whose colours the picture has: the painting's (none), or the photograph's, by recolouring the "
        "painting first (match, match-cholesky) or by painting brightness alone (luminance).",
    )
    optimizer: Optimizer = Field(
        default="lbfgs", description="Method that improves the picture step by step; lbfgs needs fewer steps than adam."
    )
    learning_rate: float = Field(
        default=2.0, gt=0, le=255, description="How far a step of adam moves a pixel, in grey levels of 255."
    )
    features: str = Field(
        default="vgg19",
        min_length=1,
        description="Network that judges shapes and strokes: the built-in vgg19, or a file of VGG weights.",
    )
    features_input: Normalization = Field(
        default="auto",
        description="Pixel values that the file of VGG weights was trained on: torchvision is RGB from 0 to 1, caffe "
        "is BGR from 0 to 255, auto recognises them.",
    )
    pooling: Pooling = Field(
        default="max",
        description="How the network shrinks its layers: max keeps the largest of four values, avg their mean.",
    )
    precision: Precision = Field(
        default="auto",
        description="Arithmetic of the network: bf16 is faster where the processor supports it, fp32 is more exact.",
    )
    max_memory: int | None = Field(
        default=None,
        gt=0,
        description="Memory that one worker may use, in bytes or as 6GiB; larger pictures are painted in tiles. "
        "If left out, what is free.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the noise: another number gives another noise.")

    @field_validator("max_memory", mode="before")
    @classmethod
    def _memory_from_text(cls, value: Any) -> Any:
        return from_text(value, parse_bytes)


class StillSpec(PaintSpec):
    """One picture, repainted: `farm stylize`."""

    image: str = Field(min_length=1, description="Picture to repaint.")
    output: str = Field(min_length=1, description="File to write, .png or .jpg.")
    iterations: int = Field(
        default=300,
        ge=0,
        le=100_000,
        description="Optimiser steps: more of them bring the picture nearer to the style.",
    )
    bit_depth: Literal[8, 16] = Field(
        default=8, description="Bits per colour channel of a PNG; 16 keeps the fine steps that rounding to 8 loses."
    )

    @model_validator(mode="after")
    def _has_a_style(self) -> StillSpec:
        if not self.styles:
            raise ValueError("no style is given; add --style PICTURE")
        for region in self.regions:
            if not region.is_picture or region.frame is not None:
                raise ValueError(f"the mask of a still is a picture without a frame, not {region.mask}")
        return self
