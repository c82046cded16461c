"""Figures of detail by frame and area, and what is typical of them. Pure: neither numpy nor pictures.

`farm.render.detail` and `farm.render.job_detail` measure them, and say what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal, get_args

Area = Literal["moving", "resting"]
Figure = Literal["fine", "middle", "shape", "content"]
AREAS: tuple[Area, ...] = get_args(Area)
FIGURES: tuple[Figure, ...] = get_args(Figure)


@dataclass(frozen=True)
class AreaDetail:
    """The figures of one area of a frame over those of a still. None where the still has nothing to compare with."""

    fine: float | None
    middle: float | None
    shape: float | None
    content: float | None


@dataclass(frozen=True)
class FrameDetail:
    """The figures of a frame by area; None for an area that covers less than LEAST_SHARE of the frame.

    `moving_share` is the share of the frame that moves, 0..1.
    """

    moving_share: float
    moving: AreaDetail | None
    resting: AreaDetail | None


@dataclass(frozen=True)
class Spread:
    """One figure over several frames. `worst` is the largest for `content`, else the smallest; `frame` has it."""

    median: float
    worst: float
    frame: int


@dataclass(frozen=True)
class FineDetail:
    """Fine detail of a frame in what moves and in what rests, over that of its shot's reference.

    None for an area that is too small to be judged (`mean_within`). `moving_share` is the share of the frame that
    moves, 0..1.
    """

    moving_share: float
    moving: float | None
    resting: float | None


def spread(details: Mapping[int, FrameDetail], area: Area, figure: Figure) -> Spread | None:
    """Median and worst of one figure over the frames that have it; None where none has. Keys are frame numbers."""
    values = {
        frame: value
        for frame, detail in details.items()
        if (of_area := getattr(detail, area)) is not None and (value := getattr(of_area, figure)) is not None
    }
    return spread_of(values, largest=figure == "content")


def spread_of(values: Mapping[int, float], *, largest: bool = False) -> Spread | None:
    """Median and worst, the smallest or the `largest`, of values by frame; None where there are none."""
    if not values:
        return None
    worst = (max if largest else min)(values, key=values.__getitem__)
    return Spread(median(values.values()), values[worst], worst)


def spread_of_fine(details: Mapping[int, FineDetail]) -> Spread | None:
    """Median and least fine detail of what moves; None where nothing moves, or nothing was measured."""
    return spread_of({frame: row.moving for frame, row in details.items() if row.moving is not None})


def median_at_rest(details: Mapping[int, FineDetail]) -> float | None:
    """Median fine detail of what rests; None where nothing rests, or nothing was measured."""
    values = [row.resting for row in details.values() if row.resting is not None]
    return median(values) if values else None


def frames_for_stills(details: Mapping[int, FineDetail], count: int) -> list[int]:
    """The `count` frames with the least fine detail in what moves, in order: those that a still has to decide on."""
    moving = {frame: row.moving for frame, row in details.items() if row.moving is not None}
    return sorted(sorted(moving, key=moving.__getitem__)[:count])
