"""Inputs that are reached by URL: opened for reading by range, or fetched whole where a program needs a path.

Frames of films are read by range. Each process fetches once what a program needs whole: paintings, weights, and the
film where its sound is tried and joined. What http(s) addresses may
be read is said in farm.files.addresses.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import shutil
import tempfile
import urllib.error
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from farm.errors import InputError
from farm.files.addresses import RangeFile, checked_addresses, open_url
from farm.files.names import shortened

READ_AHEAD_BYTES = 1 << 20
"""Bytes of one request for a range, and of one piece of a copy."""
HOSTLESS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory", "file", "local")
"""Schemes of URLs whose first part is no host but a bucket, an account or nothing."""
_folder: tempfile.TemporaryDirectory[str] | None = None


def is_remote(path: str | Path) -> bool:
    """Whether `path` is a URL."""
    return "://" in str(path)


def is_web(url: str) -> bool:
    """Whether `url` is an http(s) URL."""
    return url.lower().startswith(("http://", "https://"))


def open_remote(url: str) -> Any:
    """The file at a URL, open for reading and seeking; only ranges that are read are transferred. Raises InputError.

    A file of a web server that sends no ranges is fetched whole, once a process.
    """
    _check_host(url)
    if is_web(url):
        try:
            return io.BufferedReader(RangeFile(url), READ_AHEAD_BYTES)
        except io.UnsupportedOperation:
            return local_path(url).open("rb")
        except OSError as error:
            raise _unreadable(url, error) from None
    try:
        system, name = _file_system(url)
        return system.open(name, "rb", block_size=READ_AHEAD_BYTES)
    except Exception as error:  # every kind of storage has its own
        raise _unreadable(url, error) from None


def remote_identity(url: str, head_bytes: int) -> bytes:
    """Bytes that tell one version of a file from another: its size, its tag or time, and its first `head_bytes`.

    Raises InputError.
    """
    _check_host(url)
    if is_web(url):
        return _web_identity(url, head_bytes)
    try:
        system, name = _file_system(url)
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
        atexit.register(remove_copies)
    name = shortened(PurePosixPath(urlsplit(path).path).name or "file")
    copy = Path(_folder.name) / f"{hashlib.sha256(path.encode()).hexdigest()[:12]}-{name}"
    if not copy.exists():
        copy.parent.mkdir(exist_ok=True)  # what cleans folders of temporary files up may have been there
        fetch(path, copy)
    return copy


def remove_copies() -> None:
    """Remove the copies of `local_path`: at the end of the process, and before an end that runs nothing else."""
    global _folder
    if _folder is not None:
        _folder.cleanup()
        _folder = None


def fetch(url: str, target: Path) -> None:
    """Copy the file at a URL to the new file `target`, in pieces. Raises InputError, and then leaves nothing behind."""
    _check_host(url)
    try:
        with open_url(url) if is_web(url) else _opened(url) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, READ_AHEAD_BYTES)
    except InputError:
        target.unlink(missing_ok=True)
        raise
    except Exception as error:
        target.unlink(missing_ok=True)
        raise _unreadable(url, error) from None


def _file_system(url: str) -> Any:
    """The file system of a URL, as fsspec has it, and the file's name there."""
    import fsspec  # as in farm.files.storage

    return fsspec.core.url_to_fs(url, use_listings_cache=False)


def _opened(url: str) -> Any:
    """The file at the URL of an object, for a `with` block."""
    import fsspec

    return fsspec.open(url, "rb")


def _web_identity(url: str, head_bytes: int) -> bytes:
    """`remote_identity` of a file on a web server."""
    try:
        with open_url(url, 0, head_bytes - 1) as answer:
            headers, head = answer.headers, answer.read(head_bytes)
    except OSError as error:
        raise _unreadable(url, error) from None
    # A server without range support sends the whole length instead of `bytes 0-65535/LENGTH`.
    size = (headers.get("Content-Range") or "").rpartition("/")[2] or headers.get("Content-Length") or ""
    version = headers.get("ETag") or headers.get("Last-Modified") or ""
    return f"{size}\n{version}\n".encode() + head


def _check_host(url: str) -> None:
    """Raise InputError for a URL that leads through another one, and for a host of no web server that is not read.

    Web servers are checked as they are connected to.
    """
    scheme = url.partition("://")[0].lower()
    if "::" in scheme:
        raise InputError(f"{url.partition('::')[0]}:: in front of an address is not read", "give the address itself")
    host = urlsplit(url).hostname
    if host and not is_web(url) and scheme not in HOSTLESS:
        try:
            checked_addresses(host, 0)
        except OSError as error:
            raise _unreadable(url, error) from None


def _unreadable(url: str, error: Exception) -> InputError:
    public_url = urlsplit(url)._replace(query="").geturl()  # a query may hold a signature
    if isinstance(error, urllib.error.HTTPError):
        error.close()  # it is the server's answer too
    cause = error.reason if type(error) is urllib.error.URLError else error  # HTTPError, below it, has the status
    reason = " ".join(str(cause).split()) if not isinstance(error, FileNotFoundError) else "it is not there"
    return InputError(
        f"{public_url} cannot be read: {reason or type(error).__name__}", "check the address and the access"
    )


def file_name(path: str) -> str:
    """Name of the file at a path or URL, without folders and query."""
    return PurePosixPath(urlsplit(path).path if "://" in path else path).name
