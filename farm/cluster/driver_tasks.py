"""Runs probing and encoding as named Ray tasks, so that the dashboard shows them.

inputs = run_driver_task("probe", read_inputs, spec)
run_driver_task("stitch", make_segment, job_url, segment, check=stop_if_asked)

A task books a core of any node. Where the cluster has no cores yet, or renderers hold all of them for CORE_SECONDS, it
runs beside the driver, where few are at work at a time, however many jobs there are: a job whose renderers wait for its
film would otherwise wait for a core that they hold themselves.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from farm.errors import RenderError
from farm.job import JobDirectory
from farm.plan.memory_losses import MemoryLosses
from farm.plan.segments import Segment

if TYPE_CHECKING:
    from ray.exceptions import RayError

CORE_SECONDS = 10.0
"""Seconds that a task waits for a free core of any node."""
SHARE_OF_NODE = 0.4
"""Share of a driver's node that a task without a core takes: two are at work there at a time."""
ATTEMPTS = 3
"""Times that a task is begun whose process is lost."""
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
    from farm.render.stitch import Segments

    Segments(job, record).make(segment)


def run_driver_task(
    name: str,
    work: Callable[..., T],
    *arguments: Any,
    check: Callable[[], None] = lambda: None,
    note: Callable[[str], None] = lambda _: None,
    here: bool = False,
) -> T:
    """Call `work(*arguments)` in a process of its own, and return what it returns. `name` is for the dashboard.

    The call is begun again where its process is lost. Where the memory of its machine runs out, that is after a pause,
    `note` gets a line for people, and it is no attempt unless it is hopeless. With `here` it runs on the driver's node.
    `check` is called every POLL_SECONDS and may raise to end it. Raises what `work` and `check` raise, and RenderError
    where the process is lost ATTEMPTS times.
    """
    from ray.exceptions import RayError

    from farm.cluster.ray_errors import meaning_of

    memory, attempt = MemoryLosses(), 0
    while True:
        try:
            value: T = _run(name, work, arguments, check, here=here)
            return value
        except RayError as error:
            attempt += _counts(error, memory)
            if attempt >= ATTEMPTS:
                problem = f"{name} could not be run: {meaning_of(error).reason}"
                raise RenderError(problem, "run the same command again") from None
            if memory.short:
                note(f"{name} was ended, and is begun again: {meaning_of(error).reason}")
        while not memory.may_start(time.monotonic()):
            check()
            time.sleep(POLL_SECONDS)


def _counts(error: RayError, memory: MemoryLosses) -> bool:
    """Whether a task that ended with `error` has used up an attempt. Raises what the task itself raised."""
    from farm.cluster.pool import cause_of
    from farm.cluster.ray_errors import End, meaning_of

    meaning = meaning_of(error)
    if meaning.end is End.RAISED:
        raise cause_of(error) from None
    if meaning.end is End.HERE:
        raise RenderError(meaning.reason, "run the same command again") from None
    if meaning.end is End.MEMORY:
        memory.lost(time.monotonic(), 1)
        return memory.hopeless
    return True


def _run(
    name: str, work: Callable[..., Any], arguments: tuple[Any, ...], check: Callable[[], None], *, here: bool
) -> Any:
    """One attempt of `run_driver_task`: at the first place where the task begins in time. Raises errors of Ray."""
    import ray

    # Attempts are counted here: a stream that Ray begins anew would tell once more that it has begun.
    common: dict[str, Any] = {"name": name, "num_returns": "streaming", "max_retries": 0}
    for options, patience in _places(here=here):
        stream = ray.remote(_told).options(**common, **options).remote(work, *arguments)
        try:
            if _answers(stream, patience, check):
                ray.get(next(stream))
                _answers(stream, math.inf, check)
                return ray.get(next(stream))
        except BaseException:
            _end(stream)
            raise
        _end(stream)
    raise AssertionError("the last place has all patience")


def _places(*, here: bool) -> Iterator[tuple[dict[str, Any], float]]:
    """Options of Ray for each place where a task may run, with the seconds within which it has to begin there."""
    import ray

    from farm.cluster.phase_bars import beside_the_driver

    if not here and ray.cluster_resources().get("CPU", 0.0) >= 1:
        yield {"num_cpus": 1}, CORE_SECONDS
    address = ray.util.get_node_ip_address()
    yield {**beside_the_driver(), "resources": {f"node:{address}": SHARE_OF_NODE}}, math.inf


def _answers(stream: Any, patience: float, check: Callable[[], None]) -> bool:
    """Whether the stream has a next answer within `patience` seconds. `check` is called meanwhile, and may raise."""
    import ray

    began = time.monotonic()
    while not ray.wait([stream], timeout=POLL_SECONDS)[0]:
        check()
        if time.monotonic() - began > patience:
            return False
    return True


def _told(work: Callable[..., T], *arguments: Any) -> Iterator[T | None]:
    """Answer None when the task has begun, then what `work` returns."""
    # Where a shell started Ray in the background, Ray's processes ignore SIGINT, and so would not hear of a cancel.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield None
    yield work(*arguments)


def _end(stream: Any) -> None:
    """Interrupt a task as Ctrl-C would, and wait until it has removed what it has half written."""
    import ray

    with contextlib.suppress(Exception):
        ray.cancel(stream, force=False)
        ray.wait([stream.completed()], timeout=END_SECONDS)
