"""Amounts of memory, lengths of time and timecodes, as people write them: `6GiB`, `1h30m`, `01:00:00:12`."""

from __future__ import annotations

import re
from fractions import Fraction

from farm.errors import UsageError

_BYTES_OF = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGT", start=1):
    _BYTES_OF |= {_letter: 1024**_power, f"{_letter}IB": 1024**_power, f"{_letter}B": 1000**_power}


def parse_bytes(text: str | int) -> int:
    """Number of bytes. `6GiB` and `6G` are 6 x 1024^3, `6GB` is 6 x 1000^3, a bare number is bytes. Raises UsageError.

    >>> parse_bytes("1.5KiB")
    1536
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Z]*)", str(text).strip().upper())
    count = round(float(match[1]) * _BYTES_OF[match[2]]) if match and match[2] in _BYTES_OF else 0
    if count < 1:
        raise UsageError(f"{text!r} is no amount of memory", "write it as 6GiB or 800MB")
    return count


def format_bytes(count: int) -> str:
    """A number of bytes in GiB, to a tenth.

    >>> format_bytes(6_442_450_944)
    '6.0 GiB'
    """
    return f"{count / 1024**3:.1f} GiB"


_SECONDS_OF = {"h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0}
_PART = r"(\d+(?:\.\d+)?)\s*(h|min|m|s)"


def parse_duration(text: str | float) -> float:
    """Number of seconds. A bare number is seconds. Raises UsageError.

    >>> parse_duration("1h30m")
    5400.0
    """
    written = str(text).strip().lower()
    if re.fullmatch(r"\d+(?:\.\d+)?", written):
        seconds = float(written)
    elif re.fullmatch(rf"(?:{_PART}\s*)+", written):
        seconds = sum(float(count) * _SECONDS_OF[unit] for count, unit in re.findall(_PART, written))
    else:
        seconds = 0.0
    if not seconds > 0:
        raise UsageError(f"{text!r} is no length of time", "write it as 10m, 90s or 1h30m")
    return seconds


def format_seconds(seconds: float) -> str:
    """A number of seconds for people: `42 s`, `3:07 min` or `5:20 h`.

    >>> format_seconds(187.2)
    '3:07 min'
    """
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3600:
        return f"{rounded // 60}:{rounded % 60:02d} min"
    return f"{rounded // 3600}:{rounded % 3600 // 60:02d} h"


_LABEL = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.])(\d\d)")


def timecode_number(label: str, rate: Fraction) -> int | None:
    """How many frames after `00:00:00:00` the one with an SMPTE timecode is (ST 12-1), at `rate` frames a second.

    None where the label is no timecode of a film with that rate. With 30000/1001 frames a second, and its multiples, a
    `;` says that the first two numbers of every minute are left out but in every tenth minute.

    >>> timecode_number("00:01:00;02", Fraction(30000, 1001))
    1800
    """
    parts = _LABEL.fullmatch(label.strip())
    a_second = round(rate)
    if parts is None or not 1 <= a_second <= 99 or int(parts[5]) >= a_second:
        return None
    drop = parts[4] != ":"
    if drop and (a_second % 30 or rate != Fraction(a_second * 1000, 1001)):
        return None
    left_out = a_second // 15 if drop else 0
    minutes = int(parts[1]) * 60 + int(parts[2])
    number = (minutes * 60 + int(parts[3])) * a_second + int(parts[5])
    return number - left_out * (minutes - minutes // 10)
