"""The workers of a training. Ray Train starts them, and starts them again after one of them was lost.

with Run(spec, scan, workers=2, threads=1, gpu=False, alone=True) as run:
    outcome = run.begin()          # a future, done when the training has ended
    run.new_progress()             # the steps and evaluations since the last call
    run.stop()                     # end the training early, with a checkpoint
    report = run.report(outcome)

Ray must be running before this module is imported.
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
from farm.paint.styler import local_runtime
from farm.paint.training.course import CourseProgress, run_course
from farm.paint.training.pictures import load_pictures
from farm.paint.training.step import Trainer
from farm.paint.training.team import TeamEnded, TorchTeam
from farm.plan.video import VideoScan
from farm.spec import TrainSpec

MOST_FAILURES = 5
"""Times that Ray Train replaces lost workers in one run of the command, before the training fails.

A node that its provider takes away with notice (a spot instance) does not count.
"""

# Ray Train looks every so many seconds whether its workers have ended: by default every 2 seconds, and a training of a
# few steps would end that much later.
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")


class Run:
    """One training on Ray: a context manager, at whose end the mailbox actor and the scratch folder are removed.

    `scan` is that of the spec's film, None where the spec has no film. `workers` processes have `threads` cores each,
    and a GPU each with `gpu`. `alone` says that all of them are on this machine, so that they need no open port to find
    each other. `begun` counts how often the workers have started: once, and once more for each loss. It is read from
    the workers by `new_progress`.
    """

    def __init__(
        self, spec: TrainSpec, scan: VideoScan | None, workers: int, threads: int, *, gpu: bool, alone: bool
    ) -> None:
        self.begun = 0
        self._resources = contextlib.ExitStack()
        # Ray Train's own records, and the files of `_FileRendezvous`. Nothing in it is needed after the training.
        scratch = self._resources.enter_context(tempfile.TemporaryDirectory(prefix="farm-train-"))
        self._mailbox = ray.remote(_Mailbox).options(**beside_the_driver()).remote()
        resources = {"CPU": threads, **({"GPU": 1} if gpu else {})}
        self._trainer = TorchTrainer(
            _train,
            train_loop_config={
                "spec": spec.model_dump(mode="json"),
                "scan": scan,
                "threads": threads,
                "mailbox": self._mailbox,
            },
            torch_config=_FileRendezvous(
                # With GPUs, gradients are exchanged by NCCL, and losses, which are in CPU memory, by gloo.
                backend="cpu:gloo,cuda:nccl" if gpu else "gloo",
                folder=scratch if alone else "",
            ),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu, resources_per_worker=resources),
            run_config=RunConfig(storage_path=scratch, failure_config=FailureConfig(max_failures=MOST_FAILURES)),
        )

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()
        ray.kill(self._mailbox)

    @property
    def lost(self) -> int:
        """Number of times that the workers were started again because one of them was lost."""
        return max(0, self.begun - 1)

    def begin(self) -> Future[Any]:
        """Start the training in a thread. The future gets Ray Train's result, or its exception, for `report`."""
        outcome: Future[Any] = Future()

        def fit() -> None:
            try:
                outcome.set_result(self._trainer.fit())
            except BaseException as error:
                outcome.set_exception(error)

        # In the main thread Ray would handle SIGINT itself, and end the workers without a checkpoint.
        threading.Thread(target=fit, name="farm train", daemon=True).start()
        return outcome

    def new_progress(self) -> list[CourseProgress]:
        """Every step and evaluation that the leader has reported since the last call, oldest first."""
        messages: _Messages = ray.get(self._mailbox.take.remote())
        self.begun = messages.begun
        return messages.progress

    def stop(self) -> None:
        """Ask the workers to end after the step that they are at, with a checkpoint. Returns at once."""
        self._mailbox.stop.remote()

    def report(self, outcome: Future[Any]) -> dict[str, Any]:
        """The report that `run_course` returned to the leader, of a training that has ended.

        Raises the FarmError that ended it, such as CancelledError after `stop`, and RenderError for any other failure.
        """
        messages: _Messages = ray.get(self._mailbox.take.remote())
        if messages.error:
            raise messages.error
        try:
            report: dict[str, Any] = outcome.result().return_value
        except Exception as error:
            raise RenderError(f"the training failed: {_reason(error)}", "run the same command to continue") from None
        return report


