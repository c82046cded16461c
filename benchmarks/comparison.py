"""What a change bought: figures of two builds, their ratios, and the table of them. Pure."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.errors import UsageError
from farm.render.detail_figures import AREAS, FIGURES
from farm.spec.frames import FrameRange

BUILDS = ("OLD", "NEW")
MIB = 2**20


@dataclass(frozen=True)
class Clip:
    """Frames of a film, `120-240` as people write them. `name` is for people and files, and no two clips share it."""

    path: Path
    frames: str
    name: str


@dataclass(frozen=True)
class Row:
    """A figure of the table: its key in the JSON, its label, what it is divided by, and its decimals."""

    key: str
    label: str
    unit: float = 1
    decimals: int = 0


TIMED = (
    Row("seconds", "seconds", 1, 1),
    Row("cpu_seconds", "CPU seconds", 1, 1),
    Row("first_frame_seconds", "first frame, seconds", 1, 1),
    Row("worker_bytes", "memory, worker, MiB", MIB),
    Row("all_bytes", "memory, all, MiB", MIB),
)
"""Figures of every render."""
MEASURED = (
    Row("steps", "steps"),
    Row("work", "work", 1, 1),
    Row("loss", "loss"),
    Row("told_loss", "loss, by the ledger"),
    Row("warp_error", "warp error", 1, 6),
    Row("warp_error_moving", "warp error, moving", 1, 6),
    *(Row(f"{figure}_{area}", f"{figure}, {area}", 1, 3) for area in AREAS for figure in FIGURES),
)
"""Figures of the frames, which are the same in every render of a build."""
SUMMARY = {
    "seconds": "seconds",
    "cpu_seconds": "CPU",
    "worker_bytes": "worker",
    "all_bytes": "memory",
    "work": "work",
    "loss": "loss",
    "warp_error": "warp",
    "warp_error_moving": "moving",
    "fine_moving": "fine m.",
    "shape_moving": "shape m.",
    "content_moving": "cont. m.",
}
"""Columns of the last table, by key."""


def order_of(pair: int) -> tuple[str, str]:
    """The builds in the order in which they render in a pair, counted from 0: each is first in every other pair."""
    return BUILDS if pair % 2 == 0 else (BUILDS[1], BUILDS[0])


def parse_clips(texts: Sequence[str], frames: str) -> list[Clip]:
    """Clips of arguments `film.mp4` or `film.mp4:76-123`; `frames` are those of one that says none.

    Raises UsageError for a film that is not there, for frames that are no range, and for two clips that are the same.
    """
    clips: list[Clip] = []
    for text in texts:
        match = re.fullmatch(r"(.+):(\d+(?:-\d+)?)", text)
        path, own = (Path(match[1]), match[2]) if match and not Path(text).exists() else (Path(text), frames)
        if not path.is_file():
            raise UsageError(f"there is no film {path}", "check the path")
        shown = str(FrameRange.parse(own))
        name = f"{path.stem} {shown}"
        if any(clip.name == name for clip in clips):
            raise UsageError(f"two clips are both called {name}", "name each once")
        clips.append(Clip(path.absolute(), shown, name))
    return clips


def parse_weights(texts: Sequence[str], clips: Sequence[Clip]) -> dict[str, float]:
    """Weights by the name of the clip, from `film.mp4=2` or `film.mp4:76-123=2`; 1 for a clip that has none.

    Raises UsageError for one that names no clip, or whose weight is not above 0.
    """
    weights = {clip.name: 1.0 for clip in clips}
    for text in texts:
        film, _, number = text.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        named = [clip for clip in clips if film in (clip.path.name, f"{clip.path.name}:{clip.frames}")]
        if not named:
            raise UsageError(f"--weigh {text} names none of the clips", "write it as FILM.mp4=2")
        if not 0 < weight < math.inf:
            raise UsageError(f"--weigh {text} has no weight above 0", "write it as FILM.mp4=2")
        weights |= {clip.name: weight for clip in named}
    return weights


def geometric_mean(values: Mapping[str, float | None], weights: Mapping[str, float]) -> float | None:
    """Weighted geometric mean of the values that are there and above 0; None where there are none."""
    known = {name: value for name, value in values.items() if value is not None and value > 0}
    total = sum(weights[name] for name in known)
    return math.exp(sum(weights[name] * math.log(value) for name, value in known.items()) / total) if known else None


def ratio(old: float | None, new: float | None) -> float | None:
    """`new / old`; None where one of them is missing, or `old` is 0."""
    return None if old is None or new is None or not old else new / old


def compare_renders(renders: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any] | None:
    """One figure of a clip's renders: the median of each build, and the ratios of the pairs NEW over OLD.

    `ratio` is the median of those, `least` and `most` are their range, and `pairs` all of them, in order. Only pairs of
    which both builds have the figure count. None where there are none.
    """
    by_pair: dict[int, dict[str, float]] = {}
    for row in renders:
        if row.get(key) is not None:
            by_pair.setdefault(row["pair"], {})[row["build"]] = row[key]
    pairs = [by_pair[number] for number in sorted(by_pair) if len(by_pair[number]) == len(BUILDS)]
    if not pairs:
        return None
    ratios = [value for pair in pairs if (value := ratio(pair["OLD"], pair["NEW"])) is not None]
    medians = {build: statistics.median(pair[build] for pair in pairs) for build in BUILDS}
    spread = {"ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios)} if ratios else {}
    return {**medians, **spread, "pairs": ratios}


def compare_clip(
    renders: Sequence[Mapping[str, Any]], quality: Mapping[str, Mapping[str, float | None]]
) -> dict[str, dict[str, Any]]:
    """All figures of one clip by key: `compare_renders` of the timed ones, and the two values of the others.

    `quality` has the figures of each build's frames, by build. What is not known of both is left out.
    """
    compared = {row.key: timed for row in TIMED if (timed := compare_renders(renders, row.key)) is not None}
    if all(build in quality for build in BUILDS):
        for row in MEASURED:
            old, new = (quality[build].get(row.key) for build in BUILDS)
            if old is not None and new is not None:
                compared[row.key] = {"OLD": old, "NEW": new, "ratio": ratio(old, new)}
    return compared


def compare_all(
    clips: Mapping[str, Mapping[str, Mapping[str, Any]]], weights: Mapping[str, float]
) -> dict[str, float | None]:
    """By key, the weighted geometric mean over the clips of the ratios that `compare_clip` has found."""
    return {
        row.key: geometric_mean(
            {name: figures.get(row.key, {}).get("ratio") for name, figures in clips.items()}, weights
        )
        for row in (*TIMED, *MEASURED)
    }


def same_frames(renders: Sequence[Mapping[str, Any]], build: str) -> str:
    """How frames differ between a build's renders of a clip, in one line. Empty where they do not.

    A row has the hashes of its frames in `frames`, by number.
    """
    rows = sorted((row for row in renders if row["build"] == build), key=lambda row: row["pair"])
    for row in rows[1:]:
        differing = [number for number, digest in row["frames"].items() if rows[0]["frames"].get(number) != digest]
        if differing or len(row["frames"]) != len(rows[0]["frames"]):
            first = f", the first is {differing[0]}" if differing else ""
            pairs = f"pairs {rows[0]['pair'] + 1} and {row['pair'] + 1}"
            return f"{build} paints differently in {pairs}: {len(differing)} frames differ{first}"
    return ""


def clip_table(name: str, figures: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures of one clip, as they are printed."""
    lines = [f"{name:<24}{'OLD':>12}{'NEW':>12}{'NEW/OLD':>10}  range of the pairs"]
    for row in (*TIMED, *MEASURED):
        if row.key in figures:
            figure = figures[row.key]
            values = "".join(f"{figure[build] / row.unit:>12,.{row.decimals}f}" for build in BUILDS)
            span = f"  {figure['least']:.3f}..{figure['most']:.3f}" if len(figure.get("pairs", [])) > 1 else ""
            lines.append(f"  {row.label:<22}{values}{shown(figure.get('ratio')):>10}{span}")
    return "\n".join(lines)


def summary_table(
    clips: Mapping[str, Mapping[str, Mapping[str, Any]]],
    weights: Mapping[str, float],
    mean: Mapping[str, float | None],
) -> str:
    """NEW over OLD: a row for each clip, and one for their geometric mean."""
    width = max([len("geometric mean"), *map(len, clips)]) + 2
    lines = [f"{'NEW/OLD':<{width}}{'weight':>7}" + "".join(f"{title:>10}" for title in SUMMARY.values())]
    for name, figures in clips.items():
        cells = (shown(figures.get(key, {}).get("ratio")) for key in SUMMARY)
        lines.append(f"{name:<{width}}{weights[name]:>7g}" + "".join(f"{cell:>10}" for cell in cells))
    lines.append(f"{'geometric mean':<{width}}{'':>7}" + "".join(f"{shown(mean[key]):>10}" for key in SUMMARY))
    return "\n".join(lines)


def shown(value: float | None) -> str:
    """A ratio as it is printed."""
    return "-" if value is None else f"{value:.3f}"
