"""Ranges of frames: half-open `[start, stop)` inside the farm, inclusive `120-240` for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from farm.errors import UsageError


@dataclass(frozen=True, order=True)
class FrameRange:
    """The frames `start, start + 1, ..., stop - 1`, counted from 0 in presentation order.

    Raises UsageError where it would be empty or begin before 0.
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise UsageError(
                f"a range of frames must start at 0 or later and hold at least one frame, "
                f"not {self.start}-{self.stop - 1}"
            )

    @classmethod
    def parse(cls, text: str) -> FrameRange:
        """The range that people write as `120-240` (both included) or `120`. Raises UsageError."""
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", text)
        if not match:
            raise UsageError(f"frames {text!r} is not a range", "write it as 120-240, or 120 for one frame")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UsageError(f"frames {text} ends before it starts", f"did you mean {last}-{first}?")
        return cls(first, last + 1)

    def __str__(self) -> str:
        return f"{self.start}-{self.stop - 1}" if len(self) > 1 else str(self.start)

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.stop))

    def __contains__(self, frame: object) -> bool:
        return isinstance(frame, int) and self.start <= frame < self.stop


def runs(frames: Iterable[int]) -> list[FrameRange]:
    """The fewest ranges that hold these frames and no others, ascending.

    >>> print(*runs([7, 3, 4, 5]))
    3-5 7
    """
    ranges: list[FrameRange] = []
    for frame in sorted(set(frames)):
        if ranges and ranges[-1].stop == frame:
            ranges[-1] = FrameRange(ranges[-1].start, frame + 1)
        else:
            ranges.append(FrameRange(frame, frame + 1))
    return ranges


def evenly(count: int, of: int) -> list[int]:
    """`count` positions spread evenly over `0..of - 1`, both ends included; all of them where there are no more.

    >>> evenly(3, 9)
    [0, 4, 8]
    """
    if count >= of:
        return list(range(of))
    return [round(i * (of - 1) / (count - 1)) for i in range(count)] if count > 1 else [0]
