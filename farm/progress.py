"""How a long job is shown: a bar on a terminal, a line now and then in a log. Always on stderr."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from farm.spec.units import format_seconds

LOG_EVERY_SECONDS = 15.0
RATE_SECONDS = 60.0
ETA_WINDOW = 40
"""Reports that the time left is reckoned from: some of each worker, few enough to follow a change of stage."""


class Eta:
    """Time left, weighed by optimiser steps: a first frame costs several later ones. Pure but for the times given."""

    def __init__(self, total_steps: float) -> None:
        self._steps_left = float(total_steps)
        self._recent: deque[tuple[float, float]] = deque(maxlen=ETA_WINDOW)

    def start(self, now: float) -> None:
        self._recent.append((now, self._steps_left))

    def done(self, planned_steps: float, now: float) -> None:
        self._steps_left = max(self._steps_left - planned_steps, 0.0)
        self._recent.append((now, self._steps_left))

    def seconds_left(self, now: float) -> float | None:
        """None until there is something to go by."""
        if len(self._recent) < 2:
            return None
        began, before = self._recent[0]
        done = before - self._steps_left
        return None if done <= 0 else self._steps_left * (now - began) / done


class Rate:
    """Frames a second over the last minute, or since the beginning; what Prometheus' `rate(..[1m])` says, too.

    It is asked when a frame has just come, so a frame that was begun before the minute counts only for its part in it:
    counted whole, few frames a minute would be told as one too many.
    """

    def __init__(self, began: float) -> None:
        self._began = self._before = began
        self._recent: deque[float] = deque()

    def done(self, now: float) -> None:
        self._recent.append(now)

    def per_second(self, now: float) -> float:
        start = max(now - RATE_SECONDS, self._began)
        while self._recent and self._recent[0] <= start:
            self._before = self._recent.popleft()
        if not self._recent or now <= start:
            return 0.0
        earlier = (start - self._before) / (self._recent[0] - self._before)
        return (len(self._recent) - earlier) / (now - start)


class JobProgress:
    """Frames, rate, ETA and stage of one render. Use as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[stage]:<8}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} frames"),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[eta]}"),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("render", total=1, stage="", rate="", eta="")
        self._eta, self._rate = Eta(0), Rate(0.0)
        self._logged = 0.0
        self._completed = self._total = 0
        self._stage = ""

    def __enter__(self) -> JobProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def note(self, line: str) -> None:
        """A line above the bar."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def stage(self, name: str, frames: int, steps: int) -> None:
        """A part of the job begins that is `frames` commits and `steps` optimiser steps long."""
        self._stage, self._total, self._completed = name, frames, 0
        self._logged = now = time.monotonic()
        self._eta, self._rate = Eta(steps), Rate(now)
        self._eta.start(now)
        self._show(now)

    def advance(self, stage: str, planned_steps: float) -> None:
        """One more frame is done, for which `planned_steps` had been planned."""
        now = time.monotonic()
        self._stage = stage
        self._completed += 1
        self._eta.done(planned_steps, now)
        self._rate.done(now)
        self._show(now)
        if not self.console.is_terminal and now - self._logged >= LOG_EVERY_SECONDS:
            self._logged = now
            rate, eta = self._texts(now)
            self.note(f"{self._stage}: {self._completed}/{self._total} frames  {rate}  {eta}")

    def _show(self, now: float) -> None:
        rate, eta = self._texts(now)
        self._bar.update(
            self._task, total=self._total, completed=self._completed, stage=self._stage, rate=rate, eta=eta
        )

    def _texts(self, now: float) -> tuple[str, str]:
        pace = self._rate.per_second(now)
        rate = "" if not pace else f"{pace:.1f} frames/s" if pace > 1 else f"{1 / pace:.1f} s/frame"
        left = self._eta.seconds_left(now)
        return rate, "ETA -" if left is None else f"ETA {format_seconds(left)}"


class ReadingProgress:
    """A bar for what is read or measured, and on a terminal only. Use as a context manager."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description:<8}"), BarColumn())
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._task = self._bar.add_task("read", total=1)

    def __enter__(self) -> ReadingProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, what: str, done: int, total: int) -> None:
        self._bar.update(self._task, description=what, completed=done, total=total)
