"""What a film looks like at each frame, evaluated from a timeline. Pure: the frame's number in, a frozen value out.

    looks = Looks.of(spec, frames=[0, 30, 60], cuts=(48,))      `frames` are those of the timeline's points
    looks.at(15)                                                Look(paint=Paint(parts=..., strength=1.0), ...)

Styles, each weight of a loss, the stroke scale and the styles of each region are tracks of their own: a point is a key
of those tracks that it names, and changes no other. Before a track's first key its value is that of the first, after
the last key that of the last. A track without keys has the spec's value.

The photograph is a share of the picture, not a style: `strength` says how far a frame is painted. Around keys without a
painting the shares of styles go on as the keys beside them have them, so that a fade is painted in one style.

A stroke scale between two keys is blended from those beside it on a geometric grid, SCALES_AN_OCTAVE apart. So a film
needs few targets for a change of scale however long it takes.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

from pydantic import ValidationError

from farm.errors import UsageError
from farm.spec.base import Model
from farm.spec.paint import LossWeights, StyleImage
from farm.spec.render import RenderSpec
from farm.spec.timeline import WEIGHTS, Curve, Setting, Timeline

SCALES_AN_OCTAVE = 8
"""Stroke scales between one and its double whose targets are computed: neighbours differ by a twelfth."""
LOOKS_KEPT = 1024
"""Evaluated frames that are kept."""

Mix = Mapping[str, float]
"""Share of each painting, by path. The shares sum to 1; a mix without paintings is the photograph's."""


class StylePart(Model):
    """A painting at a stroke scale, and its share of the style: the shares of a Paint sum to 1."""

    path: str
    scale: float
    share: float


class Paint(Model):
    """A style, blended from `parts`, and how far it is shown: 0 is the photograph, 1 the painting alone."""

    parts: tuple[StylePart, ...]
    strength: float

    @property
    def shares(self) -> dict[str, float]:
        """Share of each painting, by path, whatever its scale."""
        shares: dict[str, float] = {}
        for part in self.parts:
            shares[part.path] = shares.get(part.path, 0.0) + part.share
        return shares

    @property
    def scale(self) -> float:
        """Stroke scale, the geometric mean of the parts'."""
        return math.exp(sum(part.share * math.log(part.scale) for part in self.parts))


class Look(Model):
    """What holds at a frame: the whole picture's paint, that of each region, and the weights of the losses.

    A region of the spec that is always the photograph is None.
    """

    paint: Paint
    regions: tuple[Paint | None, ...]
    weights: LossWeights

    @property
    def is_photograph(self) -> bool:
        """Whether no paint is shown anywhere."""
        return not any(paint.strength for paint in (self.paint, *self.regions) if paint is not None)


def likeness(one: Look, other: Look) -> float:
    """How far the paint of one look suits the other, 0..1: 1 for the same styles and scale, 0 for nothing in common.

    It is 1 less the largest difference of any region: half the sum of differences of shares, or octaves of scale.
    """
    pairs = [(one.paint, other.paint), *zip(one.regions, other.regions, strict=True)]
    return 1 - max(_difference(a, b) for a, b in pairs)


def _difference(one: Paint | None, other: Paint | None) -> float:
    if one is None or other is None or not one.parts or not other.parts:
        return 0.0
    before, after = one.shares, other.shares
    moved = sum(abs(before.get(path, 0.0) - after.get(path, 0.0)) for path in {*before, *after}) / 2
    return min(1.0, max(moved, abs(math.log2(one.scale / other.scale))))


@dataclass(frozen=True)
class Between:
    """The keys around a frame, by their numbers, and how far it is from the first to the second, 0..1."""

    before: int
    after: int
    position: float


@dataclass(frozen=True)
class Keys:
    """Frames of the keys of one track, ascending, and the curve that each begins."""

    frames: tuple[int, ...]
    curves: tuple[Curve, ...]

    def around(self, frame: int) -> Between:
        """The keys around `frame`; before the first and after the last key, that one twice."""
        after = bisect_right(self.frames, frame)
        if after == 0 or after == len(self.frames):
            nearest = min(after, len(self.frames) - 1)
            return Between(nearest, nearest, 0.0)
        start, stop = self.frames[after - 1], self.frames[after]
        return Between(after - 1, after, eased((frame - start) / (stop - start), self.curves[after - 1]))


def eased(position: float, curve: Curve) -> float:
    """A position 0..1 between two keys, by the curve.

    >>> [eased(0.25, curve) for curve in ("linear", "ease", "step")]
    [0.25, 0.15625, 0.0]
    """
    if curve == "step":
        return float(position >= 1)
    return position * position * (3 - 2 * position) if curve == "ease" else position


@dataclass(frozen=True)
class NumberTrack:
    """A number over time."""

    keys: Keys
    values: tuple[float, ...]

    def at(self, frame: int) -> float:
        """The value at a frame."""
        around = self.keys.around(frame)
        before, after = self.values[around.before], self.values[around.after]
        return before if before == after else before + (after - before) * around.position


