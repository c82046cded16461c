"""Frames of a film beside each other: the source above, the painted frame below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP = 6
"""Pixels between frames."""
CAPTION = 18
"""Height of the line of captions, in pixels."""
BACKGROUND = (24, 24, 27)
"""RGB of the sheet."""
INK = (228, 228, 231)
"""RGB of its text."""


def stacked(sheets: Sequence[np.ndarray]) -> np.ndarray:
    """Sheets (H, W, 3) uint8 one below the other, the narrower ones filled up to the right."""
    width = max(sheet.shape[1] for sheet in sheets)
    rows = [np.pad(sheet, ((0, 0), (0, width - sheet.shape[1]), (0, 0))) for sheet in sheets]
    for row, sheet in zip(rows, sheets, strict=True):
        row[:, sheet.shape[1] :] = BACKGROUND
    return np.concatenate(rows)


def contact_sheet(rows: Sequence[tuple[str, Sequence[np.ndarray]]], captions: Sequence[str]) -> np.ndarray:
    """A sheet, (H, W, 3) uint8, with a row of frames for each (label, frames), and a caption over each column.

    All frames are (H, W, 3) uint8 of one size. Raises ValueError where rows and captions differ in number.
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
