"""`farm train` on this machine: pictures in, one network file out.

report = train_network(spec, threads=2, on_step=bar)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from farm.errors import CancelledError
from farm.interruption import noted_interruption
from farm.paint.styler import local_runtime
from farm.paint.training.course import CourseProgress, begin_training, run_course, training_folder
from farm.paint.training.pictures import load_pictures
from farm.paint.training.step import Trainer
from farm.plan.video import VideoScan
from farm.spec import TrainSpec


def train_network(
    spec: TrainSpec,
    *,
    threads: int | None = None,
    overwrite: bool = False,
    on_step: Callable[[CourseProgress], None] = lambda _: None,
    scan: VideoScan | None = None,
    hashes: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Train, or continue a training, and return the report of `run_course`.

    `on_step` is called after every step and every evaluation. `scan` of the spec's film and `hashes` of its files, by
    path, are those of a caller that has read them already; None reads them here.
    Raises FarmError; CancelledError on Ctrl-C, after which the same call continues.
    """
    begin_training(spec, overwrite=overwrite, hashes=hashes)
    with noted_interruption() as interruption:
        try:
            trainer = Trainer(spec, load_pictures(spec, scan), local_runtime(spec.precision, threads))
            return run_course(spec, trainer, on_step, interruption.check)
        except KeyboardInterrupt:
            raise CancelledError(
                f"stopped; the training is kept in {training_folder(spec.output)}", "run the same command to continue"
            ) from None


def evaluation_line(progress: CourseProgress) -> str:
    """The losses of one evaluation on the held-out pictures, as a line of text; those that are 0 are left out."""
    terms = ", ".join(f"{name} {value:.3g}" for name, value in progress.losses.items() if value)
    return f"step {progress.step}: held out {terms}"


def summary(report: dict[str, Any]) -> str:
    """The report of a training as one line of text."""
    return (
        f"{report['output']}: {report['steps']} steps in {report['seconds']:.0f} s on {report['pictures']} pictures; "
        f"best at step {report['best_step']}, held-out loss {report['losses']['total']:.0f}; "
        f"curve and samples in {report['folder']}"
    )
