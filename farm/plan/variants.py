"""What a preview shows: which frames of a film, and the specs of a grid of settings to choose from. Pure.

    varied = parse_vary(["style-weight=50,100,200", "style-scale=0.7,1"], option_names)
    for variant in spread(options, varied, current_values): variant.labels, variant.options

Options have the names and values that they have on the command line of `render`. The value `x2` is twice the one that
the option has without --vary.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
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
    """One cell of the grid.

    `labels` name it, that of its row first, such as `style-weight 50`. `options` are all options of its render, by
    their names in Python (`style_weight`).
    """

    labels: tuple[str, ...]
    options: Mapping[str, Any]


def parse_vary(texts: Sequence[str], option_names: Collection[str]) -> list[Varied]:
    """The options that vary, from texts such as `style-weight=50,100`, of which there are MOST_VARIED at most.

    `option_names` are those of all options of a render, as in Python (`style_weight`). Raises UsageError for a text
    without values, an option that is unknown, cannot vary or comes twice, and for too many options.

    >>> parse_vary(["style-weight=50,100"], {"style_weight"})
    [Varied(name='style-weight', values=('50', '100'))]
    """
    varied: list[Varied] = []
    for text in texts:
        name, _, values = text.partition("=")
        name = name.strip().removeprefix("--")
        if name.replace("-", "_") not in option_names or name in NOT_VARIED:
            raise UsageError(f"--vary {name} is no option of a render that can vary", "for example style-weight=50,100")
        listed = tuple(value.strip() for value in values.split(",") if value.strip())
        if not listed:
            raise UsageError(f"--vary {text} gives no values", "write it as style-weight=50,100,200")
        varied.append(Varied(name, listed))
    if len(varied) > MOST_VARIED:
        raise UsageError(f"{len(varied)} options vary at once", f"a sheet shows {MOST_VARIED}")
    if len({option.name for option in varied}) < len(varied):
        raise UsageError(f"--vary {varied[0].name} is given twice", "write all its values in one")
    return varied


def spread(options: Mapping[str, Any], varied: Sequence[Varied], current_values: Mapping[str, float]) -> list[Variant]:
    """A variant of `options` for every combination of the values in `varied`; the last of these changes fastest.

    `current_values` are the numbers that `x2` multiplies, by the name of the option on the command line. Raises
    UsageError for more than MOST_VARIANTS combinations, and for `x2` where the option has no number.
    """
    combinations = list(itertools.product(*(option.values for option in varied)))
    if len(combinations) > MOST_VARIANTS:
        raise UsageError(f"{len(combinations)} variants are too many for a sheet", f"at most {MOST_VARIANTS}")
    variants = []
    for values in combinations:
        variant_options = dict(options)
        labels = []
        for option, value in zip(varied, values, strict=True):
            resolved = _resolved(option.name, value, current_values)
            key = option.name.replace("-", "_")
            variant_options[key] = [resolved] if option.name in ("style", "region") else resolved
            labels.append(f"{option.name} {resolved}")
        variants.append(Variant(tuple(labels), variant_options))
    return variants


def _resolved(name: str, value: str, current_values: Mapping[str, float]) -> str:
    """The value of the option `name` with `x2` multiplied out. Raises UsageError where there is nothing to multiply."""
    if not value.startswith("x"):
        return value
    try:
        factor = float(value[1:])
    except ValueError:
        return value
    if name not in current_values:
        raise UsageError(f"--vary {name}={value}: there is no number to multiply", "write the value itself")
    return f"{factor * current_values[name]:g}"


def frames_to_show(plan: RenderPlan, requested: Sequence[int] | None, shots: int) -> list[int]:
    """Frames that a preview shows: the `requested` ones, else the middle of each of the `shots` longest shots.

    Raises UsageError where a requested frame is not in the film.
    """
    if requested:
        missing = [frame for frame in requested if frame not in plan.frames]
        if missing:
            raise UsageError(f"frame {missing[0]} is not in the film, which has {plan.frames}")
        return sorted(set(requested))
    longest = sorted(plan.shots, key=lambda shot: (shot.start - shot.stop, shot.start))[:shots]
    return sorted((shot.start + shot.stop) // 2 for shot in longest)


def parse_frames(text: str) -> tuple[FrameRange | None, list[int]]:
    """What `--frames` asks a preview for: a part of the film, or a list of frames to show.

    `A-B` is a part of the film, whose shots are shown by their middles. `12,40,90` are single frames. Raises UsageError
    for any other text.

    >>> parse_frames("12,40")
    (None, [12, 40])
    """
    if "-" in text and "," not in text:
        return FrameRange.parse(text), []
    return None, [frame for number in text.split(",") for frame in FrameRange.parse(number)]


def first_seconds(plan: RenderPlan, frames: int, shots: int) -> list[FrameRange]:
    """The first `frames` frames of each of the `shots` longest shots, in the film's order."""
    longest = sorted(plan.shots, key=lambda shot: (shot.start - shot.stop, shot.start))[:shots]
    ordered = sorted(longest, key=lambda shot: shot.start)
    return [FrameRange(shot.start, min(shot.start + frames, shot.stop)) for shot in ordered]
