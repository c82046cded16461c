"""Optical flow that is computed ahead of the renderers, in the background.

ahead = FlowAhead(job_url, ranges, title="film", label="farm-film-1a2b")
...                # the job is rendered meanwhile
ahead.stop()
"""

from __future__ import annotations

import ray

from farm.cluster.actors import spawn_flow_worker
from farm.spec import FrameRange


class FlowAhead:
    """A flow worker at work on `ranges` of frames. To lose it costs nothing: renderers compute what is missing.

    `title` is what the dashboard calls it, and `label` the job's name in metrics. With `mixed` it may compute on a node
    whose software is not the job's.
    """

    def __init__(
        self, job_url: str, ranges: tuple[FrameRange, ...], *, title: str, label: str, mixed: bool = False
    ) -> None:
        self._actor = spawn_flow_worker(title)
        call = self._actor.run.options(name="flow", num_returns="streaming")
        self._stream = call.remote(job_url, ranges, label, mixed)

    def stop(self) -> None:
        """Kill the worker. Fields that it has not stored are lost."""
        ray.kill(self._actor)
