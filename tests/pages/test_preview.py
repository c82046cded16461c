"""The sheet of a preview, as picture and as page."""

import re
from html import unescape

import numpy as np
import pytest

from farm.pages.preview import Shown, preview_page, preview_sheet

SIZE = (48, 32)


def flat(level: int) -> np.ndarray:
    return np.full((SIZE[1], SIZE[0], 3), level, np.uint8)


def shown(labels, **options):
    values = {
        "title": "film <b>.mp4",
        "frames": [3, 9],
        "captions": {3: "shot 1, frame 3", 9: "shot 2, frame 9"},
        "sources": {3: flat(10), 9: flat(20)},
        "labels": labels,
        "cells": [{3: flat(100 + number), 9: flat(200 + number)} for number in range(len(labels))],
        "seconds": 12.0,
        "painted": 2 * len(labels),
        "reused": 0,
        "size": SIZE,
        "stroke_ratio": 3.2,
    }
    return Shown(**{**values, **options})


GRID = [("style-weight 50", "style-scale 1"), ("style-weight 50", "style-scale 2"),
        ("style-weight 100", "style-scale 1"), ("style-weight 100", "style-scale 2")]  # fmt: skip


@pytest.mark.parametrize(("labels", "levels"), [
    ([()], {10, 20, 100, 200}),
    ([("style-weight 50",), ("style-weight 100",)], {10, 20, 100, 101, 200, 201}),
    (GRID, {10, 20, 100, 101, 102, 103, 200, 201, 202, 203}),
])  # fmt: skip
def test_the_sheet_shows_every_still_and_its_source(labels, levels):
    sheet = preview_sheet(shown(labels))
    found = {int(pixel[0]) for row in sheet for pixel in row if pixel[0] == pixel[1] == pixel[2]}
    assert levels <= found


def test_a_cell_of_the_grid_is_the_variant_of_its_row_and_column():
    grid = shown(GRID)
    assert (grid.rows, grid.columns) == (["style-weight 50", "style-weight 100"], ["style-scale 1", "style-scale 2"])
    assert int(grid.at(1, 0, 3)[0, 0, 0]) == 102


@pytest.mark.parametrize("labels", [[()], GRID])
def test_the_page_names_each_still_and_loads_nothing(labels):
    html = preview_page(shown(labels), "sheet.png")
    assert "film &lt;b&gt;.mp4" in html
    assert all(address.startswith(("data:", "#")) for address in re.findall(r'(?:src|href)="([^"]*)"', html))
    assert html.count('class="compare"') == 2 * len(labels)
    if labels[0]:
        assert "--style-weight 100 --style-scale 2" in html
    assert "3.2 times as coarse" in html


def test_a_moving_preview_stays_a_file_beside_the_page():
    html = preview_page(shown([()], film="moving.mp4"), "sheet.png")
    assert 'src="moving.mp4"' in html
    assert "media-src 'self' file:" in unescape(html)
