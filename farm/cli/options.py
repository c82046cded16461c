"""The options that make a spec: one table for each kind, and the spec that the written options make.

    @app.command()
    @takes(FILM, PAINT)
    def plan(options: Mapping[str, Any], as_json: AsJson = False) -> None:
        spec = film_spec(options)

A table maps the name of an option to its type and help, which come from the field of the spec (farm.cli.fields).
A command gets as `options` those that were written, by name. Defaults are the spec's alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from farm.cli.fields import argument, option
from farm.errors import UsageError
from farm.spec import PaintSpec, RenderSpec, StillSpec, TrainSpec, build_spec
from farm.spec.keys import keys_in_folder
from farm.spec.load import load_spec, validated, with_absolute_paths

Table = Mapping[str, Any]
"""Annotations for Typer by the names of options, with `_` for `-`."""

FIELDS = {
    "style": "styles",
    "source": "video",
    "region": "regions",
    "key": "keys",
    **{f"{name}_weight": f"weights.{name}" for name in ("style", "content", "temporal", "tv")},
    **{name: f"encode.{name}" for name in ("codec", "crf", "pixel_format", "audio", "subtitles")},
}
"""Path of the field, where it is not the name of the option: dots lead into a section of the spec."""

SHORT = {"output": "-o"}
"""Options that have a letter as well."""


def options_of(model: type[PaintSpec], forms: Mapping[str, str]) -> Table:
    """The options of `model` that `forms` names, each with the form of its text; an empty form is the field's type."""
    table = {}
    for name, form in forms.items():
        flags = [f"--{name.replace('_', '-')}", *([SHORT[name]] if name in SHORT else [])]
        table[name] = option(model, FIELDS.get(name, name), *flags, metavar=form)
    return table


LAYERS = "LAYER[:WEIGHT],.."
REGION = "MASK[@FRAME|@static]=STYLE[:W],..|none"

PAINT: Table = options_of(
    PaintSpec,
    {
        "style": "IMG[:WEIGHT]",
        "region": REGION,
        "size": "",
        "init": "content|style|noise|PICTURE",
        "color": "",
        "style_scale": "",
        "style_weight": "",
        "content_weight": "",
        "tv_weight": "",
        "content_layers": LAYERS,
        "style_layers": LAYERS,
        "optimizer": "",
        "learning_rate": "",
        "features": "vgg19|FILE",
        "features_input": "",
        "pooling": "",
        "precision": "",
        "max_memory": "6GiB",
        "seed": "",
    },
)
"""How a picture is painted: options of films and stills."""

FILM: Table = {
    "video": argument(RenderSpec, "video", "VIDEO"),
    "spec": Annotated[
        Path | None,
        typer.Option("--spec", help="YAML file that describes the render; options on the command line override it."),
    ],
    "keys_folder": Annotated[
        Path | None,
        typer.Option("--keys", help="Folder of painted keyframes, named by their frames: 000120.png."),
    ],
    **options_of(
        RenderSpec,
        {
            "output": "OUT",
            "frames": "A-B",
            "method": "",
            "network": "FILE",
            "train_budget": "10m",
            "key": "FRAME=PICTURE",
            "resize_keys": "",
            "timeline": "FILE.yaml",
            "painted": "FILM|FOLDER",
            "strength": "",
            "iterations": "FIRST,NEXT",
            "passes": "",
            "chunk_frames": "",
            "overlap": "",
            "flow": "",
            "flow_weights": "FILE",
            "flow_dir": "FOLDER",
            "long_term": "A,B,..|none",
            "temporal_weight": "",
            "follow_change": "",
            "repaint": "",
            "device": "",
            "allow_truncated": "",
            "hdr": "",
            "interlaced": "",
            "codec": "",
            "crf": "",
            "pixel_format": "",
            "audio": "copy|encode|none|TRACKS",
            "subtitles": "copy|none|TRACKS",
        },
    ),
}
"""What a render reads, writes and does beside painting single pictures."""

