"""What of a worker belongs to the job, and what to the worker's machine."""

import pytest

from farm.plan import JobRuntime, Runtime

CPU = Runtime(device="cpu", precision="bf16", threads=4, max_memory=100)
GPU = Runtime(device="cuda", precision="bf16", threads=2, max_memory=24)


@pytest.mark.parametrize(
    ("first", "worker", "computes"),
    [
        # the limit of memory is the first worker's as long as workers are of its kind: it decides about tiles
        (CPU, CPU.model_copy(update={"max_memory": 90}), CPU),
        (CPU.model_copy(update={"precision": "fp32"}), CPU, CPU.model_copy(update={"precision": "fp32"})),
        (CPU, GPU, GPU),
        (GPU, CPU, CPU),
        (CPU.model_copy(update={"threads": 1}), CPU, CPU),
    ],
)
def test_a_job_fixes_precision_and_memory_and_leaves_device_and_threads_to_the_worker(first, worker, computes):
    assert JobRuntime.of(first).on(worker) == computes


def test_what_earlier_versions_wrote_is_read():
    old = {"device": "cuda", "precision": "fp32", "threads": 3, "max_memory": 24}
    assert JobRuntime.model_validate(old) == JobRuntime(precision="fp32", max_memory=24, memory_of="cuda")


def test_what_is_written_is_read_and_names_no_device_to_paint_on():
    written = JobRuntime.of(GPU).model_dump(mode="json")
    assert written == {"precision": "bf16", "max_memory": 24, "memory_of": "cuda"}
    assert JobRuntime.model_validate(written) == JobRuntime.of(GPU)
