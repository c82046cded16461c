"""The workers of one job: Ray actors that join, are lost and are given back while the job runs.

kind = WorkerKind(threads=1, precision="auto", gpu=False)
pool = WorkerPool(quota, kind, title="film", job_url=url, inputs=paths)
facts = pool.first_facts()                         # one worker is up and sees the job
pool.follow_quota(wanted=4)                        # start as many as the job may have and can use
reports = pool.begin("worker-1", url, task, ())    # the source of the worker's reports
pool.next_report("worker-1", reports)              # a FrameReport, or how the task ended
pool.close()
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import ray
from ray.exceptions import ActorDiedError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from farm.cluster.actors import WorkerFacts, end_ray_process, spawn_render_worker
from farm.cluster.worker_logs import last_log_lines
from farm.cluster.workers import RenderFailed, TaskEnded, WorkerGone
from farm.errors import ChunkFailedError, FarmError, StorageError, last_line
from farm.plan import Task
from farm.render.chunk import FrameReport
from farm.spec.choices import Precision

MAX_LOST_BEFORE_JOINING = 3
"""Workers that may die in a row while they start. After so many, something is wrong with all of them."""
WAIT_SECONDS = 1.0
"""The longest wait for an answer. Why: between two waits the driver looks after interruptions and silent workers."""
NOBODY_SECONDS = 0.5
"""The wait where no worker is there that could answer."""
CONNECT_SECONDS = 2.0
"""For a node's own port to answer before the node counts as gone."""
END_SECONDS = 30.0
"""For the process of a stuck worker to be killed on its node, which may be stuck itself."""
WAITING_NOTE_SECONDS = 60.0
"""Between two notes that the job waits for its first worker."""


class Quota(Protocol):
    """How many workers the job may have. `start_seconds` is how long the first one may take; None is for ever."""

    start_seconds: float | None

    def allowed(self, wanted: int, at_work: int) -> int:
        """Workers that the job may hold now, if it has work for `wanted` of them and `at_work` are up."""
        ...

    def leave(self) -> None:
        """The job is over and holds no workers any more."""
        ...


class FixedQuota:
    """As many workers as were asked for, on a Ray that is the job's own."""

    start_seconds: float | None = 180.0

    def __init__(self, count: int) -> None:
        self._count = count

    def allowed(self, wanted: int, at_work: int) -> int:
        """The number that was asked for."""
        return self._count

    def leave(self) -> None:
        """Nothing to give back."""


class StartWorker(Protocol):
    """Starts the actor of one worker, which answers `facts` and `render` as `RenderWorker` does."""

    def __call__(self, threads: int, *, gpu: bool, avoided: Collection[str], name: str) -> Any:
        """The actor's handle. It may run on any node but the `avoided` ones; `name` is what the dashboard calls it."""
        ...


@dataclass(frozen=True)
class WorkerKind:
    """What all workers of a job have in common: cores or a GPU each, the precision asked for, and how one starts."""

    threads: int
    precision: Precision
    gpu: bool
    start: StartWorker = spawn_render_worker


