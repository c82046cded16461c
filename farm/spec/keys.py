"""Painted keyframes as a spec names them. Pure, but for `keys_in_folder`, which lists a folder.

parse_key("120=painted/120.png")       {"frame": "120", "picture": "painted/120.png"}
keys_in_folder("painted")              ["120=painted/000120.png", ...]
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from farm.errors import UsageError
from farm.spec.base import Model
from farm.spec.paint import PICTURE_SUFFIXES


class Key(Model):
    """A frame whose picture is given: somebody painted it, and the film shows it as it is."""

    frame: int = Field(ge=0, description="Number of the film's frame, counted from 0.")
    picture: str = Field(min_length=1, description="Picture of that frame, painted.")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return parse_key(value) if isinstance(value, str) else value


def parse_key(text: str) -> dict[str, Any]:
    """`FRAME=PICTURE`. Raises ValueError.

    >>> parse_key("120=painted/120.png")
    {'frame': '120', 'picture': 'painted/120.png'}
    """
    match = re.fullmatch(r"\s*(\d+)\s*=\s*(\S.*)", text)
    if not match:
        raise ValueError(f"write {text!r} as FRAME=PICTURE, for example 120=painted/120.png")
    return {"frame": match.group(1), "picture": match.group(2)}


def listed(value: Any) -> Any:
    """Keys as a list: a mapping from frames to pictures, as YAML may have it, becomes one."""
    if isinstance(value, dict):
        return [{"frame": frame, "picture": picture} for frame, picture in value.items()]
    return value


def in_order(keys: tuple[Key, ...]) -> tuple[Key, ...]:
    """The keys by their frames. Raises ValueError where two are of one frame."""
    ordered = tuple(sorted(keys, key=lambda key: key.frame))
    for first, second in itertools.pairwise(ordered):
        if first.frame == second.frame:
            raise ValueError(f"frame {first.frame} has two pictures: {first.picture} and {second.picture}")
    return ordered


def keys_in_folder(folder: str | Path) -> list[str]:
    """A key for each picture in a folder whose name is a frame's number, as `000120.png` or `plate.000120.png`.

    The number is the last one in the name. Raises UsageError where the folder has no such picture, or cannot be read.
    """
    try:
        names = sorted(path.name for path in Path(folder).iterdir() if path.is_file())
    except OSError as error:
        raise UsageError(f"--keys {folder} cannot be read: {error.strerror}", "give a folder of pictures") from None
    keys = [f"{number}={Path(folder) / name}" for number, name in numbered_pictures(names)]
    if not keys:
        raise UsageError(
            f"--keys {folder} has no picture that is named by its frame", "name them by numbers: 000120.png"
        )
    return keys


def numbered_pictures(names: Sequence[str]) -> Iterator[tuple[int, str]]:
    """(number, name) of those that are pictures and have a number."""
    for name in names:
        numbers = re.findall(r"\d+", Path(name).stem)
        if Path(name).suffix.lower() in PICTURE_SUFFIXES and numbers and not name.startswith("."):
            yield int(numbers[-1]), name
