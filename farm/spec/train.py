"""What a network is to be trained on, for how long, and against which losses: `farm train`."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from farm.spec.base import from_text
from farm.spec.choices import NetworkKind
from farm.spec.paint import LossWeights, PaintSpec, Weight
from farm.spec.units import parse_duration

UNUSED = ("regions", "init", "upscale", "color", "optimizer", "max_memory")
"""Fields of a paint spec that say how one picture is painted, and mean nothing to a training."""


TEMPORAL_EMPHASIS = 30.0
"""Factor of a training's temporal weight over a render's. Why: when the temporal loss matters, the style loss of a
network is larger than that of the optimiser by one order of magnitude or two."""


class TrainingWeights(LossWeights):
    """The weights of a render, with the temporal loss emphasised."""

    temporal: Weight = Field(
        default=TEMPORAL_EMPHASIS * LossWeights().temporal,
        description="Weight of the temporal loss between two frames of the training film: higher values let the paint "
        "flicker less, 0 learns from single frames.",
    )


class TrainSpec(PaintSpec):
    """One network for one style (or blend). `size` is the longest side of what it will paint: it sets the strokes.

    Each step is `batch` crops of `crop` x `crop` pixels, cut from the pictures at that size, and in the last two fifths
    pictures as a whole (from the start, where a `network` learns on). It ends after `steps` steps or `budget` seconds;
    the learning rate falls to nothing towards it.
    """

    weights: TrainingWeights = Field(default=TrainingWeights(), description="Weights of the losses.")
    output: str = Field(min_length=1, description="File to write the network to, .safetensors.")
    photos: str | None = Field(default=None, description="Folder of photographs to learn from.")
    video: str | None = Field(
        default=None, description="Film to learn from; its neighbouring frames are tied to each other against flicker."
    )
    architecture: NetworkKind = Field(
        default="small",
        description="Kind of network: small is fast, johnson is that of Johnson 2016 and about six times slower.",
    )
    network: str | None = Field(
        default=None,
        description="Trained network to begin with, which reaches another balance of style and content in minutes.",
    )
    size: int | None = Field(
        default=512,
        ge=32,
        description="Longest side of the pictures that the network will paint, in pixels; it sets the size of the "
        "strokes.",
    )
    crop: int = Field(
        default=288,
        ge=32,
        le=1024,
        description="Side of the training crops, in pixels; the last two fifths of a training take whole pictures.",
    )
    batch: int = Field(default=2, ge=1, le=256, description="Crops of one step, each on a processor core of its own.")
    steps: int | None = Field(
        default=None, ge=1, le=10_000_000, description="How many steps to train, instead of a budget of time."
    )
    budget: float | None = Field(
        default=None, gt=0, description="How long to train, evaluations included, in seconds or as 40m."
    )
    learning_rate: float = Field(
        default=3e-3, gt=0, le=1, description="Learning rate of Adam at the start; that of Muon is ten times as high."
    )
    patience: int = Field(
        default=6,
        ge=1,
        description="Evaluations in a row, of 16 in a training, without a better network after which to stop.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the network's first weights and of the choice of crops.")

    @field_validator("budget", mode="before")
    @classmethod
    def _budget_from_text(cls, value: Any) -> Any:
        return from_text(value, parse_duration)

    @model_validator(mode="after")
    def _fields_agree(self) -> TrainSpec:
        if not self.styles:
            raise ValueError("no style is given; add --style PICTURE")
        if not self.photos and not self.video:
            raise ValueError("nothing to train on; add --photos FOLDER or --video FILM")
        if (self.steps is None) == (self.budget is None):
            raise ValueError("say how long to train: --steps N or --budget 40m, one of them")
        if not self.output.endswith(".safetensors"):
            raise ValueError(f"output {self.output} must end in .safetensors")
        for name in UNUSED:
            if getattr(self, name) != type(self).model_fields[name].get_default():
                raise ValueError(f"{name} does not concern a training; leave it out")
        return self
