"""The masks of a job, made by whichever worker needs one, and kept as pictures that can be looked at.

    masks/NN-KEY/000123.png     8 bits, the mask of region NN in frame 123; KEY names all that it depends on

Only kept pictures are used. They depend on the user's mask, the source frames and the stored flow alone (see
`farm.render.regions.carry`), so it makes no difference which worker made one.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator

import numpy as np

from farm.files import Storage, local_path
from farm.files.png import decode_png, encode_png, is_whole_png
from farm.flow.store import FlowStore
from farm.job import JobDirectory, JobRecord
from farm.job.record import record_flow_key
from farm.media.decode import FrameReader
from farm.media.probe import probe_video
from farm.paint.losses.guided import layer_weights
from farm.plan import Shot
from farm.render.regions.carry import View, carry, sources, stations
from farm.render.regions.files import mask_offset, read_mask_picture
from farm.spec import FrameRange
from farm.spec.paint import Region

MASK_STORE_VERSION = 1
"""Part of the masks' key. It rises whenever masks would come out different."""
KEPT_BYTES = 1 << 27
"""Bytes of masks that are kept in memory."""


class RegionMasks:
    """Masks of one job's regions by frame. Their methods raise StorageError, PictureError and VideoError.

    `frames` gives source frames (H, W, 3) uint8 of the output's size, `flows` the flow between them.
    """

    def __init__(
        self, job: JobDirectory, record: JobRecord, frames: Callable[[int], np.ndarray], flows: FlowStore
    ) -> None:
        self._record = record
        self._frames = frames
        self._flows = flows
        self._size = (record.plan.width, record.plan.height)
        self._regions = [
            _RegionMask(region, job.storage.below(f"masks/{number:02d}-{_key(record, region)}"))
            for number, region in enumerate(record.spec.regions)
        ]
        self._kept: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()

    def weights(self, frame: int) -> list[np.ndarray]:
        """Share of each pixel that belongs to each region, (H, W) float32 0..1. The rest to 1 is the background."""
        return layer_weights([self.mask(number, frame) for number in range(len(self._regions))])

    def mask(self, number: int, frame: int) -> np.ndarray:
        """Mask of region `number` in a frame, whatever lies on top of it: (H, W) uint8, 255 inside."""
        key = (number, frame)
        if key not in self._kept:
            self._kept[key] = self._load(self._regions[number], number, frame)
            while len(self._kept) > max(KEPT_BYTES // self._kept[key].nbytes, 8):
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _load(self, region_mask: _RegionMask, number: int, frame: int) -> np.ndarray:
        region, plan = region_mask.region, self._record.plan
        drawn_for = plan.start if region.frame is None else region.frame
        carried = region.is_picture and not region.static
        if carried and self._shot_of(frame) != self._shot_of(drawn_for):
            return np.zeros((plan.height, plan.width), np.uint8)
        name = f"{frame:06d}.png"
        stored = _decode(region_mask.storage.read(name), self._size)
        if stored is not None:
            return stored
        if not region.is_picture:
            mask = region_mask.read_video(self._record, frame)
        elif not carried or frame == drawn_for:
            mask = read_mask_picture(local_path(region.mask), self._size)
        else:
            self._make_stations(number, frame, drawn_for)
            mask = carry(self._frames(frame), self._views(number, frame, drawn_for))
        region_mask.storage.write(name, encode_png(mask))
        return mask

    def _make_stations(self, number: int, frame: int, drawn_for: int) -> None:
        """Make the missing stations on the way to `frame`, beginning with the one nearest to the drawn mask.

        Each then needs only the one before it. In the other order they would call each other, as deep as the shot.
        """
        storage = self._regions[number].storage
        on_the_way = stations(frame, drawn_for)
        missing = list(itertools.takewhile(lambda station: not storage.exists(f"{station:06d}.png"), on_the_way))
        for station in reversed(missing):
            self.mask(number, station)

    def _views(self, number: int, frame: int, drawn_for: int) -> Iterator[View]:
        for source in sources(frame, drawn_for):
            flow, weight = self._flows.flow(frame, source), self._flows.weights(frame, source)
            yield View(self.mask(number, source), self._frames(source), flow, weight)

    def _shot_of(self, frame: int) -> Shot:
        plan = self._record.plan
        return plan.shots[plan.chunk_of(frame).shot]


class _RegionMask:
    """A region, where its masks are kept, and its mask video once that is open."""

    def __init__(self, region: Region, storage: Storage) -> None:
        self.region = region
        self.storage = storage
        self._video: tuple[FrameReader, int] | None = None

    def read_video(self, record: JobRecord, frame: int) -> np.ndarray:
        if self._video is None:
            probe = probe_video(self.region.mask)
            offset = mask_offset(self.region, record.plan, record.probe.frame_count, probe.frame_count)
            self._video = FrameReader(probe, (record.plan.width, record.plan.height)), offset
        reader, offset = self._video
        picture = next(iter(reader.read(FrameRange(frame - offset, frame - offset + 1))))
        return picture.mean(axis=2).round().astype(np.uint8)


def _key(record: JobRecord, region: Region) -> str:
    """Key of a region's masks: it differs wherever the mask file, its frame, the size, the flow or the shots do."""
    plan = record.plan
    cuts = [shot.start for shot in plan.shots] + [plan.stop]
    drawn = record.input_hashes.get(region.mask, ""), region.frame, region.static
    parts = [MASK_STORE_VERSION, drawn, cuts, record_flow_key(record)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _decode(data: bytes | None, size: tuple[int, int]) -> np.ndarray | None:
    """A kept mask of `size` (width, height). None where there is none, or it is damaged."""
    if data is None or not is_whole_png(data):
        return None
    try:
        mask = decode_png(data)
    except (OSError, SyntaxError, ValueError):
        return None
    return mask if mask.shape == (size[1], size[0]) and mask.dtype == np.uint8 else None
