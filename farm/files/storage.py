"""Files of a job on a local path or any fsspec URL, each written whole or not at all.

On disk a commit is write, fsync, rename. On object storage it is one PUT, which is atomic there. Two workers that write
the same name cannot tear it: the last whole file stands. A call that fails in a way that passes (a network, an
overloaded server) is made again a few times. Nothing is written or removed outside the folder, neither by a name with
`..` in it nor through a link that leads out.

Credentials of an object store come from the environment of each machine, as its own tools read them
(AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...), never from the URL.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from farm.errors import DiskFullError, StorageError, UsageError
from farm.files.atomic import copy_atomically, is_half_written, move_into_place, write_atomically

ATTEMPTS = 6
"""Times that a call is made before its failure counts."""
PASSING_ERRORS = frozenset(
    {errno.EIO, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ESTALE, errno.ETIMEDOUT, errno.ENOLCK}
)
"""Error numbers of a network file system or an overloaded store. A full disk or a missing right is not among them."""

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Error numbers of a disk, or of a user's share of one, that has no room."""
REMOVED_AT_ONCE = 1000
"""Files that object storage is asked to remove with one request, the most that S3 allows."""
WRITTEN_AT_ONCE = 8
"""Files of one call that are written at the same time to object storage, where each takes a round trip."""

T = TypeVar("T")


