"""The Ray actors: thin shells around plain classes, and the one place where those are wrapped.

`RenderWorker` renders tasks, one GPU each where there are GPUs, otherwise a share of the cores with a fixed
number of threads. `FlowWorker` runs ahead of the renderers and fills the flow store at low priority.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import ray

from farm.frames import FrameRange
from farm.job import JobDirectory, Runtime
from farm.plan import Task
from farm.render import ChunkRenderer, FrameReport, SourceFrames, open_flow_store


@dataclass(frozen=True)
class WorkerFacts:
    """What a worker says of itself when it is up."""

    runtime: Runtime
    node: str
    pid: int


class RenderWorker:
    """Renders tasks of any job; what one job loaded stays until a task of another job comes."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._renderer: ChunkRenderer | None = None

    def facts(self, precision: str) -> WorkerFacts:
        """Load torch, fix the threads, and say how this worker would compute."""
        import torch

        from farm.style.device import available_memory, choose_device, choose_precision, configure_threads

        configure_threads(self._threads)
        device = choose_device()
        bf16 = choose_precision(precision, device) is torch.bfloat16  # type: ignore[arg-type]
        return WorkerFacts(
            runtime=Runtime(
                device="cuda" if device.type == "cuda" else "cpu",
                precision="bf16" if bf16 else "fp32",
                threads=self._threads,
                max_memory=available_memory(device),
            ),
            node=ray.get_runtime_context().get_node_id(),
            pid=os.getpid(),
        )

    def render(self, job_url: str, task: Task, flow_sources: tuple[str, ...]) -> Iterator[FrameReport]:
        if self._renderer is None or self._renderer.job.url != JobDirectory(job_url).url:
            self._renderer = ChunkRenderer(job_url, flow_sources)
        yield from self._renderer.render(task)


class FlowWorker:
    """Fills the flow store of a job with the fields between neighbours. Nobody waits for it."""

    def __init__(self) -> None:
        os.nice(10)

    def run(self, job_url: str, ranges: tuple[FrameRange, ...], flow_sources: tuple[str, ...]) -> Iterator[int]:
        """Yield how many new fields each pair of neighbours needed (0 or 2)."""
        import cv2

        cv2.setNumThreads(1)
        job = JobDirectory(job_url)
        record = job.load_record()
        if record is None:
            return
        store = open_flow_store(job, record, SourceFrames(record), flow_sources)
        for frames in ranges:
            for frame in range(frames.start + 1, frames.stop):
                yield 2 * store.ensure(frame, frame - 1)


def spawn_render_worker(threads: int, *, gpu: bool) -> ray.actor.ActorHandle:
    actor = ray.remote(RenderWorker)
    return actor.options(num_cpus=1 if gpu else threads, num_gpus=1 if gpu else 0, max_restarts=0).remote(threads)


def spawn_flow_worker() -> ray.actor.ActorHandle:
    # no share of the cores is booked: it only takes what the optimisers leave idle
    return ray.remote(FlowWorker).options(num_cpus=0, max_restarts=0).remote()
