"""What the user asks for: text in, a frozen model out.

`RenderSpec` is what `farm render` takes on the command line or from a YAML file, without anything that
concerns the machine it runs on (workers, address, job directory): two renders of one spec have the same frames.
`load_spec` reads YAML, `build_spec` validates a mapping, and both raise UsageError with one line that
names the field as it is written: `styles[1].weight: must be greater than 0`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_serializer, field_validator, model_validator

from farm.errors import UsageError
from farm.spec.base import Model, from_text
from farm.spec.choices import FlowMethod, HdrPolicy, InterlacedPolicy, Method
from farm.spec.frames import FrameRange
from farm.spec.paint import PaintSpec
from farm.spec.units import parse_duration


class Iterations(Model):
    """Optimiser steps for a frame that starts from nothing, and for one that starts from its warped neighbour."""

    first: int = Field(default=200, ge=0, le=100_000)
    next: int = Field(default=50, ge=0, le=100_000)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        numbers = [part.strip() for part in value.split(",")]
        if len(numbers) > 2 or not all(number.isdigit() for number in numbers):
            raise ValueError("write it as FIRST,NEXT, for example 200,50")
        return {"first": int(numbers[0]), "next": int(numbers[-1])}


class EncodeSettings(Model):
    """How the finished film is coded, in ffmpeg's names. `crf` is ignored by prores_ks and ffv1."""

    codec: str = "libx264"
    crf: int = Field(default=16, ge=0, le=63)
    pixel_format: str = "yuv420p"
    preset: str | None = Field(default=None, description="default medium; veryfast for method instant")
    audio: Literal["copy", "none"] = "copy"


class RenderSpec(PaintSpec):
    """A render: a video, one or more styles, an output, and how to get from one to the other."""

    version: Literal[1] = 1
    video: str = Field(min_length=1)
    output: str = Field(min_length=1)
    frames: FrameRange | None = Field(default=None, description="inclusive range, as 120-240")
    method: Method = "optimize"
    network: str | None = Field(default=None, min_length=1, description="of method instant: a file of farm train")
    train_budget: float | None = Field(
        default=None, gt=0, description="seconds, or text as 10m (default): method instant without a network trains one"
    )
    iterations: Iterations = Iterations()
    passes: int = Field(default=5, ge=1, le=100)
    chunk_frames: int = Field(default=48, ge=2)
    overlap: int = Field(default=16, ge=0, description="frames two chunks share that start from scratch")
    chunk_start: Literal["relay", "scratch"] = Field(default="relay", description="scratch: for comparison only")
    sweep: Literal["two-sided", "alternating"] = Field(
        default="two-sided", description="of later passes; alternating: one neighbour at a time, as Ruder 2016"
    )
    blend: float = Field(default=1.0, ge=0, description="how far later passes draw a frame to its neighbours")
    flow: FlowMethod = "dis"
    flow_weights: str | None = Field(default=None, description="state dict for raft")
    flow_dir: str | None = Field(default=None, description="given .flo files, used instead of an estimator")
    long_term: tuple[int, ...] = Field(default=(10, 20, 40), description="frames back, beside the neighbour")
    allow_truncated: bool = False
    hdr: HdrPolicy = Field(default="tonemap", description="HLG and PQ films; keep: their values as they are")
    interlaced: InterlacedPolicy = Field(default="deinterlace", description="keep: both fields in one picture")
    encode: EncodeSettings = EncodeSettings()

    @field_validator("train_budget", mode="before")
    @classmethod
    def _budget_from_text(cls, value: Any) -> Any:
        return from_text(value, parse_duration)

    @property
    def as_stored(self) -> frozenset[str]:
        """What the reader of the frames leaves as it is in the file."""
        return frozenset(name for name in ("hdr", "interlaced") if getattr(self, name) == "keep")

    @field_validator("frames", mode="before")
    @classmethod
    def _frames_from_text(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str):
            try:
                return FrameRange.parse(value)
            except UsageError as error:
                raise ValueError(str(error)) from error
        return value

    @field_serializer("frames")
    def _frames_to_text(self, value: FrameRange | None) -> str | None:
        return None if value is None else str(value)

    @field_validator("long_term", mode="before")
    @classmethod
    def _long_term_from_text(cls, value: Any) -> Any:
        """`10,20,40`, or `none`."""
        if not isinstance(value, str):
            return value
        return [] if value.strip() == "none" else [part.strip() for part in value.split(",")]

    @field_validator("long_term")
    @classmethod
    def _long_term_ascends(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(distance < 2 for distance in value) or list(value) != sorted(set(value)):
            raise ValueError("give distances of 2 frames or more, ascending, for example 10,20,40")
        return value

    @model_validator(mode="after")
    def _fields_agree(self) -> RenderSpec:
        if self.method == "instant":
            self._suits_a_network()
        elif self.network or self.train_budget:
            raise ValueError("a network paints with method instant; add --method instant")
        if self.method == "optimize" and not self.styles:
            raise ValueError("no style is given; add --style PICTURE")
        if self.chunk_start == "scratch" and self.overlap >= self.chunk_frames:
            raise ValueError(f"overlap {self.overlap} must be shorter than a chunk ({self.chunk_frames} frames)")
        if self.flow == "raft" and not self.flow_weights:
            raise ValueError("flow raft needs its weights; add --flow-weights FILE, or choose --flow dis")
        return self

    def _suits_a_network(self) -> None:
        if not self.network and not self.styles:
            raise ValueError("method instant needs --network FILE (farm train makes one), or --style to train one")
        # one that was trained for this film stands beside the style and the budget that it comes from
        if self.network and self.styles and not self.train_budget:
            raise ValueError("the network has its style already; leave out --style")
        if any(region.styles for region in self.regions):
            raise ValueError("method instant has one style; a region can only be none, which keeps the photograph")
