"""How a long job is shown: a bar on a terminal, a line now and then in a log. Always on stderr."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from farm.plan.pace import Eta, Rate
from farm.spec.units import format_seconds

LOG_EVERY_SECONDS = 15.0


class JobProgress:
    """Frames, rate, ETA and stage of one render. Use as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[phase]:<8}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} frames"),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[eta]}"),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("render", total=1, phase="", rate="", eta="")
        self._eta, self._rate = Eta(0), Rate(0.0)
        self._logged = 0.0
        self._completed = self._total = 0
        self._phase = ""

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

    def phase(self, name: str, frames: int, steps: int) -> None:
        """A part of the job begins that is `frames` commits and `steps` optimiser steps long."""
        self._phase, self._total, self._completed = name, frames, 0
        self._logged = now = time.monotonic()
        self._eta, self._rate = Eta(steps), Rate(now)
        self._eta.start(now)
        self._show(now)

    def advance(self, phase: str, planned_steps: float) -> None:
        """One more frame is done, for which `planned_steps` had been planned."""
        now = time.monotonic()
        self._phase = phase
        self._completed += 1
        self._eta.done(planned_steps, now)
        self._rate.done(now)
        self._show(now)
        if not self.console.is_terminal and now - self._logged >= LOG_EVERY_SECONDS:
            self._logged = now
            rate, eta = self._texts(now)
            self.note(f"{self._phase}: {self._completed}/{self._total} frames  {rate}  {eta}")

    def _show(self, now: float) -> None:
        rate, eta = self._texts(now)
        self._bar.update(
            self._task, total=self._total, completed=self._completed, phase=self._phase, rate=rate, eta=eta
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
