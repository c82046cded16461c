"""Whose colours a picture has: the way of Gatys et al. 2016 around any painter, an optimiser or a network.

    colors = color_treatment("luminance", sample_frames_of_the_shot)
    style = colors.style(painting)              # what the painter learns from
    painted = paint(colors.content(frame), style)
    picture = colors.finish(painted, frame)

A network has learnt from its painting already: `color_treatment_after` does to what it paints what would have been
done to the painting, with the painting's own statistics: colours as if it had learnt from the matched one.

In a video, one treatment serves a whole shot: statistics of single frames would make its colours pump. The
finished picture is what is committed. Where a later frame is started from it or tied to it, it goes through
`content` like any frame: luminance is derived from the committed colours and never kept beside them, so a render
that is continued reads what an undisturbed one reads, and a frame in the job directory is what the film shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.paint.color.matching import (
    Matrix,
    Method,
    color_statistics,
    color_transform,
    luminance,
    luminance_statistics,
    match_color,
    match_luminance,
    move_colors,
    recombine,
)
from farm.spec.choices import ColorMode

Picture = NDArray[np.uint8]

LEAST_DEVIATION = 0.1
"""Grey levels: a painting of one luminance is not blown up to one of noise."""


class ColorTreatment:
    """The painting's own colours: every picture as it is. Pictures are RGB (H, W, 3) in 0..255."""

    def style(self, picture: Picture) -> Picture:
        """The painting as the painter is to see it."""
        return picture

    def content(self, frame: NDArray[Any]) -> NDArray[Any]:
        """A frame of the source, or one painted earlier, as the painter is to see it: uint8 or float32 as given."""
        return frame

    def finish(self, painted: NDArray[Any], frame: Picture) -> NDArray[Any]:
        """What the painter made of `frame`, in the colours that it is to have: uint8 or float32 as given."""
        return painted


@dataclass(frozen=True)
class MatchedColors(ColorTreatment):
    """The painting takes on the content's mean and covariance of colour before it becomes a target."""

    mean: Matrix
    covariance: Matrix
    method: Method

    def style(self, picture: Picture) -> Picture:
        return match_color(picture, self.mean, self.covariance, self.method)


@dataclass(frozen=True)
class LuminanceOnly(ColorTreatment):
    """Luminance is painted; the colour is the content's, frame by frame. `mean` and `deviation` of its Y."""

    mean: float
    deviation: float

    def style(self, picture: Picture) -> Picture:
        return match_luminance(picture, self.mean, self.deviation)

    def content(self, frame: NDArray[Any]) -> NDArray[Any]:
        return luminance(frame)

    def finish(self, painted: NDArray[Any], frame: Picture) -> NDArray[Any]:
        return recombine(painted, frame)


@dataclass(frozen=True)
class MovedColors(ColorTreatment):
    """What is painted takes on the content's colours by the transform that would have given them to the painting."""

    painting_mean: Matrix
    transform: Matrix
    mean: Matrix

    def finish(self, painted: NDArray[Any], frame: Picture) -> NDArray[Any]:
        return move_colors(painted, self.painting_mean, self.transform, self.mean)


@dataclass(frozen=True)
class MovedLuminance(ColorTreatment):
    """Likewise luminance, `L' = gain (L - mu_S) + mu_C`; the colour is the content's, frame by frame."""

    painting_mean: float
    gain: float
    mean: float

    def content(self, frame: NDArray[Any]) -> NDArray[Any]:
        return luminance(frame)

    def finish(self, painted: NDArray[Any], frame: Picture) -> NDArray[Any]:
        moved = (luminance(painted.astype(np.float32)) - self.painting_mean) * self.gain + self.mean
        return recombine(moved.round().clip(0, 255).astype(np.uint8), frame)


def color_treatment(mode: ColorMode, frames: Iterable[Picture]) -> ColorTreatment:
    """The treatment of that name, with the statistics of `frames`; they are not asked for where none are needed."""
    if mode == "none":
        return ColorTreatment()
    mean, covariance = color_statistics(frames)
    if mode == "luminance":
        return LuminanceOnly(*luminance_statistics(mean, covariance))
    return MatchedColors(mean, covariance, mode)


def color_treatment_after(mode: ColorMode, painting: Picture, frames: Iterable[Picture]) -> ColorTreatment:
    """The treatment of that name for a painter that has learnt from `painting` (H, W, 3) as it is."""
    if mode == "none":
        return ColorTreatment()
    mean, covariance = color_statistics(frames)
    own_mean, own_covariance = color_statistics([painting])
    if mode == "luminance":
        own_level, own_deviation = luminance_statistics(own_mean, own_covariance)
        level, deviation = luminance_statistics(mean, covariance)
        return MovedLuminance(own_level, deviation / max(own_deviation, LEAST_DEVIATION), level)
    return MovedColors(own_mean, color_transform(own_covariance, covariance, mode), mean)
