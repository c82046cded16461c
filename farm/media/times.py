"""When each frame is shown, from the times that a file gives its frames. Pure.

Frames come in the order in which they are shown, so their times must ascend. Where a file's times do not, as many of
them as possible are kept, and only the others are replaced. Recordings that were joined byte by byte begin a new clock
in the middle of the file: `find_breaks` finds where, and the parts are put end to end.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

FAR_AHEAD = 10
"""Seconds by which a clock is ahead of what is expected, above which the time is a stray one or of another clock.

ffmpeg's own limit for formats that may be joined (`-dts_delta_threshold`).
"""
ABSURDLY_AHEAD = 30 * 3600
"""The same for formats that are never joined, in which a pause may be long. ffmpeg's `-dts_error_threshold`."""
FAR_BEHIND = {True: Fraction(1, 10), False: Fraction(1, 2)}
"""Seconds by which a time is before the one of the frame before; by whether the format may be joined.

Why half a second where it may not: times that were given in the order of decoding go back by less.
"""


class Clock(NamedTuple):
    """How a file counts time: ticks of a frame at the frame rate, ticks of a second, and whether it may be joined."""

    frame: Fraction
    second: Fraction
    joinable: bool


class FrameTimes(NamedTuple):
    """Times of all frames, strictly ascending, in ticks of 1/`finer` of the file's tick."""

    pts: tuple[int, ...]
    finer: int = 1
    """More than 1 where a tick of the file is too long to put a frame between two others."""
    untimed: int = 0
    """Frames that have no time of their own, or one that is far from all others."""
    moved: int = 0
    """Frames whose own time contradicts the order."""
    breaks: tuple[int, ...] = ()
    """First frames of parts with another clock."""
    shifts: tuple[int, ...] = ()
    """Ticks (of the file) that were added to the times of each of those parts."""

    @property
    def own(self) -> bool:
        """Whether all times are the file's own."""
        return not (self.untimed or self.moved or self.breaks)


def settle_times(stamps: Sequence[int | None], clock: Clock) -> FrameTimes:
    """The times of frames that have these `stamps`, in ticks; None is no time. `stamps` is not empty.

    A frame that repeats the time of the one before is shown a tick later. Other frames without a good time are spread
    evenly between their neighbours, before the first good time counted back from it, after the last counted on.
    """
    known = [stamp for stamp in stamps if stamp is not None]
    breaks, strays = find_breaks(stamps, clock)
    if len(known) == len(stamps) and not breaks and not strays and _ascend(known):
        return FrameTimes(tuple(known))
    usable = [None if frame in strays else stamp for frame, stamp in enumerate(stamps)]
    given = [usable[a:b] for a, b in itertools.pairwise([0, *breaks, len(usable)])]
    parts = [_in_order(part, clock.frame) for part in given]
    kept = [_longest_ascending(part) for part in parts]
    finer = max(_finer(part, good) for part, good in zip(parts, kept, strict=True))
    pts: list[int] = []
    shifts = []
    moved = 0
    for stored, part, good in zip(given, parts, kept, strict=True):
        times = _filled(part, good, clock.frame, finer)
        moved += sum(own is not None and own * finer != time for own, time in zip(stored, times, strict=True))
        if pts:
            # A whole number of the file's ticks, by which its sound can be moved as well.
            shift = math.ceil((pts[-1] + round(clock.frame * finer) - times[0]) / finer)
            shifts.append(shift)
            times = [time + shift * finer for time in times]
        pts += times
    untimed = sum(stamp is None for stamp in usable)
    return FrameTimes(tuple(pts), finer, untimed, moved, tuple(breaks), tuple(shifts))


