"""The way of a live frame from the source through the network, and perhaps through flow, to the sink.

tally = show(source, painter.paint, page.present, steadiness="auto")
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from farm.commands.live.pacing import TimeForFlow
from farm.commands.live.sources import Source
from farm.commands.live.steady import Steadier
from farm.spec.choices import Steadiness

Frame = NDArray[np.uint8]
"""A picture, (H, W, 3) uint8 RGB."""


@dataclass
class Tally:
    """What became of the frames so far."""

    shown: int = 0
    """Pictures that were painted and shown."""
    dropped: int = 0
    """Frames of the source that there was no time for."""
    steadied: int = 0
    """Pictures shown that were held by the one before."""
    seconds: float = 0.0
    """Duration of the show."""

    @property
    def rate(self) -> float:
        """Pictures shown in a second; 0 before the first."""
        return self.shown / self.seconds if self.seconds else 0.0


def show(
    source: Source,
    paint: Callable[[Sequence[Frame]], Sequence[Frame]],
    present: Callable[[Frame, float], bool],
    steadiness: Steadiness = "auto",
    until: float | None = None,
    on_shown: Callable[[Tally], None] = lambda _: None,
    now: Callable[[], float] = time.perf_counter,
) -> Tally:
    """Paint what the source has until it ends, `present(picture, due)` returns False, or a frame is due after `until`.

    `paint` takes and returns a batch of frames, here of one. `until` is in seconds, as `due` is. With steadiness
    `auto`, a picture is not held by the one before where painting and flow together would take longer than the time
    between two frames. `on_shown` is called with the tally before each picture is shown. `now` is a clock in seconds.
    """
    steadier, budget, tally, began = Steadier(), TimeForFlow(), Tally(), now()
    for moment in source.moments():
        if until is not None and moment.due >= until:
            break
        started = now()
        painted = paint([moment.picture])[0]
        budget.painted(now() - started)
        if steadiness == "always" or (steadiness == "auto" and budget.fits(source.interval)):
            started = now()
            painted = steadier.steady(moment.picture, painted)
            budget.steadied(now() - started)
            tally.steadied += 1
        else:
            steadier.forget()
        tally.shown, tally.dropped = tally.shown + 1, tally.dropped + moment.dropped
        tally.seconds = now() - began
        on_shown(tally)
        if not present(painted, moment.due):
            break
    tally.seconds = now() - began
    return tally
