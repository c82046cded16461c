"""How the workers of a job compute."""

from __future__ import annotations

from typing import Literal

from farm.spec import Model


class Runtime(Model):
    """How every worker of the job computes, whatever it has: the same frames need the same arithmetic."""

    device: Literal["cpu", "cuda"]
    precision: Literal["bf16", "fp32"]
    threads: int
    max_memory: int | None = None
    """Bytes that one worker may take: larger frames are painted in tiles."""
