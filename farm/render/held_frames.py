"""Painted keyframes: frames whose pictures are given, and held in every pass.

check_keys(spec, plan)            before a render: each picture has the size of the frames
held = HeldFrames(spec, plan)
held(120)                         (H, W, 3) uint8
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from farm.errors import PictureError, UsageError
from farm.files import local_path
from farm.media.pictures import read_picture, resize
from farm.plan import RenderPlan
from farm.spec import RenderSpec

KEPT = 4
"""Pictures that stay decoded: those of the two keys around a frame, and of the two after these."""


def check_keys(spec: RenderSpec, plan: RenderPlan) -> None:
    """Raises UsageError for a key of another size than the frames, PictureError for one that cannot be read."""
    wanted = (plan.height, plan.width)
    for key in spec.keys:
        height, width = read_picture(local_path(key.picture)).shape[:2]
        if (height, width) != wanted and not spec.resize_keys:
            raise UsageError(
                f"the picture of key {key.frame}, {key.picture}, is {width}x{height}, "
                f"and the frames are {plan.width}x{plan.height}",
                "add --resize-keys, or give another --size",
            )


class HeldFrames:
    """The pictures of a job's keys, by frame, at the size of its frames. Some stay decoded."""

    def __init__(self, spec: RenderSpec, plan: RenderPlan) -> None:
        self._paths = {key.frame: key.picture for key in spec.keys if key.frame in plan.keys}
        self._size = (plan.height, plan.width)
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()

    def __contains__(self, frame: int) -> bool:
        """Whether the picture of a frame is given."""
        return frame in self._paths

    def __call__(self, frame: int) -> np.ndarray:
        """The picture of a key, (H, W, 3) uint8. Raises PictureError where it can be read no more."""
        if frame not in self._kept:
            path = local_path(self._paths[frame])
            try:
                picture = read_picture(path)
            except PictureError as error:
                raise PictureError(f"key {frame}: {error.problem}", error.remedy) from None
            self._kept[frame] = resize(picture, self._size)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(frame)
        return self._kept[frame]