@dataclass(frozen=True)
class ScaleTrack:
    """A stroke scale over time."""

    keys: Keys
    values: tuple[float, ...]

    def at(self, frame: int) -> dict[float, float]:
        """The scales that a frame's is blended from, each with its share."""
        around = self.keys.around(frame)
        before, after = self.values[around.before], self.values[around.after]
        steps = math.ceil(SCALES_AN_OCTAVE * abs(math.log2(after / before)))
        if not steps:
            return {before: 1.0}
        grid = [before, *(round(before * (after / before) ** (k / steps), 6) for k in range(1, steps)), after]
        lower = min(int(around.position * steps), steps - 1)
        share = around.position * steps - lower
        return {scale: part for scale, part in ((grid[lower], 1 - share), (grid[lower + 1], share)) if part > 0}


@dataclass(frozen=True)
class MixTrack:
    """Shares of paintings over time. `strengths` are 0 at keys of the photograph."""

    keys: Keys
    mixes: tuple[Mix, ...]
    strengths: tuple[float, ...]

    @classmethod
    def of(cls, keys: Keys, mixes: Sequence[Mix]) -> MixTrack:
        """The track of these mixes. Those without paintings get the shares of the keys around them."""
        strengths = tuple(float(bool(mix)) for mix in mixes)
        return cls(keys, tuple(_carried_on(keys.frames, mixes)), strengths)

    def at(self, frame: int) -> tuple[Mix, float]:
        """The mix and the strength at a frame."""
        around = self.keys.around(frame)
        mix = blended(self.mixes[around.before], self.mixes[around.after], around.position)
        before, after = self.strengths[around.before], self.strengths[around.after]
        return mix, before + (after - before) * around.position


def blended(one: Mix, other: Mix, position: float) -> dict[str, float]:
    """The mix at `position` 0..1 between two. Paintings without a share are left out.

    >>> blended({"a": 1.0}, {"a": 0.5, "b": 0.5}, 0.5)
    {'a': 0.75, 'b': 0.25}
    """
    if one == other:
        return dict(one)
    mix = {path: one.get(path, 0.0) * (1 - position) + other.get(path, 0.0) * position for path in {**one, **other}}
    return {path: share for path, share in mix.items() if share > 0}


def _carried_on(frames: Sequence[int], mixes: Sequence[Mix]) -> list[Mix]:
    """The mixes, with those of the photograph filled in: a run of them goes from the mix before it to the one after."""
    filled: list[Mix] = list(mixes)
    for number, mix in enumerate(mixes):
        if mix:
            continue
        before = max((i for i in range(number) if mixes[i]), default=None)
        after = min((i for i in range(number + 1, len(mixes)) if mixes[i]), default=None)
        if before is None or after is None:
            nearest = after if before is None else before
            filled[number] = {} if nearest is None else mixes[nearest]
            continue
        begin, end = frames[before + 1], frames[after - 1]
        position = (frames[number] - begin) / (end - begin) if end > begin else 0.5
        filled[number] = blended(mixes[before], mixes[after], position)
    return filled


def mix_of(styles: Sequence[StyleImage]) -> dict[str, float]:
    """The share of each painting by its weight; a painting that is named twice has the sum of both."""
    total = sum(style.weight for style in styles)
    mix: dict[str, float] = {}
    for style in styles:
        if style.weight:
            mix[style.path] = mix.get(style.path, 0.0) + style.weight / total
    return mix


