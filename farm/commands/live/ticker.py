"""The line below a live show, on a terminal only: what it shows a second, and what it drops. On stderr."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.status import Status

from farm.commands.live.show import Tally


class LiveTicker:
    """Use as a context manager; call it with the tally after every picture."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self._line: Status | None = self.console.status("waiting") if self.console.is_terminal else None

    def __enter__(self) -> LiveTicker:
        if self._line:
            self._line.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line:
            self._line.stop()

    def __call__(self, tally: Tally) -> None:
        if self._line:
            steadied = f", {tally.steadied} steadied" if tally.steadied else ""
            self._line.update(f"{tally.rate:.1f} pictures/s, {tally.shown} shown, {tally.dropped} dropped{steadied}")

    def address(self, url: str) -> None:
        self.console.print(url, highlight=False, markup=False)
