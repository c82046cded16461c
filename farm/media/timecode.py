"""SMPTE timecode: the label of a frame, `01:00:00:00`, and of one some frames later. Pure.

Source: SMPTE ST 12-1. With 30000/1001 frames a second, and its multiples, a `;` before the frames says that the first
two numbers of every minute are left out but in every tenth minute, so that the label keeps step with the clock.
"""

from __future__ import annotations

from fractions import Fraction

from farm.spec.units import timecode_number

_DAY_MINUTES = 24 * 60


def later_timecode(label: str, rate: Fraction, frames: int) -> str | None:
    """The label of the frame `frames` after the one with `label`, at `rate` frames a second.

    None where `label` is no timecode of a film with that rate.

    >>> later_timecode("00:00:59;29", Fraction(30000, 1001), 1)
    '00:01:00;02'
    """
    number = timecode_number(label, rate)
    if number is None:
        return None
    a_second = round(rate)
    left_out = a_second // 15 if label.strip()[8] != ":" else 0
    day = _DAY_MINUTES * 60 * a_second - left_out * (_DAY_MINUTES - _DAY_MINUTES // 10)
    return _label((number + frames) % day, a_second, left_out)


def _label(number: int, a_second: int, left_out: int) -> str:
    if left_out:
        a_minute = 60 * a_second - left_out
        tens, rest = divmod(number, 10 * a_minute + left_out)
        number += left_out * (9 * tens + max(rest - left_out, 0) // a_minute)
    seconds, frame = divmod(number, a_second)
    minutes, second = divmod(seconds, 60)
    separator = ";" if left_out else ":"
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}{separator}{frame:02d}"
