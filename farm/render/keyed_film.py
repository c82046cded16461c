"""The frames of a job painted from its painted keyframes: farm.render.keyed, with what it reads and what it keeps.

painter = KeyedPainter(plan, source, flows, held)
painter.paint(frame, neighbour, committed)          (H, W, 3) uint8
"""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from farm.flow.store import FlowStore
from farm.paint.stopwatch import timed
from farm.plan import RenderPlan
from farm.render.keyed import Key, KeyView, Neighbour, first_view, follow, paint

VIEW_BYTES = 1 << 29
"""Bytes of views that stay in memory: about 200 of 512x288 pixels, 14 of 1920x1080.

Why so many: a frame sees the next key along all frames that lie between, so views are made from the key backwards, and
those of many frames at a time are kept.
"""
FEWEST_VIEWS = 4
"""Views that stay however large they are: those of a frame and of its neighbour, of both keys."""


class KeyedPainter:
    """Paints frames from keys alone. `source` gives the film's frames (H, W, 3) uint8, and `flows` their matches.

    `held` gives the picture of a key, (H, W, 3) uint8.
    """

    def __init__(
        self,
        plan: RenderPlan,
        source: Callable[[int], np.ndarray],
        flows: FlowStore,
        held: Callable[[int], np.ndarray],
    ) -> None:
        self._plan, self._source, self._flows, self._held = plan, source, flows, held
        self._views: OrderedDict[tuple[int, int], KeyView] = OrderedDict()
        self._most = max(VIEW_BYTES // (plan.width * plan.height * 20), FEWEST_VIEWS)

    def paint(self, frame: int, other: int | None, committed: np.ndarray | None) -> np.ndarray:
        """`frame`, which is no key, in paint. `committed` is the painting of its neighbour `other`, if it has one."""
        left, right = self.keys_around(frame)
        with timed("flow"):
            before, after = (None if key is None else self.view(key, frame) for key in (left, right))
            match = None if other is None else self._flows.match(frame, other)
        position = 0.0 if left is None or right is None else (frame - left) / (right - left)
        neighbour = None
        if other is not None and committed is not None and match is not None:
            neighbour = Neighbour(self._source(other), committed, match)
        with timed("warp"):
            return paint(self._source(frame), before, after, neighbour, position)

    def keys_around(self, frame: int) -> tuple[int | None, int | None]:
        """The nearest keys before and after a frame, in its shot."""
        shot = self._plan.shots[self._plan.chunk_of(frame).shot]
        at = bisect.bisect_left(shot.begins, frame)
        return (shot.begins[at - 1] if at else None), (shot.begins[at] if at < len(shot.begins) else None)

    def view(self, key: int, frame: int) -> KeyView:
        """A key, seen from a frame. The views on the way there are made first, and the last of them kept."""
        step = 1 if frame > key else -1
        at, view = next(
            ((other, self._views[key, other]) for other in range(frame, key, -step) if (key, other) in self._views),
            (key, None),
        )
        if view is None:
            view = first_view(Key(key, self._source(key), self._held(key)))
        while at != frame:
            there, back = self._flows.match(at + step, at), self._flows.match(at, at + step)
            at, view = at + step, follow(view, there, back, self._source(at + step))
            self._keep(key, at, view)
        return view

    def _keep(self, key: int, frame: int, view: KeyView) -> None:
        """Keep a view, and for it give up the one that is farthest from `frame`."""
        self._views[key, frame] = view
        while len(self._views) > self._most:
            self._views.pop(max(self._views, key=lambda place: abs(place[1] - frame)))
