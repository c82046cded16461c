"""What the user asks for: text in, a frozen model out.

`RenderSpec` is what `farm render` takes on the command line or from a YAML file, without anything that
concerns the machine it runs on (workers, address, job directory): two renders of one spec have the same frames.
`load_spec` reads YAML, `build_spec` validates a mapping, and both raise UsageError with one line that
names the field as it is written: `styles[1].weight: must be greater than 0`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import yaml
from pydantic import Field, ValidationError, field_serializer, field_validator, model_validator

from farm.choices import FlowMethod, HdrPolicy, InitName, InterlacedPolicy, Method
from farm.durations import parse_duration
from farm.errors import UsageError
from farm.frames import FrameRange
from farm.paintspec import PaintSpec, from_text, parse_region
from farm.video import Model

WORDS = {
    **dict.fromkeys(("video", "image", "output", "flow_weights", "flow_dir", "network", "photos"), ()),
    "init": get_args(InitName),
    "features": ("vgg19",),
}
"""Fields that name a file, with the words that are no file; `./noise` is a file of such a name."""

MOST_SPEC_BYTES = 1 << 20
LONGEST_SHOWN = 80
"""Letters of a wrong value in the message about it."""

Spec = TypeVar("Spec", bound=PaintSpec)


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


def build_spec(values: Mapping[str, Any]) -> RenderSpec:
    """Validate a mapping. Raises UsageError with every fault on one line."""
    return validated(RenderSpec, values)


def validated(kind: type[Spec], values: Mapping[str, Any]) -> Spec:
    """The spec of that kind. Raises UsageError as build_spec."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        faults = "; ".join(_readable(fault) for fault in error.errors(include_url=False))
        raise UsageError(" ".join(faults.split())) from None


def load_spec(path: str | Path, overrides: Mapping[str, Any] | None = None) -> RenderSpec:
    """Read a YAML spec; `overrides` (from the command line) win, section by section.

    Paths in the file are relative to the file, those in `overrides` to the working directory.
    Raises UsageError.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            text = file.read(MOST_SPEC_BYTES + 1)
    except OSError as error:
        raise UsageError(f"spec {path} cannot be read: {error.strerror}", "give a YAML file") from None
    if len(text) > MOST_SPEC_BYTES:
        raise UsageError(f"spec {path} is larger than {MOST_SPEC_BYTES >> 20} MiB", "give a YAML file")
    try:
        values = yaml.safe_load(text.decode("utf-8"))
    except (yaml.YAMLError, ValueError, OverflowError, TypeError, RecursionError) as error:
        # beside its own errors the parser lets through what dates, numbers, keys and nesting without end raise
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise UsageError(f"spec {path} is not YAML{line}") from None
    if not isinstance(values, dict):
        raise UsageError(f"spec {path} is not a mapping of fields", "farm schema prints what it may hold")
    try:
        values = with_absolute_paths(values, path.resolve().parent)
    except UsageError as error:
        raise UsageError(f"spec {path}: {error.problem}", error.remedy) from None
    for name, value in (overrides or {}).items():
        if isinstance(value, Mapping) and isinstance(values.get(name), dict):
            values[name] = {**values[name], **value}
        else:
            values[name] = value
    try:
        return build_spec(values)
    except UsageError as error:
        raise UsageError(f"spec {path}: {error.problem}") from None


def with_absolute_paths(values: Mapping[str, Any], base: Path | None = None) -> dict[str, Any]:
    """The fields of a spec, not validated yet, with every path made absolute below `base` (the working directory)."""
    found = dict(values)
    for name, words in WORDS.items():
        if isinstance(found.get(name), str) and found[name] not in words:
            found[name] = absolute_path(found[name], base)
    if isinstance(found.get("styles"), list):
        found["styles"] = [_absolute_style(style, base) for style in found["styles"]]
    if isinstance(found.get("regions"), list):
        found["regions"] = [_absolute_region(region, base) for region in found["regions"]]
    return found


def absolute_path(path: str, base: Path | None = None) -> str:
    """`path` made absolute below `base`; a URL is left as it is. Raises UsageError for what can be no file's name."""
    if "\0" in path:
        raise UsageError(f"{path!r} cannot be the name of a file")
    if "://" in path:
        return path
    try:
        return str((base or Path.cwd()) / Path(path).expanduser())
    except RuntimeError as error:  # ~somebody who is not known here
        raise UsageError(f"{path} cannot be found: {error}", "write the path out") from None


def spec_differences(old: RenderSpec, new: RenderSpec) -> list[str]:
    """The fields that differ, as `size: 256 -> 512`; where the output goes is no difference."""
    return differing_fields(old, new)


def differing_fields(old: PaintSpec, new: PaintSpec) -> list[str]:
    """As `spec_differences`, for any kind of spec."""
    before, after = (_flat(spec.model_dump(mode="json", exclude={"output"})) for spec in (old, new))
    names = dict.fromkeys([*before, *after])
    return [f"{name}: {before.get(name)} -> {after.get(name)}" for name in names if before.get(name) != after.get(name)]


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """`{"encode": {"crf": 16}}` as `{"encode.crf": 16}`, lists with `[0]`."""
    if isinstance(values, dict):
        parts = [(f"{prefix}.{name}" if prefix else name, value) for name, value in values.items()]
    elif isinstance(values, list):
        parts = [(f"{prefix}[{number}]", value) for number, value in enumerate(values)]
    else:
        return {prefix: values}
    return {name: value for part, inner in parts for name, value in _flat(inner, part).items()}


def _absolute_style(style: Any, base: Path | None) -> Any:
    if isinstance(style, str):
        return absolute_path(style, base)
    if isinstance(style, dict) and isinstance(style.get("path"), str):
        return {**style, "path": absolute_path(style["path"], base)}
    return style


def _absolute_region(region: Any, base: Path | None) -> Any:
    """A region, text or mapping, with absolute paths; one that cannot be understood is left for validation."""
    if isinstance(region, str):
        try:
            region = parse_region(region)
        except ValueError:
            return region
    if not isinstance(region, dict):
        return region
    found = dict(region)
    if isinstance(found.get("mask"), str):
        found["mask"] = absolute_path(found["mask"], base)
    if isinstance(found.get("styles"), list):
        found["styles"] = [_absolute_style(style, base) for style in found["styles"]]
    return found


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
    shown = f", not {_short(given)}" if isinstance(given, (str, int, float)) else ""
    return f"{where}: {message}{shown}"


def _short(given: str | int | float) -> str:
    try:
        text = repr(given)
    except ValueError:  # Python writes no integer of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
