"""`farm train --workers N`: one training spread over processes by Ray Train, PyTorch's DistributedDataParallel inside.

report = train_on_ray(spec, workers=2)

Each worker takes its crops of every batch, gradients are averaged (gloo, or NCCL on GPUs), and every worker makes the
same step: the result is that of one process with the whole batch, but for the order of a sum. The first worker
evaluates and writes; after a stop or a loss the same command goes on from the checkpoint.
"""

from __future__ import annotations

import shutil
from typing import Any

from farm.cluster.local import ray_session
from farm.errors import CancelledError, ChunkFailedError, FarmError, UsageError
from farm.instant.course import begin_training, run_course, training_folder
from farm.instant.pictures import load_pictures
from farm.instant.training import Trainer
from farm.interruption import noted_interruption
from farm.job import Runtime
from farm.styler import local_runtime
from farm.trainspec import TrainSpec


def train_on_ray(
    spec: TrainSpec, workers: int, *, threads: int | None = None, address: str | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """The report of `run_course`. Files and the output must be where every worker sees them.

    Raises FarmError; UsageError where the batch cannot be shared, or Ray Train is not installed; CancelledError.
    """
    if spec.batch % workers:
        raise UsageError(f"{workers} workers cannot share a batch of {spec.batch}", f"give --batch {workers}")
    begin_training(spec, overwrite=overwrite)
    threads = threads or 1
    with noted_interruption(), ray_session(address, cpus=None if address else workers * threads, dashboard=False) as on:
        try:
            from ray.train import RunConfig, ScalingConfig
            from ray.train.torch import TorchTrainer
        except ImportError:
            raise UsageError("Ray Train is not installed", "pip install 'farm[train]'") from None
        scaling = ScalingConfig(workers, use_gpu=on.gpus >= workers, resources_per_worker={"CPU": threads})
        told = {"spec": spec.model_dump(mode="json"), "threads": threads}
        folder = training_folder(spec.output).absolute()
        # Ray's own notes; they must be where every worker can write, as the training's folder is
        scratch = folder / "ray"
        run = RunConfig(storage_path=str(scratch))
        trainer = TorchTrainer(_work, train_loop_config=told, scaling_config=scaling, run_config=run)
        try:
            result = trainer.fit()
        except KeyboardInterrupt:
            raise CancelledError(
                f"stopped; the training is kept in {folder}", "run the same command to continue"
            ) from None
        except Exception as error:
            raise _reason(error) from None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    report = dict(result.metrics or {})["report"]
    assert isinstance(report, dict)
    return report


def _work(told: dict[str, Any]) -> None:
    """What each worker runs."""
    import ray.train
    import torch
    from torch import distributed
    from torch.nn.parallel import DistributedDataParallel

    context = ray.train.get_context()
    rank, shares = context.get_world_rank(), context.get_world_size()
    spec = TrainSpec.model_validate(told["spec"])
    runtime: Runtime = local_runtime(spec.precision, told["threads"])
    trainer = Trainer(spec, load_pictures(spec), runtime, rank, shares, DistributedDataParallel)

    def agree(value: float) -> float:
        one = torch.tensor([value], dtype=torch.float64)
        distributed.broadcast(one, 0)
        return float(one)

    report = run_course(spec, trainer, agree=agree, leads=rank == 0)
    ray.train.report({"report": report})


def _reason(error: BaseException) -> FarmError:
    """The worker's own error where it is one of ours, otherwise the first line of Ray's."""
    seen: BaseException | None = error
    while seen is not None:
        for found in (seen, *getattr(seen, "worker_failures", {}).values()):
            inner = getattr(found, "cause", None) or found
            if isinstance(inner, FarmError):
                return inner
        seen = seen.__cause__
    return ChunkFailedError(f"the training failed: {str(error).splitlines()[0]}", "run the same command to continue")
