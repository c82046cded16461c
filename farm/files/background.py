"""Calls of storage in other threads, so that who computes does not wait for them: writes behind, reads ahead.

behind = Behind(threads=4, most=16)
behind(lambda: storage.write(name, data))     # returns at once, unless 16 calls are waiting already
behind.flush()                                # returns when all is written; raises what a write raised

ahead = Ahead(threads=8)
ahead.start("a.png", lambda: storage.read("a.png"))
ahead.take("a.png", lambda: storage.read("a.png"))    # the read that was started, or else one that is made now
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Behind:
    """Makes calls in `threads` other threads. At most `most` are under way; a further one waits. For one caller.

    With one thread, calls are made in the order given.
    """

    def __init__(self, threads: int, most: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="behind")
        self._most = most
        self._under_way: deque[Future[object]] = deque()

    def __call__(self, call: Callable[[], object]) -> None:
        """Begin `call`. Raises what an earlier call raised, once."""
        while self._under_way and (len(self._under_way) >= self._most or self._under_way[0].done()):
            self._under_way.popleft().result()
        self._under_way.append(self._threads.submit(call))

    def flush(self) -> None:
        """Wait for all calls. Raises what one of them raised, once."""
        while self._under_way:
            self._under_way.popleft().result()


class Ahead(Generic[K, V]):
    """Values that are read in `threads` other threads before they are asked for. For one caller."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="ahead")
        self._coming: dict[K, Future[V]] = {}

    def start(self, key: K, read: Callable[[], V]) -> None:
        """Begin to read the value of `key`, unless that was begun and not taken yet."""
        if key not in self._coming:
            self._coming[key] = self._threads.submit(read)

    def take(self, key: K, read: Callable[[], V]) -> V:
        """The value that was begun to be read, or `read()`. Raises what the reading raised."""
        coming = self._coming.pop(key, None)
        return read() if coming is None else coming.result()

    def forget(self) -> None:
        """Drop the values that were not taken."""
        for future in self._coming.values():
            future.cancel()
        self._coming.clear()


class Kept(Generic[K, V]):
    """Values in memory up to a sum of bytes; those used longest ago go first. For any number of threads."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self._bytes = most_bytes, 0
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K) -> V | None:
        """The value of `key`. None where it was never kept, or has gone."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value of `size` bytes, unless it alone is larger than all that may be kept."""
        with self._lock:
            self._bytes -= self._values.pop(key, (value, 0))[1]
            if size > self.most_bytes:
                return
            self._values[key] = (value, size)
            self._bytes += size
            while self._bytes > self.most_bytes:
                self._bytes -= self._values.popitem(last=False)[1][1]

    def drop(self, key: K) -> None:
        """Keep the value of `key` no longer."""
        with self._lock:
            if key in self._values:
                self._bytes -= self._values.pop(key)[1]
