"""What this process paints with, and whether it would paint a job's frames as the job's workers did.

    software_of(runtime)             {"farm": ..., "torch": ..., "precision": "bf16", "processor": "x86_64 AVX512"}
    check_paints_alike(record)       raises UsageError where frames would come out otherwise

It loads torch.
"""

from __future__ import annotations

from farm.errors import UsageError
from farm.job import JobRecord
from farm.job.software import differences, installed
from farm.plan import Runtime


def software_of(runtime: Runtime) -> dict[str, str]:
    """What a worker that computes as `runtime` says paints with."""
    import torch

    from farm.paint.device import choose_device, processor_level

    dtype = torch.bfloat16 if runtime.precision == "bf16" else torch.float32
    level = processor_level(choose_device(runtime.device), dtype)
    return {**installed(), "precision": runtime.precision, "processor": level}


def check_paints_alike(record: JobRecord, what: str) -> None:
    """Raise UsageError where this process would not paint `what`, such as `frame 7`, as the job's workers did."""
    from farm.paint.styler import local_runtime

    runtime = record.runtime.on(local_runtime(record.runtime.precision, threads=None))
    if told := differences(record.versions, software_of(runtime)):
        raise UsageError(
            f"{what} would have to be painted again, as it was before it was edited, and this machine paints with "
            f"{', '.join(told)}",
            "do this on a machine like those that rendered the job",
        )
