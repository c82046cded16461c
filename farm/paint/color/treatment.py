"""Whose colours a picture has: the methods of Gatys et al. 2016 around any painter, an optimiser or a network.

    colors = color_treatment("luminance", sample_frames_of_the_shot)
    style = colors.style(painting)              # what the painter learns from
    painted = paint(colors.content(frame), style)
    picture = colors.finish(painted, frame)

A network has learnt from its painting already. `color_treatment_after` applies to what it paints the transform that
would have been applied to the painting: the colours are as if the network had learnt from the matched painting.

In a video, one treatment serves a whole shot, because statistics of single frames would make its colours pump. The
finished picture is what is committed. Where a later frame starts from it or is tied to it, it goes through `content`
like any frame: luminance is computed from the committed colours and never stored beside them. So a render that is
continued reads what an undisturbed one reads, and a frame in the job directory is what the film shows.
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
"""(H, W, 3) RGB."""

LEAST_DEVIATION = 0.1
"""Least standard deviation of a painting's luminance that is divided by, in grey levels. Without it, the rounding noise
of a painting of one luminance would become its pattern.
"""


class ColorTreatment:
    """The treatment that leaves every picture as it is: the result has the painting's colours.

    Other treatments override its methods. Pictures are RGB (H, W, 3) in 0..255.
    """

    def style(self, picture: Picture) -> Picture:
        """The painting that the painter shall see."""
        return picture

    def content(self, frame: NDArray[Any]) -> NDArray[Any]:
        """What the painter shall see of a frame of the source, or of one painted earlier; of the frame's dtype."""
        return frame

    def finish(self, painted: NDArray[Any], frame: Picture) -> NDArray[Any]:
        """The finished picture, from what the painter made of `frame`; of the dtype of `painted`."""
        return painted


@dataclass(frozen=True)
class MatchedColors(ColorTreatment):
    """The painting takes on the content's mean and covariance of colour before it becomes a target."""

    mean: Matrix
    """(3,) of the content, in grey levels."""
    covariance: Matrix
    """(3, 3) of the content, in grey levels squared."""
    method: Method

    def style(self, picture: Picture) -> Picture:
        """The painting in the content's colours."""
        return match_color(picture, self.mean, self.covariance, self.method)


@dataclass(frozen=True)
class LuminanceOnly(ColorTreatment):
    """Luminance is painted; the colour is the content's, frame by frame."""

    mean: float
    """Of the content's Y, in grey levels."""
    deviation: float
    """Standard deviation of the content's Y, in grey levels."""

    def style(self, picture: Picture) -> Picture:
        """The luminance of the painting, with the content's mean and deviation."""
        return match_luminance(picture, self.mean, self.deviation)

    def content(self, frame: NDArray[Any]) -> NDArray[Any]:
        """The luminance of the frame."""
        return luminance(frame)

    def finish(self, painted: NDArray[Any], frame: Picture) -> NDArray[Any]:
        """The painted luminance in the colours of `frame`."""
        return recombine(painted, frame)


@dataclass(frozen=True)
class MovedColors(ColorTreatment):
    """What is painted takes on the content's colours, by the transform that would have given them to the painting."""

    painting_mean: Matrix
    """(3,) in grey levels."""
    transform: Matrix
    """(3, 3), see `color_transform`."""
    mean: Matrix
    """(3,) of the content, in grey levels."""

    def finish(self, painted: NDArray[Any], frame: Picture) -> NDArray[Any]:
        """The painted picture uint8 with its colours moved."""
        return move_colors(painted, self.painting_mean, self.transform, self.mean)


@dataclass(frozen=True)
class MovedLuminance(ColorTreatment):
    """What is painted has its luminance moved, `L' = gain (L - mu_S) + mu_C`; the colour is the content's, frame by
    frame.
    """

    painting_mean: float
    """mu_S, of the painting's Y, in grey levels."""
    gain: float
    """The content's standard deviation of Y over the painting's."""
    mean: float
    """mu_C, of the content's Y, in grey levels."""

    def content(self, frame: NDArray[Any]) -> NDArray[Any]:
        """The luminance of the frame."""
        return luminance(frame)

    def finish(self, painted: NDArray[Any], frame: Picture) -> NDArray[Any]:
        """The painted luminance, moved and rounded to uint8, in the colours of `frame`."""
        moved = (luminance(painted.astype(np.float32)) - self.painting_mean) * self.gain + self.mean
        return recombine(moved.round().clip(0, 255).astype(np.uint8), frame)


def color_treatment(mode: ColorMode, frames: Iterable[Picture]) -> ColorTreatment:
    """The treatment of that name, with the colour statistics of `frames`, which "none" does not read.

    Raises UsageError where there is no frame and statistics are needed.
    """
    if mode == "none":
        return ColorTreatment()
    mean, covariance = color_statistics(frames)
    if mode == "luminance":
        return LuminanceOnly(*luminance_statistics(mean, covariance))
    return MatchedColors(mean, covariance, mode)


def color_treatment_after(mode: ColorMode, painting: Picture, frames: Iterable[Picture]) -> ColorTreatment:
    """The treatment of that name for a painter that has learnt from `painting` with its own colours.

    Raises UsageError as `color_treatment` does.
    """
    if mode == "none":
        return ColorTreatment()
    mean, covariance = color_statistics(frames)
    own_mean, own_covariance = color_statistics([painting])
    if mode == "luminance":
        own_level, own_deviation = luminance_statistics(own_mean, own_covariance)
        level, deviation = luminance_statistics(mean, covariance)
        return MovedLuminance(own_level, deviation / max(own_deviation, LEAST_DEVIATION), level)
    return MovedColors(own_mean, color_transform(own_covariance, covariance, mode), mean)
