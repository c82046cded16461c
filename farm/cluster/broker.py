"""Shares of one cluster between jobs: a detached actor that every job asks every few seconds.

Nothing is lost with it: it is started again by whoever asks next, and the jobs' next questions tell it all.
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
NAME = "broker-3"
"""Counts up when what jobs say to it changes: jobs of two versions of the farm then do not share one."""
LEASE_SECONDS = 20.0
"""Without a word from a job for so long, its workers go to the others."""
TURN_SECONDS = 120.0
"""Where jobs take turns, how long one is: starting a worker costs some seconds of it."""
ANSWER_SECONDS = 10.0


@dataclass
class Lease:
    claim: Claim
    heard: float
    served_seconds: float = 0.0
    granted: int = 0


class Broker:
    """Knows who is there and what they have; the rule is farm.plan.fair_share."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}
        self._requested: list[dict[str, float]] = []

    def renew(self, claim: Claim, at_work: int, gpu: bool) -> int:
        """Workers that this job may hold until it asks again; `at_work` of them are up now.

        Only those count as served: a job whose workers take long to start would otherwise lose its turn meanwhile.
        """
        now = time.monotonic()
        self._leases = {job: one for job, one in self._leases.items() if now - one.heard < LEASE_SECONDS}
        lease = self._leases.get(claim.job)
        if lease is None:
            # a newcomer owes nothing for the time before it came, and has no claim on it either
            behind = min((one.served_seconds for one in self._leases.values()), default=0.0)
            lease = self._leases[claim.job] = Lease(claim, now, behind)
        lease.served_seconds += at_work * (now - lease.heard)
        lease.claim, lease.heard = claim, now
        self._request_nodes(gpu)
        claims = [
            dataclasses.replace(one.claim, served=int(one.served_seconds // TURN_SECONDS))
            for one in self._leases.values()
        ]
        shares = share_workers(_room(gpu), claims)
        for job, one in self._leases.items():
            one.granted = shares[job]
        return lease.granted

    def leave(self, job: str, gpu: bool) -> None:
        self._leases.pop(job, None)
        self._request_nodes(gpu)

    def _request_nodes(self, gpu: bool) -> None:
        """Tell an autoscaler, where there is one, how many workers could be used."""
        key = "GPU" if gpu else "CPU"
        wanted = [{key: one.claim.size} for one in self._leases.values() for _ in range(one.claim.wanted)]
        if wanted != self._requested:
            from ray.autoscaler.sdk import request_resources

            request_resources(bundles=wanted)
            self._requested = wanted


class BrokeredQuota:
    """A job's share of a cluster that others use too. Keeps the last answer where the broker does not answer."""

    start_seconds: float | None = None

    def __init__(self, job: str, *, limit: int, size: int, priority: int, gpu: bool) -> None:
        self._claim = Claim(job, wanted=1, limit=limit, size=1 if gpu else size, priority=priority)
        self._gpu = gpu
        self._granted = 0
        self._broker: Any = None

    def allowed(self, wanted: int, at_work: int) -> int:
        limit = self._claim.limit or wanted
        claim = dataclasses.replace(self._claim, wanted=min(wanted, limit))
        try:
            self._granted = ray.get(self._ask().renew.remote(claim, at_work, self._gpu), timeout=ANSWER_SECONDS)
        except (RayActorError, GetTimeoutError):
            self._broker = None
        return self._granted

    def leave(self) -> None:
        with contextlib.suppress(RayError):
            ray.get(self._ask().leave.remote(self._claim.job, self._gpu), timeout=ANSWER_SECONDS)

    def _ask(self) -> Any:
        if self._broker is None:
            options = {"name": NAME, "namespace": NAMESPACE, "lifetime": "detached", "get_if_exists": True}
            self._broker = ray.remote(Broker).options(num_cpus=0, max_restarts=-1, **options).remote()
        return self._broker


def _room(gpu: bool) -> list[float]:
    key = "GPU" if gpu else "CPU"
    return [node["Resources"].get(key, 0.0) for node in ray.nodes() if node["Alive"]]
