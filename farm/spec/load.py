"""From a YAML file or the options of a command line to a validated spec. Its faults are one readable line.

spec = load_spec("render.yaml", {"size": 512})      # options win over the file
spec = build_spec({"video": "film.mp4", "styles": ["wave.jpg"], "output": "painted.mp4"})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from farm.errors import UsageError
from farm.spec.choices import InitName
from farm.spec.keys import listed, parse_key
from farm.spec.paint import PaintSpec, parse_region
from farm.spec.render import JOIN_ONLY, RenderSpec
from farm.spec.timeline import Timeline

WORDS = {
    **dict.fromkeys(("video", "image", "output", "flow_weights", "flow_dir", "network", "photos", "painted"), ()),
    "init": get_args(InitName),
    "features": ("vgg19",),
}
"""Fields that name a file, each with the words that stand for no file. A file of such a name is written `./noise`."""
MOST_SPEC_BYTES = 1 << 20
"""Size of a YAML spec above which it is refused."""
LONGEST_SHOWN = 80
"""Letters of a wrong value that the message about it shows."""

Spec = TypeVar("Spec", bound=PaintSpec)


def build_spec(values: Mapping[str, Any]) -> RenderSpec:
    """The spec of a render in a mapping of its fields. Raises UsageError with every fault on one line."""
    return validated(RenderSpec, values)


def validated(kind: type[Spec], values: Mapping[str, Any]) -> Spec:
    """The spec of any kind in a mapping of its fields. Raises UsageError with every fault on one line."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        faults = "; ".join(_readable(fault) for fault in error.errors(include_url=False))
        raise UsageError(" ".join(faults.split())) from None


def load_spec(path: str | Path, overrides: Mapping[str, Any] | None = None) -> RenderSpec:
    """Read the spec of a render from a YAML file. `overrides` (from the command line) win, section by section.

    Paths in the file are relative to the file, those in `overrides` to the working directory. Raises UsageError where
    the file cannot be read, is not YAML, or has faults.
    """
    path = Path(path)
    values = _read_yaml("spec", path)
    if not isinstance(values, dict):
        raise UsageError(f"spec {path} is not a mapping of fields", "farm schema prints what it may hold")
    try:
        values = with_absolute_paths(values, path.resolve().parent)
    except UsageError as error:
        raise UsageError(f"spec {path}: {error.problem}", error.remedy) from None
    for name, value in (overrides or {}).items():
        # A timeline is one thing: points of one and shots of another would make a film that nobody asked for.
        if name != "timeline" and isinstance(value, Mapping) and isinstance(values.get(name), dict):
            values[name] = {**values[name], **value}
        else:
            values[name] = value
    try:
        return build_spec(values)
    except UsageError as error:
        raise UsageError(f"spec {path}: {error.problem}") from None


