"""`farm --version` names the commit where it can be known, and is never an error."""

from __future__ import annotations

import subprocess

import pytest

from farm.cli.version import commit_of


@pytest.mark.process
def test_a_checkout_is_asked_for_its_commit(tmp_path):
    package = tmp_path / "farm"
    package.mkdir()
    assert commit_of(package) == ""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=me", "-c", "user.email=me@here"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert commit_of(package) == "", "a checkout without a commit"
    (package / "file").write_text("1")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    assert commit_of(package) == head[:12]
    (package / "file").write_text("2")
    assert commit_of(package) == f"{head[:12]}-dirty"


def test_an_installed_farm_has_it_in_a_file(tmp_path):
    (tmp_path / "COMMIT").write_text("3d4ed5d1a2b3\n")
    assert commit_of(tmp_path) == "3d4ed5d1a2b3"
