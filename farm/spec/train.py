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
"""Of a network's temporal loss over the optimiser's: its style loss is larger by one order or two when it matters."""


class TrainingWeights(LossWeights):
    """Those of a render, temporal loss emphasised."""

    temporal: Weight = TEMPORAL_EMPHASIS * 1000.0


class TrainSpec(PaintSpec):
    """One network for one style (or blend). `size` is the longest side of what it will paint: it sets the strokes.

    Each step is `batch` crops of `crop` x `crop` pixels, cut from the pictures at that size, and in the last two fifths
    pictures as a whole (from the start, where a `network` learns on). It ends after `steps` steps or `budget` seconds;
    the learning rate falls to nothing towards it.
    """

    weights: TrainingWeights = TrainingWeights()
    output: str = Field(min_length=1, description=".safetensors")
    photos: str | None = Field(default=None, description="folder of photographs")
    video: str | None = Field(default=None, description="film whose frames are painted")
    architecture: NetworkKind = "small"
    network: str | None = Field(default=None, description="trained network to begin with")
    size: int | None = Field(default=512, ge=32, description="longest side of what it will paint, pixels")
    crop: int = Field(default=288, ge=32, le=1024, description="side of the first training crops, pixels")
    batch: int = Field(default=2, ge=1, le=256, description="crops of a step, each on a core of its own")
    steps: int | None = Field(default=None, ge=1, le=10_000_000)
    budget: float | None = Field(default=None, gt=0, description="seconds, or text as 40m")
    learning_rate: float = Field(default=3e-3, gt=0, le=1, description="at the start: of Adam, a tenth of Muon's")
    patience: int = Field(default=6, ge=1, description="evaluations without a better one after which to stop")

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
