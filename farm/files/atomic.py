"""Files that are made: whether one may be put somewhere, and putting it there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from farm.errors import OutputError

HALF_WRITTEN = re.compile(r"\.[^.]+\.[a-z0-9]+\.[0-9a-f]{12}")


def check_can_write(path: str | Path, *, overwrite: bool) -> None:
    """Raises OutputError for a missing or read-only directory, a directory of that name, or a file that is there."""
    output = Path(path)
    if not output.parent.is_dir():
        raise OutputError(f"the directory {output.parent} does not exist", "create it first")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise OutputError(f"the directory {output.parent} cannot be written to", "give another output path")
    if output.is_dir():
        raise OutputError(f"{output} is a directory", "give the path of a file")
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists already", "give another output path or --overwrite")


def write_atomically(path: Path, data: bytes) -> None:
    """Write, fsync, rename, fsync of the folder: after a power loss the old or the new file is there, whole.

    The folder is made if need be. The temporary name is unique to the attempt. Raises OSError, and then leaves nothing
    behind.
    """
    with _renamed_when_whole(path) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def copy_atomically(source: Path, path: Path) -> None:
    """A copy of `source`, with the promises of `write_atomically`."""
    with _renamed_when_whole(path) as temporary:
        shutil.copyfile(source, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())


def move_into_place(temporary: Path, path: Path) -> None:
    """Rename a file that was written beside `path`, after it has reached the disk. Raises OSError."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def is_half_written(path: Path) -> bool:
    """Whether it is a file that `write_atomically` or `copy_atomically` was killed over, or is writing now."""
    return HALF_WRITTEN.fullmatch(path.name) is not None and path.is_file() and not path.is_symlink()


@contextlib.contextmanager
def _renamed_when_whole(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
