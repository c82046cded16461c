"""The workers of one job: Ray actors that come, are lost and are given back while the job runs.

pool = WorkerPool(quota, title="film", job_url=..., inputs=(...), threads=1, precision="auto", gpu=False)
facts = pool.first_facts()        # one worker is up and sees the job
pool.follow_quota(wanted=4)       # start what the job may have and can use
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Collection
from typing import Any, Protocol

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from farm.cluster.actors import WorkerFacts, end_ray_process, spawn_render_worker
from farm.errors import ChunkFailedError, FarmError, StorageError

MAX_LOST_BEFORE_JOINING = 3
"""Workers lost in a row before one of them came up: then something is wrong with all of them."""
CONNECT_SECONDS = 2.0
END_SECONDS = 30.0
WAITING_NOTE_SECONDS = 60.0


class Quota(Protocol):
    """How many workers the job may have. `start_seconds` is how long the first one may take, None for ever."""

    start_seconds: float | None

    def allowed(self, wanted: int, at_work: int) -> int:
        """Workers that the job may hold now, if it has work for `wanted` and `at_work` are up."""
        ...

    def leave(self) -> None:
        """The job is over."""
        ...


class FixedQuota:
    """A Ray of the job's own: as many workers as were asked for."""

    start_seconds: float | None = 180.0

    def __init__(self, count: int) -> None:
        self._count = count

    def allowed(self, wanted: int, at_work: int) -> int:
        return self._count

    def leave(self) -> None:
        pass


