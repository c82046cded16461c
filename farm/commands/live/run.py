"""`farm live` itself: checks what is asked for, opens source and sink, and runs the show to its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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

Present = Callable[[NDArray[np.uint8], float], bool]
"""A sink: is called with a picture, (H, W, 3) uint8, and when it was due in seconds; returns False to end the show."""


@dataclass(frozen=True)
class LiveOptions:
    """What the command line asks for. Without `output` and `window` the picture is shown on a page."""

    source: str
    """Film, or `camera` or `camera:N`, as for `open_source`."""
    network: str
    """File of the trained network."""
    output: str | None = None
    """Film to write."""
    window: bool = False
    """Show the picture in a window."""
    port: int = 0
    """Port of the page on loopback; 0 takes one that is free."""
    size: int | None = None
    """Longest side of the picture, in pixels; None is that of the source."""
    rate: float | None = None
    """Most pictures shown in a second; None shows as many as the source has."""
    steady: Steadiness = "auto"
    """When a picture is held by the one before; see `show`."""
    seconds: float | None = None
    """When to stop, in seconds from the start; None does not stop."""
    threads: int | None = None
    """CPU threads; None is what PyTorch takes."""
    precision: Precision = "auto"
    """Arithmetic of the network."""
    overwrite: bool = False
    """Replace `output` if it exists."""


def run_live(options: LiveOptions, on_ready: Callable[[str], None], on_shown: Callable[[Tally], None]) -> Tally:
    """Run the show and return its tally.

    The show ends with the film, when its window is closed, after `options.seconds`, or by Ctrl-C, which is the usual
    end and raises nothing. `on_ready` is called with the address of the page, `on_shown` with the tally after every
    picture. Raises FarmError.
    """
    if options.output and options.window:
        raise UsageError("a file and a window are both asked for", "leave out -o or --window")
    if options.output:
        check_can_write(options.output, overwrite=options.overwrite)
    painter = InstantPainter(options.network, local_runtime(options.precision, options.threads))
    source = open_source(options.source, options.size, 1 / options.rate if options.rate else 0.0)
    latest = Tally()

    def note(tally: Tally) -> None:
        nonlocal latest
        latest = tally
        on_shown(tally)

    run_show = partial(show, source, painter.paint, steadiness=options.steady, until=options.seconds, on_shown=note)
    try:
        if options.output:
            return _show_into_file(options.output, run_show)
        if options.window:
            return _show_in_window(f"farm live: {options.source}", run_show)
        return _show_on_page(options.port, on_ready, run_show)
    except KeyboardInterrupt:
        return latest
    finally:
        source.close()


def _show_into_file(path: str, run_show: Callable[[Present], Tally]) -> Tally:
    with LiveWriter(path) as writer:

        def present(picture: NDArray[np.uint8], due: float) -> bool:
            writer.write(picture, due)
            return True

        return run_show(present)


def _show_in_window(title: str, run_show: Callable[[Present], Tally]) -> Tally:
    window = LiveWindow(title)
    try:
        return run_show(window.present)
    finally:
        window.close()


def _show_on_page(port: int, on_ready: Callable[[str], None], run_show: Callable[[Present], Tally]) -> Tally:
    """The show runs in a thread of its own; an interruption of the page stops it at its next picture."""
    page, stop = LivePage(), threading.Event()

    def present(picture: NDArray[np.uint8], due: float) -> bool:
        return not stop.is_set() and page.present(picture, due)

    try:
        return asyncio.run(page.serve(port, on_ready, lambda: run_show(present)))
    finally:
        stop.set()


def summary(tally: Tally) -> str:
    """What became of the frames, in one line for people."""
    return (
        f"{tally.shown} pictures in {tally.seconds:.1f} s ({tally.rate:.1f} a second), {tally.dropped} frames dropped, "
        f"{tally.steadied} steadied"
    )