STEADY: Table = {
    "painted": argument(RenderSpec, "painted", "PAINTED"),
    "source": Annotated[
        str | None, typer.Option("--source", metavar="FILM", help="Film that PAINTED was painted from, frame by frame.")
    ],
    **{
        name: FILM[name]
        for name in (
            "output",
            "strength",
            "frames",
            "passes",
            "chunk_frames",
            "flow",
            "flow_weights",
            "flow_dir",
            "long_term",
            "allow_truncated",
            "hdr",
            "interlaced",
            "codec",
            "crf",
            "pixel_format",
            "audio",
            "subtitles",
        )
    },
    "size": PAINT["size"],
}
"""What `farm steady` reads, writes and does."""

STILL: Table = {
    "image": argument(StillSpec, "image", "IMAGE"),
    **options_of(StillSpec, {"output": "OUT", "iterations": "", "bit_depth": ""}),
}
"""What `farm stylize` has beside `PAINT`."""

TRAIN: Table = options_of(
    TrainSpec,
    {
        "output": "NET",
        "photos": "FOLDER",
        "video": "FILM",
        "architecture": "",
        "network": "NET",
        "budget": "40m",
        "steps": "",
        "crop": "",
        "batch": "",
        "patience": "",
        "temporal_weight": "",
        "style": "IMG[:WEIGHT]",
        "size": "",
        "style_scale": "",
        "style_weight": "",
        "content_weight": "",
        "tv_weight": "",
        "content_layers": LAYERS,
        "style_layers": LAYERS,
        "learning_rate": "",
        "features": "vgg19|FILE",
        "features_input": "",
        "pooling": "",
        "precision": "",
        "seed": "",
    },
)
"""All that concerns the result of `farm train`."""


def takes(*tables: Table) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of `tables`, in that order and before its own.

    Typer reads a command's options from its signature; this one is put together here. The command itself gets the
    written options of the tables as a mapping, its first parameter.
    """
    shared = {name: annotation for table in tables for name, annotation in table.items()}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**values: Any) -> None:
            written = {name: values.pop(name) for name in shared}
            command({name: value for name, value in written.items() if value is not None}, **values)

        by_name = inspect.Parameter.KEYWORD_ONLY
        own_parameters = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        parameters = [
            *(inspect.Parameter(name, by_name, annotation=kind, default=None) for name, kind in shared.items()),
            *(parameter.replace(kind=by_name) for parameter in own_parameters),
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def film_spec(options: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> RenderSpec:
    """The spec of a film: `options` override the spec file, if they name one.

    `defaults` are fields that are used where there is no spec file and no option. Raises UsageError.
    """
    values = spec_values(options)
    if file := options.get("spec"):
        return load_spec(file, values)
    values = {**with_absolute_paths(defaults or {}), **values}
    if "video" not in values:
        raise UsageError("no video is given", "farm render VIDEO --style PICTURE -o OUT.mp4")
    if "output" not in values:
        raise UsageError("no output is given", "add -o OUT.mp4")
    return build_spec(values)


def steady_spec(options: Mapping[str, Any]) -> RenderSpec:
    """The spec that the options of `farm steady` make. Raises UsageError."""
    usage = "farm steady PAINTED --source FILM -o OUT.mp4"
    for name, problem in (("painted", "no painted film is given"), ("source", "no source is given")):
        if name not in options:
            raise UsageError(problem, usage)
    return film_spec({**options, "method": "steady"})


def still_spec(options: Mapping[str, Any]) -> StillSpec:
    """The spec that the options of `farm stylize` make. Raises UsageError."""
    for name, remedy in (("image", "farm stylize IMAGE --style PICTURE -o OUT.png"), ("output", "add -o OUT.png")):
        if name not in options:
            raise UsageError(f"no {name} is given", remedy)
    return validated(StillSpec, spec_values(options))


def train_spec(options: Mapping[str, Any]) -> TrainSpec:
    """The spec that the options of `farm train` make. Raises UsageError."""
    if "output" not in options:
        raise UsageError("no output is given", "add -o NET.safetensors")
    return validated(TrainSpec, spec_values(options))


def spec_values(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a spec, not validated yet: options by the spec's names and in its sections, paths absolute."""
    values: dict[str, Any] = {}
    for name, value in options.items():
        *sections, field = FIELDS.get(name, name).split(".")
        target = values
        for section in sections:
            target = target.setdefault(section, {})
        target[field] = value
    values.pop("spec", None)
    if folder := values.pop("keys_folder", None):
        values["keys"] = [*values.get("keys", ()), *keys_in_folder(folder)]
    return with_absolute_paths(values)
