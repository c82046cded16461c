"""The workers of a training, started and watched over by Ray Train. Only imported where Ray runs already.

with Run(spec, scan, workers=2, threads=1, gpu=False, alone=True) as run:
    outcome = run.begin()
    ...                     # run.news() while it lasts, run.stop() to end it
    report = run.report(outcome)
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import uuid
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import ray
import ray.train
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.backend import Backend
from ray.train.torch import TorchConfig, TorchTrainer
from torch import distributed

from farm.cluster.phase_bars import beside_the_driver
from farm.errors import CancelledError, FarmError, RenderError, first_line
from farm.media.scan import VideoScan
from farm.paint.styler import local_runtime
from farm.paint.training.course import CourseProgress, run_course
from farm.paint.training.pictures import load_pictures
from farm.paint.training.step import Trainer
from farm.paint.training.team import TeamEnded, TorchTeam
from farm.spec import TrainSpec

MOST_FAILURES = 5
"""Of one run of the command. Where a node is taken away on notice (a spot instance) that is not counted."""

os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")  # Ray's own is 2: that much later the end is seen


class Run:
    """A training on Ray. `begun` is how often its workers set out, `lost` how often one of them was lost.

    `scan` is that of the spec's film, None where the spec has no film. `alone` says that Ray is this command's own.
    """

    def __init__(
        self, spec: TrainSpec, scan: VideoScan | None, workers: int, threads: int, *, gpu: bool, alone: bool
    ) -> None:
        self.begun = 0
        self._held = contextlib.ExitStack()
        # Ray's own notes, and the place where workers on one machine meet: nothing that is needed afterwards
        scratch = self._held.enter_context(tempfile.TemporaryDirectory(prefix="farm-train-"))
        self._board = ray.remote(Board).options(**beside_the_driver()).remote()
        resources = {"CPU": threads, **({"GPU": 1} if gpu else {})}
        self._trainer = TorchTrainer(
            work,
            train_loop_config={
                "spec": spec.model_dump(mode="json"),
                "scan": scan,
                "threads": threads,
                "board": self._board,
            },
            # so that both tensors and numbers can be exchanged on GPUs
            torch_config=Meeting(backend="cpu:gloo,cuda:nccl" if gpu else "gloo", folder=scratch if alone else ""),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu, resources_per_worker=resources),
            run_config=RunConfig(storage_path=scratch, failure_config=FailureConfig(max_failures=MOST_FAILURES)),
        )

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()
        ray.kill(self._board)

    @property
    def lost(self) -> int:
        return max(0, self.begun - 1)

    def begin(self) -> Future[Any]:
        """Ray Train's result, once there is one."""
        outcome: Future[Any] = Future()

        def fit() -> None:
            try:
                outcome.set_result(self._trainer.fit())
            except BaseException as error:
                outcome.set_exception(error)

        # Not in the main thread, where Ray would take SIGINT for itself and end the workers without a checkpoint
        threading.Thread(target=fit, name="farm train", daemon=True).start()
        return outcome

    def news(self) -> list[CourseProgress]:
        """What the leader told since the last time."""
        news: News = ray.get(self._board.read.remote())
        self.begun = news.begun
        return news.told

    def stop(self) -> None:
        """Ask the workers to end after this step, with a checkpoint."""
        self._board.stop.remote()

    def report(self, outcome: Future[Any]) -> dict[str, Any]:
        """The leader's report of a training that has ended. Raises the FarmError that ended it."""
        news: News = ray.get(self._board.read.remote())
        if news.error:
            raise news.error
        try:
            report: dict[str, Any] = outcome.result().return_value
        except Exception as error:
            raise RenderError(f"the training failed: {_reason(error)}", "run the same command to continue") from None
        return report


@dataclass
class News:
    told: list[CourseProgress]
    begun: int
    error: FarmError | None


class Board:
    """What the workers tell the command, and it them: an actor."""

    def __init__(self) -> None:
        self._told: list[CourseProgress] = []
        self._begun = 0
        self._error: FarmError | None = None
        self._stopping = False

    def begin(self) -> None:
        self._begun += 1

    def tell(self, told: CourseProgress) -> None:
        self._told.append(told)

    def fail(self, error: FarmError) -> None:
        self._error = self._error or error

    def read(self) -> News:
        told, self._told = self._told, []
        return News(told, self._begun, self._error)

    def stop(self) -> None:
        self._stopping = True

    def stopping(self) -> bool:
        return self._stopping


def work(given: dict[str, Any]) -> dict[str, Any] | None:
    """What each worker does. The leader's report; None where a FarmError, told to the board, was the end.

    Such an error is not raised: Ray Train would try again what fails again.
    """
    board, team = given["board"], TorchTeam()
    spec = TrainSpec.model_validate(given["spec"])
    if team.leads:
        ray.get(board.begin.remote())

    def check_interruption() -> None:
        if ray.get(board.stopping.remote()):
            raise CancelledError("stopped", "run the same command to continue")

    try:
        try:
            pictures = load_pictures(spec, given["scan"])
            trainer = Trainer(spec, pictures, local_runtime(spec.precision, given["threads"]), team)
        except FarmError:
            team.meet(ready=False)
            raise
        return run_course(spec, trainer, board.tell.remote, check_interruption)
    except TeamEnded:
        return None
    except FarmError as error:
        ray.get(board.fail.remote(error))
        return None


@dataclass
class Meeting(TorchConfig):
    """How the workers find each other: by a file in `folder`, or, where that is empty, as Ray does on a cluster.

    The port where PyTorch's own store waits is open on every interface and asks for no token.
    """

    folder: str = ""

    @property
    def backend_cls(self) -> type[Backend]:
        found: type[Backend] = MeetingInFolder if self.folder else super().backend_cls
        return found


class MeetingInFolder(Backend):
    share_cuda_visible_devices = True

    def on_start(self, worker_group: Any, backend_config: Meeting) -> None:
        # a new file each time: what lost workers left in it would be taken for the answers of the new ones
        place = f"file://{backend_config.folder}/{uuid.uuid4().hex}"
        size = len(worker_group)
        ray.get(
            [
                worker_group.execute_single_async(
                    rank, _meet, backend_config.backend, place, rank, size, backend_config.timeout_s
                )
                for rank in range(size)
            ]
        )


def _meet(backend: str, place: str, rank: int, size: int, timeout_s: int) -> None:
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    os.environ |= {"GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback}
    distributed.init_process_group(backend, place, timedelta(seconds=timeout_s), size, rank)


def _reason(error: Exception) -> str:
    """In one line; of several workers' errors the first."""
    for failure in getattr(error, "worker_failures", {}).values():
        error = getattr(failure, "health_check_failure", failure)
        break
    return first_line(error)