class WorkerPool:
    """Render workers by name. One counts as a worker when it has answered and sees what the job reads.

    `title` is what they render: the dashboard shows it before their names.
    """

    def __init__(
        self,
        quota: Quota,
        *,
        title: str,
        job_url: str,
        inputs: Collection[str],
        threads: int,
        precision: str,
        gpu: bool,
        on_note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._quota, self._title, self._job_url, self._inputs = quota, title, job_url, tuple(inputs)
        self.threads, self._precision, self.gpu = threads, precision, gpu
        self._on_note = on_note
        self._born = self._lost_in_a_row = 0
        self._refused = ""
        self.avoided: set[str] = set()
        self._came: dict[str, float | None] = {}
        self.peak = 0
        self.allowed = 0
        self.actors: dict[str, Any] = {}
        self.starting: dict[Any, str] = {}
        self.facts: dict[str, WorkerFacts] = {}

    def follow_quota(self, wanted: int) -> int:
        """Start workers up to the job's share, or take back those that have not come up. Returns the share."""
        self._note_nodes()
        self.allowed = self._quota.allowed(wanted, len(self.facts))
        while len(self.actors) < self.allowed:
            self._spawn()
        for source, name in list(self.starting.items())[::-1]:
            if len(self.actors) > self.allowed:
                del self.starting[source]
                self.remove(name)
        self.peak = max(self.peak, len(self.actors))
        return self.allowed

    def since_node_came(self, node: str) -> float | None:
        """Seconds since this node joined the cluster, once for each that came while the job ran; otherwise None."""
        came = self._came.get(node)
        self._came[node] = None
        return None if came is None else time.monotonic() - came

    def _note_nodes(self) -> None:
        first = not self._came
        for row in ray.nodes():
            if row["Alive"]:
                self._came.setdefault(row["NodeID"], None if first else time.monotonic())

    def avoid(self, node: str) -> None:
        """Start no more workers on this node."""
        self.avoided.add(node)

    def answered(self, source: Any) -> str | None:
        """Take in a worker's first answer: its name if it can work, None if not. Raises FarmError if none can."""
        name = self.starting.pop(source)
        try:
            facts: WorkerFacts = ray.get(source)
        except RayTaskError as error:
            raise cause_of(error) from None
        except RayError as error:
            self._lost_in_a_row += 1
            self.actors.pop(name, None)
            if self._lost_in_a_row >= MAX_LOST_BEFORE_JOINING:
                raise ChunkFailedError(f"workers die while starting: {last_line(error)}") from None
            return None
        self._lost_in_a_row = 0
        if facts.problem:
            self._refuse(name, facts)
            return None
        self.facts[name] = facts
        return name

    def first_facts(self, check: Callable[[], None] = lambda: None) -> WorkerFacts:
        """Wait until one worker is up. Raises ChunkFailedError where none comes up in time, or can work at all."""
        if self.facts:
            return next(iter(self.facts.values()))
        began = noted = time.monotonic()
        while True:
            check()
            self.follow_quota(1)
            for source in self._first_answer():
                name = self.answered(source)
                if name is not None:
                    return self.facts[name]
            now = time.monotonic()
            if self._quota.start_seconds is not None and now - began > self._quota.start_seconds:
                raise ChunkFailedError(
                    f"no worker came up within {now - began:.0f} seconds", "farm doctor shows what this machine has"
                )
            if now - noted > WAITING_NOTE_SECONDS:
                noted = now
                needs = "1 GPU" if self.gpu else f"{self.threads} free core(s)"
                self._on_note(f"waiting for a worker: it needs {needs} on one node of the cluster")

    def _first_answer(self) -> list[Any]:
        if not self.starting:
            time.sleep(1.0)
            return []
        return ray.wait(list(self.starting), timeout=1.0)[0]

    def remove(self, name: str) -> None:
        """End a worker, or what is left of it."""
        actor = self.actors.pop(name, None)
        self.facts.pop(name, None)
        if actor is not None:
            ray.kill(actor)

    def end_process(self, name: str) -> None:
        """Kill the process of a worker that may not be able to answer any more, on whatever node it is.

        Ray's own kill asks the process itself.
        """
        facts = self.facts.get(name)
        if facts is None:
            return
        there = NodeAffinitySchedulingStrategy(facts.node, soft=False)
        call = ray.remote(end_ray_process).options(name="end", num_cpus=0, scheduling_strategy=there)
        with contextlib.suppress(RayError):  # the node may be what is stuck
            ray.get(call.remote(facts.pid), timeout=END_SECONDS)

    def close(self) -> None:
        for name in list(self.actors):
            self.remove(name)
        self.starting.clear()
        self._quota.leave()

    def node_is_gone(self, name: str, error: RayActorError) -> bool:
        """Whether a worker was lost with its machine: then its task is not to blame.

        Ray itself declares a node dead only when it has missed heartbeats for many seconds, so the node's own
        port is tried.
        """
        if getattr(error, "preempted", False):
            return True
        facts = self.facts.get(name)
        row = next((node for node in ray.nodes() if facts and node["NodeID"] == facts.node), None)
        if row is None or not row["Alive"]:
            return True
        try:
            address = (row["NodeManagerAddress"], row["NodeManagerPort"])
            with socket.create_connection(address, timeout=CONNECT_SECONDS):
                return False
        except OSError:
            return True

    def _spawn(self) -> None:
        self._born += 1
        name = f"worker-{self._born}"
        shown = f"{self._title} {name}"
        actor = spawn_render_worker(self.threads, gpu=self.gpu, avoided=self.avoided, name=shown)
        self.actors[name] = actor
        call = actor.facts.options(name="start")
        self.starting[call.remote(self._precision, self._job_url, self._inputs)] = name

    def _refuse(self, name: str, facts: WorkerFacts) -> None:
        """A node that does not see the job's files gets none of its tasks; the others go on."""
        self.remove(name)
        if facts.node not in self.avoided:
            self.avoid(facts.node)
            self._on_note(f"node {facts.host} is not used: {facts.problem}")
        key = "GPU" if self.gpu else "CPU"
        able = {node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get(key, 0) > 0}
        if able <= self.avoided:
            raise StorageError(
                f"no node of the cluster can work on this job: on {facts.host} {facts.problem}",
                "put it on storage that every node sees, give a URL, or submit with --copy-inputs",
            )


def cause_of(error: RayTaskError) -> BaseException:
    return error.cause if isinstance(error.cause, FarmError) else error.as_instanceof_cause()


def last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
