"""How a long command shows its progress on stderr: as a bar on a terminal, as a line every 15 seconds in a log.

with JobProgress() as progress:
    render_job(spec, options, progress)
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from farm.cli.arguments import discard
from farm.plan.pace import Eta, Rate
from farm.spec.units import format_seconds

if TYPE_CHECKING:
    from farm.paint.training.course import CourseProgress

LOG_EVERY_SECONDS = 15.0
"""Seconds between two lines of progress where stderr is no terminal."""


class _Stderr(Console):
    """A console on stderr. Where nobody reads it any more, the work goes on in silence; rich's own ends the process."""

    def __init__(self) -> None:
        super().__init__(stderr=True)

    def on_broken_pipe(self) -> None:
        """Discard what is printed from now on."""
        self.quiet = True
        discard(sys.stderr)


class _Bar:
    """A bar of rich that is shown inside a `with` block."""

    _bar: Progress

    def __enter__(self: Shown) -> Shown:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


Shown = TypeVar("Shown", bound=_Bar)


class JobProgress(_Bar):
    """The `farm.plan.pace.Progress` of the commands: phase, frames, rate and time left of one job. A context manager.

    On a terminal it is a bar. Elsewhere it is a line every LOG_EVERY_SECONDS while there is progress.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or _Stderr()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[phase]:<8}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[eta]}"),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("render", total=1, phase="", count="", rate="", eta="")
        self._eta, self._rate = Eta(0), Rate(0.0)
        self._logged = 0.0
        self._completed = self._total = 0
        self._share: float | None = None  # None in a phase that counts frames
        self._phase = ""

    def note(self, line: str) -> None:
        """Print one line above the bar."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def phase(self, name: str, frames: int, steps: float) -> None:
        """Begin a phase of `frames` frames, for which `steps` optimiser steps are planned in all."""
        self._phase, self._total, self._completed, self._share = name, frames, 0, None
        self._logged = now = time.monotonic()
        self._eta, self._rate = Eta(steps), Rate(now)
        self._eta.start(now)
        self._show(now)

    def advance(self, phase: str, planned_steps: float) -> None:
        """Count one more frame of `phase`, for which `planned_steps` optimiser steps had been planned."""
        now = time.monotonic()
        self._phase = phase
        self._completed += 1
        self._eta.done(planned_steps, now)
        self._rate.done(now)
        self._show(now)
        self._log(now)

    def share(self, phase: str, done: float) -> None:
        """Show that the share `done`, 0 to 1, of `phase` is done; the first call begins the phase."""
        if self._share is None or phase != self._phase:
            self.phase(phase, 1, 1.0)
            self._share = 0.0
        now, done = time.monotonic(), min(done, 1.0)
        self._eta.done(done - self._share, now)
        self._share = done
        self._show(now)
        self._log(now)

    def _show(self, now: float) -> None:
        rate, eta = self._texts(now)
        completed = self._completed if self._share is None else self._share
        self._bar.update(
            self._task,
            total=self._total,
            completed=completed,
            phase=self._phase,
            count=self._count(),
            rate=rate,
            eta=eta,
        )

    def _log(self, now: float) -> None:
        if self.console.is_terminal or now - self._logged < LOG_EVERY_SECONDS:
            return
        self._logged = now
        texts = [self._count(), *self._texts(now)]
        self.note(f"{self._phase}: {'  '.join(text for text in texts if text)}")

    def _count(self) -> str:
        return f"{self._completed}/{self._total} frames" if self._share is None else f"{self._share:.0%}"

    def _texts(self, now: float) -> tuple[str, str]:
        """Rate and time left. Below one frame a second, the rate is in seconds a frame."""
        per_second = self._rate.per_second(now)
        rate = (
            ""
            if not per_second
            else f"{per_second:.1f} frames/s"
            if per_second > 1
            else f"{1 / per_second:.1f} s/frame"
        )
        seconds_left = self._eta.seconds_left(now)
        return rate, "ETA -" if seconds_left is None else f"ETA {format_seconds(seconds_left)}"


class TrainingProgress(_Bar):
    """A bar for a training, with steps a second. Call it with each `CourseProgress`. A context manager.

    Every evaluation is also a line that stays. The rate counts the steps of this run of the command only.
    """

    def __init__(self) -> None:
        self._console = _Stderr()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("train"),
            BarColumn(),
            TextColumn("{task.percentage:.0f} %  step {task.fields[step]}  {task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("train", total=1.0, step=0, rate="")
        self._began, self._first_step = time.monotonic(), 0

    def note(self, line: str) -> None:
        """Print one line above the bar."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def __call__(self, training: CourseProgress) -> None:
        """Show where the training is after a step or an evaluation."""
        from farm.paint.training.run import evaluation_line

        self._first_step = self._first_step or training.step
        rate = (training.step - self._first_step) / max(time.monotonic() - self._began, 1e-9)
        self._bar.update(self._task, completed=min(training.share, 1.0), step=training.step, rate=f"{rate:.1f} steps/s")
        if training.evaluated:
            self.note(evaluation_line(training))


class StillProgress(_Bar):
    """A bar for the optimiser steps of one picture. Call it with the number of steps done. A context manager."""

    def __init__(self, steps: int) -> None:
        self._bar = Progress(console=_Stderr(), transient=True)
        self._task = self._bar.add_task("paint", total=steps)

    def __call__(self, steps: int) -> None:
        """Show that `steps` steps are done."""
        self._bar.update(self._task, completed=steps)


class ReadingProgress(_Bar):
    """A bar for reading or measuring, on a terminal only. A context manager."""

    def __init__(self) -> None:
        console = _Stderr()
        columns = (TextColumn("{task.description:<8}"), BarColumn())
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._task = self._bar.add_task("read", total=1)

    def show(self, label: str, done: int, total: int) -> None:
        """Show that `done` of `total` items are read. `label` says what they are, such as `frames`."""
        self._bar.update(self._task, description=label, completed=done, total=total)
