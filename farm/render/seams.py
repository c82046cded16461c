"""Seams between chunks or windows, from figures that were measured. Pure: neither numpy nor pictures.

rows = seam_table(record.plan, errors, style_losses)                # of a job
rows = seams_of_shot(range(0, 200), [40, 80], errors, {}, number=0)   # of a film of any tool
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from farm.plan import RenderPlan

NEAR = 6
"""Frames to either side of a boundary in which a seam is searched."""
JUMPS = 2.0
"""Times its neighbourhood's warp error from which on a frame is taken for a jump."""
LEAST_JUMP = (2 / 255) ** 2
"""Least warp error of a jump: a difference of two grey levels, below which there is nothing but the encoder's noise."""
FRAMES_AROUND = 12
"""Frames to either side that are this neighbourhood."""


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
    return [
        row
        for shot in plan.shots
        for row in seams_of_shot(
            range(shot.start, shot.stop),
            [chunk.start for chunk in plan.shot_chunks(shot.index)][1:],
            errors,
            styles,
            number=shot.index,
        )
    ]


def seams_of_shot(
    frames: range,
    edges: Sequence[int],
    errors: Mapping[int, float | None],
    styles: Mapping[int, float],
    *,
    number: int,
) -> list[Seam]:
    """One row for each of `edges`, the first frames of the later chunks or windows of shot `number` with `frames`."""
    rows = []
    near_edges = {frame for edge in edges for frame in range(edge - NEAR, edge + NEAR + 1)}
    error_of = {frame: error for frame in frames if (error := errors.get(frame)) is not None}
    style_of = {frame: styles[frame] for frame in frames if frame in styles}
    usual_error, usual_style = _usual(error_of, near_edges), _usual(style_of, near_edges)
    for edge in edges:
        around = range(edge - NEAR, edge + NEAR + 1)
        ratios = {frame: error_of[frame] / usual_error for frame in around if frame in error_of and usual_error}
        style = [style_of[frame] / usual_style for frame in around if frame in style_of and usual_style]
        worst = max(ratios, key=ratios.__getitem__, default=None)
        rows.append(
            Seam(
                frame=edge,
                shot=number,
                ratio=None if worst is None else ratios[worst],
                worst=worst,
                style_low=min(style, default=None),
                style_high=max(style, default=None),
            )
        )
    return rows


def find_joins(frames: range, errors: Mapping[int, float | None], source: Mapping[int, float | None]) -> list[int]:
    """Frames of a shot at which a film jumps and its source does not: where windows of another tool may be joined.

    `errors` and `source` are the warp errors of the film and of its source by frame. A frame jumps where its error is
    at least LEAST_JUMP, and JUMPS times the median of the FRAMES_AROUND frames to either side, and as many times more
    than the source's is over its own.
    """
    joins = []
    for frame in frames:
        around = [other for other in range(frame - FRAMES_AROUND, frame + FRAMES_AROUND + 1) if other != frame]
        own = _over_usual(errors, frame, [other for other in around if other in frames])
        of_source = _over_usual(source, frame, [other for other in around if other in frames])
        if own is not None and own >= JUMPS * max(of_source or 1.0, 1.0) and (errors[frame] or 0.0) >= LEAST_JUMP:
            joins.append(frame)
    return joins


def _over_usual(values: Mapping[int, float | None], frame: int, around: Sequence[int]) -> float | None:
    value = values.get(frame)
    others = [other for at in around if (other := values.get(at)) is not None]
    usual = median(others) if others else 0.0
    return None if value is None or not usual else value / usual


def _usual(values: Mapping[int, float], excluded: Collection[int]) -> float:
    """The median of the frames that are not `excluded`, or of all where chunks are too short; 0 where there is none."""
    away = [value for frame, value in values.items() if frame not in excluded]
    return median(away or values.values()) if values else 0.0
