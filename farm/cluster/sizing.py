"""How many workers a job has, and how large they are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farm.cli.progress import JobProgress
from farm.cluster.session import RaySession
from farm.job.request import film_title
from farm.plan.fair_share import DEFAULT_PRIORITY
from farm.plan.liveness import LEAST_SILENCE_SECONDS
from farm.render.prepare import Prepared
from farm.spec.named_files import input_files

if TYPE_CHECKING:
    from farm.cluster.pool import WorkerPool


@dataclass(frozen=True)
class LaunchOptions:
    """What concerns the machine and not the picture."""

    job: str
    workers: int | None = None
    threads: int | None = None
    address: str | None = None
    overwrite: bool = False
    dashboard: bool = True
    priority: int = DEFAULT_PRIORITY
    submission: str = ""
    save_storage: bool = False
    """Frames are given up for encoded segments; no more are begun than the window of the schedule lets through."""
    patience: float = LEAST_SILENCE_SECONDS
    """Seconds for which any renderer may tell of no frame before it counts as stuck."""


def job_pool(prepared: Prepared, options: LaunchOptions, session: RaySession, progress: JobProgress) -> WorkerPool:
    """Workers on this machine as asked for; on a cluster, the job's share of whatever is there at the time."""
    from farm.cluster.broker import BrokeredQuota
    from farm.cluster.pool import FixedQuota, Quota, WorkerPool

    runtime = prepared.record.runtime if prepared.record else None
    gpu = runtime.device == "cuda" if runtime else session.gpus > 0
    threads = runtime.threads if runtime else options.threads or default_threads(session.node_cpus, gpu=gpu)
    widest = max(len(prepared.plan.chunks), 1)
    quota: Quota
    if options.address is None:
        workers = options.workers or max(1, session.gpus if gpu else session.cpus // threads)
        quota = FixedQuota(min(workers, widest))
    else:
        limit = min(options.workers or widest, widest)
        name = options.submission or prepared.job.url
        quota = BrokeredQuota(name, limit=limit, size=threads, priority=options.priority, gpu=gpu)
    spec = prepared.spec
    inputs = [*input_files(spec), *([spec.flow_dir] if spec.flow_dir else [])]
    return WorkerPool(
        quota,
        title=film_title(spec),
        job_url=prepared.job.url,
        inputs=inputs,
        threads=threads,
        precision=spec.precision,
        gpu=gpu,
        on_note=progress.note,
    )


def _workers_a_node(pool: WorkerPool, session: RaySession) -> int:
    """How many workers at the most have to divide the memory that one of them found free."""
    if pool.gpu:
        return 1
    return max(1, min(pool.allowed, session.node_cpus // pool.threads) if pool.allowed else 1)


def default_threads(cpus: int, *, gpu: bool) -> int:
    """Threads of one worker. A GPU worker's only feed the GPU; on a CPU single threads lose the least to waiting,
    but a shot with few chunks must not leave most of a large machine idle.
    """
    if gpu:
        return 2
    return 1 if cpus <= 2 else 2 if cpus <= 8 else 4


def logical_cpus(options: LaunchOptions) -> int | None:
    """Cores that Ray may book: as many as the workers asked for need, even where there are fewer."""
    if options.address is not None:
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not options.workers:
        return cores
    return max(cores, options.workers * (options.threads or default_threads(cores, gpu=False)))
