"""Inputs that are reached by URL: opened for reading by range, or fetched whole where a program needs a path.

Films on object storage are read by range. Paintings and weights are small, so each process fetches them once.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import fsspec

from farm.errors import InputError

READ_AHEAD_BYTES = 1 << 20
"""Bytes of one request for a range, and of one piece of a copy."""
_folder: tempfile.TemporaryDirectory[str] | None = None


def is_remote(path: str | Path) -> bool:
    """Whether `path` is a URL."""
    return "://" in str(path)


def open_remote(url: str) -> Any:
    """The file at a URL, open for reading and seeking; only ranges that are read are transferred. Raises InputError."""
    try:
        system, name = fsspec.core.url_to_fs(url, use_listings_cache=False)
        return system.open(name, "rb", block_size=READ_AHEAD_BYTES)
    except Exception as error:  # every kind of storage has its own
        raise _unreadable(url, error) from None


def remote_identity(url: str, head_bytes: int) -> bytes:
    """Bytes that tell one version of a file from another: its size, its tag or time, and its first `head_bytes`.

    Raises InputError.
    """
    try:
        system, name = fsspec.core.url_to_fs(url, use_listings_cache=False)
        info = system.info(name)
        version = info.get("ETag") or info.get("etag") or info.get("LastModified") or info.get("mtime") or ""
        return f"{info.get('size')}\n{version}\n".encode() + system.cat_file(name, start=0, end=head_bytes)
    except Exception as error:
        raise _unreadable(url, error) from None


def local_path(path: str) -> Path:
    """`path` itself, or for a URL a copy on this machine. Each process fetches a URL once. Raises InputError."""
    global _folder
    if not is_remote(path):
        return Path(path)
    if _folder is None:
        _folder = tempfile.TemporaryDirectory(prefix="farm-inputs-")
        atexit.register(_folder.cleanup)
    name = PurePosixPath(urlsplit(path).path).name or "file"
    copy = Path(_folder.name) / f"{hashlib.sha256(path.encode()).hexdigest()[:12]}-{name}"
    if not copy.exists():
        fetch(path, copy)
    return copy


def fetch(url: str, target: Path) -> None:
    """Copy the file at a URL to the new file `target`, in pieces. Raises InputError, and then leaves nothing behind."""
    try:
        with fsspec.open(url, "rb") as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, READ_AHEAD_BYTES)
    except Exception as error:
        target.unlink(missing_ok=True)
        raise _unreadable(url, error) from None


def _unreadable(url: str, error: Exception) -> InputError:
    public_url = urlsplit(url)._replace(query="").geturl()  # a query may hold a signature
    reason = " ".join(str(error).split()) if not isinstance(error, FileNotFoundError) else "it is not there"
    return InputError(
        f"{public_url} cannot be read: {reason or type(error).__name__}", "check the address and the access"
    )


def file_name(path: str) -> str:
    """Name of the file at a path or URL, without folders and query."""
    return PurePosixPath(urlsplit(path).path if "://" in path else path).name
