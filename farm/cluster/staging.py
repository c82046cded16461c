"""Copies of local inputs in the job's storage, for a cluster that does not see this machine's disk.

spec = copy_inputs(spec, "s3://farm/painted.farm")     # the same spec, with the copies' URLs in place of local paths
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from farm.errors import UsageError
from farm.files import Storage
from farm.files.names import shortened
from farm.files.remote import is_remote
from farm.render.inputs import Inputs
from farm.spec import RenderSpec
from farm.spec.named_files import with_files


def copy_inputs(spec: RenderSpec, job_url: str) -> RenderSpec:
    """Copy every film, picture and state dict that is a local file below `inputs/`; the spec that names the copies.

    Each file is first opened as what it should be, because a spec from elsewhere may name any file of this machine.
    A file that is there already is not copied again: its name holds the hash of its bytes. Raises InputError for
    what is no film, picture or network, UsageError for a file that cannot be read, and for a folder of flow fields.
    """
    if spec.flow_dir and not is_remote(spec.flow_dir):
        raise UsageError("a folder of flow fields is not copied", "put --flow-dir on storage that the cluster sees")
    hashes = Inputs().for_copying(spec)
    storage = Storage(job_url)
    return with_files(spec, lambda path: _copied(storage, path, hashes))


def _copied(storage: Storage, path: str, hashes: Mapping[str, str]) -> str:
    """The URL of the copy of a local file, made where it is missing; a URL is returned as it is."""
    if is_remote(path):
        return path
    name = f"inputs/{hashes[path][:12]}-{shortened(Path(path).name)}"
    if not storage.exists(name):
        storage.upload(Path(path), name)
    return f"{storage.url}/{name}"
