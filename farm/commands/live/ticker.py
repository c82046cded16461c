"""The line below a live show: how many pictures it shows in a second, and how many frames it drops.

The line is on stderr, and only where that is a terminal.
"""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.status import Status

from farm.commands.live.show import Tally


class LiveTicker:
    """Use as a context manager, and call it with the tally after every picture."""

    def __init__(self) -> None:
        """The line appears when the context is entered."""
        self.console = Console(stderr=True)
        self._line: Status | None = self.console.status("waiting") if self.console.is_terminal else None

    def __enter__(self) -> LiveTicker:
        """Show the line."""
        if self._line:
            self._line.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the line."""
        if self._line:
            self._line.stop()

    def __call__(self, tally: Tally) -> None:
        """Show the figures of `tally` in the line."""
        if self._line:
            steadied = f", {tally.steadied} steadied" if tally.steadied else ""
            self._line.update(f"{tally.rate:.1f} pictures/s, {tally.shown} shown, {tally.dropped} dropped{steadied}")

    def address(self, url: str) -> None:
        """Print the address of the page on stderr, above the line."""
        self.console.print(url, highlight=False, markup=False)
