"""What a job is, and what a committed frame is, as the job directory keeps them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import AliasChoices, Field

from farm.plan import JobRuntime, RenderPlan, VideoProbe
from farm.spec import Model, RenderSpec
from farm.spec.choices import Keep

FLOW_STORE_VERSION = 2
"""Part of the flow store's key. It rises whenever stored flow would come out different."""


class JobRecord(Model):
    """`job.json`: everything that decides what the frames of a job look like.

    `input_hashes` maps the path of every file that the render reads to the SHA-256 of its bytes. `cuts` are the first
    frames of new shots. `versions` is what the job's first worker painted with (farm.job.software). `save_storage` is
    how the render was begun, so that a driver that continues it does the same, and so are `threads`, the threads of a
    worker that were asked for, and `keep`, what stays after success (farm.job.keep). `painted` is the probe of the
    painted film of method steady; None where that is a folder.
    """

    spec: RenderSpec
    input_hashes: dict[str, str]
    probe: VideoProbe
    cuts: tuple[int, ...]
    plan: RenderPlan
    runtime: JobRuntime
    versions: dict[str, str]
    save_storage: bool = Field(default=False, validation_alias=AliasChoices("save_storage", "spare_storage"))
    threads: int | None = None
    keep: Keep = "all"
    painted: VideoProbe | None = None


class FrameRecord(Model):
    """One committed frame, as the ledger has it.

    `sha256` and `bytes` are those of its file. The optimiser took `steps` steps, ended because of `stop`, and was begun
    anew `restarts` times. `work` is these steps times the share of the picture that they were taken over, and None in
    ledgers of earlier builds, where that was all of it. `losses` are weighed as in the spec. The work took `seconds`,
    waiting for storage included. `worker` committed it at `committed` seconds since 1970, by the worker's own clock.
    `software` is empty, or says how what it was painted with differs from what the job was begun with (`--mixed`).
    """

    frame: int
    sha256: str
    steps: int = 0
    work: float | None = None
    stop: str = ""
    restarts: int = 0
    notes: tuple[str, ...] = ()
    losses: dict[str, float] = Field(default_factory=dict)
    seconds: float = 0.0
    bytes: int = 0
    worker: str = ""
    committed: float = 0.0
    software: str = ""

    def as_row(self) -> dict[str, Any]:
        """The record as the ledger keeps it. `software` is left out where it is empty.

        Why: builds of the farm that do not know it then still read the ledgers of a job that is not mixed.
        """
        return self.model_dump(mode="json", exclude=None if self.software else {"software"})


def record_flow_key(record: JobRecord) -> str:
    """Key of a job's flow fields: it differs wherever the video, the size, the estimator or the given files do."""
    spec, size = record.spec, (record.plan.width, record.plan.height)
    method = "given" if spec.flow_dir else spec.flow
    beside = record.input_hashes.get(spec.flow_dir or spec.flow_weights or "", "")
    parts = json.dumps([FLOW_STORE_VERSION, record.probe.content_hash, size, method, beside, *sorted(spec.as_stored)])
    return f"{method}-{size[0]}x{size[1]}-{hashlib.sha256(parts.encode()).hexdigest()[:16]}"
