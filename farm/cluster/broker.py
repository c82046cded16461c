"""The broker, which divides the workers of one cluster among its jobs. Every job asks it every few seconds.

quota = BrokeredQuota("farm-film-1a2b", limit=8, size=2, priority=50, gpu=False)
quota.allowed(wanted=4, at_work=2)     # workers that the job may have until it asks again

The broker is a detached actor of Ray: it belongs to no job. Its state may be lost at any time, because every request of
a job has all that the broker has to know of the job. The next request starts an actor that was lost again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from farm.plan.fair_share import Claim, share_workers

NAMESPACE = "farm"
"""Ray's namespace of the actor."""
NAME = "broker-4"
"""Name of the actor. Its number is raised when the arguments of the actor's methods change, or when the class of an
argument moves to another module. Why: two versions of the farm that do not understand each other use two brokers.
"""
LEASE_SECONDS = 20.0
"""Seconds without a request of a job after which its workers are given to the other jobs."""
ANSWER_SECONDS = 10.0
"""Longest wait, in seconds, for the broker's answer."""


@dataclass
class Lease:
    """What the broker knows of one job.

    `claim` is what the job last asked for, and `asked` when that was, in seconds of the broker's steady clock.
    `granted` is how many workers the job may hold.
    """

    claim: Claim
    asked: float
    granted: int = 0


class Broker:
    """The actor: it keeps a lease for each job of the cluster. `farm.plan.fair_share` has the rule of sharing."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}
        self._requested: list[dict[str, float]] = []

    def renew(self, claim: Claim, at_work: int, gpu: bool) -> int:
        """Number of workers that this job may hold until it asks again. `at_work` of its workers are up now.

        With `gpu` a worker needs a GPU, and the cluster's GPUs are shared instead of its cores.
        """
        now = time.monotonic()
        self._leases = {job: lease for job, lease in self._leases.items() if now - lease.asked < LEASE_SECONDS}
        lease = self._leases.get(claim.job)
        if lease is None:
            lease = self._leases[claim.job] = Lease(claim, now)
        lease.claim, lease.asked = claim, now
        self._request_nodes(gpu)
        shares = share_workers(_room(gpu), [other.claim for other in self._leases.values()])
        for job, other in self._leases.items():
            other.granted = shares[job]
        return lease.granted

    def leave(self, job: str, gpu: bool) -> None:
        """Remove the lease of a job that is over. A job that has none is no error."""
        self._leases.pop(job, None)
        self._request_nodes(gpu)

    def _request_nodes(self, gpu: bool) -> None:
        """Request room for all workers that the jobs have work for from Ray's autoscaler, where there is one."""
        key = "GPU" if gpu else "CPU"
        bundles = [{key: lease.claim.size} for lease in self._leases.values() for _ in range(lease.claim.wanted)]
        if bundles != self._requested:
            from ray.autoscaler.sdk import request_resources

            request_resources(bundles=bundles)
            self._requested = bundles


class BrokeredQuota:
    """The `farm.cluster.pool.Quota` of a job on a cluster that it shares with other jobs.

    `job` is the job's submission id. `limit` is the most workers that it takes, 0 for any number. `size` is the number
    of cores of one worker, and counts as 1 with `gpu`, where a worker has one GPU. `priority` is the job's weight;
    `prioritise` changes it. `order` is the job's place among equals: when it came, and whether it is short.
    """

    start_seconds: float | None = None

    def __init__(
        self, job: str, *, limit: int, size: int, priority: int, gpu: bool, order: tuple[float, bool] = (0.0, False)
    ) -> None:
        came, short = order
        size = 1 if gpu else size
        self._claim = Claim(job, wanted=1, limit=limit, size=size, priority=priority, came=came, short=short)
        self._gpu = gpu
        self._granted = 0
        self._broker: Any = None

    def allowed(self, wanted: int, at_work: int) -> int:
        """Ask the broker, for up to ANSWER_SECONDS. Where it does not answer, its last answer still holds."""
        limit = self._claim.limit or wanted
        claim = dataclasses.replace(self._claim, wanted=min(wanted, limit))
        try:
            self._granted = ray.get(self._ask().renew.remote(claim, at_work, self._gpu), timeout=ANSWER_SECONDS)
        except (RayActorError, GetTimeoutError):
            self._broker = None
        return self._granted

    def prioritise(self, priority: int) -> None:
        """From the next request on, the job has this priority."""
        self._claim = dataclasses.replace(self._claim, priority=priority)

    def leave(self) -> None:
        """Tell the broker that the job is over."""
        with contextlib.suppress(RayError):  # without an answer the lease ends by itself, after LEASE_SECONDS
            ray.get(self._ask().leave.remote(self._claim.job, self._gpu), timeout=ANSWER_SECONDS)

    def _ask(self) -> Any:
        """The broker's actor, which is started where the cluster has none."""
        if self._broker is None:
            options = {"name": NAME, "namespace": NAMESPACE, "lifetime": "detached", "get_if_exists": True}
            self._broker = ray.remote(Broker).options(num_cpus=0, max_restarts=-1, **options).remote()
        return self._broker


def _room(gpu: bool) -> list[float]:
    """Number of GPUs, or of cores, of each node that is up."""
    key = "GPU" if gpu else "CPU"
    return [node["Resources"].get(key, 0.0) for node in ray.nodes() if node["Alive"]]
