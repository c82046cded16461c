"""The looks of a film with a timeline: its points' times become frames, and its shots are those of the film. Pure.

looks = looks_of(spec, probe, cuts)          None where the spec has no timeline
frame = frame_at(parse_at("1:30"), probe)    the frame that is shown at a time
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction

from farm.errors import UsageError
from farm.plan.video import VideoProbe
from farm.spec import RenderSpec
from farm.spec.looks import Looks
from farm.spec.timeline import Moment, parse_at
from farm.spec.units import timecode_number


def looks_of(spec: RenderSpec, probe: VideoProbe, cuts: Sequence[int]) -> Looks | None:
    """The look of every frame of a film with these `cuts`. None where the spec has no timeline.

    Raises UsageError, which names the point, for a point outside the film, one that is not after the one before it, a
    shot that the film does not have, and for weights of losses that are all 0.
    """
    if spec.timeline is None:
        return None
    frames: list[int] = []
    for number, point in enumerate(spec.timeline.points):
        name = f"timeline.points[{number}] (at {point.at})"
        try:
            frame = frame_at(parse_at(point.at), probe)
        except ValueError as error:
            raise UsageError(f"{name} {error}", f"the film has frames 0-{probe.frame_count - 1}") from None
        if frames and frame <= frames[-1]:
            raise UsageError(
                f"{name} is frame {frame} and does not come after points[{number - 1}], frame {frames[-1]}",
                "put them in order",
            )
        frames.append(frame)
    for shot in spec.timeline.per_shot:
        if shot > len(cuts) + 1:
            count = len(cuts) + 1
            raise UsageError(f"timeline.per_shot.{shot}: the film has {count} shot{'s' * (count > 1)}")
    return Looks.of(spec, frames, cuts)


def frame_at(moment: Moment, probe: VideoProbe) -> int:
    """The frame that a film shows at a moment. Raises ValueError where it is outside the film."""
    if moment.kind == "frame":
        if moment.frame >= probe.frame_count:
            raise ValueError("is not in the film")
        return moment.frame
    if moment.kind == "seconds":
        return _shown_at(moment.seconds, probe)
    begin = timecode_number(probe.timecode, probe.frame_rate) if probe.timecode else 0
    number = timecode_number(moment.timecode, probe.frame_rate)
    if number is None:
        raise ValueError(f"is no timecode of a film with {float(probe.frame_rate):g} frames a second")
    # A film whose own first label is later than this one is counted from 0.
    frame = number - begin if begin and number >= begin else number
    if frame >= probe.frame_count:
        raise ValueError("is not in the film")
    return frame


def _shown_at(seconds: Fraction, probe: VideoProbe) -> int:
    if seconds > probe.duration:
        raise ValueError(f"is not in the film, which is {float(probe.duration):.3f} s long")
    # A quarter of a frame is allowed: 0.033 s of a film of 30 frames a second means its second frame.
    tick = seconds / probe.time_base + probe.pts[0] + Fraction(1, 4) / (probe.frame_rate * probe.time_base)
    return max(bisect_right(probe.pts, tick) - 1, 0)
