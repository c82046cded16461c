"""The workers of one job as Ray actors. Their number changes while the job runs.

kind = WorkerKind(threads=1, precision="auto", gpu=False)
pool = WorkerPool(quota, kind, title="film", job_url=url, inputs=paths)
facts = pool.first_facts()                         # wait until one worker is up and sees the job's files
pool.follow_quota(wanted=4)                        # start as many as the job may have, if it has work for 4
reports = pool.begin("worker-1", url, task, alone=False)    # render a task; its reports come from `reports`
pool.next_report("worker-1", reports)              # a FrameReport, or how the task ended
pool.close()
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from farm.cluster.actors import WorkerFacts, end_ray_process, spawn_render_worker
from farm.cluster.ray_errors import End, Meaning, meaning_of
from farm.cluster.worker_logs import last_log_lines
from farm.cluster.workers import RenderFailed, TaskEnded, WorkerGone
from farm.errors import ChunkFailedError, FarmError, JobMismatchError, RenderError, StorageError
from farm.job.history import Kind
from farm.job.software import SoftwareCheck
from farm.plan import Task
from farm.plan.memory_losses import MemoryLosses
from farm.render.frame_report import FrameReport
from farm.spec.choices import Precision

MAX_LOST_WHILE_STARTING = 3
"""Workers in a row that die while they start, at which the job fails. Why: the next one would die of the same."""
WAIT_SECONDS = 1.0
"""Longest wait, in seconds, for an answer of a worker. Why: the driver looks for Ctrl-C and for silent workers between
two waits.
"""
IDLE_SECONDS = 0.5
"""Length of a wait, in seconds, where there is no worker that could answer."""
CONNECT_SECONDS = 2.0
"""Seconds that a node's own port has to accept a connection before the node counts as lost."""
END_SECONDS = 30.0
"""Longest wait, in seconds, until a stuck worker's process is killed. Its node may be stuck too."""
WAITING_NOTE_SECONDS = 60.0
"""Seconds between two notes that the job waits for its first worker."""
NO_CUDA = "PyTorch sees no GPU, though Ray has one"
"""What is wrong with a node that has a GPU by Ray's account alone."""
CLOCK_SECONDS = 5.0
"""Seconds by which a worker's clock may differ from the driver's and still count as right.

An answer may lie that long before the driver takes it.
"""


class Quota(Protocol):
    """How many workers the job may have.

    `start_seconds` is how long the first worker may take to come up, in seconds; None is any time.
    """

    start_seconds: float | None

    def allowed(self, wanted: int, unusable: Collection[str] = ()) -> int:
        """Number of workers that the job may hold now, where it has work for `wanted`.

        `unusable` are Ray's ids of the nodes that are of no use to the job.
        """
        ...

    def leave(self) -> None:
        """Give the job's share back: it is over and holds no workers any more."""
        ...


class FixedQuota:
    """The quota on a Ray that no other job uses: always `count` workers."""

    start_seconds: float | None = 180.0

    def __init__(self, count: int) -> None:
        self._count = count

    def allowed(self, wanted: int, unusable: Collection[str] = ()) -> int:
        """`count`, whatever the job has work for."""
        return self._count

    def leave(self) -> None:
        """Do nothing, as no other job waits for the workers."""


class StartWorker(Protocol):
    """Starts the actor of one worker, which answers `facts` and `render` as `RenderWorker` does."""

    def __call__(self, threads: int, *, gpu: bool, avoided: Collection[str], name: str) -> Any:
        """The actor's handle. It may run on any node but the `avoided` ones; `name` is what the dashboard calls it."""
        ...


@dataclass(frozen=True)
class WorkerKind:
    """What all workers of a job have in common: cores or a GPU each, the precision asked for, and how one starts.

    `only_gpu` refuses a worker whose GPU PyTorch cannot use; otherwise it paints on its CPU. `cores_alone` are the
    cores that a worker may use while all others are idle, 0 for its own.
    """

    threads: int
    precision: Precision
    gpu: bool
    only_gpu: bool = False
    start: StartWorker = spawn_render_worker
    cores_alone: int = 0


