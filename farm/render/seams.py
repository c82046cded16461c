"""Seams between chunks, from figures that were measured. Pure: neither numpy nor pictures.

rows = seam_table(record.plan, errors, style_losses)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import median

from farm.plan import RenderPlan

NEAR = 6
"""Frames to either side of a boundary in which a seam is searched."""


@dataclass(frozen=True)
class Seam:
    """A boundary between two chunks of a shot. `frame` is the first one of the later chunk.

    `ratio` is the largest warp error within NEAR frames, over the median of the shot away from boundaries; `worst` is
    the frame where it is. `style_low` and `style_high` are the extremes of the style loss there, over its median. They
    are None where nothing is known. A ratio of 1 is no seam.
    """

    frame: int
    shot: int
    ratio: float | None
    worst: int | None
    style_low: float | None
    style_high: float | None


def seam_table(plan: RenderPlan, errors: Mapping[int, float | None], styles: Mapping[int, float]) -> list[Seam]:
    """One row for each chunk of `plan` that is not the first of its shot, in order.

    `errors` and `styles` give the warp error and the style loss of frames, by frame; frames may be missing.
    """
    rows = []
    for shot in plan.shots:
        edges = [chunk.start for chunk in plan.shot_chunks(shot.index)][1:]
        near_edges = {frame for edge in edges for frame in range(edge - NEAR, edge + NEAR + 1)}
        within = range(shot.start, shot.stop)
        error_of = {frame: error for frame in within if (error := errors.get(frame)) is not None}
        style_of = {frame: styles[frame] for frame in within if frame in styles}
        usual_error, usual_style = _usual(error_of, near_edges), _usual(style_of, near_edges)
        for edge in edges:
            around = range(edge - NEAR, edge + NEAR + 1)
            ratios = {frame: error_of[frame] / usual_error for frame in around if frame in error_of and usual_error}
            style = [style_of[frame] / usual_style for frame in around if frame in style_of and usual_style]
            worst = max(ratios, key=ratios.__getitem__, default=None)
            rows.append(
                Seam(
                    frame=edge,
                    shot=shot.index,
                    ratio=None if worst is None else ratios[worst],
                    worst=worst,
                    style_low=min(style, default=None),
                    style_high=max(style, default=None),
                )
            )
    return rows


def _usual(values: Mapping[int, float], excluded: Collection[int]) -> float:
    """The median of the frames that are not `excluded`, or of all where chunks are too short; 0 where there is none."""
    away = [value for frame, value in values.items() if frame not in excluded]
    return median(away or values.values()) if values else 0.0
