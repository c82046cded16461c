"""How far a film is, in Ray's dashboard: a bar for each pass that counts the film's planned frames from the start.

with closing(PassBars("farm-film-1a2b", tasks, finished)) as bars:
    bars.frame("pass 1")     # one more frame of this pass is committed

Ray counts tasks. The tasks of renderers say little: only those that have begun are known, so that a film of which 4 %
is done looked almost finished. So they are not counted (`farm.cluster.actors.spawn_render_worker`), and an actor stands
for the film. It has a call for each part of each pass, all of them from the start, and a call ends when that part of
the frames is committed. The same percentage stands in the job's metadata and message, which `ray job list` shows too.

Ray imports this module in a process on the driver's node, so nothing that takes long may be imported here.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

if TYPE_CHECKING:
    from farm.plan import Task

MOST_PARTS = 1000
"""Parts of all passes of a film together. Ray shows 10,000 tasks of a job at most."""
TOLD_SECONDS = 5.0
"""Least seconds between two writes of a job's percentage."""
END_SECONDS = 5.0
"""Longest wait, in seconds, until the last parts have ended."""


def parts_of_passes(frames: Mapping[str, int]) -> dict[str, int]:
    """How many parts the bar of each pass has, given the number of its frames: each pass by its share, at least one.

    >>> parts_of_passes({"pass 1": 3, "pass 2": 3})
    {'pass 1': 3, 'pass 2': 3}
    >>> parts_of_passes({"pass 1": 6000, "pass 2": 2000})
    {'pass 1': 750, 'pass 2': 250}
    """
    total = sum(frames.values())
    return {name: max(1, min(count, MOST_PARTS * count // total)) for name, count in frames.items() if count}


def percent(done: int, total: int) -> int:
    """Whole percent, never 100 before all is done.

    >>> percent(61, 1500), percent(1499, 1500), percent(5, 5), percent(0, 0)
    (4, 99, 100, 0)
    """
    return 100 * done // total if total else 0


class PassBars:
    """The bars of one job. `submission` is its id on the cluster, `finished` are ids of tasks that need not be run."""

    def __init__(self, submission: str, tasks: Sequence[Task], finished: Collection[str]) -> None:
        self._submission = submission
        self._frames: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        for task in tasks:
            self._frames[task.pass_name] += len(task.frames)
            self._done[task.pass_name] += len(task.frames) if task.id in finished else 0
        self._parts = parts_of_passes(self._frames)
        self._reached: dict[str, int] = {}
        self._told: tuple[float, str] = (0.0, "")
        groups = {_group(name): 1 for name in self._parts}  # so the first open part of a pass runs, and the rest wait
        options = {"num_cpus": 0, "max_restarts": 0, "concurrency_groups": groups, **beside_the_driver()}
        self._film = ray.remote(**options)(_Film).remote()
        self._calls = [
            self._film.part.options(name=name, concurrency_group=_group(name)).remote(name, number)
            for name, parts in self._parts.items()
            for number in range(1, parts + 1)
        ]
        self._show()

    def frame(self, pass_name: str) -> None:
        """Count one committed frame."""
        self._done[pass_name] += 1
        self._show()

    def close(self) -> None:
        """Show the last state, and end the actor with the bars."""
        self._show(at_once=True)
        parts = sum(self._reached.values())
        with contextlib.suppress(Exception):  # the cluster may be gone, and nothing depends on the bars
            ray.wait(self._calls, num_returns=max(parts, 1), timeout=END_SECONDS)
            ray.kill(self._film)

    def _show(self, *, at_once: bool = False) -> None:
        reached = {name: parts * self._done[name] // self._frames[name] for name, parts in self._parts.items()}
        if reached != self._reached:
            self._reached = reached
            self._film.reach.options(enable_task_events=False).remote(reached)
        done, total = self._done.total(), self._frames.total()
        text = f"{percent(done, total)} %"
        now = time.monotonic()
        if text != self._told[1] and (at_once or now - self._told[0] >= TOLD_SECONDS):
            self._told = (now, text)
            tell_cluster(
                self._submission, text, f"{text} painted: {done} of {total} frames, those of every pass counted"
            )


def tell_cluster(submission: str, progress: str, message: str) -> None:
    """Write a running job's percentage where Ray keeps its status: `metadata["progress"]` and its message.

    The Jobs API can only read these. So this writes the cluster's own record of the job, which has no public interface:
    where that fails, nothing is told.
    """
    with contextlib.suppress(Exception):
        from ray._private import ray_constants
        from ray._private.worker import global_worker

        client = global_worker.gcs_client
        key = f"{ray_constants.RAY_INTERNAL_NAMESPACE_PREFIX}job_info_{submission}".encode()
        data = client.internal_kv_get(key, ray_constants.KV_NAMESPACE_JOB)
        changed = with_progress(data, progress, message)
        if changed is not None:
            client.internal_kv_put(key, changed, True, ray_constants.KV_NAMESPACE_JOB)


def with_progress(record: bytes | None, progress: str, message: str) -> bytes | None:
    """Ray's record of a job, JSON, with these two in it. None where there is no record of a job that runs."""
    info = json.loads(record) if record else None
    if not isinstance(info, dict) or info.get("status") != "RUNNING":
        return None
    info["metadata"] = {**(info.get("metadata") or {}), "progress": progress}
    info["message"] = message
    return json.dumps(info).encode()


def beside_the_driver() -> dict[str, Any]:
    """Options of a Ray task on the driver's own node, even where that node has no cores, or none that are free."""
    node = ray.get_runtime_context().get_node_id()
    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


class _Film:
    """The actor whose calls are the parts of the bars."""

    def __init__(self) -> None:
        self._reached: dict[str, int] = {}
        self._changed = threading.Condition()

    def __repr__(self) -> str:
        """The name that the dashboard has for the actor."""
        return "film"

    def part(self, pass_name: str, number: int) -> None:
        """Return when so many parts of the pass are done."""
        with self._changed:
            self._changed.wait_for(lambda: self._reached.get(pass_name, 0) >= number)

    def reach(self, parts: dict[str, int]) -> None:
        """So many parts of each pass are done."""
        with self._changed:
            self._reached = parts
            self._changed.notify_all()


def _group(pass_name: str) -> str:
    return pass_name.replace(" ", "-")
