"""What `farm --version` prints: the version, and the commit that this farm was made from, where that is known."""

from __future__ import annotations

import contextlib
import json
import subprocess
from importlib import metadata
from pathlib import Path

import farm

COMMIT_FILE = "COMMIT"
"""File in the package that setup.py writes with the commit when a wheel is built."""
GIT_SECONDS = 5


def version_line() -> str:
    """`farm 0.1.0 (3d4ed5d1a2b3)`, with `-dirty` after the commit where files were changed; never an error."""
    commit = commit_of(Path(farm.__file__).parent)
    return f"farm {farm.__version__}" + (f" ({commit})" if commit else "")


def commit_of(package: Path) -> str:
    """The commit of the farm whose package lies at `package`; empty where nothing tells.

    In a checkout git is asked. An installed farm has the file COMMIT, or what pip noted of a `git+https://` address.
    """
    if (package.parent / ".git").exists():
        command = ["git", "-C", str(package.parent), "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=True)
            return done.stdout.strip()
    with contextlib.suppress(OSError):
        return (package / COMMIT_FILE).read_text().strip()
    with contextlib.suppress(metadata.PackageNotFoundError, ValueError, AttributeError):
        address = json.loads(metadata.distribution("farm").read_text("direct_url.json") or "{}")
        return str(address.get("vcs_info", {}).get("commit_id", ""))[:12]
    return ""
