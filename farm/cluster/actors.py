"""The Ray actors of a job: thin shells around plain classes, which know nothing of Ray.

`RenderWorker` renders tasks. It has booked one GPU, or a share of the cores and a fixed number of threads; without a
GPU of its own it sees none. `FlowWorker` runs ahead of the renderers and fills the flow store at low priority.

The driver imports this module to start the actors, so whatever loads torch is imported inside their methods.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

from farm.cluster.metrics import Meters, published
from farm.job import JobDirectory, JobRecord
from farm.job.software import FOR_FLOW, differences, installed
from farm.paint.cores import usable_cores
from farm.plan import Runtime, Task
from farm.render.frame_report import FrameReport
from farm.render.software import software_of
from farm.spec import FrameRange
from farm.spec.choices import Precision

if TYPE_CHECKING:
    from farm.render.chunk import ChunkRenderer
    from farm.render.cost_sample import Sample


@dataclass(frozen=True)
class WorkerFacts:
    """What a worker says of itself when it is up.

    `node` is Ray's id of its node and `host` that machine's name. `problem` is why it cannot work on the job, empty if
    it can. `software` is what it paints with, None from an earlier build that does not tell. `clock` is its time as it
    answers, in seconds since 1970, 0 where it does not tell. The pool adds the two last: `ahead` is by how many seconds
    that clock is ahead of the driver's, and `differs` how its software differs from the job's.
    """

    runtime: Runtime
    node: str
    pid: int
    host: str
    problem: str = ""
    software: Mapping[str, str] | None = None
    clock: float = 0.0
    ahead: float = 0.0
    differs: str = ""


class RenderWorker:
    """Renders tasks of any job. What one job has loaded stays until a task of another job comes."""

    def __init__(self, threads: int, name: str, *, gpu: bool = False) -> None:
        """`gpu` is whether Ray has booked a GPU for this worker."""
        self._threads, self._name, self._gpu = threads, name, gpu
        self._worker = name.rpartition(" ")[2]
        """The name in the ledger and in the history, `worker-2`. The film's title before it is for the dashboard."""
        self._renderer: ChunkRenderer | None = None
        if not gpu:
            from farm.paint.device import hide_gpus

            hide_gpus()

    def __repr__(self) -> str:
        """The name that the dashboard and Ray's logs have for the actor."""
        return f"render {self._name}"

    def facts(self, precision: Precision, job_url: str, inputs: tuple[str, ...]) -> WorkerFacts:
        """Load torch, set the number of threads, and tell how this worker computes and whether it sees the files."""
        from farm.paint.device import configure_threads

        configure_threads(self._threads)
        runtime = self._runtime(precision)
        return WorkerFacts(
            runtime=runtime,
            node=ray.get_runtime_context().get_node_id(),
            pid=os.getpid(),
            host=socket.gethostname(),
            problem=_invisible(job_url, inputs),
            software=software_of(runtime),
            clock=time.time(),
        )

    def render(self, job_url: str, task: Task, cores: int = 1) -> Iterator[FrameReport]:
        """Commit the frames of a task, and yield a report after each.

        `cores` more than its threads are on loan from workers that are idle until the task ends. No bit depends on it.
        """
        renderer = self._renderer_of(job_url)
        from farm.paint.features.bands import lent_cores

        with lent_cores(cores):
            yield from renderer.render(task)

    def still(self, job_url: str, frame: int) -> FrameReport:
        """Commit a frame by itself, for a preview. Jobs may change from call to call."""
        return self._renderer_of(job_url).single_frame(frame)

    def sample(self, job_url: str, chunk: int) -> Sample:
        """Measure what frames like those of this chunk cost, in a scratch job of this worker's own."""
        from farm.render.cost_sample import sample_chunk

        return sample_chunk(self._renderer_of(job_url), chunk)

    def _renderer_of(self, job_url: str) -> ChunkRenderer:
        """The renderer of a job, which is kept until another job's is asked for."""
        if self._renderer is None or self._renderer.job.url != JobDirectory(job_url).url:
            from farm.render.chunk import ChunkRenderer

            own = self._runtime("auto")
            if own.max_memory is not None and own.device == "cpu":
                # for a job whose first worker had a GPU; any other job says how much each worker takes
                own = own.model_copy(update={"max_memory": own.max_memory // max(usable_cores() // self._threads, 1)})
            self._renderer = ChunkRenderer(job_url, self._worker, own)
            software = software_of(self._renderer.runtime)  # with the job's precision
            self._renderer.software = ", ".join(differences(self._renderer.record.versions, software))
        return self._renderer

    def _runtime(self, precision: Precision) -> Runtime:
        from farm.paint.styler import local_runtime

        return local_runtime(precision, self._threads, "auto" if self._gpu else "cpu")


class FlowWorker:
    """Fills the flow store of a job with the fields between neighbouring frames. Nobody waits for it."""

    def __init__(self, name: str) -> None:
        self._name = name
        os.nice(10)

    def __repr__(self) -> str:
        return f"flow {self._name}"

    def run(self, job_url: str, ranges: tuple[FrameRange, ...], label: str, mixed: bool = False) -> Iterator[int]:
        """Yield how many new fields each pair of neighbours needed: 0 or 2. The job is called `label` in metrics.

        Where this node would compute other flow than the job was begun with, nothing is computed, unless `mixed`.
        """
        import cv2

        from farm.render.source_frames import SourceFrames, open_flow_store

        cv2.setNumThreads(1)
        job = JobDirectory(job_url)
        record = job.load_record()
        if record is None or not (mixed or _computes_its_flow(record)):
            return
        meters = Meters(label)
        store = open_flow_store(job, record, SourceFrames(record), behind=True)
        with published(meters):
            for frames in ranges:
                for frame in range(frames.start + 1, frames.stop):
                    fields = 2 * store.ensure(frame, frame - 1)
                    meters.add("farm_flow_fields", fields)
                    yield fields
            store.flush()


def _computes_its_flow(record: JobRecord) -> bool:
    """Whether the optical flow of this process is that of the job."""
    compared = (*FOR_FLOW, "torch", "torchvision") if record.spec.flow == "raft" else FOR_FLOW
    return not differences(record.versions, installed(), compared)


def _invisible(job_url: str, inputs: Collection[str]) -> str:
    """Why this machine cannot work on the job, in a few words. Empty if it can."""
    for path in (job_url, *inputs):
        if "://" not in path and not Path(path).exists():
            return f"{path} is not to be seen"
    return ""


def end_ray_process(pid: int) -> None:
    """Send SIGKILL to a process of this machine, if it is one of Ray's.

    Where there is no /proc, it is sent without a look.
    """
    title = Path(f"/proc/{pid}/cmdline")
    if not Path("/proc/self").exists() or (title.exists() and title.read_bytes().startswith(b"ray::")):
        os.kill(pid, signal.SIGKILL)


def spawn_render_worker(threads: int, *, gpu: bool, avoided: Collection[str], name: str) -> ray.actor.ActorHandle:
    """Start a render worker on any node but the `avoided` ones (Ray's ids). `name` is what the dashboard calls it."""
    options: dict[str, Any] = {"num_cpus": 1 if gpu else threads, "num_gpus": 1 if gpu else 0, "max_restarts": 0}
    options["enable_task_events"] = False  # the dashboard counts the film's frames instead: farm.cluster.phase_bars
    if avoided:
        options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(avoided))})"}
    return ray.remote(RenderWorker).options(name=name, **options).remote(threads, name, gpu=gpu)


def spawn_flow_worker(name: str) -> ray.actor.ActorHandle:
    """Start a flow worker, on a node that has cores. It books none: it only takes what the renderers leave idle."""
    options: dict[str, Any] = {"num_cpus": 0, "max_restarts": 0}
    nodes = [node for node in ray.nodes() if node["Alive"]]
    without_cores = sorted(node["NodeID"] for node in nodes if not node["Resources"].get("CPU"))
    if without_cores:
        options["label_selector"] = {"ray.io/node-id": f"!in({','.join(without_cores)})"}
    return ray.remote(FlowWorker).options(name=f"{name} flow", **options).remote(name)
