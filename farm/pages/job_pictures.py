"""The pictures of a job's page: source frames, painted frames, where two of them differ, and what of them moves.

RGB uint8 (H, W, 3).
"""

from __future__ import annotations

from collections import OrderedDict

import cv2
import numpy as np

from farm.errors import FarmError
from farm.job import JobDirectory, JobRecord
from farm.pages.facts import JobFacts
from farm.render.committed import film_frame, read_committed, single_frame_task
from farm.render.job_detail import moving_of_frame
from farm.render.source_frames import SourceFrames, open_flow_store
from farm.render.steadiness import CERTAIN, difference

FADED = 0.8
"""Share of grey over what rests, in a picture of what moves."""
MARGIN = 8
"""Pixels around what moves that such a picture shows."""
KEPT = 8
"""Painted frames that are kept in memory."""
BRIGHTEST = 0.15
"""Root of the squared difference (pixels 0..1) that is shown brightest. These 38 grey levels are seen as a flash."""


class JobPictures:
    """The pictures of one job. Every method raises StorageError or VideoError where its picture cannot be read."""

    def __init__(self, job: JobDirectory, record: JobRecord) -> None:
        self._job, self._record = job, record
        self._source = SourceFrames(record)
        self._flows = open_flow_store(job, record, self._source)
        self._painted: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()
        self._moving: tuple[int, np.ndarray] | None = None  # of the frame that was asked for last

    def source(self, frame: int) -> np.ndarray:
        """A frame of the source, at the size of the output."""
        return self._source(frame)

    def painted(self, facts: JobFacts, frame: int) -> np.ndarray | None:
        """A frame as the latest pass left it, or as a person corrected it; None where no pass has committed it."""
        shown = facts.shown.get(frame)
        if shown is not None and self._job.corrections().shown(frame) is not None:
            return film_frame(self._job, self._record, frame)
        return None if shown is None else self.committed(shown.task.id, frame)

    def committed(self, task: str, frame: int) -> np.ndarray:
        """A frame as a task committed it."""
        key = (task, frame)
        if key not in self._painted:
            self._painted[key] = read_committed(self._job, task, frame)
            while len(self._painted) > KEPT:
                self._painted.popitem(last=False)
        return self._painted[key]

    def flicker(self, facts: JobFacts, frame: int) -> np.ndarray | None:
        """How much a frame differs from its warped predecessor: dark is not at all, grey is hidden or unknown.

        None where one of the two is not painted yet.
        """
        before, after = self.painted(facts, frame - 1), self.painted(facts, frame)
        if before is None or after is None:
            return None
        match = self._flows.match(frame, frame - 1)
        return changed_picture(difference(before, after, match.flow), match.weight > CERTAIN)

    def moving(self, facts: JobFacts, kind: str, frame: int) -> np.ndarray | None:
        """What moves in a frame, cut out; what rests is faded. `kind` is one of those that begin with `moving`.

        None where nothing moves, or where the frame is not painted yet.
        """
        if self._moving is None or self._moving[0] != frame:
            self._moving = frame, moving_of_frame(self._record.plan, self._source, frame)
        area = self._moving[1]
        if kind == "moving-source":
            picture: np.ndarray | None = self.source(frame)
        else:
            still = kind == "moving-still"
            picture = self.committed(single_frame_task(frame), frame) if still else self.painted(facts, frame)
        if picture is None or not area.any():
            return None
        shown = np.where(area[..., None], picture, (picture * (1 - FADED) + 128 * FADED).astype(np.uint8))
        across, down = np.flatnonzero(area.any(axis=0)), np.flatnonzero(area.any(axis=1))
        left, top = max(int(across[0]) - MARGIN, 0), max(int(down[0]) - MARGIN, 0)
        return np.ascontiguousarray(shown[top : int(down[-1]) + 1 + MARGIN, left : int(across[-1]) + 1 + MARGIN])


def changed_picture(squared: np.ndarray, followed: np.ndarray) -> np.ndarray:
    """`farm.render.steadiness.difference` (H, W) as a picture: dark is none, grey is what cannot be `followed`."""
    level = np.sqrt(squared) / BRIGHTEST
    heat = cv2.applyColorMap(np.clip(level * 255, 0, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    return np.where(followed[..., None], heat, np.uint8(128))


def picture_of(pictures: JobPictures, facts: JobFacts, kind: str, frame: int) -> np.ndarray | None:
    """The picture of that kind, one of sections.KINDS.

    None where it cannot be read: a source that this machine does not see, or a frame that is not painted yet.
    """
    try:
        if kind == "source":
            return pictures.source(frame)
        if kind.startswith("moving"):
            return pictures.moving(facts, kind, frame)
        return pictures.painted(facts, frame) if kind == "painted" else pictures.flicker(facts, frame)
    except FarmError:
        return None
