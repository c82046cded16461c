"""How workers compute: what each of them has of its own, and what the job record fixes for all of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, Field, model_validator

from farm.spec import Model


class Runtime(Model):
    """How one worker computes. The device and the threads are its machine's, whatever began the job."""

    device: Literal["cpu", "cuda"]
    precision: Literal["bf16", "fp32"]
    threads: int
    """CPU threads of the worker."""
    max_memory: int | None = None
    """Bytes that the worker may take: frames that need more are painted in tiles. None for no limit."""


class JobRuntime(Model):
    """What all workers of a job have in common, as `job.json` keeps it.

    Why these: the same frames need the same arithmetic, and a frame in tiles is rounded differently from a whole one.
    `max_memory` was found by a worker on `memory_of`, and says nothing about the memory of the other device. Records of
    earlier versions also fixed the threads, and so the device, which is not read any more.
    """

    precision: Literal["bf16", "fp32"]
    max_memory: int | None = None
    memory_of: Literal["cpu", "cuda"] = Field(default="cpu", validation_alias=AliasChoices("memory_of", "device"))

    @model_validator(mode="before")
    @classmethod
    def _without_threads(cls, value: Any) -> Any:
        return {name: field for name, field in value.items() if name != "threads"} if isinstance(value, dict) else value

    @classmethod
    def of(cls, worker: Runtime) -> JobRuntime:
        """What a job takes over from its first worker."""
        return cls(precision=worker.precision, max_memory=worker.max_memory, memory_of=worker.device)

    def on(self, worker: Runtime) -> Runtime:
        """How `worker` computes on this job: with its own device and threads, and the job's precision.

        Its limit of memory is the job's, unless that was found on another kind of device.
        """
        max_memory = self.max_memory if self.memory_of == worker.device else worker.max_memory
        return worker.model_copy(update={"precision": self.precision, "max_memory": max_memory})
