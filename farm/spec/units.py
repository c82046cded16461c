"""Amounts of memory and lengths of time, as people write them: `6GiB`, `800 MB`, `1h30m`."""

from __future__ import annotations

import re

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
