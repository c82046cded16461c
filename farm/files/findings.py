"""What was found out about files of this machine, kept in the user's cache until one of the files changes.

text = kept_finding("scan", [path, False], [path], lambda: to_text(scan_video(path)))

A finding is a text that depends on the bytes of files and on a key, and on nothing else. A file counts as unchanged
while its device, inode, size and times are the same. Findings of another version of the farm, or of the libraries that
read films and pictures, are not believed. Everything here may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from farm.files.atomic import write_atomically
from farm.files.remote import is_remote

SETTLED_SECONDS = 2.0
"""Age in seconds from which on a file's times tell whether it changes.

Why: a clock of files may tick every two seconds, and a second change within a tick leaves the times as they are.
"""
MOST_FINDINGS = 300
"""Findings that are kept, those used last. One of a film of two hours takes about 2 MB."""
LIBRARIES = ("av", "cv2", "PIL", "pillow_heif", "torch")
"""Packages that read films, pictures and networks."""


def kept_finding(
    kind: str,
    key: Any,
    files: Sequence[str],
    find: Callable[[], str],
    *,
    folder: Path | None = None,
    now: Callable[[], float] = time.time,
) -> str:
    """What `find` returned before for this kind, this key (of JSON's values) and these files, or what it returns now.

    Where a file is a URL, is missing, or was changed less than SETTLED_SECONDS ago, nothing is kept. `folder` is the
    user's cache if None. Raises what `find` raises, and nothing else.
    """
    before = _signature(files, now())
    if before is None:
        return find()
    name = hashlib.sha256(json.dumps([kind, key, list(files)], sort_keys=True).encode()).hexdigest()[:32]
    path = (folder or cache_folder()) / f"{kind}-{name}.json"
    signature = [software(), before]
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        noted = json.loads(path.read_bytes())
        if noted["signature"] == signature and isinstance(noted["text"], str):
            os.utime(path)
            return str(noted["text"])
    text = find()
    if _signature(files, now()) == before:
        with contextlib.suppress(OSError):  # of a full disk, or a home that is not this user's
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps({"signature": signature, "text": text}).encode())
            _forget_oldest(path.parent)
    return text


def cache_folder() -> Path:
    """The folder of the findings: FARM_FINDINGS, else `farm/findings` in XDG_CACHE_HOME, else in `~/.cache`."""
    if named := os.environ.get("FARM_FINDINGS"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "farm" / "findings"


@functools.cache
def software() -> str:
    """A hash that changes with the code of the farm and the libraries that read films and pictures."""
    package = Path(__file__).parents[1]
    parts = [sys.version, *(_stamp(path) for path in sorted(package.rglob("*.py")))]
    for name in LIBRARIES:
        spec = find_spec(name)  # does not import it
        parts.append(_stamp(Path(spec.origin)) if spec and spec.origin else name)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def _signature(files: Sequence[str], now: float) -> list[list[int]] | None:
    """Device, inode, size and times of each file; None where these do not tell whether a file has changed."""
    rows = []
    for file in files:
        if is_remote(file):
            return None
        try:
            status = os.stat(file)  # noqa: PTH116  a path of bytes that are no text is a str with surrogates
        except (OSError, ValueError):
            return None
        if abs(now - max(status.st_mtime, status.st_ctime)) < SETTLED_SECONDS:
            return None
        rows.append([status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns])
    return rows


def _forget_oldest(folder: Path) -> None:
    """Remove all but the MOST_FINDINGS findings that were used last."""
    found = [(entry.stat().st_mtime, entry.path) for entry in os.scandir(folder)]
    for _, path in sorted(found, reverse=True)[MOST_FINDINGS:]:
        Path(path).unlink(missing_ok=True)
