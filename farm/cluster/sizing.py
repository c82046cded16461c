"""How many workers a job has, whether each has a GPU, and how many threads and bytes each of them may take.

pool = job_pool(prepared, options, session, progress)
runtime = worker_runtime(pool, session, spec, check)     # how every worker computes, its share of the memory included
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farm.cluster.node_types import NodeType, startable_nodes
from farm.cluster.session import RaySession
from farm.errors import UsageError
from farm.job import history
from farm.job.request import film_title
from farm.job.software import SoftwareCheck, installed
from farm.paint.cores import default_threads, usable_cores, usual_workers
from farm.plan import Runtime
from farm.plan.fair_share import DEFAULT_PRIORITY, Claim, Kind
from farm.plan.liveness import LEAST_SILENCE_SECONDS
from farm.plan.pace import Progress
from farm.render.prepare import Prepared
from farm.spec import RenderSpec
from farm.spec.choices import Device, Keep
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
    came: float | None = None
    """When the job was submitted, in seconds since 1970; None is now."""
    short: bool = False
    """Whether the job is short, and so comes before longer ones of its priority."""
    submission: str = ""
    mixed: bool = False
    """Workers may paint with other software than the job was begun with."""
    save_storage: bool = False
    """Frames are removed once their segment is encoded, and no more are begun than the schedule's window allows."""
    keep: Keep = "all"
    """What of the job's files stays once its film is there (farm.job.keep)."""
    patience: float = LEAST_SILENCE_SECONDS
    """Seconds for which every renderer may report no frame before it counts as stuck."""


