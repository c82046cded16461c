"""Where a range of frames lies on the output's clock and in the source."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from farm.plan import VideoProbe
from farm.spec import FrameRange


class FilmTimes(NamedTuple):
    """Where a range of frames lies on the output's clock and in the source; all exact.

    The output's zero is the container's start for a range from frame 0, as in any transcode, so that sound
    that begins before or after the picture keeps its distance; otherwise it is the first frame of the range.
    """

    offsets: tuple[int, ...]
    """Presentation times relative to the first frame, in ticks of the source's time base."""
    last_duration: int
    first_frame: Fraction
    """Seconds at which the first frame appears in the output."""
    cut_from: Fraction | None
    """Seconds after the container's start at which the other streams are entered; None from their beginning."""
    cut_length: Fraction | None
    """Seconds of the other streams that are taken; None to their end."""
    others_later: Fraction = Fraction(0)
    """Seconds by which all other streams are later than that clock says: the picture begins before the first time
    that the container has, because its first frames have none."""


def film_times(probe: VideoProbe, frames: FrameRange) -> FilmTimes:
    """The times of `frames`: the picture's own, and the same interval of the streams beside it."""
    first = probe.pts[frames.start]
    begin = probe.presentation_time(frames.start) - probe.start_time
    end = probe.presentation_time(frames.stop) - probe.start_time
    whole_beginning, whole_end = frames.start == 0, frames.stop == probe.frame_count
    entered = Fraction(0) if whole_beginning else begin
    return FilmTimes(
        offsets=tuple(pts - first for pts in probe.pts[frames.start : frames.stop]),
        last_duration=probe.last_duration if whole_end else probe.pts[frames.stop] - probe.pts[frames.stop - 1],
        first_frame=max(begin, Fraction(0)) if whole_beginning else Fraction(0),
        others_later=-begin if whole_beginning and -begin * probe.frame_rate > 1 else Fraction(0),
        cut_from=None if whole_beginning else begin,
        cut_length=None if whole_end else end - entered,
    )


def source_options(times: FilmTimes) -> dict[str, str]:
    """Input options of ffmpeg with which the source is entered for the streams beside the picture."""
    options = {"itsoffset": seconds(times.others_later)} if times.others_later else {}
    if times.cut_from is not None:
        options["ss"] = seconds(times.cut_from)
    if times.cut_length is not None:
        options["t"] = seconds(times.cut_length)
    return options


def seconds(time: Fraction) -> str:
    """Decimal seconds to the microsecond, which is ffmpeg's own resolution."""
    whole, micro = divmod(round(time * 1_000_000), 1_000_000)
    return f"{whole}.{micro:06d}"