@dataclass(frozen=True)
class Looks:
    """The look of every frame of a film."""

    frames: tuple[int, ...]
    """Frames of the timeline's points."""
    cuts: tuple[int, ...]
    """First frames of the film's second and later shots."""
    paint: MixTrack
    regions: tuple[MixTrack | None, ...]
    weights: Mapping[str, NumberTrack]
    scale: ScaleTrack
    per_shot: Mapping[int, Setting]
    _kept: Callable[[int], Look] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_kept", lru_cache(LOOKS_KEPT)(self._evaluated))

    @classmethod
    def of(cls, spec: RenderSpec, frames: Sequence[int], cuts: Sequence[int]) -> Looks:
        """The looks of a spec with a timeline, whose points are at `frames`.

        Raises UsageError, which names the point, where content and style both weigh nothing.
        """
        timeline = spec.timeline or Timeline(points=(), per_shot={})
        tracks = _Tracks(timeline, tuple(frames))
        regions = tuple(
            tracks.mixes(partial(_styles_of_region, number), region.styles)
            for number, region in enumerate(spec.regions, start=1)
        )
        named = {number for setting in timeline.settings.values() for number in setting.regions}
        weights = {
            name: NumberTrack(*tracks.values(partial(_weight, name), getattr(spec.weights, name))) for name in WEIGHTS
        }
        looks = cls(
            frames=tuple(frames),
            cuts=tuple(cuts),
            paint=tracks.mixes(lambda point: point.styles, spec.styles),
            regions=tuple(
                track if region.styles or number in named else None
                for number, (region, track) in enumerate(zip(spec.regions, regions, strict=True), start=1)
            ),
            weights=weights,
            scale=ScaleTrack(*tracks.values(lambda point: point.style_scale, spec.style_scale)),
            per_shot=timeline.per_shot,
        )
        looks._check_weights()
        return looks

    def at(self, frame: int) -> Look:
        """The look of a frame."""
        return self._kept(frame)

    def shot_of(self, frame: int) -> int:
        """Number of the frame's shot in the whole film, counted from 1."""
        return bisect_right(self.cuts, frame) + 1

    def changes_near(self, frame: int, reach: int) -> bool:
        """Whether any frame of the same shot up to `reach` frames away looks otherwise."""
        shot, look = self.shot_of(frame), self.at(frame)
        near = range(max(frame - reach, 0), frame + reach + 1)
        return any(self.shot_of(other) == shot and self.at(other) != look for other in near)

    def _evaluated(self, frame: int) -> Look:
        own = self.per_shot.get(self.shot_of(frame), NOTHING)
        scales = self.scale.at(frame) if own.style_scale is None else {own.style_scale: 1.0}
        regions = tuple(
            None if track is None else _paint(*_in_shot(own.regions.get(number), track, frame), scales)
            for number, track in enumerate(self.regions, start=1)
        )
        paint = _paint(*_in_shot(own.styles, self.paint, frame), scales)
        if not paint.parts:  # the photograph without a style beside it: what is painted is seen in regions only
            parts = next((region.parts for region in regions if region is not None and region.parts), ())
            paint = Paint(parts=parts, strength=0.0)
        return Look(paint=paint, regions=regions, weights=LossWeights(**self._weights_at(frame, own)))

    def _weights_at(self, frame: int, own: Setting) -> dict[str, float]:
        given = {name: getattr(own.weights, name) for name in WEIGHTS}
        return {name: track.at(frame) if given[name] is None else given[name] for name, track in self.weights.items()}

    def _check_weights(self) -> None:
        """Content and style may not both be 0. Where they are, they are at a point too, since tracks are straight."""
        shots = {self.shot_of(frame) for frame in self.frames}
        places = [(f"timeline.points[{number}]", frame, NOTHING) for number, frame in enumerate(self.frames)]
        for shot, setting in self.per_shot.items():
            first = (0, *self.cuts)[shot - 1] if shot <= len(self.cuts) + 1 else 0
            inside = [frame for frame in self.frames if self.shot_of(frame) == shot] if shot in shots else []
            places += [(f"timeline.per_shot.{shot}", frame, setting) for frame in (first, *inside)]
        for name, frame, setting in places:
            try:
                LossWeights(**self._weights_at(frame, setting))
            except ValidationError:
                raise UsageError(
                    f"{name}: content and style both weigh nothing there", "give one of them a weight"
                ) from None


NOTHING = Setting.model_construct()
"""A setting that sets nothing."""


def _in_shot(own: Sequence[StyleImage] | None, track: MixTrack, frame: int) -> tuple[Mix, float]:
    """The mix and strength of a shot's own styles; those of the track where it has none."""
    mix, strength = track.at(frame)
    if own is None:
        return mix, strength
    return (mix_of(own), 1.0) if own else (mix, 0.0)


def _styles_of_region(number: int, setting: Setting) -> Sequence[StyleImage] | None:
    return setting.regions.get(number)


def _weight(name: str, setting: Setting) -> float | None:
    weight: float | None = getattr(setting.weights, name)
    return weight


def _paint(mix: Mix, strength: float, scales: Mapping[float, float]) -> Paint:
    parts = tuple(
        StylePart(path=path, scale=scale, share=share * part)
        for path, share in mix.items()
        for scale, part in scales.items()
    )
    return Paint(parts=parts, strength=strength)


@dataclass(frozen=True)
class _Tracks:
    """Makes tracks of a timeline whose points are at `frames`."""

    timeline: Timeline
    frames: tuple[int, ...]

    def values(self, of: Callable[[Setting], float | None], otherwise: float) -> tuple[Keys, tuple[float, ...]]:
        """Keys and values of what `of` gives for each point; a single key of `otherwise` where no point has one."""
        keys = [
            (number, value) for number, point in enumerate(self.timeline.points) if (value := of(point)) is not None
        ]
        if not keys:
            return Keys((0,), ("step",)), (otherwise,)
        return self._keys([number for number, _ in keys]), tuple(value for _, value in keys)

    def mixes(self, of: Callable[[Setting], Sequence[StyleImage] | None], otherwise: Sequence[StyleImage]) -> MixTrack:
        """The same for paintings."""
        keys = [
            (number, mix_of(styles))
            for number, point in enumerate(self.timeline.points)
            if (styles := of(point)) is not None
        ]
        if not keys:
            return MixTrack.of(Keys((0,), ("step",)), [mix_of(otherwise)])
        return MixTrack.of(self._keys([number for number, _ in keys]), [mix for _, mix in keys])

    def _keys(self, numbers: Sequence[int]) -> Keys:
        points = self.timeline.points
        curves = tuple(points[number].curve or self.timeline.curve for number in numbers)
        return Keys(tuple(self.frames[number] for number in numbers), curves)
