"""The way of a live frame: source, network, perhaps flow, sink.

tally = show(source, painter.paint, sink.show, steadiness="auto")
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


@dataclass
class Tally:
    """What became of the frames; `seconds` of the whole show."""

    shown: int = 0
    dropped: int = 0
    steadied: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Pictures shown in a second."""
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
    """Paint what the source has until it ends, `present(picture, due)` returns False, or `until` seconds are over.

    With `auto`, flow is left out of a picture where painting and flow would take longer than there is.
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
