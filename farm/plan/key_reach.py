"""What painted keyframes of a film reach: shots that have none, and frames that are far from any. Pure.

shots_without_key(plan)            (2, 5): indices of shots
far_from_keys(plan)                [FrameRange(220, 310)]
"""

from __future__ import annotations

from farm.plan.render_plan import RenderPlan
from farm.spec import FrameRange
from farm.spec.frames import runs

FAR = 100
"""Frames from the nearest key beyond which little of its paint is still to be seen in most films."""


def shots_without_key(plan: RenderPlan) -> tuple[int, ...]:
    """Indices of the shots that have no key. All shots where there are no keys."""
    with_key = {plan.chunk_of(key).shot for key in plan.keys}
    return tuple(shot.index for shot in plan.shots if shot.index not in with_key)


def far_from_keys(plan: RenderPlan) -> list[FrameRange]:
    """The frames, of shots with keys, that are more than FAR frames from the nearest one."""
    without = set(shots_without_key(plan))
    far = [
        frame
        for shot in plan.shots
        if shot.index not in without
        for frame in range(shot.start, shot.stop)
        if abs(frame - shot.begin_of(frame)) > FAR
    ]
    return runs(far)
