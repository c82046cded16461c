"""Writing one file on a disk: whether it may be put there, and putting it there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from farm.errors import OutputError
from farm.files.names import shortened

HALF_WRITTEN = re.compile(r"\.[^.]+\.[a-z0-9]+\.[0-9a-f]{12}")
"""Temporary names of files that are not whole yet."""


def check_can_write(path: str | Path, *, overwrite: bool) -> None:
    """Check that a file may be written to `path`. Reads only.

    Raises OutputError where its directory is missing or read-only, `path` is a directory, or a file is there already
    and `overwrite` is False.
    """
    output = Path(path)
    if "://" in str(path):
        raise OutputError(f"{path} is an address, and this file is written to a disk", "give a path")
    _check_name(output)
    if not output.parent.is_dir():
        raise OutputError(f"the directory {output.parent} does not exist", "create it first")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise OutputError(f"the directory {output.parent} cannot be written to", "give another output path")
    if output.is_dir():
        raise OutputError(f"{output} is a directory", "give the path of a file")
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists already", "give another output path or --overwrite")


def _check_name(path: Path) -> None:
    """Raise OutputError where the file system takes no file of this name."""
    try:
        path.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            size = len(os.fsencode(path.name))
            raise OutputError(f"the name of {path} is too long: {size} bytes", "give a shorter one") from None
    except ValueError:
        raise OutputError(f"{path} cannot be the name of a file", "give another output path") from None


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`: after a power loss, either the old or the new file is there, whole.

    It is written under a temporary name that is unique to the attempt, synced, renamed, and its folder synced. The
    folder is made where it is missing. Raises OSError, and then leaves nothing behind.
    """
    with _renamed_when_whole(path) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def copy_atomically(source: Path, path: Path) -> None:
    """Copy a file of any size to `path`, with the promises of `write_atomically`. Raises OSError."""
    with _renamed_when_whole(path) as temporary:
        shutil.copyfile(source, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())


def move_into_place(temporary: Path, path: Path) -> None:
    """Rename `temporary`, a file that was written beside `path`, once it has reached the disk. Raises OSError."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def is_half_written(path: Path) -> bool:
    """Whether `path` is a temporary file of `write_atomically` or `copy_atomically`, in work or left behind."""
    return HALF_WRITTEN.fullmatch(path.name) is not None and path.is_file() and not path.is_symlink()


@contextlib.contextmanager
def _renamed_when_whole(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{shortened(path.name)}.{uuid.uuid4().hex[:12]}")
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
