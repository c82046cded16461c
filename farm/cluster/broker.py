"""Shares one cluster between jobs: a detached actor, which every job asks for its share every few seconds.

quota = BrokeredQuota("farm-film-1a2b", limit=8, size=2, priority=50, gpu=False)
quota.allowed(wanted=4, at_work=2)     # workers that the job may have until it asks again

Nothing is lost with the actor. Whichever job asks next starts it again, and the jobs' questions tell it all it has to
know.
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
NAME = "broker-3"
"""The actor's name. Its number counts up when what jobs say to it changes, or when a class that they send moves to
another module. Why: jobs of two versions of the farm must not share one broker.
"""
LEASE_SECONDS = 20.0
"""A job's workers go to the other jobs when the job has not asked for this many seconds."""
TURN_SECONDS = 120.0
"""Length of a turn where jobs take turns. Starting a worker takes some seconds of it."""
ANSWER_SECONDS = 10.0
"""The longest wait for the broker's answer."""


@dataclass
class Lease:
    """What the broker knows of one job.

    `heard` is when the job last asked, by the broker's steady clock. `served_seconds` adds up the seconds that each of
    its workers was up. `granted` is how many workers it may hold.
    """

    claim: Claim
    heard: float
    served_seconds: float = 0.0
    granted: int = 0


class Broker:
    """The actor. Remembers which jobs are there and what they have; the rule of sharing is in farm.plan.fair_share."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}
        self._requested: list[dict[str, float]] = []

    def renew(self, claim: Claim, at_work: int, gpu: bool) -> int:
        """Workers that this job may hold until it asks again, where `at_work` of them are up now.

        Only workers that are up count as service. Why: a job whose workers take long to start would otherwise lose its
        turn meanwhile.
        """
        now = time.monotonic()
        self._leases = {job: lease for job, lease in self._leases.items() if now - lease.heard < LEASE_SECONDS}
        lease = self._leases.get(claim.job)
        if lease is None:
            # A new job starts with the service time of the job that had least, so it neither waits for nor makes up for
            # the time before it came.
            least = min((other.served_seconds for other in self._leases.values()), default=0.0)
            lease = self._leases[claim.job] = Lease(claim, now, least)
        lease.served_seconds += at_work * (now - lease.heard)
        lease.claim, lease.heard = claim, now
        self._request_nodes(gpu)
        claims = [
            dataclasses.replace(other.claim, served=int(other.served_seconds // TURN_SECONDS))
            for other in self._leases.values()
        ]
        shares = share_workers(_room(gpu), claims)
        for job, other in self._leases.items():
            other.granted = shares[job]
        return lease.granted

    def leave(self, job: str, gpu: bool) -> None:
        """Forget a job that is over."""
        self._leases.pop(job, None)
        self._request_nodes(gpu)

    def _request_nodes(self, gpu: bool) -> None:
        """Tell the autoscaler, where there is one, how many workers the jobs could use."""
        key = "GPU" if gpu else "CPU"
        wanted = [{key: lease.claim.size} for lease in self._leases.values() for _ in range(lease.claim.wanted)]
        if wanted != self._requested:
            from ray.autoscaler.sdk import request_resources

            request_resources(bundles=wanted)
            self._requested = wanted


class BrokeredQuota:
    """A job's share of a cluster that others use too: a Quota of the pool. Without an answer the last one holds.

    `limit` is the most workers that the job takes, 0 for any number, and `size` the cores of one worker. A worker with
    a GPU has size 1.
    """

    start_seconds: float | None = None

    def __init__(self, job: str, *, limit: int, size: int, priority: int, gpu: bool) -> None:
        self._claim = Claim(job, wanted=1, limit=limit, size=1 if gpu else size, priority=priority)
        self._gpu = gpu
        self._granted = 0
        self._broker: Any = None

    def allowed(self, wanted: int, at_work: int) -> int:
        """Ask the broker. It may take up to ANSWER_SECONDS."""
        limit = self._claim.limit or wanted
        claim = dataclasses.replace(self._claim, wanted=min(wanted, limit))
        try:
            self._granted = ray.get(self._ask().renew.remote(claim, at_work, self._gpu), timeout=ANSWER_SECONDS)
        except (RayActorError, GetTimeoutError):
            self._broker = None
        return self._granted

    def leave(self) -> None:
        """Tell the broker that the job is over. Nothing is raised where it does not answer: the lease runs out."""
        with contextlib.suppress(RayError):
            ray.get(self._ask().leave.remote(self._claim.job, self._gpu), timeout=ANSWER_SECONDS)

    def _ask(self) -> Any:
        if self._broker is None:
            options = {"name": NAME, "namespace": NAMESPACE, "lifetime": "detached", "get_if_exists": True}
            self._broker = ray.remote(Broker).options(num_cpus=0, max_restarts=-1, **options).remote()
        return self._broker


def _room(gpu: bool) -> list[float]:
    """GPUs, or cores, of every node that is up."""
    key = "GPU" if gpu else "CPU"
    return [node["Resources"].get(key, 0.0) for node in ray.nodes() if node["Alive"]]
