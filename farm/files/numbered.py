"""A folder of pictures that are the frames of a film, or some of them, each named by its number.

numbered_pictures(Path("shots/sh010"))     # {1001: Path("shots/sh010/plate.001001.png"), ...}
"""

from __future__ import annotations

import re
from pathlib import Path

from farm.errors import UsageError

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
"""Endings of the pictures of a folder; other files are passed over."""


def frame_number(name: str) -> int | None:
    """The number of the frame that a picture of this name shows, the last one in it; None where there is none.

    >>> frame_number("shot2_000120.png"), frame_number("cover.png")
    (120, None)
    """
    numbers = re.findall(r"\d+", Path(name).stem)
    return int(numbers[-1]) if numbers else None


def numbered_pictures(folder: str | Path) -> dict[int, Path]:
    """The pictures of a folder by their frames, ascending. Files that are hidden or have no number are passed over.

    Raises UsageError where the folder cannot be read or has no such picture, and where two pictures have one number.
    """
    try:
        paths = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in PICTURES)
    except OSError as error:
        raise UsageError(f"folder {folder} cannot be read: {error.strerror}", "give a folder of pictures") from None
    pictures: dict[int, Path] = {}
    for path in paths:
        number = frame_number(path.name)
        if number is None or path.name.startswith("."):
            continue
        if number in pictures:
            raise UsageError(
                f"{folder} has two pictures with the number {number}: {pictures[number].name} and {path.name}",
                "give a folder with the frames of one film only",
            )
        pictures[number] = path
    if not pictures:
        raise UsageError(f"{folder} has no numbered pictures", "name them by their frames, as 000120.png")
    return dict(sorted(pictures.items()))
