"""Optical flow between the frames of one video, estimated once and kept in the job directory.

Flow needs no stylised frame, so it may be computed ahead of the renderers. A renderer that needs a field that is not
there yet computes it itself. Only stored fields (1/64 pixel) are used, so it makes no difference who computed one.

The two fields between neighbours are in one file, because they are always used together: the one that leads back below
the one that leads forward. A field over more frames is kept the one way that was asked for. A folder has the files of
FRAMES_IN_FOLDER frames, up to a thousand.

Over more than one frame there are two ways. Composing the fields between neighbours follows slow motion exactly, but
loses whatever was hidden on the way. Estimating directly finds hidden things again, but misses large motion. Each pixel
takes the way whose forward and backward flow agree better.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np

from farm.errors import FlowFileError
from farm.files import Storage
from farm.files.background import Ahead, Behind, Kept
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

FILE_BYTES = 1 << 28
"""Bytes of stored files that are kept in memory, as they are stored: what this process wrote or read last."""
WRITING_THREADS, MOST_WRITES, READING_THREADS = 4, 16, 4
"""Threads that write files behind and read them ahead, and the most writes that are under way."""
FRAMES_IN_FOLDER = 100
FOLDERS_LISTED = 8
"""Folders whose lists of names are kept."""

Field = TypeVar("Field", Match, np.ndarray)


class FlowStore:
    """Flow between frames by number. Every method raises StorageError, and whatever `measure` raises.

    `measure` matches two frames that are not kept yet, both ways. For frames that are no neighbours it may return
    None. With `behind`, fields are written in other threads while the caller goes on, and `flush` waits for them.
    """

    def __init__(
        self,
        storage: Storage,
        measure: Callable[[int, int], tuple[Match, Match] | None],
        *,
        behind: bool = False,
    ) -> None:
        self._storage = storage
        self._measure = measure
        self._cache: OrderedDict[tuple[str, int, int], Match | np.ndarray] = OrderedDict()
        self._cached_bytes = 0
        self._files: Kept[str, bytes] = Kept(FILE_BYTES)
        self._behind = Behind(WRITING_THREADS, MOST_WRITES) if behind else None
        self._ahead: Ahead[str, bytes | None] = Ahead(READING_THREADS)
        self._listed: dict[str, set[str]] = {}

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
        """Match two neighbours both ways, unless their fields are kept already. True where it had to be done."""
        if self._read(source, target) is not None:
            return False
        self._measured(source, target)
        return True

    def read_ahead(self, source: int, target: int) -> None:
        """Begin to read the fields that `match` will read, unless they are in memory."""
        distance = abs(target - source)
        direct = () if ("match", source, target) in self._cache else ((source, target),)
        chain = () if distance == 1 or ("chain", source, target) in self._cache else _neighbours(source, target)
        pairs = [*direct, *(pair for pair in chain if ("match", *pair) not in self._cache)]
        for name in {field_name(*pair) for pair in pairs}:
            if name not in self._files and not self._is_known_missing(name):
                self._ahead.start(name, partial(self._storage.read, name))

    def flush(self) -> None:
        """Wait until all fields are written."""
        if self._behind is not None:
            self._behind.flush()

    def stored_bytes(self, source: int, target: int) -> int:
        """Bytes of the fields between two neighbours, both ways, as far as they are kept."""
        return len(self._data(field_name(source, target)) or b"")

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
        there, back = measured
        if abs(target - source) == 1:
            forward, backward = (there, back) if source < target else (back, there)
            there = Match(
                np.concatenate([forward.flow, backward.flow]), np.concatenate([forward.weight, backward.weight])
            )
        data = encode_flow(there.flow, there.weight)
        self._write(field_name(source, target), data)
        return _decoded(data, source, target)

    def _write(self, name: str, data: bytes) -> None:
        self._files.put(name, data, len(data))
        self._listed.get(name.rpartition("/")[0], set()).add(name)
        if self._behind is None:
            self._storage.write(name, data)
        else:
            self._behind(partial(self._storage.write, name, data))

    def _read(self, source: int, target: int) -> Match | None:
        """The stored field, decoded; None where there is none, or a damaged one."""
        name = field_name(source, target)
        data = self._data(name)
        if data is None:
            return None
        try:
            return _decoded(data, source, target)
        except FlowFileError:
            self._files.drop(name)
            return None

    def _data(self, name: str) -> bytes | None:
        data = self._files.get(name)
        if data is not None or self._is_known_missing(name):
            return data
        data = self._ahead.take(name, partial(self._storage.read, name))
        if data is not None:
            self._files.put(name, data, len(data))
        return data

    def _is_known_missing(self, name: str) -> bool:
        """Whether a field over more than one frame was missing when its folder was first asked for.

        Nobody else writes such a field meanwhile, or if so, it is the same one. One list is cheaper than a question for
        each field. On a disk it is not.
        """
        folder, _, file = name.rpartition("/")
        source, target = (int(number) for number in file.partition(".")[0].split("-"))
        if self._storage.local is not None or abs(target - source) == 1:
            return False
        if folder not in self._listed:
            if len(self._listed) >= FOLDERS_LISTED:
                self._listed.clear()
            self._listed[folder] = set(self._storage.names(folder))
        return name not in self._listed[folder]

    def _cached(self, key: tuple[str, int, int], make: Callable[[], Field]) -> Field:
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


def _decoded(data: bytes, source: int, target: int) -> Match:
    """The field from `source` to `target` in a file's bytes. Raises FlowFileError where they are damaged."""
    flow, weight = decode_match(data)
    if abs(target - source) > 1:
        return Match(flow, weight)
    height = len(flow) // 2
    half = slice(height) if source < target else slice(height, None)
    return Match(flow[half], weight[half])


def _neighbours(source: int, target: int) -> list[tuple[int, int]]:
    """The pairs of neighbours on the way from one frame to another.

    >>> _neighbours(5, 3)
    [(5, 4), (4, 3)]
    """
    step = 1 if target > source else -1
    return [(frame, frame + step) for frame in range(source, target, step)]


def field_name(source: int, target: int) -> str:
    """Name of the file with the flow between two frames. That of neighbours holds both ways, so it has one name.

    >>> field_name(212, 211), field_name(212, 202)
    ('0002/000211-000212.png', '0002/000212-000202.png')
    """
    if abs(source - target) == 1:
        source, target = min(source, target), max(source, target)
    return f"{flow_folder(source)}/{source:06d}-{target:06d}.png"


def flow_folder(frame: int) -> str:
    """Name of the folder of the files whose names begin with `frame`."""
    return f"{frame // FRAMES_IN_FOLDER:04d}"
