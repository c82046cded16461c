"""Three things done to a row of items, each to another item at the same time."""

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


def in_stages(
    items: Iterable[A], first: Callable[[A], B], second: Callable[[B], C], third: Callable[[C], D]
) -> Iterator[D]:
    """`third(second(first(item)))` for each item in order, while the next is at `first` and the last at `third`.

    `second` runs in the caller's thread, the others in one thread each. What one raises is raised here.
    """
    with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(1) as behind:
        waiting = iter(items)
        coming = deque(ahead.submit(first, item) for item in itertools.islice(waiting, 2))
        leaving: deque[Future[D]] = deque()
        try:
            while coming:
                ready = coming.popleft().result()
                coming.extend(ahead.submit(first, item) for item in itertools.islice(waiting, 1))
                leaving.append(behind.submit(third, second(ready)))
                while leaving and (leaving[0].done() or len(leaving) > 1):
                    yield leaving.popleft().result()
            while leaving:
                yield leaving.popleft().result()
        finally:
            for future in coming:
                future.cancel()