def _read_yaml(kind: str, path: Path) -> Any:
    """What a YAML file holds. `kind` names it in messages. Raises UsageError where it cannot be read or is not YAML."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_SPEC_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{kind} {path} cannot be read: {error.strerror}", "give a YAML file") from None
    if len(text) > MOST_SPEC_BYTES:
        raise UsageError(f"{kind} {path} is larger than {MOST_SPEC_BYTES >> 20} MiB", "give a YAML file")
    import yaml  # here, because a command without a spec file shall answer at once

    class Loader(yaml.SafeLoader):
        """YAML 1.1 takes 1:30 for the number 90. It is a time here, and stays the text that it was."""

    def text_or(construct: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        return lambda loader, node: node.value if ":" in node.value else construct(loader, node)

    for name in ("int", "float"):
        Loader.add_constructor(f"tag:yaml.org,2002:{name}", text_or(getattr(yaml.SafeLoader, f"construct_yaml_{name}")))
    try:
        return yaml.load(text.decode("utf-8"), Loader)  # noqa: S506 a SafeLoader
    except (yaml.YAMLError, ValueError, OverflowError, TypeError, RecursionError) as error:
        # The parser also lets errors through that odd dates, numbers, keys and endless nesting raise.
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise UsageError(f"{kind} {path} is not YAML{line}") from None


def with_absolute_paths(values: Mapping[str, Any], base: Path | None = None) -> dict[str, Any]:
    """The fields of a spec, not validated yet, with every path made absolute below `base` or the working directory.

    Raises UsageError for a path that can be no file's name.
    """
    fields = dict(values)
    for name, words in WORDS.items():
        if isinstance(fields.get(name), str) and fields[name] not in words:
            fields[name] = absolute_path(fields[name], base)
    if isinstance(fields.get("styles"), list):
        fields["styles"] = [_absolute_style(style, base) for style in fields["styles"]]
    if isinstance(fields.get("regions"), list):
        fields["regions"] = [_absolute_region(region, base) for region in fields["regions"]]
    if isinstance(keys := listed(fields.get("keys")), list):
        fields["keys"] = [_absolute_key(key, base) for key in keys]
    timeline = fields.get("timeline")
    if isinstance(timeline, str):
        timeline, base = _timeline_file(Path(absolute_path(timeline, base)))
    if isinstance(timeline, dict):
        fields["timeline"] = _absolute_timeline(timeline, base)
    return fields


def _timeline_file(path: Path) -> tuple[dict[str, Any], Path]:
    """The fields of a timeline's file, which may be a mere list of points, and the folder that it lies in.

    It is checked here, so that the message names the file. Raises UsageError.
    """
    values = _read_yaml("timeline", path)
    values = {"points": values} if isinstance(values, list) else values
    if not isinstance(values, dict):
        raise UsageError(f"timeline {path} is not a list of points", "docs/timeline.md has an example")
    if isinstance(values.get("timeline"), dict) and len(values) == 1:
        values = values["timeline"]
    try:
        Timeline.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(_readable(fault) for fault in error.errors(include_url=False))
        raise UsageError(f"timeline {path}: {' '.join(faults.split())}") from None
    return values, path.resolve().parent


def absolute_path(path: str, base: Path | None = None) -> str:
    """`path` made absolute below `base` or the working directory; a URL is left as it is.

    Raises UsageError for a path that can be no file's name.
    """
    if "\0" in path:
        raise UsageError(f"{path!r} cannot be the name of a file")
    if "://" in path:
        return path
    try:
        return str((base or Path.cwd()) / Path(path).expanduser())
    except RuntimeError as error:  # ~somebody who is not known here
        raise UsageError(f"{path} cannot be found: {error}", "write the path out") from None


def spec_differences(old: RenderSpec, new: RenderSpec) -> list[str]:
    """The fields in which two specs of renders differ, as `size: 256 -> 512`. Those of `JOIN_ONLY` are left out.

    So is the device, which belongs to the machines of one run: a job may be resumed on others. So is the length of
    chunks where `new` leaves it to the farm: the job has chosen.
    """
    if new.chunk_frames is None:
        new = new.model_copy(update={"chunk_frames": old.chunk_frames})
    return [line for line in differing_fields(old, new) if line.partition(":")[0] not in JOIN_ONLY]


def with_join_of(painted: RenderSpec, wanted: RenderSpec) -> RenderSpec:
    """The spec `painted` of a job with what concerns only the join (`JOIN_ONLY`, but the output) as in `wanted`."""
    join = {name: getattr(wanted.encode, name) for name in ("audio", "subtitles")}
    return painted.model_copy(update={"encode": painted.encode.model_copy(update=join)})


def differing_fields(old: PaintSpec, new: PaintSpec) -> list[str]:
    """The fields in which two specs of any kind differ, as `spec_differences` gives them."""
    before, after = (_flat(spec.model_dump(mode="json", exclude={"output", "device"})) for spec in (old, new))
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
    fields = dict(region)
    if isinstance(fields.get("mask"), str):
        fields["mask"] = absolute_path(fields["mask"], base)
    if isinstance(fields.get("styles"), list):
        fields["styles"] = [_absolute_style(style, base) for style in fields["styles"]]
    return fields


def _absolute_key(key: Any, base: Path | None) -> Any:
    """A painted keyframe, text or mapping, with an absolute path; one that cannot be understood is left as it is."""
    if isinstance(key, str):
        try:
            key = parse_key(key)
        except ValueError:
            return key
    if isinstance(key, dict) and isinstance(key.get("picture"), str):
        return {**key, "picture": absolute_path(key["picture"], base)}
    return key


def _absolute_timeline(timeline: dict[Any, Any], base: Path | None) -> dict[Any, Any]:
    """A timeline with absolute paths; what cannot be understood is left for validation."""
    fields = dict(timeline)
    if isinstance(fields.get("points"), list):
        fields["points"] = [_absolute_setting(point, base) for point in fields["points"]]
    if isinstance(fields.get("per_shot"), dict):
        fields["per_shot"] = {shot: _absolute_setting(value, base) for shot, value in fields["per_shot"].items()}
    return fields


def _absolute_setting(setting: Any, base: Path | None) -> Any:
    if not isinstance(setting, dict):
        return setting
    fields = dict(setting)
    if "styles" in fields:
        fields["styles"] = _absolute_styles(fields["styles"], base)
    if isinstance(fields.get("regions"), dict):
        fields["regions"] = {number: _absolute_styles(styles, base) for number, styles in fields["regions"].items()}
    return fields


def _absolute_styles(styles: Any, base: Path | None) -> Any:
    if isinstance(styles, list):
        return [_absolute_style(style, base) for style in styles]
    return styles if styles == "none" else _absolute_style(styles, base)


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
    value = fault.get("input")
    shown = f", not {_short(value)}" if isinstance(value, (str, int, float)) else ""
    return f"{where}: {message}{shown}"


def _short(value: str | int | float) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
