"""What the user asks for: text in, a frozen model out.

`RenderSpec` is what `farm render` takes on the command line or from a YAML file, without anything that
concerns the machine it runs on (workers, address, job directory): two renders of one spec have the same frames.
`load_spec` reads YAML, `build_spec` validates a mapping, and both raise UsageError with one line that
names the field as it is written: `styles[1].weight: must be greater than 0`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, field_serializer, field_validator, model_validator

from farm.bytesize import parse_bytes
from farm.errors import UsageError
from farm.frames import FrameRange
from farm.video import Model

SMALLEST_SIZE = 16
"""Pixels. VGG-19 halves a picture four times before relu5_1: anything smaller leaves no features."""

Method = Literal["optimize", "identity"]
FlowMethod = Literal["dis", "deepflow", "epicflow", "farneback", "raft"]
ColorMode = Literal["none", "match", "match-cholesky", "luminance"]
Precision = Literal["auto", "bf16", "fp32"]


class StyleImage(Model):
    """One painting. Several are blended: their Gram matrices are averaged with these weights."""

    path: str = Field(min_length=1)
    weight: float = Field(default=1.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        """`wave.jpg` or `wave.jpg:0.5`; a colon that no number follows belongs to the name."""
        if not isinstance(value, str):
            return value
        found = re.fullmatch(r"(.+):(\d+(?:\.\d+)?|\.\d+)", value)
        return {"path": found[1], "weight": float(found[2])} if found else {"path": value}


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
    crf: int = Field(default=18, ge=0, le=63)
    pixel_format: str = "yuv420p"
    preset: str = "medium"
    audio: Literal["copy", "none"] = "copy"


class LossWeights(Model):
    """Factors of the loss terms (Gatys 2015, Ruder 2016 eq. 8), as Ruder's code scales them."""

    content: float = Field(default=5.0, ge=0)
    style: float = Field(default=100.0, ge=0)
    temporal: float = Field(default=1000.0, ge=0)
    tv: float = Field(default=0.0, ge=0)


class RenderSpec(Model):
    """A render: a video, one or more styles, an output, and how to get from one to the other."""

    version: Literal[1] = 1
    video: str = Field(min_length=1)
    styles: tuple[StyleImage, ...] = ()
    output: str = Field(min_length=1)
    size: int | None = Field(default=None, ge=SMALLEST_SIZE, description="longest side of the output, pixels")
    upscale: bool = Field(default=False, description="let `size` exceed the source")
    frames: FrameRange | None = Field(default=None, description="inclusive range, as 120-240")
    method: Method = "optimize"
    iterations: Iterations = Iterations()
    passes: int = Field(default=3, ge=1, le=100)
    chunk_frames: int = Field(default=24, ge=2)
    overlap: int = Field(default=8, ge=0, description="frames over which a chunk lands on the next")
    chunk_start: Literal["relay", "scratch"] = Field(default="relay", description="scratch: for comparison only")
    blend: float = Field(default=0.5, ge=0, description="how far later passes draw a frame to its neighbours")
    weights: LossWeights = LossWeights()
    style_scale: float = Field(default=1.0, gt=0, le=16, description="stroke size, 1: area as the frame's")
    color: ColorMode = "none"
    flow: FlowMethod = "dis"
    flow_weights: str | None = Field(default=None, description="state dict for raft")
    flow_dir: str | None = Field(default=None, description="given .flo files, used instead of an estimator")
    long_term: tuple[int, ...] = Field(default=(10, 20, 40), description="frames back, beside the neighbour")
    precision: Precision = "auto"
    max_memory: int | None = Field(
        default=None, gt=0, description="bytes of one worker, or text as 6GiB: larger frames are painted in tiles"
    )
    seed: int = Field(default=0, ge=0)
    allow_truncated: bool = False
    encode: EncodeSettings = EncodeSettings()

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

    @field_validator("max_memory", mode="before")
    @classmethod
    def _memory_from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return parse_bytes(value)
        except UsageError as error:
            raise ValueError(str(error)) from error

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
        if self.method == "optimize" and not self.styles:
            raise ValueError("no style is given; add --style PICTURE")
        if self.chunk_start == "scratch" and self.overlap >= self.chunk_frames:
            raise ValueError(f"overlap {self.overlap} must be shorter than a chunk ({self.chunk_frames} frames)")
        if self.flow == "raft" and not self.flow_weights:
            raise ValueError("flow raft needs its weights; add --flow-weights FILE, or choose --flow dis")
        return self


