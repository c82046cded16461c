"""The contact sheet of a preview, as a picture and as a page.

sheet = preview_sheet(shown)                            # uint8 RGB (H, W, 3)
html = preview_page(shown, sheet_name="sheet.png")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from farm.media.contact_sheet import contact_sheet, stacked
from farm.media.jpeg import data_url, jpeg
from farm.pages.document import ENVIRONMENT, asset, content_policy

COLUMNS = 6
"""Shots in one line of a sheet without variants."""
WIDTH = 640
"""Widest picture of the page, in pixels."""
MOST_BYTES = 80_000
"""Largest JPEG of the page, in bytes, where the worst quality gets there."""


@dataclass(frozen=True)
class Shown:
    """What a preview made, in `seconds`: `painted` pictures of `size` (width, height), and `reused` earlier ones.

    `cells[i][frame]` is the painting of a frame in variant i, (H, W, 3) uint8, and `sources[frame]` the source frame.
    `labels[i]` names variant i: with nothing, one value, or row and column. `stroke_ratio` is how many times larger
    the render is. `film` is the name of the moving preview's file.
    """

    title: str
    frames: Sequence[int]
    captions: Mapping[int, str]
    sources: Mapping[int, np.ndarray]
    labels: Sequence[tuple[str, ...]]
    cells: Sequence[Mapping[int, np.ndarray]]
    seconds: float
    painted: int
    reused: int
    size: tuple[int, int]
    stroke_ratio: float
    film: str | None = None

    @property
    def rows(self) -> list[str]:
        """Values of the first of two options that vary; empty where fewer do."""
        return list(dict.fromkeys(label[0] for label in self.labels)) if len(self.labels[0]) == 2 else []

    @property
    def columns(self) -> list[str]:
        """Values of the only, or the second, option that varies; empty where none does."""
        return list(dict.fromkeys(label[-1] for label in self.labels)) if self.labels[0] else []

    def at(self, row: int, column: int, frame: int) -> np.ndarray:
        """The painting of a frame in one cell of the grid, (H, W, 3) uint8."""
        return self.cells[row * len(self.columns) + column][frame]


def preview_sheet(shown: Shown) -> np.ndarray:
    """The sheet, (H, W, 3) uint8: source above, painted below, six shots a line. Variants have a grid a frame."""
    sheets = []
    if not shown.labels[0]:
        for start in range(0, len(shown.frames), COLUMNS):
            part = shown.frames[start : start + COLUMNS]
            rows = [("source", [shown.sources[f] for f in part]), ("painted", [shown.cells[0][f] for f in part])]
            sheets.append(contact_sheet(rows, [shown.captions[frame] for frame in part]))
        return stacked(sheets)
    for frame in shown.frames:
        rows = []
        for number, row in enumerate(shown.rows or [""]):
            pictures = [shown.at(number, column, frame) for column in range(len(shown.columns))]
            rows.append((row or "painted", [shown.sources[frame], *pictures]))
        sheets.append(contact_sheet(rows, [f"source {frame}", *shown.columns]))
    return stacked(sheets)


def preview_page(shown: Shown, sheet_name: str) -> str:
    """The sheet as one HTML file, with a link to the picture `sheet_name`. A moving preview stays a file beside it."""
    script = asset("page.js")
    return ENVIRONMENT.get_template("preview.html").render(
        shown=shown,
        src=lambda picture: data_url(jpeg(picture, WIDTH, MOST_BYTES)),
        sheet=sheet_name,
        style=asset("page.css"),
        script=script,
        policy=content_policy(script, live=False) + ("; media-src 'self' file:" if shown.film else ""),
    )
