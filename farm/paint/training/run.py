"""`farm train` on this machine: pictures in, one network file out.

report = train_network(spec, threads=2)
"""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from farm.errors import CancelledError
from farm.interruption import noted_interruption
from farm.paint.styler import local_runtime
from farm.paint.training.course import Told, begin_training, run_course, training_folder
from farm.paint.training.pictures import load_pictures
from farm.paint.training.step import Trainer
from farm.spec.train import TrainSpec


def train_network(spec: TrainSpec, *, threads: int | None = None, overwrite: bool = False) -> dict[str, Any]:
    """Train, or train on, and return the report of `run_course`. Raises FarmError; CancelledError on Ctrl-C."""
    begin_training(spec, overwrite=overwrite)
    with TrainingProgress(spec) as progress, noted_interruption() as interruption:
        try:
            trainer = Trainer(spec, load_pictures(spec), local_runtime(spec.precision, threads))
            return run_course(spec, trainer, progress, interruption.check)
        except KeyboardInterrupt:
            raise CancelledError(
                f"stopped; the training is kept in {training_folder(spec.output)}", "run the same command to continue"
            ) from None


class TrainingProgress:
    """A bar on a terminal; every evaluation is a line. Always on stderr."""

    def __init__(self, spec: TrainSpec) -> None:
        self._console = Console(stderr=True)
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
        self._began, self._first = time.monotonic(), 0

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        """A line of its own."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def __call__(self, told: Told) -> None:
        self._first = self._first or told.step
        rate = (told.step - self._first) / max(time.monotonic() - self._began, 1e-9)
        self._bar.update(self._task, completed=min(told.share, 1.0), step=told.step, rate=f"{rate:.1f} steps/s")
        if told.evaluated:
            terms = ", ".join(f"{name} {value:.3g}" for name, value in told.losses.items() if value)
            self.note(f"step {told.step}: held out {terms}")


def summary(report: dict[str, Any]) -> str:
    """One line for people."""
    return (
        f"{report['output']}: {report['steps']} steps in {report['seconds']:.0f} s on {report['pictures']} pictures; "
        f"best at step {report['best_step']}, held-out loss {report['losses']['total']:.0f}; "
        f"curve and samples in {report['folder']}"
    )
