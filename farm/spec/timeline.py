"""Style over time, as it is written: points of a film with what holds there, and shots with styles of their own.

    timeline = Timeline.model_validate({"points": [{"at": 0, "styles": "wave.jpg"}, {"at": "4s", "styles": "none"}]})
    parse_at("00:01:30.5")                              Moment(kind='seconds', seconds=Fraction(181, 2))

`farm.spec.looks` evaluates one at a frame. Here nothing is known of a film: neither its length nor its frame rate.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from farm.errors import UsageError
from farm.spec.base import Model
from farm.spec.paint import StyleImage, Weight
from farm.spec.units import parse_duration

Curve = Literal["linear", "ease", "step"]
"""How values go from one point to the next: evenly, slowly at both ends, or not until the next point."""

WEIGHTS = ("content", "style", "temporal", "tv")
"""Weights of losses that a timeline may change."""


class PointStyle(StyleImage):
    """A painting at a point of a timeline. It may weigh nothing there."""

    weight: float = Field(
        default=1.0, ge=0, allow_inf_nan=False, description="Share of this painting where several are blended."
    )


def _styles_from_text(value: Any) -> Any:
    """`none` is no painting, a text is one."""
    if value == "none":
        return ()
    return (value,) if isinstance(value, str | dict) else value


def _something_weighs(value: tuple[PointStyle, ...] | None) -> tuple[PointStyle, ...] | None:
    if value and not any(style.weight for style in value):
        raise ValueError("the styles all weigh nothing; give one a weight, or write none for the photograph")
    return value


PointStyles = Annotated[tuple[PointStyle, ...], BeforeValidator(_styles_from_text)]
"""Paintings, blended by their weights; without any, the photograph."""


class PointWeights(Model):
    """Weights of losses that hold at a point; those that are left out are not changed by it."""

    content: Weight | None = Field(default=None, description="Weight of the content loss.")
    style: Weight | None = Field(default=None, description="Weight of the style loss.")
    temporal: Weight | None = Field(default=None, description="Weight of the temporal loss.")
    tv: Weight | None = Field(default=None, description="Weight of the total variation.")


class Setting(Model):
    """What holds at a point, or in a shot. What it leaves out is not changed by it."""

    styles: PointStyles | None = Field(
        default=None, description="Paintings, blended by their weights; none is the photograph."
    )
    weights: PointWeights = Field(default=PointWeights(), description="Weights of the losses.")
    style_scale: float | None = Field(default=None, gt=0, le=16, description="Size of the strokes.")
    regions: dict[int, PointStyles] = Field(
        default={}, description="Paintings of a region, by its number in the spec, counted from 1; or none."
    )

    @field_validator("styles")
    @classmethod
    def _styles_weigh(cls, value: tuple[PointStyle, ...] | None) -> tuple[PointStyle, ...] | None:
        return _something_weighs(value)

    @field_validator("regions")
    @classmethod
    def _regions_weigh(cls, value: dict[int, tuple[PointStyle, ...]]) -> dict[int, tuple[PointStyle, ...]]:
        for styles in value.values():
            _something_weighs(styles)
        return value

    @property
    def sets_something(self) -> bool:
        """Whether it names a value at all."""
        given = self.styles, self.style_scale, *(getattr(self.weights, name) for name in WEIGHTS)
        return bool(self.regions) or any(value is not None for value in given)

    @property
    def fades(self) -> bool:
        """Whether it has the photograph, in the whole picture or in a region."""
        return self.styles == () or () in self.regions.values()

    @property
    def paintings(self) -> tuple[PointStyle, ...]:
        """Its paintings, those of regions too."""
        return (*(self.styles or ()), *(style for styles in self.regions.values() for style in styles))

    @model_validator(mode="after")
    def _not_empty(self) -> Setting:
        if not self.sets_something:
            raise ValueError("nothing is set here; give styles, weights, style_scale or regions")
        return self


class TimelinePoint(Setting):
    """What holds at one frame of the film."""

    at: int | str = Field(
        description="Frame, counted from 0; or a time: 2.5s, 1:30, 00:01:30.5, or a timecode as 00:01:30:12."
    )
    curve: Curve | None = Field(
        default=None, description="How values go on from here to the next point; if left out, as the timeline says."
    )

    @field_validator("at", mode="before")
    @classmethod
    def _can_be_read(cls, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError("write a frame as 120, or a time as 2.5s or 00:01:30:12")
        parse_at(value)
        return value


class Timeline(Model):
    """Style over time: `points` in the order of the film, and shots with settings of their own."""

    curve: Curve = Field(default="linear", description="How values go from one point to the next.")
    points: tuple[TimelinePoint, ...] = Field(default=(), description="What holds at which frames, in order.")
    per_shot: dict[Annotated[int, Field(ge=1)], Setting] = Field(
        default={}, description="What holds in a shot, by its number as farm plan lists the whole film's, from 1."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Timeline:
        if not self.points and not self.per_shot:
            raise ValueError("the timeline is empty; give points or per_shot")
        for number, (point, following) in enumerate(zip(self.points, self.points[1:], strict=False), start=1):
            one, other = parse_at(point.at), parse_at(following.at)
            if one.kind == other.kind and one >= other:
                raise ValueError(
                    f"points[{number}] (at {following.at}) does not come after points[{number - 1}] (at {point.at}); "
                    "put them in order"
                )
        return self

    @property
    def settings(self) -> dict[str, Setting]:
        """Every point and shot that sets something, by its name in messages."""
        return {
            **{f"timeline.points[{number}]": point for number, point in enumerate(self.points)},
            **{f"timeline.per_shot.{shot}": setting for shot, setting in self.per_shot.items()},
        }

    @property
    def paintings(self) -> tuple[PointStyle, ...]:
        """All paintings, in the order in which they are written."""
        return tuple(style for setting in self.settings.values() for style in setting.paintings)

    @property
    def fades(self) -> bool:
        """Whether the photograph is shown somewhere."""
        return any(setting.fades for setting in self.settings.values())

    @property
    def styles_everywhere(self) -> bool:
        """Whether it says for every frame what the whole picture's style is."""
        return any(point.styles is not None for point in self.points)