def find_breaks(stamps: Sequence[int | None], clock: Clock) -> tuple[list[int], set[int]]:
    """(first frames of parts that have another clock, frames whose time is a stray one).

    A time far from the one before is a stray if the next one goes on from the one before, or if all times since a jump
    ahead, of a second at the most, are followed by one that goes on from before the jump.
    """
    far = (FAR_AHEAD if clock.joinable else ABSURDLY_AHEAD) * clock.second
    behind = FAR_BEHIND[clock.joinable] * clock.second
    most_strays = max(math.ceil(clock.second / clock.frame), 1)
    known = [(frame, stamp) for frame, stamp in enumerate(stamps) if stamp is not None]
    breaks: list[int] = []
    strays: set[int] = set()
    part: list[tuple[int, int]] = []
    jumped = -1
    """Index into `part` of the first frame after the last jump ahead that was let through."""

    def goes_on(before: int, stamp: int) -> bool:
        return 0 < stamp - before <= FAR_AHEAD * clock.second

    for number, (frame, stamp) in enumerate(known):
        if part:
            last_frame, last = part[-1]
            ahead = stamp - last - (frame - last_frame) * clock.frame
            if ahead > far or stamp < last - behind:
                following = known[number + 1][1] if number + 1 < len(known) else None
                if following is not None and goes_on(last, following):
                    strays.add(frame)
                    continue
                lone_first = len(part) == 1 and not breaks and stamp < last
                if lone_first:
                    jumped = 0
                excursion = part[jumped:] if jumped >= 0 else []
                if lone_first or (
                    0 < len(excursion) <= most_strays and stamp < last and goes_on(part[jumped - 1][1], stamp)
                ):
                    strays.update(stray for stray, _ in excursion)
                    del part[jumped:]
                else:
                    breaks.append(frame)
                    part = []
                jumped = -1
            elif ahead > behind:
                jumped = len(part)
        part.append((frame, stamp))
    return breaks, strays


def _ascend(stamps: Sequence[int]) -> bool:
    return all(b > a for a, b in itertools.pairwise(stamps))


def _in_order(part: list[int | None], frame: Fraction) -> list[int | None]:
    """The times of a part, sorted where they seem to be right but to belong to other frames.

    They do if no time occurs twice, and if sorted times keep frames further apart than replaced ones would.
    """
    known = [stamp for stamp in part if stamp is not None]
    if _ascend(known) or len(set(known)) < len(known):
        return part
    ordered = iter(sorted(known))
    in_order = [None if stamp is None else next(ordered) for stamp in part]
    least = [_least_gap(one, frame) for one in (part, in_order)]
    return in_order if least[1] > least[0] else part


def _least_gap(part: Sequence[int | None], frame: Fraction) -> Fraction:
    """The shortest time between two frames of a part, in ticks, once its times are settled."""
    good = _longest_ascending(part)
    finer = _finer(part, good)
    times = _filled(part, good, frame, finer)
    return Fraction(min(b - a for a, b in itertools.pairwise(times)), finer)


def _longest_ascending(part: Sequence[int | None]) -> list[int]:
    """Frames of the longest strictly ascending run of times, not all neighbours, by patience sorting."""
    tops: list[int] = []
    owners: list[int] = []
    before: list[int] = [-1] * len(part)
    for frame, stamp in enumerate(part):
        if stamp is None:
            continue
        pile = bisect.bisect_left(tops, stamp)
        before[frame] = owners[pile - 1] if pile else -1
        if pile == len(tops):
            tops.append(stamp)
            owners.append(frame)
        elif stamp != tops[pile]:  # of two equal times the first frame keeps its own
            tops[pile], owners[pile] = stamp, frame
    chain = []
    frame = owners[-1] if owners else -1
    while frame >= 0:
        chain.append(frame)
        frame = before[frame]
    return chain[::-1]


def _finer(part: Sequence[int | None], good: Sequence[int]) -> int:
    """By how much a tick must be finer so that all frames between two good ones have a time of their own."""
    gaps = [(b - a, _known(part, b) - _known(part, a)) for a, b in itertools.pairwise(good)]
    return max((math.ceil(frames / room) for frames, room in gaps), default=1)


def _filled(part: Sequence[int | None], good: Sequence[int], frame: Fraction, finer: int) -> list[int]:
    """Times of all frames of a part, in the finer ticks. `frame` is the length of one in the file's ticks."""
    step = max(frame * finer, Fraction(1))
    if not good:
        return [round(number * step) for number in range(len(part))]
    first, last = good[0], good[-1]
    begin, end = _known(part, first) * finer, _known(part, last) * finer
    times = [begin - round((first - number) * step) for number in range(first)]
    for a, b in itertools.pairwise(good):
        low, high = _known(part, a) * finer, _known(part, b) * finer
        if b - a == 2 and part[a + 1] == part[a] and high - low > 1:
            times += [low, low + 1]
        else:
            times += [low + round(Fraction((high - low) * number, b - a)) for number in range(b - a)]
    return times + [end + round(number * step) for number in range(len(part) - last)]


def _known(part: Sequence[int | None], frame: int) -> int:
    stamp = part[frame]
    assert stamp is not None
    return stamp
