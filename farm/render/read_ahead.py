"""Steps that are done to each item of a sequence, on different items at the same time. The order is kept.

for picture in ahead(frames, read): ...                        # the next ones are read meanwhile
for record in overlapped(batches, read, paint, commit): ...
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
    """Yield `make(item)` for each item, made in another thread up to `count` items ahead.

    What `make` raises is raised here, after the items before it.
    """
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


def overlapped(
    items: Iterable[A], first: Callable[[A], B], second: Callable[[B], C], third: Callable[[C], D]
) -> Iterator[D]:
    """Yield `third(second(first(item)))` for each item in order.

    While `second` works on an item, `first` works on the next one and `third` on the one before. `second` runs in the
    caller's thread, the others in a thread each. What one of them raises is raised here.
    """
    with ThreadPoolExecutor(1) as behind:
        leaving: deque[Future[D]] = deque()
        for ready in ahead(items, first):
            leaving.append(behind.submit(third, second(ready)))
            while leaving and (leaving[0].done() or len(leaving) > 1):
                yield leaving.popleft().result()
        while leaving:
            yield leaving.popleft().result()
