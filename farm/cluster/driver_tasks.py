"""What a job of a cluster does beside its chunks, as Ray tasks on the driver's node: so the dashboard has bars of it.

prepared = run_errand("probe", prepare_job, spec, job_url)
run_errand("stitch", make_segment, job_url, segment, check=stop_if_asked)

They book no cores: on a head that has none, or where renderers hold all of them, they run all the same.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from typing import Any, TypeVar

from farm.errors import FarmError, RenderError
from farm.job.directory import JobDirectory
from farm.plan.segments import Segment
from farm.render.stitch import Segments

POLL_SECONDS = 0.2
END_SECONDS = 10.0
"""For an errand that is not wanted any more to clean up behind itself."""

T = TypeVar("T")


def make_segment(job_url: str, segment: Segment) -> None:
    """Encode and commit one segment of a job. Raises StorageError, EncodeError."""
    job = JobDirectory(job_url)
    record = job.load_record()
    assert record is not None  # the driver wrote it before there was anything to encode
    Segments(job, record).make(segment)


def run_errand(name: str, work: Callable[..., T], *arguments: Any, check: Callable[[], None] = lambda: None) -> T:
    """`work(*arguments)` in a process of its own, begun again where that is lost; `check` may raise to end it.

    Raises what it raises, and RenderError where its process is lost again and again.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError

    from farm.cluster.phase_bars import beside_the_driver

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
        cause = error.cause if isinstance(error.cause, FarmError) else error.as_instanceof_cause()
        raise cause from None
    except RayError as error:
        reason = str(error).splitlines()[0]
        raise RenderError(f"{name} could not be run: {reason}", "run the same command again") from None
    return value


def _interruptible(work: Callable[..., T], *arguments: Any) -> T:
    # Where Ray was started in the background by a shell, its processes ignore SIGINT, and would not hear of a cancel.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return work(*arguments)


def _end(result: Any) -> None:
    """Interrupt it as Ctrl-C would, and wait until it has removed what is half written."""
    import ray

    ray.cancel(result, force=False)
    with contextlib.suppress(Exception):
        ray.get(result, timeout=END_SECONDS)
