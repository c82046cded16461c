"""Optical flow between the frames of one video, estimated once and kept in the job directory.

Flow needs no stylised frame, so anybody may compute it ahead of the renderers; whoever needs a field that
is not there yet computes it itself. What is used is always the stored field (1/64 pixel), so it makes no
difference who computed it. Fields over more than one frame are composed from those between neighbours.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from farm.errors import FlowFileError
from farm.flow import compose, decode_flow, encode_flow, reliability_weights
from farm.storage import Storage

CACHE_BYTES = 1 << 30


class FlowStore:
    """Flow between frames by number. `measure` gives the flow between two neighbours that is not kept yet.

    `others` are stores of earlier jobs that are read, never written.
    """

    def __init__(
        self, storage: Storage, measure: Callable[[int, int], np.ndarray], others: Sequence[Storage] = ()
    ) -> None:
        self._storage = storage
        self._others = others
        self._measure = measure
        self._cache: OrderedDict[tuple[str, int, int], np.ndarray] = OrderedDict()
        self._cached_bytes = 0
        self.computed = 0

    def flow(self, source: int, target: int) -> np.ndarray:
        """The flow from frame `source` to frame `target`, (H, W, 2) float32 pixels."""
        distance = abs(target - source)
        if distance == 0:
            raise ValueError("flow from a frame to itself")
        if distance == 1:
            return self._cached(("flow", source, target), lambda: self._neighbour(source, target))
        middle = source + (target - source) // 2
        return self._cached(
            ("flow", source, target), lambda: compose(self.flow(source, middle), self.flow(middle, target))
        )

    def weights(self, source: int, target: int) -> np.ndarray:
        """How far each pixel of `source` may be tied to `target`: (H, W) float32, 0..1 (Ruder 2016, eq. 5 and 6)."""
        return self._cached(
            ("weights", source, target),
            lambda: reliability_weights(self.flow(source, target), self.flow(target, source)),
        )

    def ensure(self, source: int, target: int) -> bool:
        """Estimate the flow between two neighbours unless it is kept already. True where it had to be."""
        if self._read(source, target) is not None:
            return False
        self._neighbour(source, target)
        return True

    def _neighbour(self, source: int, target: int) -> np.ndarray:
        kept = self._read(source, target)
        if kept is not None:
            return kept
        data = encode_flow(self._measure(source, target))
        self._storage.write(_name(source, target), data)
        self.computed += 1
        return decode_flow(data)

    def _read(self, source: int, target: int) -> np.ndarray | None:
        for storage in (self._storage, *self._others):
            data = storage.read(_name(source, target))
            if data is not None:
                try:
                    return decode_flow(data)
                except FlowFileError:
                    continue
        return None

    def _cached(self, key: tuple[str, int, int], make: Callable[[], np.ndarray]) -> np.ndarray:
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        value = make()
        self._cache[key] = value
        self._cached_bytes += value.nbytes
        while self._cached_bytes > CACHE_BYTES and len(self._cache) > 1:
            self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return value


def _name(source: int, target: int) -> str:
    return f"{source:06d}-{target:06d}.png"
