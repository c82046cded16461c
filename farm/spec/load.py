"""From a YAML file or the options of a command line to a validated spec; a fault is one readable line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError

from farm.errors import UsageError
from farm.spec.choices import InitName
from farm.spec.paint import PaintSpec, parse_region
from farm.spec.render import RenderSpec

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
