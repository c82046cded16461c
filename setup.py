"""Writes the commit into the wheel, as farm/COMMIT, for `farm --version`. All else is in pyproject.toml.

The commit is FARM_COMMIT in the environment, for builds without .git such as the image's, else what git says.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

GIT = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"]


def commit() -> str:
    """The commit of this folder; empty where nothing tells."""
    folder = Path(__file__).parent
    if os.environ.get("FARM_COMMIT") or not (folder / ".git").exists():
        return os.environ.get("FARM_COMMIT", "")
    try:
        return subprocess.run(GIT, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


class BuildWithCommit(build_py):
    """The usual build, and then the file COMMIT."""

    def run(self) -> None:
        """Build, then write the commit where it is known."""
        super().run()
        if found := commit():
            target = Path(self.build_lib) / "farm" / "COMMIT"
            if target.parent.is_dir():  # not for an editable install, which runs from the checkout
                target.write_text(f"{found}\n")


setup(cmdclass={"build_py": BuildWithCommit})
