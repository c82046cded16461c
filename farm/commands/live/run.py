"""`farm live`: what is asked for, checked, and shown until it ends or the user stops it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.commands.live.page import LivePage
from farm.commands.live.show import Tally, show
from farm.commands.live.sources import open_source
from farm.commands.live.window import LiveWindow
from farm.errors import UsageError
from farm.files.atomic import check_can_write
from farm.media.stream import LiveWriter
from farm.paint.network.painter import InstantPainter
from farm.paint.styler import local_runtime
from farm.spec.choices import Precision, Steadiness


@dataclass(frozen=True)
class LiveOptions:
    """`source` as for `open_source`. Without `output` and `window`: a page. `rate` is pictures a second at most."""

    source: str
    network: str
    output: str | None = None
    window: bool = False
    port: int = 0
    size: int | None = None
    rate: float | None = None
    steady: Steadiness = "auto"
    seconds: float | None = None
    threads: int | None = None
    precision: Precision = "auto"
    overwrite: bool = False


def run_live(options: LiveOptions, on_ready: Callable[[str], None], on_shown: Callable[[Tally], None]) -> Tally:
    """Until the end of the film, the window or `seconds`, or Ctrl-C, which is the usual end: the tally so far.

    Raises FarmError.
    """
    if options.output and options.window:
        raise UsageError("a file and a window are both asked for", "leave out -o or --window")
    if options.output:
        check_can_write(options.output, overwrite=options.overwrite)
    painter = InstantPainter(options.network, local_runtime(options.precision, options.threads))
    source = open_source(options.source, options.size, 1 / options.rate if options.rate else 0.0)
    tallies = [Tally()]

    def noted(tally: Tally) -> None:
        tallies.append(tally)
        del tallies[:-1]
        on_shown(tally)

    shown = partial(
        show, source, painter.paint, steadiness=options.steady, until=options.seconds, on_shown=noted
    )  # fmt: skip
    try:
        if options.output:
            with LiveWriter(options.output) as writer:
                return shown(_writing(writer))
        if options.window:
            window = LiveWindow(f"farm live: {options.source}")
            try:
                return shown(window.present)
            finally:
                window.close()
        return _on_a_page(options.port, on_ready, shown)
    except KeyboardInterrupt:
        return tallies[-1]
    finally:
        source.close()


def _writing(writer: LiveWriter) -> Callable[[NDArray[np.uint8], float], bool]:
    def present(picture: NDArray[np.uint8], due: float) -> bool:
        writer.write(picture, due)
        return True

    return present


def _on_a_page(port: int, on_ready: Callable[[str], None], shown: Callable[[Any], Tally]) -> Tally:
    page, stop = LivePage(), threading.Event()

    def present(picture: NDArray[np.uint8], due: float) -> bool:
        return not stop.is_set() and page.present(picture, due)

    try:
        return asyncio.run(page.serve(port, on_ready, lambda: shown(present)))
    finally:
        stop.set()


def summary(tally: Tally) -> str:
    """One line for people."""
    return (
        f"{tally.shown} pictures in {tally.seconds:.1f} s ({tally.rate:.1f} a second), {tally.dropped} frames dropped, "
        f"{tally.steadied} steadied"
    )
