"""Optical flow between the frames of one video, estimated once and kept in the job directory.

Flow needs no stylised frame, so it may be computed ahead of the renderers. A renderer that needs a field that is not
there yet computes it itself. Only stored fields (1/64 pixel) are used, so it makes no difference who computed one.

Over more than one frame there are two ways. Composing the fields between neighbours follows slow motion exactly, but
loses whatever was hidden on the way. Estimating directly finds hidden things again, but misses large motion. Each pixel
takes the way whose forward and backward flow agree better.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from farm.errors import FlowFileError
from farm.files import Storage
from farm.flow.codec import decode_match, encode_flow
from farm.flow.consistency import reliability_weights
from farm.flow.match import Match, best_match
from farm.flow.warp import compose

CACHE_BYTES = 1 << 30
"""Bytes of fields that are kept in memory."""
CACHE_FIELDS = 2048
"""Fields that are kept in memory: about those that the long-term ties of a chunk share.

Why a number too: small frames would otherwise fill a gigabyte before any field is dropped.
"""

Kept = TypeVar("Kept", Match, np.ndarray)


class FlowStore:
    """Flow between frames by number. Every method raises StorageError, and whatever `measure` raises.

    `measure` matches two frames that are not kept yet, both ways. For frames that are no neighbours it may return
    None. `others` are stores of earlier jobs that are read, never written.
    """

    def __init__(
        self,
        storage: Storage,
        measure: Callable[[int, int], tuple[Match, Match] | None],
        others: Sequence[Storage] = (),
    ) -> None:
        self._storage = storage
        self._others = others
        self._measure = measure
        self._cache: OrderedDict[tuple[str, int, int], Match | np.ndarray] = OrderedDict()
        self._cached_bytes = 0

    def flow(self, source: int, target: int) -> np.ndarray:
        """The flow from frame `source` to frame `target`, (H, W, 2) float32, in pixels. Raises as `match` does."""
        return self.match(source, target).flow

    def weights(self, source: int, target: int) -> np.ndarray:
        """How far each pixel of `source` may be tied to `target`: (H, W) float32, 0..1 (Ruder 2016, eq. 5 and 6).

        Raises as `match` does.
        """
        return self.match(source, target).weight

    def match(self, source: int, target: int) -> Match:
        """Flow (H, W, 2) and weights (H, W), float32: per pixel from the chain of neighbours, or estimated directly.

        Raises ValueError for a frame and itself, FlowFileError where there is no flow between two neighbours.
        """
        if source == target:
            raise ValueError("flow from a frame to itself")
        return self._cached(("match", source, target), lambda: self._better(source, target))

    def ensure(self, source: int, target: int) -> bool:
        """Match two frames both ways, unless both fields are kept already. True where it had to be done."""
        if self._read(source, target) is not None and self._read(target, source) is not None:
            return False
        self._measured(source, target)
        return True

    def stored_bytes(self, source: int, target: int) -> int:
        """Bytes of the fields between two frames, both ways, as far as they are kept in this store."""
        files = (self._storage.read(_name(*way)) for way in ((source, target), (target, source)))
        return sum(len(data) for data in files if data is not None)

    def _better(self, source: int, target: int) -> Match:
        direct = self._measured(source, target)
        if abs(target - source) == 1:
            if direct is None:
                raise FlowFileError(f"there is no flow from frame {source} to its neighbour {target}")
            return direct
        chain = self._chain(source, target)
        composed = Match(chain, reliability_weights(chain, self._chain(target, source)))
        return composed if direct is None else best_match([composed, direct])

    def _chain(self, source: int, target: int) -> np.ndarray:
        """Fields between neighbours, composed; halves of a chain are shared with other frames' chains."""

        def make() -> np.ndarray:
            if abs(target - source) == 1:
                return self.flow(source, target)
            middle = source + (target - source) // 2
            return compose(self._chain(source, middle), self._chain(middle, target))

        return self._cached(("chain", source, target), make)

    def _measured(self, source: int, target: int) -> Match | None:
        stored = self._read(source, target)
        if stored is not None:
            return stored
        measured = self._measure(source, target)
        if measured is None:
            return None
        for match, (a, b) in zip(measured, ((source, target), (target, source)), strict=True):
            self._storage.write(_name(a, b), encode_flow(match.flow, match.weight))
        return self._read(source, target)

    def _read(self, source: int, target: int) -> Match | None:
        for storage in (self._storage, *self._others):
            data = storage.read(_name(source, target))
            if data is not None:
                try:
                    return Match(*decode_match(data))
                except FlowFileError:
                    continue
        return None

    def _cached(self, key: tuple[str, int, int], make: Callable[[], Kept]) -> Kept:
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]  # type: ignore[return-value]
        value = make()
        self._cache[key] = value
        self._cached_bytes += _bytes(value)
        while len(self._cache) > 1 and (self._cached_bytes > CACHE_BYTES or len(self._cache) > CACHE_FIELDS):
            self._cached_bytes -= _bytes(self._cache.popitem(last=False)[1])
        return value


def _bytes(field: Match | np.ndarray) -> int:
    return field.flow.nbytes + field.weight.nbytes if isinstance(field, Match) else field.nbytes


def _name(source: int, target: int) -> str:
    return f"{source:06d}-{target:06d}.png"
