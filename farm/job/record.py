"""What a job is and what a committed frame is, as the job directory keeps them."""

from __future__ import annotations

import hashlib
import json

from pydantic import AliasChoices, Field

from farm.plan import RenderPlan, Runtime, VideoProbe
from farm.spec import Model, RenderSpec

FLOW_STORE_VERSION = 2


class JobRecord(Model):
    """`job.json`. `input_hashes` maps every file that the render reads to the hash of its bytes; `save_storage` is how
    the render was begun, for whoever goes on with it.
    """

    spec: RenderSpec
    input_hashes: dict[str, str]
    probe: VideoProbe
    cuts: tuple[int, ...]
    plan: RenderPlan
    runtime: Runtime
    versions: dict[str, str]
    save_storage: bool = Field(default=False, validation_alias=AliasChoices("save_storage", "spare_storage"))


class FrameRecord(Model):
    """One committed frame, as the ledger has it. `seconds` are of work, waiting for storage included; `bytes` are those
    of its file; `worker` committed it at `committed` seconds since 1970.
    """

    frame: int
    sha256: str
    steps: int = 0
    stop: str = ""
    restarts: int = 0
    notes: tuple[str, ...] = ()
    losses: dict[str, float] = Field(default_factory=dict)
    seconds: float = 0.0
    bytes: int = 0
    worker: str = ""
    committed: float = 0.0


def record_flow_key(record: JobRecord) -> str:
    """Names all that the flow fields of a job depend on: the video, the size, and the estimator or the given files."""
    spec, size = record.spec, (record.plan.width, record.plan.height)
    method = "given" if spec.flow_dir else spec.flow
    beside = record.input_hashes.get(spec.flow_dir or spec.flow_weights or "", "")
    parts = json.dumps([FLOW_STORE_VERSION, record.probe.content_hash, size, method, beside, *sorted(spec.as_stored)])
    return f"{method}-{size[0]}x{size[1]}-{hashlib.sha256(parts.encode()).hexdigest()[:16]}"
