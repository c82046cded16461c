"""`farm train --workers N`: one training spread over processes by Ray Train, on this machine or a cluster.

report = train_on_ray(spec, workers=2)

Each worker takes its crops of every batch and their gradients are averaged, so every worker makes the step of the
whole batch. A worker that is lost is replaced, and all go on from the checkpoint.
"""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any

from farm.cluster.session import RaySession, ray_session
from farm.cluster.sizing import default_threads
from farm.errors import CancelledError, UsageError
from farm.interruption import Interruption, noted_interruption
from farm.paint.training.course import begin_training, training_folder
from farm.paint.training.run import TrainingProgress
from farm.spec.train import TrainSpec

if TYPE_CHECKING:
    from farm.cluster.train_workers import Run

POLL_SECONDS = 0.2
STOP_SECONDS = 60.0
"""For the workers to finish their step and leave a checkpoint after Ctrl-C; the next Ctrl-C does not wait."""
PATIENCE_SECONDS = 30.0
"""After which it is said that there is no room on the cluster yet."""


def train_on_ray(
    spec: TrainSpec, workers: int, *, threads: int | None = None, address: str | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """Train, or train on, and return the report of `run_course` with `workers` and `lost_workers`.

    The spec's paths are absolute, and on a cluster every node sees what they name. Raises FarmError; CancelledError on
    Ctrl-C, after which the same training goes on with any number of workers.
    """
    if workers > spec.batch:
        crops = "1 crop" if spec.batch == 1 else f"{spec.batch} crops"
        raise UsageError(f"{workers} workers cannot share a batch of {crops}", f"give --batch {workers} or more")
    begin_training(spec, overwrite=overwrite)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if address is None:
        threads = threads or max(1, cores // workers)
    # Ray must be imported by nothing before this, and not started before noted_interruption: it has a handler too
    with (
        TrainingProgress(spec) as progress,
        noted_interruption() as interruption,
        ray_session(address, cpus=max(cores, workers * (threads or 1)), dashboard=False) as session,
    ):
        try:
            from farm.cluster.train_workers import Run
        except ImportError as error:
            raise UsageError(f"Ray Train cannot be used: {error}", "pip install 'farm[train]'") from None
        gpu = session.gpus > 0
        threads = threads or default_threads(session.node_cpus, gpu=gpu)
        _check_room(session, workers, threads, gpu=gpu)
        with Run(spec, workers, threads, gpu=gpu, alone=address is None) as run:
            report = _followed(spec, run, progress, interruption)
        return {**report, "workers": workers, "lost_workers": run.lost}


def _check_room(session: RaySession, workers: int, threads: int, *, gpu: bool) -> None:
    if gpu and workers > session.gpus:
        raise UsageError(f"{workers} workers need a GPU each, and there are {session.gpus}", "give fewer --workers")
    if workers * threads > session.cpus:
        raise UsageError(
            f"{workers} workers of {threads} threads need {workers * threads} cores, and there are {session.cpus}",
            "give fewer --workers or --threads",
        )


def _followed(spec: TrainSpec, run: Run, progress: TrainingProgress, interruption: Interruption) -> dict[str, Any]:
    """Pass on what the workers tell until they are done; stop them where the user says so."""
    outcome = run.begin()
    try:
        waited, lost = 0.0, 0
        while not outcome.done():
            wait([outcome], timeout=POLL_SECONDS)
            interruption.check()
            for told in run.news():
                progress(told)
            if run.lost > lost:
                lost = run.lost
                progress.note("a worker was lost; the training goes on from its last checkpoint")
            waited += POLL_SECONDS
            if not run.begun and waited - POLL_SECONDS < PATIENCE_SECONDS <= waited:
                progress.note("waiting until there is room for all workers")
        for told in run.news():
            progress(told)
    except KeyboardInterrupt:
        with contextlib.suppress(KeyboardInterrupt):
            progress.note("stopping after this step")
            _stop(run, outcome)
        raise CancelledError(
            f"stopped; the training is kept in {training_folder(spec.output)}", "run the same command to continue"
        ) from None
    return run.report(outcome)


def _stop(run: Run, outcome: Future[Any]) -> None:
    run.stop()
    wait([outcome], timeout=STOP_SECONDS)
