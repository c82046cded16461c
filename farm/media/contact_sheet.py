"""Frames of a film beside each other: the source above, the painted frame below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP = 6
CAPTION = 18
BACKGROUND = (24, 24, 27)
INK = (228, 228, 231)


def stacked(sheets: Sequence[np.ndarray]) -> np.ndarray:
    """Sheets one below the other, the narrower ones filled up to the right."""
    width = max(sheet.shape[1] for sheet in sheets)
    rows = [np.pad(sheet, ((0, 0), (0, width - sheet.shape[1]), (0, 0))) for sheet in sheets]
    for row, sheet in zip(rows, sheets, strict=True):
        row[:, sheet.shape[1] :] = BACKGROUND
    return np.concatenate(rows)


def contact_sheet(rows: Sequence[tuple[str, Sequence[np.ndarray]]], captions: Sequence[str]) -> np.ndarray:
    """One row of equally large frames for each (label, frames), a caption over each column.

    Frames are (H, W, 3) uint8; returns the sheet in the same form. Raises ValueError where the rows differ in length.
    """
    if any(len(frames) != len(captions) for _, frames in rows):
        raise ValueError("every row needs a frame for each caption")
    height, width = rows[0][1][0].shape[:2]
    labels = max(len(label) for label, _ in rows) * 7 + 2 * GAP
    sheet = Image.new(
        "RGB",
        (labels + len(captions) * (width + GAP), CAPTION + len(rows) * (height + GAP) + GAP),
        BACKGROUND,
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for column, caption in enumerate(captions):
        draw.text((labels + column * (width + GAP), 3), caption, fill=INK, font=font)
    for row, (label, frames) in enumerate(rows):
        top = CAPTION + row * (height + GAP)
        draw.text((GAP, top + height // 2 - 6), label, fill=INK, font=font)
        for column, frame in enumerate(frames):
            sheet.paste(Image.fromarray(frame), (labels + column * (width + GAP), top))
    return np.asarray(sheet)
