"""Files of a job on a local path or any fsspec URL, each written whole or not at all.

On disk a commit is write, fsync, rename; on object storage it is one PUT, which is atomic there.
Two workers that write the same name cannot tear it: the last whole file stands.
"""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import fsspec

from farm.errors import StorageError, UsageError


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
                self._remote, self._root = fsspec.core.url_to_fs(self.url)
            except (ImportError, ValueError) as error:
                raise UsageError(f"job storage {url} cannot be used: {error}") from None

    def below(self, name: str) -> Storage:
        return Storage(f"{self.url}/{name}")

    def write(self, name: str, data: bytes) -> None:
        """Commit `data` under `name`, replacing what was there."""
        try:
            if self._local is None:
                self._remote.pipe_file(f"{self._root}/{name}", data)
            else:
                write_atomically(self._local / name, data)
        except OSError as error:
            raise self._failed("written", name, error) from error

    def upload(self, source: Path, name: str) -> None:
        """Copy a local file of any size under `name`, in pieces; it is there whole or not at all."""
        try:
            if self._local is None:
                self._remote.put_file(str(source), f"{self._root}/{name}")
                return
            target = self._local / name
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}")
            try:
                shutil.copyfile(source, temporary)
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise self._failed("written", name, error) from error

    def read(self, name: str) -> bytes | None:
        """The bytes under `name`, or None where there is no such file."""
        try:
            if self._local is None:
                return bytes(self._remote.cat_file(f"{self._root}/{name}"))
            return (self._local / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._failed("read", name, error) from error

    def exists(self, name: str) -> bool:
        if self._local is None:
            return bool(self._remote.exists(f"{self._root}/{name}"))
        return (self._local / name).exists()

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""
        try:
            if self._local is None:
                self._remote.rm_file(f"{self._root}/{name}")
            else:
                (self._local / name).unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._failed("removed", name, error) from error

    def _failed(self, done: str, name: str, error: OSError) -> StorageError:
        reason = error.strerror or str(error)
        return StorageError(f"{self.url}/{name} cannot be {done}: {reason}", "free or mend the storage, then run again")


def write_atomically(path: Path, data: bytes) -> None:
    """Write, fsync, rename, fsync of the folder: after a power loss the old or the new file is there, whole.

    The temporary name is unique to the attempt. Raises OSError, and then leaves nothing behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
