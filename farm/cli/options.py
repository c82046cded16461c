"""The options that commands share: one table each, and the spec that they make.

    @app.command()
    @takes(FILM, PAINT)
    def plan(given: Mapping[str, Any], as_json: AsJson = False) -> None:
        spec = film_spec(given)

A table maps the name of an option to its type; what a command gets as `given` are the options that were written,
by name. Defaults are the spec's alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from farm.errors import UsageError
from farm.spec.choices import (
    ColorMode,
    FlowMethod,
    HdrPolicy,
    InterlacedPolicy,
    Method,
    NetworkKind,
    Normalization,
    Optimizer,
    Pooling,
    Precision,
)
from farm.spec.load import build_spec, load_spec, validated, with_absolute_paths
from farm.spec.paint import StillSpec
from farm.spec.render import RenderSpec
from farm.spec.train import TrainSpec

Table = Mapping[str, Any]


def choice(words: Any, about: str) -> Any:
    """An option that takes one of the words of a Literal."""
    kind: Any = Enum("Choice", {word: word for word in get_args(words)}, type=str)  # type: ignore[misc]
    return Annotated[kind | None, typer.Option(help=about)]


def number(kind: Any, about: str) -> Any:
    return Annotated[kind | None, typer.Option(help=about)]


def text(about: str, metavar: str | None = None) -> Any:
    return Annotated[str | None, typer.Option(help=about, metavar=metavar)]


PAINT: Table = {
    "style": Annotated[
        list[str] | None, typer.Option("--style", metavar="IMG[:WEIGHT]", help="a painting; several are blended")
    ],
    "region": Annotated[
        list[str] | None,
        typer.Option(
            "--region", metavar="MASK[@FRAME|@static]=STYLE[:W],..|none", help="a style for a part of the picture"
        ),
    ],
    "size": number(int, "longest side of the output, pixels; default the source's"),
    "init": text("how a frame with nothing to go by starts; default content", "content|style|noise|PICTURE"),
    "color": choice(ColorMode, "keep the content's colours; default none, the painting's"),
    "style_scale": number(float, "stroke size; 1: the painting has the frame's area"),
    "style_weight": number(float, "of the Gram loss; default 100"),
    "content_weight": number(float, "of the content loss; default 5"),
    "tv_weight": number(float, "of the total variation; default 0"),
    "content_layers": text("default relu4_2", "LAYER[:WEIGHT],.."),
    "style_layers": text("default relu1_1,relu2_1,relu3_1,relu4_1,relu5_1", "LAYER[:WEIGHT],.."),
    "optimizer": choice(Optimizer, "default lbfgs"),
    "learning_rate": number(float, "of adam, grey levels; default 2"),
    "features": text("network of the losses: built in, or a VGG's state dict; default vgg19", "vgg19|FILE"),
    "features_input": choice(Normalization, "what that file was trained on; default auto"),
    "pooling": choice(Pooling, "of the network; default max"),
    "precision": choice(Precision, "arithmetic of the features; default auto"),
    "max_memory": text("of one worker: larger pictures are painted in tiles; default what is free", "6GiB"),
    "seed": number(int, "of the noise that --init noise starts from; default 0"),
}

FILM: Table = {
    "video": Annotated[str | None, typer.Argument(metavar="VIDEO", help="the film to repaint")],
    "spec": Annotated[Path | None, typer.Option("--spec", help="YAML file; options given here override it")],
    "output": Annotated[str | None, typer.Option("--output", "-o", help=".mp4, .mov, .mkv or .webm")],
    "frames": text("only these frames, both included, from 0", "A-B"),
    "method": choice(Method, "instant: a trained network; identity copies the frames, to test a pipeline"),
    "network": text("of --method instant: a file of farm train; without it one is trained for --style", "FILE"),
    "train_budget": text("for how long; default 10m", "10m"),
    "iterations": text("optimiser steps of a frame; default 200,50", "FIRST,NEXT"),
    "passes": number(int, "1: frames in sequence only; further passes tie both neighbours; default 5"),
    "chunk_frames": number(int, "frames that a worker renders in sequence, at the most"),
    "overlap": number(int, "frames that two chunks share where each starts from scratch"),
    "flow": choice(FlowMethod, "optical flow estimator; default dis"),
    "flow_weights": text("state dict for --flow raft"),
    "flow_dir": text("use given flows: forward_1_2.flo, backward_2_1.flo, ..."),
    "long_term": text("frames back to look; default 10,20,40", "A,B,..|none"),
    "temporal_weight": number(float, "of the temporal loss; default 1000"),
    "allow_truncated": Annotated[bool, typer.Option("--allow-truncated", help="render what decodes of a broken file")],
    "hdr": choice(HdrPolicy, "what becomes of an HLG or PQ film; default tonemap, to BT.709"),
    "interlaced": choice(InterlacedPolicy, "what becomes of an interlaced film; default deinterlace"),
    "codec": text("video codec, ffmpeg's name; default libx264"),
    "crf": number(int, "quality of the encoder, lower is better; default 16"),
    "pixel_format": text("ffmpeg's name; default yuv420p"),
}

STILL: Table = {
    "image": Annotated[str | None, typer.Argument(metavar="IMAGE", help="the picture to repaint")],
    "output": Annotated[str | None, typer.Option("--output", "-o", help=".png or .jpg")],
    "iterations": number(int, "optimiser steps; default 300"),
    "bit_depth": number(int, "of a PNG: 8, or 16 to keep what rounding to 8 loses"),
}

TRAIN: Table = {
    "output": Annotated[str | None, typer.Option("--output", "-o", help="the network, .safetensors")],
    "photos": text("folder of photographs to learn from", "FOLDER"),
    "video": text("film to learn from; its neighbouring frames are tied to each other", "FILM"),
    "architecture": choice(NetworkKind, "default small; johnson is the one of the paper, about six times slower"),
    "network": text("trained network to begin with: for another balance in minutes", "NET"),
    "budget": text("how long to train, evaluations included", "40m"),
    "steps": number(int, "instead of --budget"),
    "crop": number(int, "side of the crops until the last two fifths, which take whole pictures; default 288"),
    "batch": number(int, "crops of a step, each on a core of its own; default 2"),
    "patience": number(int, "evaluations, 16 in a training, without a better one after which to stop; default 6"),
    "temporal_weight": number(float, "of the two-frame loss of --video; default 30000, 0 takes frames singly"),
    **{
        name: PAINT[name]
        for name in (
            *("style", "size", "style_scale", "style_weight", "content_weight", "tv_weight", "content_layers"),
            *("style_layers", "learning_rate", "features", "features_input", "pooling", "precision", "seed"),
        )
    },
    "size": number(int, "longest side of what it will paint: sets the strokes; default 512"),
    "learning_rate": number(float, "at the start: of Adam, and a tenth of Muon's; default 0.003"),
    "seed": number(int, "of the network's first weights and of the crops; default 0"),
}

SECTIONS = {
    **{f"{name}_weight": ("weights", name) for name in ("style", "content", "temporal", "tv")},
    **{name: ("encode", name) for name in ("codec", "crf", "pixel_format")},
}
"""Options that stand in a section of the spec."""

LISTS = {"style": "styles", "region": "regions"}
"""Options that may be written again, and their field."""


def takes(*tables: Table) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of `tables`, in that order and before its own."""
    shared = {name: kind for table in tables for name, kind in table.items()}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

        def run(**values: Any) -> None:
            given = {name: _plain(values.pop(name)) for name in shared}
            command(
                {name: value for name, value in given.items() if value is not None and value is not False}, **values
            )

        parameters = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=_unset(kind))
            for name, kind in shared.items()
        ]
        parameters += [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def film_spec(given: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> RenderSpec:
    """The options over the spec file, if one is named. `defaults` fill what neither says. Raises UsageError."""
    values = spec_values(given)
    if file := given.get("spec"):
        return load_spec(file, values)
    values = {**with_absolute_paths(defaults or {}), **values}
    if "video" not in values:
        raise UsageError("no video is given", "farm render VIDEO --style PICTURE -o OUT.mp4")
    if "output" not in values:
        raise UsageError("no output is given", "add -o OUT.mp4")
    return build_spec(values)


def still_spec(given: Mapping[str, Any]) -> StillSpec:
    """The options of `farm stylize`. Raises UsageError."""
    for name, remedy in (("image", "farm stylize IMAGE --style PICTURE -o OUT.png"), ("output", "add -o OUT.png")):
        if name not in given:
            raise UsageError(f"no {name} is given", remedy)
    return validated(StillSpec, spec_values(given))


def train_spec(given: Mapping[str, Any]) -> TrainSpec:
    """The options of `farm train`. Raises UsageError."""
    if "output" not in given:
        raise UsageError("no output is given", "add -o NET.safetensors")
    return validated(TrainSpec, spec_values(given))


def spec_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a spec, not validated yet: options by the spec's names and in its sections, paths absolute."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in SECTIONS:
            section, field = SECTIONS[name]
            values.setdefault(section, {})[field] = value
        elif name in LISTS:
            values[LISTS[name]] = value
        elif name != "spec":
            values[name] = value
    return with_absolute_paths(values)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _unset(kind: Any) -> Any:
    """A flag that is not written is False, everything else None."""
    return False if get_args(kind)[0] is bool else None
