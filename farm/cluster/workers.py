"""What the driver needs of its workers, without Ray: the protocol `Workers`, and what a worker's reports may end with.

`farm.cluster.pool.WorkerPool` is the one implementation beside those of tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from farm.plan import Task

if TYPE_CHECKING:
    from farm.cluster.actors import WorkerFacts
    from farm.render.frame_report import FrameReport


@dataclass(frozen=True)
class TaskEnded:
    """Every frame of the task is committed and reported."""


@dataclass(frozen=True)
class RenderFailed:
    """The task raised `error`. The worker lives on; `log_lines` are the last lines of its traceback."""

    error: BaseException
    log_lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkerGone:
    """The worker died, for `reason`. `preempted` where its whole node is gone, so that the task is not to blame.

    `log_lines` are the last lines that the worker wrote; None where they are lost with the node.
    """

    reason: str
    preempted: bool = False
    log_lines: tuple[str, ...] | None = None


class Workers(Protocol):
    """The workers of one job, by name. A *source* is what a worker will answer on, and is good for a dictionary's key.

    Workers come up by themselves once `follow_quota` has started them: their source is in `starting` until `answered`
    takes their first answer. A worker that is up is in `facts`.
    """

    @property
    def facts(self) -> Mapping[str, WorkerFacts]:
        """What each worker that is up says of itself."""
        ...

    @property
    def starting(self) -> Mapping[Any, str]:
        """The worker behind each source that has not answered yet."""
        ...

    def follow_quota(self, wanted: int) -> int:
        """Start workers up to the job's share, given work for `wanted`, and return the share."""
        ...

    def answered(self, source: Any) -> str | None:
        """Take a starting worker's first answer: its name if it can work, None if not. Raises FarmError if none can."""
        ...

    def since_node_came(self, node: str) -> float | None:
        """Seconds since this node joined the cluster, once for each that came while the job ran; otherwise None."""
        ...

    def begin(self, worker: str, job_url: str, task: Task, *, alone: bool) -> Any:
        """Have a worker render a task. Returns the source of its reports. `alone` as in `farm.plan.schedule.Assign`."""
        ...

    def wait(self, sources: Sequence[Any]) -> Sequence[Any]:
        """The first of these that has an answer, or none of them after about a second."""
        ...

    def has_answer(self, source: Any) -> bool:
        """Whether this source has an answer that was not taken yet."""
        ...

    def next_report(self, worker: str, source: Any) -> FrameReport | TaskEnded | RenderFailed | WorkerGone:
        """Take the next report of a worker's task. After any but a FrameReport the source is used up."""
        ...

    def remove(self, worker: str) -> None:
        """End a worker, or what is left of it."""
        ...

    def end_process(self, worker: str) -> None:
        """Kill the process of a worker that may not be able to answer any more."""
        ...

    def avoid(self, node: str) -> None:
        """Start no more workers on this node."""
        ...
