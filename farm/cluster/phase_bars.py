"""A bar for each pass in Ray's dashboard, over all renderers. Ray itself shows one below each renderer, for that alone.

bars = PassBars()
bars.begun("pass 1", reports)    # a renderer's task has begun: one more of its pass, which ends with it

Ray imports this module in a process on the driver's node, so nothing that takes long may be imported here.
"""

from __future__ import annotations

from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


class PassBars:
    """Starts a second Ray task beside each task of a renderer. It belongs to no actor, does nothing, and ends with it.

    Why: the dashboard has one bar for all tasks of a name that belong to no actor.
    """

    def __init__(self) -> None:
        self._task, self._options = ray.remote(_ended), beside_the_driver()

    def begun(self, pass_name: str, reports: Any) -> None:
        """A renderer was given a task of this pass; `reports` is what its call returned.

        If that task fails, so does the bar's.
        """
        self._task.options(name=pass_name, max_retries=0, **self._options).remote(reports.completed())


def beside_the_driver() -> dict[str, Any]:
    """Options of a Ray task on the driver's own node, even where that node has no cores, or none that are free."""
    node = ray.get_runtime_context().get_node_id()
    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def _ended(_: object) -> None:
    """Ray calls it once its argument is there, that is, once the renderer's task has ended."""
