"""How the workers of a job compute, as the job record keeps it."""

from __future__ import annotations

from typing import Literal

from farm.spec import Model


class Runtime(Model):
    """How every worker of a job computes, whatever its machine has: the same frames need the same arithmetic."""

    device: Literal["cpu", "cuda"]
    precision: Literal["bf16", "fp32"]
    threads: int
    """Threads of one worker."""
    max_memory: int | None = None
    """Bytes that one worker may take: frames that need more are painted in tiles. None for no limit."""
