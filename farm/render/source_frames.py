"""Frames of the source by number, and the optical flow between them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from farm.flow import Match, create_matcher, external_flow_name, match_both_ways, read_external_flow
from farm.flow.store import FlowStore
from farm.job import JobDirectory, JobRecord
from farm.job.record import record_flow_key
from farm.media.decode import FrameReader
from farm.paint.stopwatch import timed
from farm.spec import FrameRange

DECODED_BYTES_KEPT, DECODED_FRAMES_KEPT = 1 << 28, 128
"""Bytes and number of decoded frames that are kept; the smaller of the two counts.

Why: flow over long distances asks again for earlier frames, and reaching one behind a key frame far away is slow.
"""
BACKWARDS_BLOCK = 16
"""Frames that are decoded together where they are asked for from the last to the first.

Why: a decoder only goes forwards, and begins each time at a key frame.
"""


class SourceFrames:
    """Single frames of the source by number. The last ones are kept, because flow and optimiser ask for the same.

    `backwards` may be set where frames will be asked for from the last to the first. For one thread at a time.
    """

    def __init__(self, record: JobRecord) -> None:
        width, height = record.plan.width, record.plan.height
        self._reader = FrameReader(record.probe, (width, height), record.spec.as_stored)
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._fit = max(min(DECODED_BYTES_KEPT // (3 * width * height), DECODED_FRAMES_KEPT), 4)
        self.backwards = False

    def __call__(self, frame: int) -> np.ndarray:
        """The frame, (H, W, 3) uint8 of the output's size. Raises VideoError where it cannot be decoded."""
        if frame not in self._kept:
            # At most a quarter of what is kept: flow asks for frames at four distances, which have a block each.
            block = min(BACKWARDS_BLOCK, self._fit // 4) if self.backwards else 1
            block_frames = FrameRange(max(frame + 1 - block, 0), frame + 1)
            with timed("decode"):
                for number, picture in zip(block_frames, self._reader.read(block_frames), strict=True):
                    self._kept[number] = picture
                    self._kept.move_to_end(number)
            while len(self._kept) > self._fit:
                self._kept.popitem(last=False)
        self._kept.move_to_end(frame)
        return self._kept[frame]


def open_flow_store(
    job: JobDirectory, record: JobRecord, frames: Callable[[int], np.ndarray], *, behind: bool = False
) -> FlowStore:
    """The flow store of a job: fields that are not kept yet are estimated, or read from the spec's `flow_dir`.

    `frames` gives source frames (H, W, 3) uint8. With `behind`, fields are written while the caller goes on.
    Raises WeightsError for weights of a flow network that do not fit.
    """
    spec, size = record.spec, (record.plan.width, record.plan.height)
    matcher = None if spec.flow_dir else create_matcher(spec.flow, weights=spec.flow_weights)

    def measure(source: int, target: int) -> tuple[Match, Match] | None:
        if matcher is not None:
            return matcher.match(frames(source), frames(target))
        folder = str(spec.flow_dir)
        pairs = ((source, target), (target, source))
        if abs(target - source) > 1 and not all((Path(folder) / external_flow_name(*pair)).exists() for pair in pairs):
            return None
        forward, backward = (read_external_flow(folder, *pair, size) for pair in pairs)
        return match_both_ways([(forward, backward)])

    storage = job.storage.below(f"flow/{record_flow_key(record)}")
    return FlowStore(storage, measure, behind=behind)
