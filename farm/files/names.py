"""Names that are made of other names, and fit where they are used.

shortened("a film.mp4")                  # 'a film.mp4'
shortened(250 * "n" + ".mp4")            # 79 times n, '-', 8 digits of a hash, '.mp4'
unfinished(Path("/films/a.mp4"))         # Path('/films/.a.0123456789ab.mp4'), another one each time
"""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

NAME_BYTES = 255
"""Most bytes of a file's name on nearly all file systems."""
SHORT_BYTES = 100
"""Most bytes of a shortened name, so that something can be put before and behind it."""
SUFFIX_BYTES = 16
"""Most bytes of an extension that is kept. A longer one is a part of the name that follows a dot by chance."""
HASH_DIGITS = 8
"""Digits of the hash that tells names apart which begin alike."""


def shortened(name: str, most: int = SHORT_BYTES) -> str:
    """`name` where it has `most` bytes at the most; else its beginning, a hash of all of it, and its extension."""
    data = os.fsencode(name)
    if len(data) <= most:
        return name
    end = f"-{hashlib.sha256(data).hexdigest()[:HASH_DIGITS]}{_extension(name)}"
    beginning = data[: most - len(os.fsencode(end))]
    return beginning.decode("utf-8", "ignore") + end  # a letter that was cut in two is left out


def unfinished(path: Path, suffix: str | None = None) -> Path:
    """A name of its own beside `path` for a file that is renamed to `path` when it is whole.

    It has the extension of `path`, or `suffix`, because that says to ffmpeg what to write.
    """
    ending = _extension(path.name) if suffix is None else suffix
    return path.with_name(f".{shortened(path.stem)}.{uuid.uuid4().hex[:12]}{ending}")


def _extension(name: str) -> str:
    suffix = Path(name).suffix
    return suffix if len(os.fsencode(suffix)) <= SUFFIX_BYTES else ""
