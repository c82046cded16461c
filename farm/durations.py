"""Lengths of time as people write them, `10m`, `90s`, `1.5h`, `1h30m`, and as they read them."""

from __future__ import annotations

import re

from farm.errors import UsageError

_SECONDS_OF = {"h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0}
_PART = r"(\d+(?:\.\d+)?)\s*(h|min|m|s)"


def parse_duration(text: str | float) -> float:
    """Seconds; a bare number is seconds. Raises UsageError.

    >>> parse_duration("1h30m")
    5400.0
    """
    told = str(text).strip().lower()
    if re.fullmatch(r"\d+(?:\.\d+)?", told):
        seconds = float(told)
    elif re.fullmatch(rf"(?:{_PART}\s*)+", told):
        seconds = sum(float(count) * _SECONDS_OF[unit] for count, unit in re.findall(_PART, told))
    else:
        seconds = 0.0
    if not seconds > 0:
        raise UsageError(f"{text!r} is no length of time", "write it as 10m, 90s or 1h30m")
    return seconds


def format_seconds(seconds: float) -> str:
    """`42 s`, `3:07 min` or `5:20 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"