def build_spec(values: Mapping[str, Any]) -> RenderSpec:
    """Validate a mapping. Raises UsageError with every fault on one line."""
    try:
        return RenderSpec.model_validate(dict(values))
    except ValidationError as error:
        raise UsageError("; ".join(_readable(fault) for fault in error.errors())) from None


def load_spec(path: str | Path, overrides: Mapping[str, Any] | None = None) -> RenderSpec:
    """Read a YAML spec; `overrides` (from the command line) win, section by section.

    Paths in the file are relative to the file, those in `overrides` to the working directory.
    Raises UsageError.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"spec {path} cannot be read: {error.strerror}", "give a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise UsageError(f"spec {path} is not YAML{line}") from None
    if not isinstance(values, dict):
        raise UsageError(f"spec {path} is not a mapping of fields", "farm schema prints what it may hold")
    here = path.resolve().parent
    for name in ("video", "output", "flow_weights", "flow_dir"):
        if isinstance(values.get(name), str):
            values[name] = absolute_path(values[name], here)
    if isinstance(values.get("styles"), list):
        values["styles"] = [_absolute_style(style, here) for style in values["styles"]]
    for name, value in (overrides or {}).items():
        if isinstance(value, Mapping) and isinstance(values.get(name), dict):
            values[name] = {**values[name], **value}
        else:
            values[name] = value
    try:
        return build_spec(values)
    except UsageError as error:
        raise UsageError(f"spec {path}: {error.problem}") from None


def absolute_path(path: str, base: Path | None = None) -> str:
    """`path` made absolute below `base`; a URL is left as it is."""
    if "://" in path:
        return path
    return str((base or Path.cwd()) / Path(path).expanduser())


def spec_differences(old: RenderSpec, new: RenderSpec) -> list[str]:
    """The fields that differ, as `size: 256 -> 512`; where the output goes is no difference."""
    before, after = (_flat(spec.model_dump(mode="json", exclude={"output"})) for spec in (old, new))
    names = dict.fromkeys([*before, *after])
    return [f"{name}: {before.get(name)} -> {after.get(name)}" for name in names if before.get(name) != after.get(name)]


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """`{"encode": {"crf": 18}}` as `{"encode.crf": 18}`, lists with `[0]`."""
    if isinstance(values, dict):
        parts = [(f"{prefix}.{name}" if prefix else name, value) for name, value in values.items()]
    elif isinstance(values, list):
        parts = [(f"{prefix}[{number}]", value) for number, value in enumerate(values)]
    else:
        return {prefix: values}
    return {name: value for part, inner in parts for name, value in _flat(inner, part).items()}


def _absolute_style(style: Any, base: Path) -> Any:
    if isinstance(style, str):
        return absolute_path(style, base)
    if isinstance(style, dict) and isinstance(style.get("path"), str):
        return {**style, "path": absolute_path(style["path"], base)}
    return style


def _readable(fault: Any) -> str:
    """`styles[1].weight: must be greater than 0` from pydantic's location tuple and message."""
    where = ""
    for part in fault["loc"]:
        where += f"[{part}]" if isinstance(part, int) else f"{'.' if where else ''}{part}"
    if fault["type"] == "extra_forbidden":
        return f"{where}: no such option; farm schema prints the ones there are"
    if fault["type"] == "missing":
        return f"{where}: is missing"
    message = str(fault["msg"])
    if message.startswith("Value error, "):
        return f"{where}: {message.removeprefix('Value error, ')}" if where else message.removeprefix("Value error, ")
    if message.startswith("Input should "):
        message = f"must {message.removeprefix('Input should ')}"
    given = fault.get("input")
    shown = f", not {given!r}" if isinstance(given, (str, int, float)) else ""
    return f"{where}: {message}{shown}"