class Moment(Model):
    """A time in a film as it was written: a frame, seconds from the first frame, or an SMPTE timecode."""

    kind: Literal["frame", "seconds", "timecode"]
    frame: int = 0
    seconds: Fraction = Fraction(0)
    timecode: str = ""

    def __ge__(self, other: Moment) -> bool:
        """Whether it is not before `other`, which is of the same kind."""
        return (self.frame, self.seconds, self.timecode) >= (other.frame, other.seconds, other.timecode)


_CLOCK = re.compile(r"(?:(\d+):)?([0-5]?\d):([0-5]\d(?:\.\d+)?)")
_TIMECODE = re.compile(r"\d\d:[0-5]\d:[0-5]\d[:;]\d\d")


def parse_at(value: int | str) -> Moment:
    """The time that `value` names. Raises ValueError where it cannot be read.

    >>> parse_at("1:30.5").seconds
    Fraction(181, 2)
    """
    text = str(value).strip()
    if re.fullmatch(r"\d{1,9}", text):
        return Moment(kind="frame", frame=int(text))
    if _TIMECODE.fullmatch(text):
        return Moment(kind="timecode", timecode=text)
    if match := _CLOCK.fullmatch(text):
        minutes = 60 * int(match[1] or 0) + int(match[2])
        return Moment(kind="seconds", seconds=60 * minutes + Fraction(match[3]))
    if re.fullmatch(r"0+(\.0+)?\s*s", text):
        return Moment(kind="seconds")
    if text.endswith(("s", "m", "min", "h")):
        try:
            return Moment(kind="seconds", seconds=Fraction(str(parse_duration(text))))
        except UsageError:
            pass
    raise ValueError(f"{text!r} is no time; write a frame as 120, or a time as 2.5s or 00:01:30:12")
