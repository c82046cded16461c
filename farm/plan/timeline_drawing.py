"""A timeline as people see it: how much of each painting, of the photograph and of each changing value is where. Pure.

rows = timeline_rows(looks, plan.frames)        values 0..1 over the film, one row for each painting and value
lines = timeline_lines(looks, plan.frames)      the same as text
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from farm.files.names import shortened
from farm.files.remote import file_name
from farm.spec import FrameRange
from farm.spec.frames import evenly
from farm.spec.looks import Look, Looks, Paint
from farm.spec.timeline import WEIGHTS

COLUMNS = 60
"""Columns of the text."""
NAME = 24
"""Columns of a row's name."""
LEVELS = ".123456789#"
"""Tenths of a row's largest value: `.` is none, `#` is whole."""


@dataclass(frozen=True)
class Row:
    """A painting's share of what is shown, or a value. `values` are 0..1 of the largest, first frame first."""

    name: str
    values: tuple[float, ...]
    text: str = ""
    """What is said beside it: nothing for a share, the range of a value."""


def drawn_frames(frames: FrameRange, columns: int = COLUMNS) -> list[int]:
    """The frames that the columns stand for: evenly spread, the first and the last among them."""
    return [frames.start + offset for offset in evenly(columns, len(frames))]


def timeline_rows(looks: Looks, frames: FrameRange, columns: int = COLUMNS) -> list[Row]:
    """Rows for every painting that is shown, for the photograph if it is, and for weights and a scale that change."""
    shown = [looks.at(frame) for frame in drawn_frames(frames, columns)]
    rows = _paint_rows("", [look.paint for look in shown])
    for number in range(len(looks.regions)):
        paints = [paint for look in shown if (paint := look.regions[number]) is not None]
        rows += _paint_rows(f"region {number + 1} ", paints)
    values: dict[str, Callable[[Look], float]] = {"stroke scale": lambda look: look.paint.scale}
    for name in WEIGHTS:
        values[f"{name} weight"] = partial(_weight, name)
    for name, value in values.items():
        found = [value(look) for look in shown]
        if max(found) - min(found) > 1e-9:
            share = tuple(one / max(found) for one in found)
            rows.append(Row(name, share, f"{min(found):g} to {max(found):g}"))
    return rows


def _weight(name: str, look: Look) -> float:
    return float(getattr(look.weights, name))


def _paint_rows(prefix: str, paints: list[Paint]) -> list[Row]:
    paths = dict.fromkeys(path for paint in paints if paint.strength for path in paint.shares)
    rows = [
        Row(prefix + file_name(path), tuple(paint.strength * paint.shares.get(path, 0.0) for paint in paints))
        for path in paths
    ]
    if any(paint.strength < 1 for paint in paints):
        rows.append(Row(f"{prefix}photograph", tuple(1 - paint.strength for paint in paints)))
    return rows


def timeline_lines(looks: Looks, frames: FrameRange) -> Iterator[str]:
    """The rows as text, with the points below them."""
    columns = drawn_frames(frames)
    yield f"timeline frames {frames}; . is none, 1 to 9 are tenths, # is whole"
    for row in timeline_rows(looks, frames):
        drawn = "".join(LEVELS[min(max(round(10 * value), 0), 10)] for value in row.values)
        yield f"  {shortened(row.name, NAME):<{NAME}} {drawn}  {row.text}".rstrip()
    marks = [" "] * len(columns)
    inside = [frame for frame in looks.frames if frame in frames]
    for frame in inside:
        marks[min(range(len(columns)), key=lambda column: abs(columns[column] - frame))] = "^"
    if inside:
        points = ", ".join(str(frame) for frame in looks.frames)
        yield f"  {'points':<{NAME}} {''.join(marks)}  {points}".rstrip()


def points_to_show(looks: Looks, frames: FrameRange) -> list[int]:
    """Frames at which a preview shows a timeline: its points, and the middle of each shot with settings of its own."""
    edges = [0, *looks.cuts, max((frames.stop, *looks.cuts))]
    middles = [(edges[shot - 1] + edges[shot]) // 2 for shot in looks.per_shot]
    return sorted({frame for frame in (*looks.frames, *middles) if frame in frames})
