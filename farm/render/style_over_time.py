"""How a film whose style changes over time is painted: what a frame's look means for its neighbours and its commit.

    over_time = StyleOverTime.of(record)           neutral where the spec has no timeline
    over_time.look(frame)                          what it is to look like, None without a timeline
    over_time.shown(frame, painted, photograph, regions)    with the photograph, as far as the look shows it

Paint that is carried from frame to frame, and ties to neighbours, hold the old style. Two things keep them from locking
it in: where the look changes, steps are taken over the whole picture, those of windows too; and a tie weighs as much as
the two looks have in common, so that where the style changes at once, nothing is tied.

The photograph is blended in where the last pass commits, and only there: a frame of the last pass is read by no other
frame. So paint below the photograph stays paint, and what other frames read is what was committed. The share of the
photograph is the look's, so that a fade is as gradual as it was asked to be. A weight of the style that goes to 0 would
be no fade. Measured on a frame of 128 px that starts from its paint: with a quarter of the weight the picture is still
.96 as far from the photograph as with all of it, with a hundredth .72, with none .45.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from farm.job import JobRecord
from farm.plan import RenderPlan
from farm.plan.film_looks import looks_of
from farm.spec.looks import Look, Looks, likeness

SETTLING = 12
"""Frames around a change of the look whose steps are taken over the whole picture too.

Why: carried paint lags behind the look, and where the film rests it would otherwise stay behind.
"""
ANEW = 0.5
"""What two looks have in common, below which paint of one is no start for the other: the frame is painted from nothing.
"""


@dataclass(frozen=True)
class StyleOverTime:
    """The looks of a job's frames. `looks` None is a film of one look."""

    looks: Looks | None
    plan: RenderPlan
    _bare: dict[int, bool] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, record: JobRecord) -> StyleOverTime:
        """That of a job, from its spec, film and cuts alone: the same for every worker."""
        return cls(looks_of(record.spec, record.probe, record.cuts), record.plan)

    def look(self, frame: int) -> Look | None:
        """What a frame looks like; None where all frames look alike."""
        return None if self.looks is None else self.looks.at(frame)

    def changes(self, frame: int) -> bool:
        """Whether the look changes at a frame or near it."""
        return self.looks is not None and self.looks.changes_near(frame, SETTLING)

    def likeness(self, frame: int, other: int) -> float:
        """How far paint of another frame suits this one, 0..1."""
        return 1.0 if self.looks is None else likeness(self.looks.at(frame), self.looks.at(other))

    def begins_anew(self, frame: int, nearest: int) -> bool:
        """Whether a frame is painted from nothing, though there is paint of the frame `nearest`."""
        return self.likeness(frame, nearest) < ANEW

    def is_photograph(self, frame: int) -> bool:
        """Whether no paint is shown in a frame."""
        look = self.look(frame)
        return look is not None and look.is_photograph

    def is_bare(self, frame: int) -> bool:
        """Whether no paint is shown in any frame of its shot, so that none is needed."""
        if self.looks is None:
            return False
        shot = self.plan.shots[self.plan.chunk_of(frame).shot]
        if shot.index not in self._bare:
            self._bare[shot.index] = all(self.is_photograph(other) for other in range(shot.start, shot.stop))
        return self._bare[shot.index]

    def shown(
        self, frame: int, painted: np.ndarray, photograph: np.ndarray, regions: Sequence[np.ndarray]
    ) -> np.ndarray:
        """What the film shows: paint over the photograph, both (H, W, 3) uint8. `regions` are weights (H, W), 0..1."""
        look = self.look(frame)
        if look is None:
            return painted
        return faded(painted, photograph, strength_of(look, regions))


def strength_of(look: Look, regions: Sequence[np.ndarray]) -> float | np.ndarray:
    """How far paint is shown, 0..1: one number, or (H, W) float32 where regions differ from the rest.

    Regions that are always the photograph count as painted: it is pasted into them before.
    """
    strengths = [1.0 if paint is None else paint.strength for paint in look.regions]
    differing = [
        (weight, strength)
        for weight, strength in zip(regions, strengths, strict=True)
        if strength != look.paint.strength and weight.any()
    ]
    if not differing:
        return look.paint.strength
    strength: np.ndarray = np.full(regions[0].shape, look.paint.strength, np.float32)
    for weight, own in differing:
        strength += weight * np.float32(own - look.paint.strength)
    return np.clip(strength, 0, 1)


def faded(painted: np.ndarray, photograph: np.ndarray, strength: float | np.ndarray) -> np.ndarray:
    """`strength` of the painted picture and the rest of the photograph, both (H, W, 3) uint8; exact at 0 and at 1."""
    if isinstance(strength, float):
        if strength in (0.0, 1.0):
            return painted if strength else photograph
    else:
        strength = strength[..., None]
    mixed = photograph.astype(np.float32) + strength * (painted.astype(np.float32) - photograph)
    return mixed.round().clip(0, 255).astype(np.uint8)