@dataclass
class _Messages:
    """What the command reads from the mailbox: the progress since the last reading, the starts, the first error."""

    progress: list[CourseProgress]
    begun: int
    error: FarmError | None


class _Mailbox:
    """An actor on the driver's node that passes messages between the workers and the command.

    Workers call `begin`, `report`, `fail` and `stopping`; the command calls `take` and `stop`.
    """

    def __init__(self) -> None:
        self._progress: list[CourseProgress] = []
        self._begun = 0
        self._error: FarmError | None = None
        self._stopping = False

    def begin(self) -> None:
        """The leader has started."""
        self._begun += 1

    def report(self, progress: CourseProgress) -> None:
        """The leader has done a step or an evaluation."""
        self._progress.append(progress)

    def fail(self, error: FarmError) -> None:
        """A worker has ended with an error. The first one is kept, because it is the cause of the others."""
        self._error = self._error or error

    def take(self) -> _Messages:
        """All messages. Each progress is handed out once."""
        progress, self._progress = self._progress, []
        return _Messages(progress, self._begun, self._error)

    def stop(self) -> None:
        """From now on `stopping` is true."""
        self._stopping = True

    def stopping(self) -> bool:
        """Whether the command has asked the workers to stop."""
        return self._stopping


def _train(config: dict[str, Any]) -> dict[str, Any] | None:
    """The function that every worker runs. `config` is the `train_loop_config` of `Run`.

    Returns the report of `run_course`, which is empty for all workers but the leader, or None after an error. A
    FarmError goes to the mailbox. Why: if it were raised, Ray Train would start the workers again, to the same error.
    """
    mailbox, team = config["mailbox"], TorchTeam()
    spec = TrainSpec.model_validate(config["spec"])
    if team.leads:
        ray.get(mailbox.begin.remote())

    def check_interruption() -> None:
        if ray.get(mailbox.stopping.remote()):
            raise CancelledError("stopped", "run the same command to continue")

    try:
        try:
            pictures = load_pictures(spec, config["scan"])
            trainer = Trainer(spec, pictures, local_runtime(spec.precision, config["threads"]), team)
        except FarmError:
            team.meet(ready=False)
            raise
        return run_course(spec, trainer, mailbox.report.remote, check_interruption)
    except TeamEnded:
        return None
    except FarmError as error:
        ray.get(mailbox.fail.remote(error))
        return None


@dataclass
class _FileRendezvous(TorchConfig):
    """Ray's torch settings, with a file in `folder` as the rendezvous of the workers (PyTorch's `file://` method).

    Where `folder` is empty, the workers meet as Ray has it, by TCP. Why a file: PyTorch's TCP store listens on every
    network interface and asks for no token. A file needs one machine, so on a cluster it has to be TCP.
    """

    folder: str = ""

    @property
    def backend_cls(self) -> type[Backend]:
        """The class by which Ray Train forms the process group."""
        backend: type[Backend] = _FileBackend if self.folder else super().backend_cls
        return backend


class _FileBackend(Backend):
    """Forms the process group of workers on one machine over a file and the loopback interface."""

    share_cuda_visible_devices = True

    def on_start(self, worker_group: Any, backend_config: _FileRendezvous) -> None:
        """Have all workers of the group join it. Ray Train calls this at every start of the workers."""
        # Each start has a file of its own: the entries of lost workers would be taken for those of the new ones.
        url = f"file://{backend_config.folder}/{uuid.uuid4().hex}"
        size = len(worker_group)
        ray.get(
            [
                worker_group.execute_single_async(
                    rank, _join_group, backend_config.backend, url, rank, size, backend_config.timeout_s
                )
                for rank in range(size)
            ]
        )


def _join_group(backend: str, url: str, rank: int, size: int, timeout_s: int) -> None:
    """Join the process group as number `rank` of `size`. Waits for the others, for `timeout_s` seconds at most."""
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    os.environ |= {"GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback}
    distributed.init_process_group(backend, url, timedelta(seconds=timeout_s), size, rank)


def _reason(error: Exception) -> str:
    """Why Ray Train gave up, in one line. Where several workers failed, it is the first one's error."""
    for failure in getattr(error, "worker_failures", {}).values():
        error = getattr(failure, "health_check_failure", failure)
        break
    return first_line(error)
