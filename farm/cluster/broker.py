"""The broker, which divides the workers of one cluster among its jobs. Every job asks it every few seconds.

quota = BrokeredQuota(Claim("farm-film-1a2b", wanted=1, limit=8, size=2, priority=50, kind="cpu"))
quota.allowed(wanted=4)     # workers that the job may have until it asks again

The broker is a detached actor of Ray: it belongs to no job. Its state may be lost at any time, because every request of
a job has all that the broker has to know of the job. The next request starts an actor that was lost again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import ray
from ray.exceptions import RayError

from farm.plan.fair_share import Claim, Kind, bundle_of, room_for, share_workers

NAMESPACE = "farm"
"""Ray's namespace of the actor."""
NAME = "broker-5"
"""Name of the actor. Its number is raised when the arguments of the actor's methods change, or when the class of an
argument moves to another module. Why: two versions of the farm that do not understand each other use two brokers.
"""
LEASE_SECONDS = 20.0
"""Seconds without a request of a job after which its workers are given to the other jobs, and its nodes given back."""
CHECK_SECONDS = 5.0
"""Seconds between two looks for jobs that have fallen silent."""
ANSWER_SECONDS = 10.0
"""Longest wait, in seconds, for the broker's answer."""
ON_THE_HEAD = {"resources": {"node:__internal_head__": 0.001}, "num_cpus": 0}
"""Options of a Ray task or actor that runs on the head, whatever cores that has.

Why the broker does: Ray's autoscaler ends no node on which an actor lives, so elsewhere it would keep a rented machine.
"""

log = logging.getLogger(__name__)


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

    def __init__(
        self,
        check_seconds: float | None = None,
        *,
        room: Callable[[Kind, bool], dict[str, float]] | None = None,
        request: Callable[[Sequence[dict[str, float]]], None] | None = None,
    ) -> None:
        """With `check_seconds`, a thread looks for jobs that have fallen silent that often, in seconds.

        `room` and `request` are for tests: what the nodes have for workers of a kind (the second argument is whether
        GPUs are claimed), and what asks Ray's autoscaler for nodes.
        """
        self._leases: dict[str, Lease] = {}
        self._requested: Sequence[dict[str, float]] | None = None
        """What the autoscaler was last asked for; None where an actor before this one may have asked for something."""
        self._room = room or _room
        self._request = request or _request
        self._began = time.monotonic()
        self._lock = threading.Lock()
        if check_seconds is not None:
            threading.Thread(target=self._look_after, args=(check_seconds,), daemon=True).start()

    def renew(self, claim: Claim) -> int:
        """Number of workers that this job may hold until it asks again."""
        with self._lock:
            now = time.monotonic()
            self._forget_silent(now)
            lease = self._leases.get(claim.job)
            if lease is None:
                lease = self._leases[claim.job] = Lease(claim, now)
            lease.claim, lease.asked = claim, now
            self._request_nodes()
            self._share()
            return lease.granted

    def leave(self, job: str) -> None:
        """Remove the lease of a job that is over. A job that has none is no error."""
        with self._lock:
            self._leases.pop(job, None)
            self._request_nodes()

    def check(self) -> None:
        """Drop the leases of jobs that have fallen silent, and give their nodes back to the autoscaler.

        A driver that was killed never leaves, and there may be no other job whose request would make the broker look.
        """
        with self._lock:
            now = time.monotonic()
            self._forget_silent(now)
            # An actor that was just started knows of no job, though there may be some: these ask within LEASE_SECONDS.
            if self._leases or now - self._began >= LEASE_SECONDS:
                self._request_nodes()

    def _look_after(self, check_seconds: float) -> None:
        while True:
            time.sleep(check_seconds)
            self.check()

    def _forget_silent(self, now: float) -> None:
        self._leases = {job: lease for job, lease in self._leases.items() if now - lease.asked < LEASE_SECONDS}

    def _share(self) -> None:
        """Divide the nodes among the jobs, those of each kind of claim for themselves."""
        claims = [lease.claim for lease in self._leases.values()]
        gpus_claimed = any(claim.kind == "gpu" for claim in claims)
        for kind in get_args(Kind):
            of_kind = [claim for claim in claims if claim.kind == kind]
            if of_kind:
                for job, workers in share_workers(self._room(kind, gpus_claimed), of_kind).items():
                    self._leases[job].granted = workers

    def _request_nodes(self) -> None:
        """Request room for all workers that the jobs have work for from Ray's autoscaler, where there is one.

        It is one request for all jobs and kinds, because each request replaces the one before.
        """
        bundles = [bundle_of(lease.claim) for lease in self._leases.values() for _ in range(lease.claim.wanted)]
        if bundles == self._requested:
            return
        try:
            self._request(bundles)
        except Exception:  # the next look tries again; no job has to fail of it
            log.exception("the autoscaler could not be asked for nodes")
        else:
            self._requested = bundles


class BrokeredQuota:
    """The `farm.cluster.pool.Quota` of a job on a cluster that it shares with other jobs.

    `claim` is what the job asks for: `claim.job` is its submission id, and a `claim.limit` of 0 is any number of
    workers. How many are wanted is said in each request.
    """

    start_seconds: float | None = None

    def __init__(self, claim: Claim) -> None:
        self._claim = claim
        self._granted = 0
        self._broker: Any = None

    def allowed(self, wanted: int, unusable: Collection[str] = ()) -> int:
        """Ask the broker, for up to ANSWER_SECONDS. Where it does not answer, its last answer still holds."""
        limit = self._claim.limit or wanted
        claim = dataclasses.replace(self._claim, wanted=min(wanted, limit), unusable=frozenset(unusable))
        try:
            self._granted = ray.get(self._ask().renew.remote(claim), timeout=ANSWER_SECONDS)
        except RayError:  # its process may have died, or been killed for memory
            self._broker = None
        return self._granted

    def prioritise(self, priority: int) -> None:
        """From the next request on, the job has this priority."""
        self._claim = dataclasses.replace(self._claim, priority=priority)

    def leave(self) -> None:
        """Tell the broker that the job is over."""
        with contextlib.suppress(RayError):  # without an answer the lease ends by itself, after LEASE_SECONDS
            ray.get(self._ask().leave.remote(self._claim.job), timeout=ANSWER_SECONDS)

    def _ask(self) -> Any:
        """The broker's actor, which is started where the cluster has none."""
        if self._broker is None:
            options = {"name": NAME, "namespace": NAMESPACE, "lifetime": "detached", "get_if_exists": True}
            self._broker = ray.remote(Broker).options(max_restarts=-1, **ON_THE_HEAD, **options).remote(CHECK_SECONDS)
        return self._broker


def _room(kind: Kind, gpus_claimed: bool) -> dict[str, float]:
    """What each node that is up has for workers of a kind, by Ray's id of the node."""
    up = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
    cores, gpus = ({node: has.get(key, 0.0) for node, has in up.items()} for key in ("CPU", "GPU"))
    return room_for(kind, cores, gpus, gpus_claimed=gpus_claimed)


def _request(bundles: Sequence[dict[str, float]]) -> None:
    from ray.autoscaler.sdk import request_resources

    request_resources(bundles=list(bundles))