class Storage:
    """A folder, addressed by relative names with `/` between the parts. Every method raises StorageError.

    `sleep` waits some seconds before a call that failed is made again; tests give one that does not.
    """

    def __init__(self, url: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep
        self.url = url.rstrip("/")
        self._local: Path | None = None
        self._remote: Any = None
        # s3fs asks for a file's size before it reads it, to read large ones in parts, unless it is told not to
        self._one_request = {"max_concurrency": 1} if url.startswith(("s3://", "s3a://")) else {}
        if "://" not in url or url.startswith("file://"):
            self._local = Path(url.removeprefix("file://")).absolute()
            self.url = str(self._local)
        else:
            import fsspec  # here, because a command that looks at a job on this disk shall answer at once

            try:
                # other machines write here too, so what was listed a second ago tells nothing
                self._remote, self._root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
            except (ImportError, ValueError) as error:
                raise UsageError(f"job storage {url} cannot be used: {error}", _extra_for(url)) from None

    @property
    def local(self) -> Path | None:
        """The folder, where it is on a disk of this machine; None on object storage."""
        return self._local

    def below(self, name: str) -> Storage:
        """The folder `name` in this one, as a storage of its own."""
        return Storage(f"{self.url}/{name}", self._sleep)

    def write(self, name: str, data: bytes) -> None:
        """Commit `data` under `name`, replacing what was there."""

        def write() -> None:
            if self._local is None:
                self._remote.pipe_file(self._key(name), data)
            else:
                write_atomically(self._inside(name), data)

        self._attempt("written", name, write)

    def write_all(self, files: Mapping[str, bytes]) -> None:
        """Commit several files, by name. Where it raises, some of them may be there."""
        if self._local is not None or len(files) < 2:
            for name, data in files.items():
                self.write(name, data)
            return
        with ThreadPoolExecutor(WRITTEN_AT_ONCE) as threads:
            for _ in threads.map(self.write, files, files.values()):
                pass

    def upload(self, source: Path, name: str) -> None:
        """Copy a local file of any size to `name`, in pieces. It is there whole or not at all."""

        def upload() -> None:
            if self._local is None:
                self._remote.put_file(str(source), self._key(name))
            else:
                copy_atomically(source, self._inside(name))

        self._attempt("written", name, upload)

    def adopt(self, source: Path, name: str) -> None:
        """Move a file into place that was written beside it, on the disk where this folder is."""
        local = self._local
        assert local is not None

        def adopt() -> None:
            if source.exists():  # or it was moved already, before what then failed
                move_into_place(source, local / name)

        self._attempt("written", name, adopt)

    def read(self, name: str) -> bytes | None:
        """The bytes under `name`, or None where there is no such file."""

        def read() -> bytes | None:
            try:
                if self._local is None:
                    return bytes(self._remote.cat_file(f"{self._root}/{name}", **self._one_request))
                return (self._local / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

        return self._attempt("read", name, read)

    def exists(self, name: str) -> bool:
        """Whether there is a file or a folder of that name."""

        def exists() -> bool:
            if self._local is None:
                return bool(self._remote.exists(f"{self._root}/{name}"))
            return (self._local / name).exists()

        return self._attempt("read", name, exists)

    def size(self, name: str) -> int | None:
        """Bytes of a file. None where there is no such file."""

        def size() -> int | None:
            try:
                if self._local is None:
                    return int(self._remote.info(f"{self._root}/{name}")["size"])
                path = self._local / name
                return path.stat().st_size if path.is_file() else None
            except (FileNotFoundError, NotADirectoryError):
                return None

        return self._attempt("read", name, size)

    def names(self, folder: str) -> list[str]:
        """Names of all whole files at any depth below `folder`, relative to this storage, sorted."""

        def names() -> list[str]:
            if self._local is None:
                paths = self._remote.find(f"{self._root}/{folder}")
                return sorted(path[len(self._root.rstrip("/")) + 1 :] for path in paths)
            below = (self._local / folder).rglob("*")
            return sorted(
                path.relative_to(self._local).as_posix()
                for path in below
                if path.is_file() and not path.name.startswith(".")
            )

        return self._attempt("read", folder, names)

    def remove(self, name: str) -> None:
        """Remove a file. One that is not there is no error."""

        def remove() -> None:
            with contextlib.suppress(FileNotFoundError):
                if self._local is None:
                    self._remote.rm_file(self._key(name))
                else:
                    self._inside(name).unlink(missing_ok=True)

        self._attempt("removed", name, remove)

    def remove_all(self, names: Sequence[str]) -> None:
        """Remove many files, and on a disk the folders that are empty then. One that is not there is no error."""
        if self._local is None:
            for at in range(0, len(names), REMOVED_AT_ONCE):
                keys = [self._key(name) for name in names[at : at + REMOVED_AT_ONCE]]
                self._attempt("removed", names[at], partial(self._remove_objects, keys))
            return
        for name in names:
            self.remove(name)
        folders = {parent for name in names for parent in PurePosixPath(name).parents if parent.name}
        for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):  # not empty
                (self._local / folder).rmdir()

    def _remove_objects(self, keys: list[str]) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._remote.rm(keys)

    def free_bytes(self) -> int | None:
        """Bytes that may still be written. None on object storage, and where that cannot be told."""
        place = self._local
        while place is not None and not place.exists() and place != place.parent:
            place = place.parent
        try:
            return None if place is None else shutil.disk_usage(place).free
        except OSError:
            return None

    def age(self, name: str) -> float | None:
        """Seconds since a file was last written, by the storage's own clock. None where that cannot be told.

        The storage's time is that of a file which is written for it and removed again. Why: this machine's clock may
        differ from the clocks of those that write here.
        """
        probe = f".clock-{uuid.uuid4().hex[:12]}"
        try:
            self.write(probe, b"")
            return max(self._written_at(probe) - self._written_at(name), 0.0)
        except Exception:  # a folder that may only be read, or a store that keeps no times
            return None
        finally:
            with contextlib.suppress(StorageError):
                self.remove(probe)

    def _written_at(self, name: str) -> float:
        """Seconds since 1970, by the storage's clock."""
        if self._local is not None:
            return (self._local / name).stat().st_mtime
        return float(self._remote.modified(self._key(name)).timestamp())

    def sweep(self, folders: Collection[str]) -> None:
        """Remove files that killed writers left half written, at any depth below `folders`.

        Only for a caller who knows that nobody is writing there. Object storage keeps no such files.
        """
        local = self._local
        if local is None:
            return

        def sweep() -> None:
            for folder in folders:
                below = [] if (local / folder).is_symlink() else (local / folder).rglob(".*")
                for path in list(below):
                    if is_half_written(path):
                        path.unlink(missing_ok=True)

        self._attempt("removed", ".", sweep)

    def _key(self, name: str) -> str:
        return f"{self._root}/{_checked(name)}"

    def _inside(self, name: str) -> Path:
        """Where `name` is on disk. Raises PermissionError where a link among its folders leads out of this one."""
        assert self._local is not None
        path = self._local / _checked(name)
        if not path.parent.resolve().is_relative_to(self._local.resolve()):
            raise PermissionError(errno.EPERM, "a link leads out of the folder")
        return path

    def _attempt(self, done: str, name: str, call: Callable[[], T]) -> T:
        """Make a call, again if need be. Raises StorageError that says in one line what could not be done.

        Object stores raise errors of their own libraries beside OSError.
        """
        try:
            return again(call, self._sleep)
        except Exception as error:
            if self._local is not None and not isinstance(error, OSError):
                raise
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                raise DiskFullError(
                    f"{self.url}/{name} cannot be {done}: the disk is full: {error.strerror}",
                    "make room, then run the same command again",
                ) from error
            reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
            raise StorageError(
                f"{self.url}/{name} cannot be {done}: {reason}", "free or mend the storage, then run again"
            ) from error


def _checked(name: str) -> str:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise PermissionError(errno.EPERM, "the name leads out of the folder")
    return name


def _extra_for(url: str) -> str:
    return "pip install 'farm[s3]'" if url.startswith(("s3://", "s3a://")) else ""


def _passes(error: BaseException) -> bool:
    """Whether the same call may well succeed a moment later."""
    return isinstance(error, (ConnectionError, TimeoutError)) or (
        isinstance(error, OSError) and error.errno in PASSING_ERRORS
    )


def again(call: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """Make a call; one that fails in a way that passes some more times. Raises what it raised last.

    `sleep` waits some seconds before each further call.
    """
    try:
        return call()
    except Exception as error:
        if not _passes(error):
            raise
        failure = error
    import tenacity  # here, because hardly any command needs it

    failures = [failure]

    def counted() -> T:
        if failures:
            raise failures.pop()  # the call that was made above is the first attempt
        return call()

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(_passes),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=5),
        reraise=True,
        sleep=sleep,
    )(counted)
