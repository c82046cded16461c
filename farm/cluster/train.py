"""`farm train --workers N`: one training spread over processes by Ray Train, on this machine or a cluster.

report = train_on_ray(spec, 2, threads=1)

Each worker computes the gradients of its own crops of every batch. The gradients are averaged, so every worker makes
the step of the whole batch. A worker that is lost is replaced, and all workers continue from the last checkpoint. The
film is scanned here, once; the workers are given the scan, and read only the frames that they train on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from farm.cluster.session import RaySession, ray_session
from farm.cluster.sizing import default_threads
from farm.errors import CancelledError, UsageError
from farm.interruption import Interruption, noted_interruption
from farm.media.scan import scan_video
from farm.paint.cores import usable_cores
from farm.paint.training.course import CourseProgress, begin_training, training_folder
from farm.plan.video import VideoScan
from farm.spec import TrainSpec

if TYPE_CHECKING:
    from farm.cluster.train_workers import Run

POLL_SECONDS = 0.2
"""Seconds between two questions to the workers."""
STOP_SECONDS = 60.0
"""Seconds that the workers have after Ctrl-C to finish their step and save a checkpoint; the next one ends the wait."""
PATIENCE_SECONDS = 30.0
"""Seconds after which a note says that the cluster has no room for the workers yet."""


@dataclass(frozen=True)
class _Listener:
    """Who hears of a training: `on_step` of every step and evaluation, `note` of events, as lines of text."""

    on_step: Callable[[CourseProgress], None]
    note: Callable[[str], None]


def train_on_ray(
    spec: TrainSpec,
    workers: int,
    *,
    threads: int | None = None,
    address: str | None = None,
    overwrite: bool = False,
    on_step: Callable[[CourseProgress], None] = lambda _: None,
    note: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Train, or continue a training, and return the report of `run_course` with `workers` and `lost_workers`.

    The spec's paths are absolute, and on a cluster every node sees the files that they name. `on_step` is called after
    every step and evaluation of the leader, `note` with a line of text for each lost worker and the like.
    Raises FarmError; CancelledError on Ctrl-C, after which the same training continues with any number of workers.
    """
    if workers > spec.batch:
        crops = "1 crop" if spec.batch == 1 else f"{spec.batch} crops"
        raise UsageError(f"{workers} workers cannot share a batch of {crops}", f"give --batch {workers} or more")
    begin_training(spec, overwrite=overwrite)
    cores = usable_cores()
    if address is None:
        threads = threads or max(1, cores // workers)
    # Ray must be imported by nothing before this, and not started before noted_interruption: it has a handler too
    with (
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
        scan = _film_scan(spec)
        with Run(spec, scan, workers, threads, gpu=gpu, alone=address is None) as run:
            report = _followed(spec, run, _Listener(on_step, note), interruption)
        return {**report, "workers": workers, "lost_workers": run.lost}


def _check_room(session: RaySession, workers: int, threads: int, *, gpu: bool) -> None:
    if gpu and workers > session.gpus:
        raise UsageError(f"{workers} workers need a GPU each, and there are {session.gpus}", "give fewer --workers")
    if workers * threads > session.cpus:
        raise UsageError(
            f"{workers} workers of {threads} threads need {workers * threads} cores, and there are {session.cpus}",
            "give fewer --workers or --threads",
        )


def _film_scan(spec: TrainSpec) -> VideoScan | None:
    """The scan of the spec's film, if it has one. Raises VideoError; CancelledError on Ctrl-C."""
    try:
        return scan_video(spec.video) if spec.video else None
    except KeyboardInterrupt:
        raise _stopped(spec) from None


def _followed(spec: TrainSpec, run: Run, listener: _Listener, interruption: Interruption) -> dict[str, Any]:
    """Pass the leader's progress on until the training ends, or stop it on Ctrl-C. Returns the report."""
    outcome = run.begin()
    try:
        waited, lost = 0.0, 0
        while not outcome.done():
            wait([outcome], timeout=POLL_SECONDS)
            interruption.check()
            for progress in run.new_progress():
                listener.on_step(progress)
            if run.lost > lost:
                lost = run.lost
                listener.note("a worker was lost; the training goes on from its last checkpoint")
            waited += POLL_SECONDS
            if not run.begun and waited - POLL_SECONDS < PATIENCE_SECONDS <= waited:
                listener.note("waiting until there is room for all workers")
        for progress in run.new_progress():
            listener.on_step(progress)
    except KeyboardInterrupt:
        with contextlib.suppress(KeyboardInterrupt):
            listener.note("stopping after this step")
            _stop(run, outcome)
        raise _stopped(spec) from None
    return run.report(outcome)


def _stopped(spec: TrainSpec) -> CancelledError:
    return CancelledError(
        f"stopped; the training is kept in {training_folder(spec.output)}", "run the same command to continue"
    )


def _stop(run: Run, outcome: Future[Any]) -> None:
    run.stop()
    wait([outcome], timeout=STOP_SECONDS)