class WorkerPool:
    """The render workers of one job, by name. An implementation of `farm.cluster.workers.Workers`.

    An actor counts as a worker once it has answered and sees the job's directory and `inputs`. `title` says what is
    rendered: the dashboard shows it before the workers' names. `on_note` gets lines for people.

    `actors` are all that were started and not removed, `starting` those of them that have not answered, by the source
    of their answer, and `facts` those that are up. `allowed` is the latest share, `peak` the most actors at a time.
    """

    def __init__(
        self,
        quota: Quota,
        kind: WorkerKind,
        *,
        title: str,
        job_url: str,
        inputs: Collection[str],
        on_note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._quota, self._title, self._job_url, self._inputs = quota, title, job_url, tuple(inputs)
        self.kind = kind
        self._on_note = on_note
        self._spawned = self._lost_in_a_row = 0
        self.avoided: set[str] = set()
        self._came: dict[str, float | None] = {}
        """When each node came; None for those that were there before the job, or were asked about already."""
        self.peak = 0
        self.allowed = 0
        self.actors: dict[str, Any] = {}
        self.starting: dict[Any, str] = {}
        self.facts: dict[str, WorkerFacts] = {}

    def follow_quota(self, wanted: int) -> int:
        """Start workers up to the job's share, or take back some that have not come up. Returns the share."""
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

    def begin(self, worker: str, job_url: str, task: Task, flow_sources: tuple[str, ...]) -> Any:
        """Have a worker render a task. Returns the source of its reports; the dashboard shows the task's pass."""
        call = self.actors[worker].render.options(name=task.pass_name, num_returns="streaming")
        return call.remote(job_url, task, flow_sources)

    def wait(self, sources: Sequence[Any]) -> list[Any]:
        """The first source that has an answer, or none after WAIT_SECONDS. Without sources it just waits."""
        if not sources:
            time.sleep(NOBODY_SECONDS)
            return []
        ready: list[Any] = ray.wait(list(sources), num_returns=1, timeout=WAIT_SECONDS)[0]
        return ready

    def has_answer(self, source: Any) -> bool:
        """Whether this source has an answer that was not taken yet."""
        return bool(ray.wait([source], timeout=0)[0])

    def next_report(self, worker: str, source: Any) -> FrameReport | TaskEnded | RenderFailed | WorkerGone:
        """Take the next report of a worker's task; waits for it where there is none yet."""
        try:
            report: FrameReport = ray.get(next(source))
        except StopIteration:
            return TaskEnded()
        except RayTaskError as error:
            return RenderFailed(cause_of(error), last_log_lines(self.actors[worker], error))
        except RayActorError as error:
            if self._node_is_gone(worker, error):
                return WorkerGone("its node was lost", preempted=True)
            reason = "its worker died" if isinstance(error, ActorDiedError) else last_line(error)
            return WorkerGone(reason, log_lines=last_log_lines(self.actors[worker], error))
        return report

    def answered(self, source: Any) -> str | None:
        """Take a worker's first answer: its name if it can work, None if not.

        Raises the FarmError of a worker that cannot start, ChunkFailedError where workers die while they start, and
        StorageError where no node of the cluster sees the job's files.
        """
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
        """Wait until one worker is up, and return what it says of itself. `check` may raise to end the waiting.

        Raises ChunkFailedError where none comes up in time, and what `answered` raises.
        """
        if self.facts:
            return next(iter(self.facts.values()))
        began = noted = time.monotonic()
        while True:
            check()
            self.follow_quota(1)
            for source in self.wait(list(self.starting)):
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
                needs = "1 GPU" if self.kind.gpu else f"{self.kind.threads} free core(s)"
                self._on_note(f"waiting for a worker: it needs {needs} on one node of the cluster")

    def remove(self, name: str) -> None:
        """End a worker, or what is left of it."""
        actor = self.actors.pop(name, None)
        self.facts.pop(name, None)
        if actor is not None:
            ray.kill(actor)

    def end_process(self, name: str) -> None:
        """Kill the process of a worker that may not be able to answer any more, on whatever node it is.

        Why: Ray's own kill asks the process to end itself.
        """
        facts = self.facts.get(name)
        if facts is None:
            return
        there = NodeAffinitySchedulingStrategy(facts.node, soft=False)
        call = ray.remote(end_ray_process).options(name="end", num_cpus=0, scheduling_strategy=there)
        with contextlib.suppress(RayError):  # the node may be what is stuck
            ray.get(call.remote(facts.pid), timeout=END_SECONDS)

    def close(self) -> None:
        """End all workers and give up the job's share."""
        for name in list(self.actors):
            self.remove(name)
        self.starting.clear()
        self._quota.leave()

    def _node_is_gone(self, name: str, error: RayActorError) -> bool:
        """Whether a worker was lost with its machine, so that its task is not to blame.

        Ray declares a node dead only after it has missed heartbeats for many seconds, so the node's own port is tried.
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
        self._spawned += 1
        name = f"worker-{self._spawned}"
        shown = f"{self._title} {name}"
        actor = self.kind.start(self.kind.threads, gpu=self.kind.gpu, avoided=self.avoided, name=shown)
        self.actors[name] = actor
        call = actor.facts.options(name="start")
        self.starting[call.remote(self.kind.precision, self._job_url, self._inputs)] = name

    def _refuse(self, name: str, facts: WorkerFacts) -> None:
        """Avoid the node of a worker that does not see the job's files. Raises StorageError where no node is left."""
        self.remove(name)
        if facts.node not in self.avoided:
            self.avoid(facts.node)
            self._on_note(f"node {facts.host} is not used: {facts.problem}")
        key = "GPU" if self.kind.gpu else "CPU"
        able = {node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get(key, 0) > 0}
        if able <= self.avoided:
            raise StorageError(
                f"no node of the cluster can work on this job: on {facts.host} {facts.problem}",
                "put it on storage that every node sees, give a URL, or submit with --copy-inputs",
            )


def cause_of(error: RayTaskError) -> BaseException:
    """The exception that the task itself raised: a FarmError as it was, any other with Ray's traceback in its text."""
    return error.cause if isinstance(error.cause, FarmError) else error.as_instanceof_cause()
