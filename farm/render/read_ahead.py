"""Things done to a row of items, each to another item at the same time; order is kept.

for picture in ahead(frames, read): ...                     # the next ones are read meanwhile
for record in in_stages(batches, read, paint, commit): ...
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


def ahead(items: Iterable[A], make: Callable[[A], B], count: int = 2) -> Iterator[B]:
    """`make(item)` for each item, in another thread and up to `count` items ahead. What it raises is raised here."""
    waiting = iter(items)
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(make, item) for item in itertools.islice(waiting, count))
        try:
            while coming:
                ready = coming.popleft().result()
                coming.extend(thread.submit(make, item) for item in itertools.islice(waiting, 1))
                yield ready
        finally:
            for future in coming:
                future.cancel()


def in_stages(
    items: Iterable[A], first: Callable[[A], B], second: Callable[[B], C], third: Callable[[C], D]
) -> Iterator[D]:
    """`third(second(first(item)))` for each item in order, while the next is at `first` and the last at `third`.

    `second` runs in the caller's thread, the others in one thread each. What one raises is raised here.
    """
    with ThreadPoolExecutor(1) as behind:
        leaving: deque[Future[D]] = deque()
        for ready in ahead(items, first):
            leaving.append(behind.submit(third, second(ready)))
            while leaving and (leaving[0].done() or len(leaving) > 1):
                yield leaving.popleft().result()
        while leaving:
            yield leaving.popleft().result()
