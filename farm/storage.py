"""Files of a job on a local path or any fsspec URL, each written whole or not at all.

On disk a commit is write, fsync, rename; on object storage it is one PUT, which is atomic there.
Two workers that write the same name cannot tear it: the last whole file stands.
Credentials of an object store come from the environment of each machine, as its own tools read them
(AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...), never from the URL.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec

from farm.errors import StorageError, UsageError
from farm.outputs import copy_atomically, write_atomically


class Storage:
    """A folder, addressed by relative names with `/` between the parts. Every method raises StorageError."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._local: Path | None = None
        self._remote: Any = None
        if "://" not in url or url.startswith("file://"):
            self._local = Path(url.removeprefix("file://")).absolute()
            self.url = str(self._local)
        else:
            try:
                # other machines write here too, so what was listed a second ago tells nothing
                self._remote, self._root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
            except (ImportError, ValueError) as error:
                raise UsageError(f"job storage {url} cannot be used: {error}", _extra_for(url)) from None

    def below(self, name: str) -> Storage:
        return Storage(f"{self.url}/{name}")

    def write(self, name: str, data: bytes) -> None:
        """Commit `data` under `name`, replacing what was there."""
        with self._told("written", name):
            if self._local is None:
                self._remote.pipe_file(f"{self._root}/{name}", data)
            else:
                write_atomically(self._local / name, data)

    def upload(self, source: Path, name: str) -> None:
        """Copy a local file of any size under `name`, in pieces; it is there whole or not at all."""
        with self._told("written", name):
            if self._local is None:
                self._remote.put_file(str(source), f"{self._root}/{name}")
            else:
                copy_atomically(source, self._local / name)

    def read(self, name: str) -> bytes | None:
        """The bytes under `name`, or None where there is no such file."""
        with self._told("read", name):
            try:
                if self._local is None:
                    return bytes(self._remote.cat_file(f"{self._root}/{name}"))
                return (self._local / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def exists(self, name: str) -> bool:
        with self._told("read", name):
            if self._local is None:
                return bool(self._remote.exists(f"{self._root}/{name}"))
            return (self._local / name).exists()

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""
        with self._told("removed", name), contextlib.suppress(FileNotFoundError):
            if self._local is None:
                self._remote.rm_file(f"{self._root}/{name}")
            else:
                (self._local / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _told(self, done: str, name: str) -> Iterator[None]:
        """Say in one line what could not be done. Object stores raise their own libraries' errors beside OSError."""
        try:
            yield
        except Exception as error:
            if self._local is not None and not isinstance(error, OSError):
                raise
            reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
            raise StorageError(
                f"{self.url}/{name} cannot be {done}: {reason}", "free or mend the storage, then run again"
            ) from error


def _extra_for(url: str) -> str:
    return "pip install 'farm[s3]'" if url.startswith(("s3://", "s3a://")) else ""