class WorkerPool:
    """The render workers of one job, by name. An implementation of `farm.cluster.workers.Workers`.

    An actor counts as a worker once it has answered, sees the job's directory and `inputs`, and paints with the job's
    software, which `software` knows (None compares nothing). The dashboard shows `title`, the name of the film, before
    the workers' names. `on_note` is called with lines of text for people, and `on_unfit` with one for each node that is
    of no use to the job ("avoided", or "refused" for its software), or of less than it should be ("note").

    `actors` has every actor that was started and not removed. `starting` has the names of those that have not answered
    yet, by the source of their answer, and `facts` what those that are up said of themselves. `avoided` are Ray's ids
    of the nodes where no worker is started. `allowed` is the latest share, and `peak` the most actors at one time.
    """

    def __init__(
        self,
        quota: Quota,
        kind: WorkerKind,
        *,
        title: str,
        job_url: str,
        inputs: Collection[str],
        software: SoftwareCheck | None = None,
        on_note: Callable[[str], None] = lambda _: None,
        on_unfit: Callable[[Kind, str], None] = lambda _kind, _line: None,
    ) -> None:
        self._quota, self._title, self._job_url, self._inputs = quota, title, job_url, tuple(inputs)
        self.kind, self.software = kind, software
        self._on_note, self._on_unfit = on_note, on_unfit
        self._without_gpu: set[str] = set()
        """Ray's ids of the nodes that were told of because PyTorch cannot use their GPUs."""
        self._spawned = self._lost_in_a_row = 0
        self._memory = MemoryLosses()
        self.avoided: set[str] = set()
        self._joined: dict[str, float | None] = {}
        """When each node joined the cluster, in seconds of the steady clock, by Ray's id of the node.

        None for nodes that were there before the job, and for those that `since_node_came` has told of.
        """
        self.peak = 0
        self.allowed = 0
        self.actors: dict[str, Any] = {}
        self.starting: dict[Any, str] = {}
        self.facts: dict[str, WorkerFacts] = {}

    def follow_quota(self, wanted: int) -> int:
        """Start workers up to the job's share, and return the share. `wanted` is how many the job has work for.

        Where there are more than the share, workers that have not come up are ended, the youngest first. Those that are
        up stay: the driver ends them between two tasks.
        """
        self._note_nodes()
        cap = self._memory.cap
        wanted = wanted if cap is None else min(wanted, cap)
        allowed = self._quota.allowed(wanted, self.avoided)
        self.allowed = allowed if cap is None else min(allowed, cap)
        while len(self.actors) < self.allowed and self._memory.may_start(time.monotonic()):
            self._spawn()
        for source, name in list(self.starting.items())[::-1]:
            if len(self.actors) > self.allowed:
                del self.starting[source]
                self.remove(name)
        self.peak = max(self.peak, len(self.actors))
        return self.allowed

    def since_node_came(self, node: str) -> float | None:
        """Seconds since this node joined the cluster, once for each that came while the job ran; otherwise None."""
        joined = self._joined.get(node)
        self._joined[node] = None
        return None if joined is None else time.monotonic() - joined

    def _note_nodes(self) -> None:
        """Note the time for nodes that are new since the last call."""
        is_first_call = not self._joined
        for row in ray.nodes():
            if row["Alive"]:
                self._joined.setdefault(row["NodeID"], None if is_first_call else time.monotonic())

    def avoid(self, node: str) -> None:
        """Start no more workers on this node."""
        self.avoided.add(node)

    def begin(self, worker: str, job_url: str, task: Task, *, alone: bool) -> Any:
        """Have a worker render a task. Returns the source of its reports; the dashboard shows the task's pass."""
        call = self.actors[worker].render.options(name=task.pass_name, num_returns="streaming")
        if alone and self.kind.cores_alone > self.kind.threads:
            return call.remote(job_url, task, self.kind.cores_alone)
        return call.remote(job_url, task)

    def wait(self, sources: Sequence[Any]) -> list[Any]:
        """The first source that has an answer, or an empty list after WAIT_SECONDS, or IDLE_SECONDS without sources."""
        if not sources:
            time.sleep(IDLE_SECONDS)
            return []
        ready: list[Any] = ray.wait(list(sources), num_returns=1, timeout=WAIT_SECONDS)[0]
        return ready

    def has_answer(self, source: Any) -> bool:
        """Whether this source has an answer that was not taken yet."""
        return bool(ray.wait([source], timeout=0)[0])

    def next_report(self, worker: str, source: Any) -> FrameReport | TaskEnded | RenderFailed | WorkerGone:
        """Take the next report of a worker's task, and wait for it where there is none yet."""
        try:
            report: FrameReport = ray.get(next(source))
        except StopIteration:
            return TaskEnded()
        except RayError as error:
            return self._ended(worker, error)
        self._memory.frame()
        return report

    def _ended(self, worker: str, error: RayError) -> RenderFailed | WorkerGone:
        """How a worker's task ended, of which Ray says `error`. Raises RenderError where Ray itself is gone."""
        meaning = self.lost_to(worker, error)
        if meaning.end is End.RAISED and isinstance(error, RayTaskError):
            return RenderFailed(cause_of(error), last_log_lines(self.actors[worker], error))
        if meaning.end is End.MEMORY:
            return WorkerGone(meaning.reason, preempted=not self._memory.hopeless)
        if meaning.end is End.NODE or self._node_is_gone(worker, error):
            return WorkerGone("its node was lost", preempted=True)
        return WorkerGone(meaning.reason, log_lines=last_log_lines(self.actors[worker], error))

    def lost_to(self, worker: str, error: RayError) -> Meaning:
        """What `error` of a worker's call means; where memory ran out, it is counted, and may cost the job workers.

        Raises RenderError where Ray itself is gone.
        """
        meaning = meaning_of(error)
        if meaning.end is End.HERE:
            raise RenderError(meaning.reason, "run the same command again") from None
        if meaning.end is End.MEMORY:
            fewer = self._memory.lost(time.monotonic(), max(len(self.actors), 1))
            if fewer is not None:
                host = f" of {self.facts[worker].host}" if worker in self.facts else ""
                workers = "1 worker" if fewer == 1 else f"{fewer} workers"
                self._on_note(f"the memory{host} has run out again: the job goes on with {workers} at most")
        return meaning

    def answered(self, source: Any) -> str | None:
        """Take a worker's first answer. Returns its name, or None where it died or cannot work on this job.

        Raises the FarmError that a worker raised in place of an answer, ChunkFailedError at the
        MAX_LOST_WHILE_STARTING-th worker in a row that died or answered with another error, StorageError where no node
        sees the job's files, RenderError where no node has a GPU that PyTorch can use and the job asks for one, and
        JobMismatchError where no node paints with the job's software.
        """
        name = self.starting.pop(source)
        try:
            facts: WorkerFacts = ray.get(source)
        except RayError as error:
            if isinstance(error, RayTaskError) and isinstance(error.cause, FarmError):
                raise error.cause from None
            self._lost_while_starting(name, error)
            return None
        self._lost_in_a_row = 0
        if not self._fits(name, facts):
            return None
        self.facts[name] = self._compared(facts)
        return name

    def _lost_while_starting(self, name: str, error: RayError) -> None:
        """Forget a worker that died before it answered. Raises ChunkFailedError as `answered` does.

        Where its machine's memory ran out, others are started after a pause, until that is hopeless.
        """
        meaning = self.lost_to(name, error)
        self.remove(name)
        if meaning.end is End.MEMORY and not self._memory.hopeless:
            self._on_note(f"{name} was lost while it started: {meaning.reason}")
            return
        self._lost_in_a_row += 1
        if self._lost_in_a_row >= MAX_LOST_WHILE_STARTING:
            raise ChunkFailedError(f"workers die while starting: {meaning.reason}") from None

    def _fits(self, name: str, facts: WorkerFacts) -> bool:
        """Whether a worker can work on this job. One that cannot is ended. Raises what `_refuse` raises."""
        none = f"no node of the cluster can work on this job: on {facts.host}"
        if facts.problem:
            remedy = "put it on storage that every node sees, give a URL, or use --copy-inputs"
            self._refuse(name, facts, "avoided", facts.problem, StorageError(f"{none} {facts.problem}", remedy))
            return False
        gpu_is_missing = self.kind.gpu and facts.runtime.device != "cuda"
        if gpu_is_missing and self.kind.only_gpu:
            remedy = "farm doctor there tells more; --device auto paints on the CPU meanwhile"
            self._refuse(name, facts, "avoided", NO_CUDA, RenderError(f"{none} {NO_CUDA}", remedy))
            return False
        differs = self.software.differences(facts.software) if self.software else ""
        if self.software and differs and not self.software.mixed:
            mismatch = JobMismatchError(
                f"no worker paints with the software that the job was begun with: {facts.host} has {differs}",
                "bring back that software, or give --mixed to go on with both",
            )
            reason = f"it paints with other software than the job: {differs}"
            self._refuse(name, facts, "refused", reason, mismatch)
            return False
        if gpu_is_missing and facts.node not in self._without_gpu:
            self._without_gpu.add(facts.node)
            self._on_unfit("note", f"node {facts.host} paints on its CPU, and its GPU is idle: {NO_CUDA}")
        return True

    def _compared(self, facts: WorkerFacts) -> WorkerFacts:
        """The facts of a worker that is taken, with its clock and its software compared."""
        ahead = facts.clock - time.time() if facts.clock else 0.0
        ahead = round(ahead, 1) if abs(ahead) > CLOCK_SECONDS else 0.0
        if ahead:
            self._on_note(f"the clock of {facts.host} is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}")
        differs = ""
        if self.software:
            self.software.decide(facts.software)
            differs = self.software.differences(facts.software)
        return replace(facts, ahead=ahead, differs=differs) if ahead or differs else facts

    def first_facts(self, check: Callable[[], None] = lambda: None) -> WorkerFacts:
        """Wait until one worker is up, and return what it says of itself.

        `check` is called about once a second, and may raise to end the wait. Raises ChunkFailedError where no worker
        comes up within the quota's `start_seconds`, and what `answered` raises.
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
                problem, remedy = f"no worker came up within {now - began:.0f} seconds", "run the same command again"
                if self._memory.short:
                    problem, remedy = f"{problem}: the memory of its machine runs out", "free memory, and run it again"
                raise ChunkFailedError(problem, remedy)
            if now - noted > WAITING_NOTE_SECONDS:
                noted = now
                needs = f"{self.kind.threads} free core(s)"
                if self.kind.gpu:
                    needs = "1 GPU" if self.kind.only_gpu else "1 GPU (--device cpu does without)"
                self._on_note(f"waiting for a worker: it needs {needs} on one node of the cluster")

    def remove(self, name: str) -> None:
        """End a worker, and forget it. A worker that died or was removed already is no error."""
        actor = self.actors.pop(name, None)
        self.facts.pop(name, None)
        if actor is not None:
            ray.kill(actor)

    def end_process(self, name: str) -> None:
        """Kill the process of a stuck worker with SIGKILL, on its own node.

        Why not `ray.kill`: it asks the process to end itself, and a stuck process does not. Nothing is raised where the
        node does not answer within END_SECONDS.
        """
        facts = self.facts.get(name)
        if facts is None:
            return
        on_its_node = NodeAffinitySchedulingStrategy(facts.node, soft=False)
        call = ray.remote(end_ray_process).options(name="end", num_cpus=0, scheduling_strategy=on_its_node)
        with contextlib.suppress(RayError):
            ray.get(call.remote(facts.pid), timeout=END_SECONDS)

    def close(self) -> None:
        """End all workers, and give the job's share back."""
        for name in list(self.actors):
            self.remove(name)
        self.starting.clear()
        self._quota.leave()

    def _node_is_gone(self, name: str, error: RayError) -> bool:
        """Whether a worker was lost together with its node, so that its task is not the cause.

        Ray counts a node as dead only after many seconds without heartbeats. So this connects to the node's own port.
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
        full_name = f"{self._title} {name}"
        actor = self.kind.start(self.kind.threads, gpu=self.kind.gpu, avoided=self.avoided, name=full_name)
        self.actors[name] = actor
        call = actor.facts.options(name="start")
        self.starting[call.remote(self.kind.precision, self._job_url, self._inputs)] = name

    def _refuse(self, name: str, facts: WorkerFacts, kind: Kind, reason: str, none_fits: FarmError) -> None:
        """End a worker that cannot work on this job, and avoid its node.

        Raises `none_fits` where the cluster has no other node with cores (or GPUs).
        """
        self.remove(name)
        if facts.node not in self.avoided:
            self.avoid(facts.node)
            self._on_unfit(kind, f"node {facts.host} is not used: {reason}")
        key = "GPU" if self.kind.gpu else "CPU"
        suited = {node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get(key, 0) > 0}
        if suited <= self.avoided:
            raise none_fits


def cause_of(error: RayTaskError) -> BaseException:
    """The exception that the task itself raised: a FarmError as it was, any other with Ray's traceback in its text."""
    return error.cause if isinstance(error.cause, FarmError) else error.as_instanceof_cause()
