"""Runs probing and stitching as named Ray tasks on the driver's node, so that the dashboard shows them.

inputs = run_driver_task("probe", read_inputs, spec)
run_driver_task("stitch", make_segment, job_url, segment, check=stop_if_asked)

They book no cores, so they run on a head that has none, and where renderers hold all of them.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from typing import Any, TypeVar

from farm.errors import RenderError, first_line
from farm.job import JobDirectory
from farm.plan.segments import Segment
from farm.render.stitch import Segments

POLL_SECONDS = 0.2
"""Seconds between two calls of `check`."""
END_SECONDS = 10.0
"""Seconds that a task which is not wanted any more gets to remove what it has half written."""

T = TypeVar("T")


def make_segment(job_url: str, segment: Segment) -> None:
    """Encode and commit one segment of a job. Raises StorageError and EncodeError."""
    job = JobDirectory(job_url)
    record = job.load_record()
    assert record is not None  # the driver wrote it before there was anything to encode
    Segments(job, record).make(segment)


def run_driver_task(name: str, work: Callable[..., T], *arguments: Any, check: Callable[[], None] = lambda: None) -> T:
    """Call `work(*arguments)` in a process of its own, and return what it returns. `name` is for the dashboard.

    The call is begun again where its process is lost. `check` is called every POLL_SECONDS and may raise to end it.
    Raises what `work` and `check` raise, and RenderError where the process is lost again and again.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError

    from farm.cluster.phase_bars import beside_the_driver
    from farm.cluster.pool import cause_of

    result = ray.remote(_interruptible).options(name=name, **beside_the_driver()).remote(work, *arguments)
    try:
        while not ray.wait([result], timeout=POLL_SECONDS)[0]:
            check()
    except BaseException:
        _end(result)
        raise
    try:
        value: T = ray.get(result)
    except RayTaskError as error:
        raise cause_of(error) from None
    except RayError as error:
        raise RenderError(f"{name} could not be run: {first_line(error)}", "run the same command again") from None
    return value


def _interruptible(work: Callable[..., T], *arguments: Any) -> T:
    # Where a shell started Ray in the background, Ray's processes ignore SIGINT, and so would not hear of a cancel.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return work(*arguments)


def _end(result: Any) -> None:
    """Interrupt a task as Ctrl-C would, and wait until it has removed what it has half written."""
    import ray

    ray.cancel(result, force=False)
    with contextlib.suppress(Exception):
        ray.get(result, timeout=END_SECONDS)