def job_pool(
    prepared: Prepared,
    options: LaunchOptions,
    session: RaySession,
    progress: Progress,
    on_unfit: Callable[[history.Kind, str], None] = lambda _kind, _line: None,
) -> WorkerPool:
    """The job's workers: on this machine as many as asked for, on a cluster the job's share of what is there.

    Nothing of an earlier run decides what they have, other than a number of threads that was asked for: the cluster may
    be another today. `on_unfit` is `WorkerPool`'s, and `progress.note` gets its lines too. Raises
    UsageError where this machine has no GPU and the spec asks for one.
    """
    from farm.cluster.broker import BrokeredQuota
    from farm.cluster.pool import FixedQuota, Quota, WorkerKind, WorkerPool
    from farm.cluster.priority import FollowedPriority

    spec = prepared.spec
    gpu, node_cpus = _machines(spec.device, options, session)
    asked_before = prepared.record.threads if prepared.record else None
    precision = prepared.record.runtime.precision if prepared.record else spec.precision
    threads = options.threads or asked_before or default_threads(node_cpus, gpu=gpu)
    widest = max(len(prepared.plan.chunks), 1)
    quota: Quota
    cores_alone = 0
    if options.address is None:
        workers = options.workers or max(1, session.gpus if gpu else session.cpus // threads)
        quota = FixedQuota(min(workers, widest))
        cores_alone = 0 if gpu else min(workers * threads, usable_cores())
    else:
        name = options.submission or prepared.job.url
        limit = min(options.workers or widest, widest)
        kind: Kind = "gpu" if gpu else "cpu"
        size = 1 if gpu else threads
        came = options.came or time.time()
        claim = Claim(name, 1, limit, size, options.priority, came=came, short=options.short, kind=kind)
        quota = FollowedPriority(BrokeredQuota(claim), prepared.job) if options.submission else BrokeredQuota(claim)

    def told(kind: history.Kind, line: str) -> None:
        progress.note(line)
        on_unfit(kind, line)

    return WorkerPool(
        quota,
        WorkerKind(threads, precision, gpu, only_gpu=spec.device == "gpu", cores_alone=cores_alone),
        title=film_title(spec),
        job_url=prepared.job.url,
        inputs=[*input_files(spec), *([spec.flow_dir] if spec.flow_dir else [])],
        software=_software_check(prepared, mixed=options.mixed),
        on_note=progress.note,
        on_unfit=told,
    )


def _machines(device: Device, options: LaunchOptions, session: RaySession) -> tuple[bool, int]:
    """Whether workers have a GPU each, and the cores of the smallest node that may have one of them.

    On a cluster, the autoscaler is asked what it could start where no node that is up has what is needed.
    Raises UsageError as `paints_on_gpus` does.
    """
    lacks_gpu = device != "cpu" and session.gpus == 0
    types: Sequence[NodeType] = ()
    if options.address is not None and (lacks_gpu or session.cpus == 0):
        types = startable_nodes()
    gpu = paints_on_gpus(device, session.gpus, types, on_this_machine=options.address is None)
    startable_cores = [node.cpus for node in types if node.cpus > 0]
    return gpu, session.node_cpus if session.cpus else min(startable_cores, default=1)


def paints_on_gpus(device: Device, gpus_up: int, types: Sequence[NodeType], *, on_this_machine: bool) -> bool:
    """Whether each worker of a run gets a GPU.

    `device` is the spec's. `gpus_up` are the GPUs of the nodes that are up, and `types` the nodes that an autoscaler
    could start. Raises UsageError for `gpu` on a machine without one; a cluster may still be joined by a node with one.
    """
    if device == "gpu" and gpus_up == 0 and on_this_machine:
        raise UsageError("this machine has no GPU that Ray sees", "give --device auto or cpu; farm doctor tells more")
    if device == "auto":
        return gpus_up > 0 or any(node.gpus > 0 for node in types)
    return device == "gpu"


def _software_check(prepared: Prepared, *, mixed: bool) -> SoftwareCheck:
    record = prepared.record
    return SoftwareCheck(record.versions if record else installed(), begun=record is not None, mixed=mixed)


def worker_runtime(
    pool: WorkerPool, session: RaySession, spec: RenderSpec, check: Callable[[], None] = lambda: None
) -> Runtime:
    """How the workers of this run compute, from what its first worker found; waits for that worker.

    `max_memory` is the spec's, or the first worker's free memory divided by the workers of a node.
    `check` is called while it waits, and may raise. Raises ChunkFailedError where no worker comes up.
    """
    runtime = pool.first_facts(check).runtime
    share = runtime.max_memory and runtime.max_memory // workers_per_node(pool, session)
    return runtime.model_copy(update={"max_memory": spec.max_memory or share})


def workers_per_node(pool: WorkerPool, session: RaySession) -> int:
    """The largest number of workers that share the memory of one node.

    A GPU worker has a GPU, and that GPU's memory, to itself. On CPUs it is the workers that the smallest node has cores
    for, and no more than the job has. Where no node was up when the session began, each worker's own node counts.
    """
    if pool.kind.gpu:
        return 1
    cores = session.node_cpus if session.cpus else _cores_of(pool)
    return max(1, min(pool.allowed, cores // pool.kind.threads) if pool.allowed else 1)


def _cores_of(pool: WorkerPool) -> int:
    """Cores of the smallest node that has one of the workers, by Ray's account."""
    import ray

    at_work = {facts.node for facts in pool.facts.values()}
    return min((int(row["Resources"].get("CPU", 1)) for row in ray.nodes() if row["NodeID"] in at_work), default=1)


USUAL_CLUSTER_WORKERS = 16
"""Workers for which a film is cut into chunks on a cluster, whose size may change, where --workers does not say."""


def planned_workers(options: LaunchOptions, device: Device = "auto") -> int:
    """How many workers the chunks of a render are made for, before Ray has been asked what there is.

    On this machine it is what `job_pool` has without a GPU. With GPUs it may be more than there are, and then chunks
    are shorter than they need be.
    """
    if options.workers:
        return options.workers
    if options.address is not None:
        return USUAL_CLUSTER_WORKERS
    return usual_workers(options.threads, gpu=device == "gpu")


def logical_cpus(options: LaunchOptions) -> int | None:
    """Cores that Ray may book here: as many as the workers need, even where there are fewer. None on a cluster."""
    if options.address is not None:
        return None
    cores = usable_cores()
    if not options.workers:
        return cores
    return max(cores, options.workers * (options.threads or default_threads(cores, gpu=False)))
