"""Frames as JPEG: from the source, as painted, and where two of them differ. All RGB uint8 (H, W, 3)."""

from __future__ import annotations

from collections import OrderedDict

import cv2
import numpy as np

from farm.errors import FarmError
from farm.job import JobDirectory, JobRecord
from farm.pages.facts import JobFacts
from farm.plan import task_id
from farm.render.committed import read_committed
from farm.render.source_frames import SourceFrames, open_flow_store
from farm.render.steadiness import difference

KEPT = 8
BRIGHTEST = 0.15
"""Root of the squared difference, pixels 0..1, that is shown brightest: 38 grey levels are seen as a flash."""


class JobPictures:
    """The pictures of one job. Every method raises StorageError or VideoError where one cannot be had."""

    def __init__(self, job: JobDirectory, record: JobRecord) -> None:
        self._job, self._record = job, record
        self._source = SourceFrames(record)
        self._flows = open_flow_store(job, record, self._source)
        self._painted: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()

    def source(self, frame: int) -> np.ndarray:
        return self._source(frame)

    def painted(self, facts: JobFacts, frame: int) -> np.ndarray | None:
        """As the latest pass left it; None where no pass has come there."""
        one = facts.shown.get(frame)
        return None if one is None else self.committed(one.task.id, frame)

    def committed(self, task: str, frame: int) -> np.ndarray:
        key = (task, frame)
        if key not in self._painted:
            self._painted[key] = read_committed(self._job, task, frame)
            while len(self._painted) > KEPT:
                self._painted.popitem(last=False)
        return self._painted[key]

    def flicker(self, facts: JobFacts, frame: int) -> np.ndarray | None:
        """Where a frame differs from its warped predecessor: dark where it does not, grey where it was hidden."""
        before, after = self.painted(facts, frame - 1), self.painted(facts, frame)
        if before is None or after is None:
            return None
        match = self._flows.match(frame, frame - 1)
        level = np.sqrt(difference(before, after, match.flow)) / BRIGHTEST
        heat = cv2.applyColorMap(np.clip(level * 255, 0, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
        return np.where((match.weight > 0.99)[..., None], heat, np.uint8(128))

    def last_pass(self, frame: int) -> str:
        plan = self._record.plan
        return task_id(plan.passes, plan.chunk_of(frame).index)


def picture_of(pictures: JobPictures, facts: JobFacts, kind: str, frame: int) -> np.ndarray | None:
    """None where it cannot be had: a source that is not to be seen from here, a frame nobody has painted yet."""
    try:
        if kind == "source":
            return pictures.source(frame)
        return pictures.painted(facts, frame) if kind == "painted" else pictures.flicker(facts, frame)
    except FarmError:
        return None
