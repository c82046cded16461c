"""A bar for each stage in Ray's dashboard, over all renderers: below each renderer it shows only what that one did.

bars = StageBars()
bars.begun("pass 1", stream)    # a renderer's task has begun: one more of its stage, which ends with it

Ray imports this module in a process on the driver's node for it: nothing that takes long may be imported here.
"""

from __future__ import annotations

from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


class StageBars:
    """For each task of a renderer another one, in no actor, that waits for its end and does nothing."""

    def __init__(self) -> None:
        self._task, self._options = ray.remote(_ended), beside_the_driver()

    def begun(self, stage: str, stream: Any) -> None:
        """A renderer is at a task of the stage; `stream` is what its call returned. What fails there fails here."""
        self._task.options(name=stage, max_retries=0, **self._options).remote(stream.completed())


def beside_the_driver() -> dict[str, Any]:
    """Options of a Ray task on the driver's own node, even where that has no cores, or none that are free."""
    node = ray.get_runtime_context().get_node_id()
    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def _ended(_: object) -> None:
    pass
