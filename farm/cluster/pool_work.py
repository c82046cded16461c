"""Hand pieces of work to the workers of a pool, beside the tasks of a render: what previews and forecasts need.

wait_for_all(pool, seconds=60.0, check=stop_if_asked)
for frame, report in work_off(pool, frames, call, check=stop_if_asked):
    ...     # call(actor, frame) started the work

A piece whose worker is lost goes to another worker, ATTEMPTS times in all.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from farm.cluster.pool import WorkerPool, cause_of
from farm.cluster.ray_errors import End
from farm.errors import ChunkFailedError, FarmError

ATTEMPTS = 3
"""Times that a piece is begun whose worker is lost."""
POLL_SECONDS = 1.0
"""Longest wait between two calls of `check`."""

Piece = TypeVar("Piece")


def wait_for_all(pool: WorkerPool, seconds: float, check: Callable[[], None]) -> None:
    """Wait until every worker that the pool may have is up, or until `seconds` have passed. `check` may raise."""
    deadline = time.monotonic() + seconds
    while len(pool.facts) < pool.allowed and time.monotonic() < deadline:
        check()
        pool.follow_quota(pool.allowed)
        for source in ray.wait(list(pool.starting), timeout=POLL_SECONDS)[0] if pool.starting else ():
            pool.answered(source)


def work_off(
    pool: WorkerPool,
    pieces: Sequence[Piece],
    call: Callable[[Any, Piece], Any],
    check: Callable[[], None],
    describe: Callable[[Piece], str] = str,
) -> Iterator[tuple[Piece, Any]]:
    """Hand every piece, in order, to whichever worker is idle; yield each with its result as it is done.

    `call(actor, piece)` starts the work and returns Ray's reference to its result. `check` is called at least every
    second, and may raise. `describe` names a piece in errors.
    Raises the FarmError that the work raised, and ChunkFailedError where it raised another or ATTEMPTS workers died.
    """
    waiting, lost = list(pieces)[::-1], Counter[str]()
    busy: dict[Any, tuple[str, Piece]] = {}
    idle = list(pool.facts)
    while waiting or busy:
        check()
        while idle and waiting:
            worker, piece = idle.pop(), waiting.pop()
            busy[call(pool.actors[worker], piece)] = (worker, piece)
        pool.follow_quota(len(busy) + len(waiting))
        for source in _ready([*busy, *pool.starting]):
            if source in pool.starting:
                worker_up = pool.answered(source)
                idle += [] if worker_up is None else [worker_up]
                continue
            worker, piece = busy.pop(source)
            name = describe(piece)
            try:
                result = ray.get(source)
            except RayError as error:
                lost[name] += 1
                _take_loss(pool, worker, error, name, final=lost[name] == ATTEMPTS)
                waiting.append(piece)
                continue
            idle.append(worker)
            yield piece, result


def _ready(sources: list[Any]) -> list[Any]:
    """The first source that has something to report within a second; without a source it just waits."""
    if not sources:
        time.sleep(POLL_SECONDS)
        return []
    return ray.wait(sources, num_returns=1, timeout=POLL_SECONDS)[0]


def _take_loss(pool: WorkerPool, worker: str, error: RayError, name: str, *, final: bool) -> None:
    """Remove a worker that was lost at the piece called `name`. Raises what `work_off` does; `final` ends the work."""
    meaning = pool.lost_to(worker, error)
    if meaning.end is End.RAISED and isinstance(error, RayTaskError):
        cause = cause_of(error)
        raise (cause if isinstance(cause, FarmError) else ChunkFailedError(f"{name} failed: {cause}")) from None
    pool.remove(worker)
    if final:
        raise ChunkFailedError(f"a worker died at {name}: {meaning.reason}", "run the same command again") from None
