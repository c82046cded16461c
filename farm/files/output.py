"""A film's place, a path or the URL of an object: whether it can be put there, and putting it there.

An object appears whole or not at all, because a store shows what is uploaded only once all of it is there. So only
addresses of object stores are taken; a file on an FTP or web server could be seen half written.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from farm.errors import FarmError, OutputError, StorageError
from farm.files.atomic import check_can_write
from farm.files.names import NAME_BYTES
from farm.files.remote import READ_AHEAD_BYTES, is_remote
from farm.files.storage import Storage

OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")
"""Schemes of URLs to which a film can be written."""


def without_secrets(url: str) -> str:
    """A URL as it may be shown: without its query, where signatures are, and without user and password.

    >>> without_secrets("https://me:key@host/film.mp4?Signature=key")
    'https://host/film.mp4'
    """
    return re.sub(r"//[^/@]*@", "//", url.partition("?")[0]) if is_remote(url) else url


def check_output_kind(output: str) -> None:
    """Check that `output` is a path, or the URL of an object in an object store. Looks at its text only.

    Raises OutputError.
    """
    if not is_remote(output):
        return
    scheme, _, rest = output.partition("://")
    if scheme not in OBJECT_STORES:
        raise OutputError(
            f"a film cannot be written to {without_secrets(output)}: {scheme}:// is no object store",
            "give a path, or s3://bucket/film.mp4",
        )
    if not rest.strip("/").rpartition("/")[0] and scheme != "memory":
        raise OutputError(
            f"{without_secrets(output)} names no object", f"give the bucket and a name: {scheme}://bucket/film.mp4"
        )


def check_can_put(output: str, *, overwrite: bool) -> None:
    """Check that a file may be put at `output`. At a URL, a small object beside it is written and removed.

    Raises OutputError: where the address, the library for it, the access or the bucket is missing, or where a file is
    there already and `overwrite` is False.
    """
    check_output_kind(output)
    if not is_remote(output):
        check_can_write(output, overwrite=overwrite)
        return
    try:
        storage, name = _place(output)
        if not overwrite and storage.exists(name):
            raise OutputError(f"{without_secrets(output)} exists already", "give another output path or --overwrite")
        trial = f".{name}.{uuid.uuid4().hex[:12]}"
        storage.write(trial, b"")
        storage.remove(trial)
    except OutputError:
        raise
    except FarmError as error:
        reason = re.split("cannot be (?:written|read|used|removed): ", error.problem)[-1]
        raise OutputError(
            f"a film cannot be written to {without_secrets(output)}: {reason}", "check the bucket and the access"
        ) from None


@contextlib.contextmanager
def put_when_whole(output: str) -> Iterator[Path]:
    """The path at which a file shall be made; leaving the block without an error puts it at `output`.

    That is `output` itself where it is a path: whoever makes the file renames it into place. Otherwise it is a path in
    a temporary folder, which needs room for the file. Raises StorageError.
    """
    if not is_remote(output):
        yield Path(output)
        return
    storage, name = _place(output)
    with tempfile.TemporaryDirectory(prefix="farm-film-") as folder:
        path = Path(folder) / name
        yield path
        storage.upload(path, name)
        if output_size(output) != path.stat().st_size:
            raise StorageError(f"{without_secrets(output)} is not what was written there", "run the same command again")


def output_size(output: str) -> int | None:
    """Bytes of the file at a path or URL. None where there is no file. Raises StorageError."""
    if not is_remote(output):
        path = Path(output)
        return path.stat().st_size if path.is_file() else None
    storage, name = _place(output)
    return storage.size(name)


def output_sha256(output: str) -> str | None:
    """SHA-256 of the file's bytes at a path or URL, all of them read. None where there is no file or no answer."""
    digest = hashlib.sha256()
    try:
        with _open(output) as file:
            while piece := file.read(READ_AHEAD_BYTES):
                digest.update(piece)
    except Exception:  # every kind of storage has its own
        return None
    return digest.hexdigest()


def beside(output: str, ending: str) -> str:
    """`output`, a path or URL, with another ending.

    >>> beside("s3://bucket/films/x.mp4", ".farm"), beside("films/x.mp4", ".farm")
    ('s3://bucket/films/x.farm', 'films/x.farm')
    """
    if not is_remote(output):
        return str(Path(output).with_suffix(ending))
    folder, _, name = output.rpartition("/")
    return f"{folder}/{Path(name).with_suffix(ending)}"


def job_beside(output: str) -> str:
    """The job directory where none is given: `film.mp4` is made in `film.farm` beside it. Raises OutputError."""
    check_output_kind(output)
    job = beside(output, ".farm")
    if not is_remote(job) and len(os.fsencode(Path(job).name)) > NAME_BYTES:
        raise OutputError(f"the name of {job} is too long for a job directory", "give --job, or a shorter -o")
    return job


def _place(url: str) -> tuple[Storage, str]:
    folder, _, name = url.rpartition("/")
    return Storage(folder), name


def _open(output: str) -> Any:
    if not is_remote(output):
        return Path(output).open("rb")
    import fsspec  # as in farm.files.storage

    return fsspec.open(output, "rb").open()
