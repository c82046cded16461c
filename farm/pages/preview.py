"""The contact sheet of a preview, as a picture and as a page.

sheet = preview_sheet(shown)            uint8 RGB
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
WIDTH = 640
MOST_BYTES = 80_000


@dataclass(frozen=True)
class Shown:
    """What a preview made. `cells[i][frame]` is the still of variant i, named by `labels[i]`: none, one, or row and
    column. `command` gives a variant's options as they are written; `stroke_ratio` is how much larger the render is.
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
        """Values of the first of two options that vary."""
        return list(dict.fromkeys(label[0] for label in self.labels)) if len(self.labels[0]) == 2 else []

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(label[-1] for label in self.labels)) if self.labels[0] else []

    def at(self, row: int, column: int, frame: int) -> np.ndarray:
        return self.cells[row * len(self.columns) + column][frame]


def preview_sheet(shown: Shown) -> np.ndarray:
    """Source above, painted below, six shots a line; with variants a grid for each frame."""
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
    """The same as one HTML file; a moving preview stays a file beside it."""
    script = asset("page.js")
    return ENVIRONMENT.get_template("preview.html").render(
        shown=shown,
        src=lambda picture: data_url(jpeg(picture, WIDTH, MOST_BYTES)),
        sheet=sheet_name,
        style=asset("page.css"),
        script=script,
        policy=content_policy(script, live=False) + ("; media-src 'self' file:" if shown.film else ""),
    )
