"""What a node paints with, and whether that is what a job was begun with.

    software = installed()                    # {"farm": "0.1.0", "farm code": "5f0c…", "torch": "2.9.1", ...}
    differences(record.versions, software)    # ("torch 2.9.1 instead of 2.8.0",), or () where frames come out alike

`job.json` keeps what the job's first worker painted with. Every worker that joins later is compared with it, in this
run or in a later one: `SoftwareCheck`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import farm
from farm.spec import RenderSpec

PACKAGES = ("torch", "torchvision", "opencv-contrib-python-headless", "av", "numpy", "ray")
"""Packages whose versions are recorded."""
CODE = "farm code"
"""Name of the hash of the farm's own files. `farm` alone is a version that many builds share."""
COMPARED = ("farm", CODE, *(name for name in PACKAGES if name != "ray"), "precision", "processor")
"""What must be alike for frames to be alike, in the order in which differences are told.

Ray is recorded and not compared: it hands frames out and computes none of their values.
"""
FOR_FLOW = ("farm", CODE, "opencv-contrib-python-headless", "av", "numpy")
"""What optical flow depends on. RAFT also needs torch and torchvision to be alike."""
UNSEEN_ROOMS = ("cli", "commands", "pages")
"""Folders of the farm that are not part of the hash: they ask and show, and no worker runs them."""


@cache
def code_hash(root: Path = Path(farm.__file__).parent) -> str:
    """First 12 digits of the SHA-256 over the names and bytes of the farm's own .py files, without UNSEEN_ROOMS.

    `root` is the folder of the package.
    """
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if name.parts[0] not in UNSEEN_ROOMS:
            digest.update(f"{name.as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def installed() -> dict[str, str]:
    """The farm's version and the hash of its files, and the version of each of PACKAGES, in this process."""
    return {"farm": farm.__version__, CODE: code_hash(), **{name: _version(name) for name in PACKAGES}}


def used_by(spec: RenderSpec, software: Mapping[str, str]) -> dict[str, str]:
    """What of `software` a render of `spec` uses: torchvision only has a part in optical flow by RAFT."""
    return {name: value for name, value in software.items() if name != "torchvision" or spec.flow == "raft"}


def differences(
    job: Mapping[str, str], node: Mapping[str, str] | None, compared: tuple[str, ...] = COMPARED
) -> tuple[str, ...]:
    """How a node's software differs from a job's, such as `torch 2.9.1 instead of 2.8.0`. Empty where it does not.

    Only what the job has recorded is compared. A job of an earlier build has no hash of the farm's files, and a node of
    an earlier build tells nothing (`node` is None): both count as another build.
    """
    if node is None:
        return ("an earlier build of the farm, which does not say what it paints with",)
    told = [
        f"{name} {node.get(name, 'unknown')} instead of {job[name]}"
        for name in compared
        if name in job and job[name] != node.get(name)
    ]
    if CODE not in job:
        told.insert(0, f"{CODE} {node.get(CODE, 'unknown')}, and the job was begun by an earlier build of the farm")
    return tuple(told)


class SoftwareCheck:
    """Compares the workers of one job with what it was begun with.

    `job` is what the job's record says. For a job without a record it is the software of the process that begins the
    job, of which the farm's own must be alike: the first worker that fits decides the rest (`decide`). Why not all of
    it: a head without GPUs often has another build of torch than the workers. With `mixed` every worker fits.
    """

    def __init__(self, job: Mapping[str, str], *, begun: bool, mixed: bool) -> None:
        self.job = dict(job) if begun else {name: job[name] for name in ("farm", CODE)}
        self.mixed = mixed
        self._begun = begun

    def differences(self, node: Mapping[str, str] | None) -> str:
        """How a worker differs from the job, in one line. Empty where it does not."""
        return ", ".join(differences(self.job, node))

    def decide(self, node: Mapping[str, str] | None) -> None:
        """Take the software of a worker that is accepted for the job's, if this is the first one of a new job."""
        if not self._begun and node is not None:
            self.job, self._begun = dict(node), True


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
