"""What a preview shows: which frames of a film, and the specs of a grid of settings to choose from. Pure.

    options = parse_vary(["style-weight=50,100,200", "style-scale=0.7,1"], known)
    for variant in spread(given, options, present): variant.labels, variant.given

An option has the name and the values that it has on the command line of `render`. A value `x2` is twice what the option
would be otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from farm.errors import UsageError
from farm.plan.render_plan import RenderPlan
from farm.spec import FrameRange

MOST_VARIED = 2
"""Options that may vary at once: the rows and the columns of a sheet."""
MOST_VARIANTS = 64
"""Cells of one sheet."""
NOT_VARIED = ("video", "spec", "output", "frames", "size")
"""Options that cannot vary: all cells of a sheet show the same frames at the same size."""


@dataclass(frozen=True)
class Varied:
    """An option by its name on the command line, and the values that it takes in turn, as written."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Variant:
    """One cell of the grid. `labels` name it, row first; `given` are all options that make it, by their names."""

    labels: tuple[str, ...]
    given: Mapping[str, Any]


def parse_vary(texts: Sequence[str], known: Mapping[str, Any]) -> list[Varied]:
    """The options of `NAME=VALUE,VALUE,...`, which may be given once or twice. `known` has all options by name.

    Raises UsageError.
    """
    varied: list[Varied] = []
    for text in texts:
        name, _, values = text.partition("=")
        name = name.strip().removeprefix("--")
        if name.replace("-", "_") not in known or name in NOT_VARIED:
            raise UsageError(f"--vary {name} is no option of a render that can vary", "for example style-weight=50,100")
        parts = tuple(part.strip() for part in values.split(",") if part.strip())
        if not parts:
            raise UsageError(f"--vary {text} gives no values", "write it as style-weight=50,100,200")
        varied.append(Varied(name, parts))
    if len(varied) > MOST_VARIED:
        raise UsageError(f"{len(varied)} options vary at once", f"a sheet shows {MOST_VARIED}")
    if len({option.name for option in varied}) < len(varied):
        raise UsageError(f"--vary {varied[0].name} is given twice", "write all its values in one")
    return varied


def spread(given: Mapping[str, Any], options: Sequence[Varied], present: Mapping[str, float]) -> list[Variant]:
    """A variant of the options `given` for every combination of values, the last option changing fastest.

    `present` has the values that `x2` is a multiple of, by name. Raises UsageError.
    """
    combinations = list(itertools.product(*(varied.values for varied in options)))
    if len(combinations) > MOST_VARIANTS:
        raise UsageError(f"{len(combinations)} variants are too many for a sheet", f"at most {MOST_VARIANTS}")
    variants = []
    for values in combinations:
        changed = dict(given)
        labels = []
        for varied, value in zip(options, values, strict=True):
            resolved = _resolved(varied.name, value, present)
            changed[varied.name.replace("-", "_")] = [resolved] if varied.name in ("style", "region") else resolved
            labels.append(f"{varied.name} {resolved}")
        variants.append(Variant(tuple(labels), changed))
    return variants


def _resolved(name: str, value: str, present: Mapping[str, float]) -> str:
    if not value.startswith("x"):
        return value
    try:
        factor = float(value[1:])
    except ValueError:
        return value
    if name not in present:
        raise UsageError(f"--vary {name}={value}: there is no number to multiply", "write the value itself")
    return f"{factor * present[name]:g}"


def frames_to_show(plan: RenderPlan, asked: Sequence[int] | None, most: int) -> list[int]:
    """Frames that a preview shows: those that were `asked` for, else the middle of each of the `most` longest shots.

    Raises UsageError where one is not in the film.
    """
    if asked:
        missing = [frame for frame in asked if frame not in plan.frames]
        if missing:
            raise UsageError(f"frame {missing[0]} is not in the film, which has {plan.frames}")
        return sorted(set(asked))
    longest = sorted(plan.shots, key=lambda shot: (shot.start - shot.stop, shot.start))[:most]
    return sorted((shot.start + shot.stop) // 2 for shot in longest)


def parse_frames(text: str) -> tuple[FrameRange | None, list[int]]:
    """(part of the film, frames) of `--frames`. Raises UsageError.

    `A-B` is a part of the film, of which the middle of each shot is shown. `12,40,90` are single frames.

    >>> parse_frames("12,40")
    (None, [12, 40])
    """
    if "-" in text and "," not in text:
        return FrameRange.parse(text), []
    return None, [frame for part in text.split(",") for frame in FrameRange.parse(part)]


def first_seconds(plan: RenderPlan, frames: int, most: int) -> list[FrameRange]:
    """The first `frames` frames of each of the `most` longest shots, in the film's order."""
    longest = sorted(plan.shots, key=lambda shot: (shot.start - shot.stop, shot.start))[:most]
    ordered = sorted(longest, key=lambda shot: shot.start)
    return [FrameRange(shot.start, min(shot.start + frames, shot.stop)) for shot in ordered]
