"""The files that a spec names: which they are, and the same spec with files elsewhere.

input_files(spec)                     every film, picture and state dict that it names, each once
with_files(spec, change)              the same spec, with change(path) in place of each path
with_small_files_here(spec)           the same spec with pictures and state dicts fetched; films stay where they are
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_args

from farm.files import local_path
from farm.spec.choices import InitName
from farm.spec.paint import PaintSpec, StyleImage
from farm.spec.timeline import Setting, Timeline

Spec = TypeVar("Spec", bound=PaintSpec)
OneSetting = TypeVar("OneSetting", bound=Setting)
OneStyle = TypeVar("OneStyle", bound=StyleImage)

BUILT_IN = "vgg19"
"""Value of `features` that names no file."""


def input_files(spec: PaintSpec) -> list[str]:
    """Paths of every film, picture and state dict that a spec names, each once. The folder `flow_dir` is left out."""
    paths: dict[str, None] = {}

    def note(path: str) -> str:
        paths[path] = None
        return path

    with_files(spec, note)
    return list(paths)


def with_files(spec: Spec, change: Callable[[str], str]) -> Spec:
    """The same spec, with `change(path)` in place of every path but the output's and the folder `flow_dir`."""
    values: dict[str, Any] = {
        "styles": _styles(spec.styles, change),
        "regions": tuple(
            region.model_copy(update={"mask": change(region.mask), "styles": _styles(region.styles, change)})
            for region in spec.regions
        ),
    }
    if keys := getattr(spec, "keys", ()):
        values["keys"] = tuple(key.model_copy(update={"picture": change(key.picture)}) for key in keys)
    if (timeline := getattr(spec, "timeline", None)) is not None:
        values["timeline"] = _timeline(timeline, change)
    if spec.init not in get_args(InitName):
        values["init"] = change(spec.init)
    if spec.features != BUILT_IN:
        values["features"] = change(spec.features)
    for name in ("video", "image", "flow_weights", "network", "painted"):
        if getattr(spec, name, None):
            values[name] = change(getattr(spec, name))
    return spec.model_copy(update=values)


def with_small_files_here(spec: Spec) -> Spec:
    """The same spec, with pictures and state dicts at a URL fetched once a process. Raises InputError."""
    films = {
        getattr(spec, "video", None),
        getattr(spec, "painted", None),
        *(region.mask for region in spec.regions if not region.is_picture),
    }
    return with_files(spec, lambda path: path if path in films else str(local_path(path)))


def picture_files(spec: PaintSpec) -> list[str]:
    """Paths of the paintings, those of regions and of a timeline too, of painted keyframes, and of the picture that a
    first frame starts from, each once.
    """
    styles = (*spec.styles, *(style for region in spec.regions for style in region.styles))
    if (timeline := getattr(spec, "timeline", None)) is not None:
        styles += timeline.paintings
    paths = [*(style.path for style in styles), *(key.picture for key in getattr(spec, "keys", ()))]
    return list(dict.fromkeys(paths if spec.init in get_args(InitName) else [*paths, spec.init]))


def place_in_timeline(spec: PaintSpec, path: str) -> str:
    """The name of the first point or shot of the spec's timeline that names the painting; empty where none does."""
    timeline: Timeline | None = getattr(spec, "timeline", None)
    settings = timeline.settings.items() if timeline is not None else ()
    return next((name for name, one in settings if any(style.path == path for style in one.paintings)), "")


def _timeline(timeline: Timeline, change: Callable[[str], str]) -> Timeline:
    return timeline.model_copy(
        update={
            "points": tuple(_setting(point, change) for point in timeline.points),
            "per_shot": {shot: _setting(setting, change) for shot, setting in timeline.per_shot.items()},
        }
    )


def _setting(setting: OneSetting, change: Callable[[str], str]) -> OneSetting:
    styles = None if setting.styles is None else _styles(setting.styles, change)
    regions = {number: _styles(region, change) for number, region in setting.regions.items()}
    return setting.model_copy(update={"styles": styles, "regions": regions})


def _styles(styles: tuple[OneStyle, ...], change: Callable[[str], str]) -> tuple[OneStyle, ...]:
    return tuple(style.model_copy(update={"path": change(style.path)}) for style in styles)
