"""How many workers a job has, and how many threads and bytes each of them may take.

pool = job_pool(prepared, options, session, progress)
runtime = worker_runtime(pool, session, spec, check)     # how every worker computes, its share of the memory included
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farm.cluster.session import RaySession
from farm.job.request import film_title
from farm.job.software import SoftwareCheck, installed
from farm.paint.device import usable_cores
from farm.plan import Runtime
from farm.plan.fair_share import DEFAULT_PRIORITY
from farm.plan.liveness import LEAST_SILENCE_SECONDS
from farm.plan.pace import Progress
from farm.render.prepare import Prepared
from farm.spec import RenderSpec
from farm.spec.named_files import input_files

if TYPE_CHECKING:
    from farm.cluster.pool import WorkerPool


@dataclass(frozen=True)
class LaunchOptions:
    """Options of a render that concern the machines and not the picture.

    `job` is the job directory, a path or URL. `address` is the Ray cluster to join; None starts a Ray here.
    `submission` is the id of a submitted job, empty for others. None for `workers` or `threads` lets the farm choose.
    """

    job: str
    workers: int | None = None
    threads: int | None = None
    address: str | None = None
    overwrite: bool = False
    dashboard: bool = True
    priority: int = DEFAULT_PRIORITY
    submission: str = ""
    mixed: bool = False
    """Workers may paint with other software than the job was begun with."""
    save_storage: bool = False
    """Frames are removed once their segment is encoded, and no more are begun than the schedule's window allows."""
    patience: float = LEAST_SILENCE_SECONDS
    """Seconds for which every renderer may report no frame before it counts as stuck."""


def job_pool(prepared: Prepared, options: LaunchOptions, session: RaySession, progress: Progress) -> WorkerPool:
    """The job's workers: on this machine as many as asked for, on a cluster the job's share of what is there."""
    from farm.cluster.broker import BrokeredQuota
    from farm.cluster.pool import FixedQuota, Quota, WorkerKind, WorkerPool

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
        WorkerKind(threads, spec.precision, gpu),
        title=film_title(spec),
        job_url=prepared.job.url,
        inputs=inputs,
        software=_software_check(prepared, mixed=options.mixed),
        on_note=progress.note,
    )


def _software_check(prepared: Prepared, *, mixed: bool) -> SoftwareCheck:
    record = prepared.record
    return SoftwareCheck(record.versions if record else installed(), begun=record is not None, mixed=mixed)


def worker_runtime(
    pool: WorkerPool, session: RaySession, spec: RenderSpec, check: Callable[[], None] = lambda: None
) -> Runtime:
    """How every worker of a job computes, from what its first worker found; waits for that worker.

    `max_memory` is the spec's, or the first worker's free memory divided by the workers of a node.
    `check` is called while it waits, and may raise. Raises ChunkFailedError where no worker comes up.
    """
    runtime = pool.first_facts(check).runtime
    share = runtime.max_memory and runtime.max_memory // workers_per_node(pool, session)
    return runtime.model_copy(update={"max_memory": spec.max_memory or share})


def workers_per_node(pool: WorkerPool, session: RaySession) -> int:
    """The largest number of workers that share the memory of one node.

    A GPU worker has a GPU, and that GPU's memory, to itself. On CPUs it is the workers that the smallest node has cores
    for, and no more than the job has.
    """
    if pool.kind.gpu:
        return 1
    return max(1, min(pool.allowed, session.node_cpus // pool.kind.threads) if pool.allowed else 1)


def default_threads(cpus: int, *, gpu: bool) -> int:
    """Threads of one worker on a machine of `cpus` cores.

    Why: the threads of a GPU worker only feed the GPU. On a CPU, workers of one thread lose the least time to waiting,
    but a shot with few chunks must not leave most of a large machine idle.
    """
    if gpu:
        return 2
    return 1 if cpus <= 2 else 2 if cpus <= 8 else 4


def logical_cpus(options: LaunchOptions) -> int | None:
    """Cores that Ray may book here: as many as the workers need, even where there are fewer. None on a cluster."""
    if options.address is not None:
        return None
    cores = usable_cores()
    if not options.workers:
        return cores
    return max(cores, options.workers * (options.threads or default_threads(cores, gpu=False)))
