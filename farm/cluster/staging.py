"""Copies of local inputs in the job's storage, for a cluster that does not see this machine's disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

from farm.errors import UsageError
from farm.files.storage import Storage
from farm.render.prepare import check_inputs
from farm.spec.named_files import with_files
from farm.spec.render import RenderSpec

BLOCK = 1 << 20


def copy_inputs(spec: RenderSpec, job_url: str) -> RenderSpec:
    """Copy every film, picture and state dict that is a local file below `inputs/`; the spec that names the copies.

    Each is first opened as what it should be: a spec from elsewhere may name any file of this machine.
    A file that is there already is not copied again: its name holds the hash of its bytes. Raises InputError for
    what is no film, picture or network, UsageError for a file that cannot be read, and for a folder of flow fields.
    """
    if spec.flow_dir and "://" not in spec.flow_dir:
        raise UsageError("a folder of flow fields is not staged", "put --flow-dir on storage that the cluster sees")
    check_inputs(spec)
    storage = Storage(job_url)
    return with_files(spec, lambda path: _staged(storage, path))


def _staged(storage: Storage, path: str) -> str:
    if "://" in path:
        return path
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    except OSError as error:
        raise UsageError(f"{path} cannot be staged: {error.strerror}", "check the path") from None
    name = f"inputs/{digest.hexdigest()[:12]}-{Path(path).name}"
    if not storage.exists(name):
        storage.upload(Path(path), name)
    return f"{storage.url}/{name}"
