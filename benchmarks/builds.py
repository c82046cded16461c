"""Two builds of the farm side by side: a worktree of a git revision, and an environment that runs it.

    with Builds(Path("against"), same_environment=True) as builds:
        old = builds.make("OLD", find_revision("HEAD~3"))
        subprocess.run([*old.farm, "render", ...], env=old.environment, cwd=old.root)

The worktrees are removed at the end, also where the block is left by an error; `keep` keeps them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.errors import UsageError

ROOT = Path(__file__).parents[1]
"""The working tree that this file is of."""
HERE = "."
"""Name of the working tree as it is."""
TELL = """if True:
    import json, farm as build
    try:
        from farm.job.software import code_hash
    except ImportError:  # a build of before it
        code = ""
    else:
        code = code_hash()
    print(json.dumps({"file": build.__file__, "code": code}))
"""
"""Says where a build's code lies, and the hash by which its workers call it in a job."""


@dataclass(frozen=True)
class Revision:
    """What was asked for by `name`: a commit, or the working tree, whose `commit` is empty. `key` names its code."""

    name: str
    commit: str
    key: str


@dataclass(frozen=True)
class Build:
    """A build that can be run. `code` is the hash that its workers write into a job; empty where they write none."""

    root: Path
    python: Path
    environment: dict[str, str]
    code: str

    @property
    def farm(self) -> list[str]:
        """The command of this build."""
        return [str(self.python), "-m", "farm"]


def git(*arguments: str) -> str:
    """What git prints, in the working tree. Raises UsageError with what it complains about."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except OSError as error:
        raise UsageError(f"git cannot be run: {error}", "install it") from None
    if done.returncode:
        complaint = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UsageError(f"git {arguments[0]} failed: {complaint}")
    return done.stdout.strip()


def find_revision(name: str) -> Revision:
    """The commit of that name, or the working tree for `.`. Raises UsageError for a name that git does not know."""
    if name == HERE:
        return Revision(name, "", tree_key(ROOT))
    try:
        commit = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except UsageError:
        raise UsageError(f"there is no revision {name}", "git log shows those that there are") from None
    return Revision(name, commit, commit[:12])


def tree_key(root: Path) -> str:
    """First 12 digits of the SHA-256 over all that the farm of a working tree consists of."""
    digest = hashlib.sha256()
    folder = root / "farm"
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    digest.update((root / "pyproject.toml").read_bytes())
    return digest.hexdigest()[:12]


class Builds:
    """Makes builds in a folder, and removes their worktrees at the end."""

    def __init__(self, folder: Path, *, same_environment: bool, keep: bool = False) -> None:
        self._folder, self._same_environment, self._keep = folder.absolute(), same_environment, keep
        self._worktrees: list[Path] = []

    def __enter__(self) -> Builds:
        return self

    def __exit__(self, *_: object) -> None:
        if self._keep:
            return
        for worktree in self._worktrees:
            remove_worktree(worktree)

    def make(self, label: str, revision: Revision) -> Build:
        """A build of that revision; `label` names its folders. Raises UsageError where it cannot be made."""
        root = ROOT if revision.name == HERE else self._worktree(label, revision)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if self._same_environment:
            python = Path(sys.executable)
            environment["PYTHONPATH"] = str(root)  # Ray's workers have it from the driver, by way of the raylet
        else:
            python = self._install(label, root)
        told = _told_by(label, python, environment, root)
        if Path(told["file"]).resolve().parents[1] != root.resolve():
            raise UsageError(f"{label} runs the farm of {told['file']} and not of {root}")
        # or a new worktree would be compiled at every start, where bytecode is not kept, and the working tree not
        subprocess.run([str(python), "-m", "compileall", "-q", str(root / "farm")], capture_output=True, check=False)
        return Build(root, python, environment, told["code"])

    def _worktree(self, label: str, revision: Revision) -> Path:
        path = self._folder / "trees" / f"{label.lower()}-{revision.key}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{path.parent} cannot be made: {error.strerror}", "give another -o") from None
        remove_worktree(path)  # what a run left that was killed
        self._worktrees.append(path)
        git("worktree", "add", "--detach", "--force", str(path), revision.commit)
        return path

    def _install(self, label: str, root: Path) -> Path:
        """The interpreter of a venv that has `root` installed: one that is there already, or a new one."""
        venv = self._folder / "environments" / root.name if root != ROOT else self._folder / "environments" / "here"
        wanted = hashlib.sha256(f"{root}\n".encode() + (root / "pyproject.toml").read_bytes()).hexdigest()
        python, ready = venv / "bin/python", venv / "installed"
        if python.exists() and ready.exists() and ready.read_text() == wanted:
            return python
        shutil.rmtree(venv, ignore_errors=True)
        print(f"{label}: pip installs {root} into {venv}", file=sys.stderr, flush=True)
        commands = (
            [sys.executable, "-m", "venv", str(venv)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-e", str(root)],
        )
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                complaint = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise UsageError(f"{label} has no environment: {complaint}", "or share yours: --same-environment")
        ready.write_text(wanted)
        return python


def remove_worktree(path: Path) -> None:
    """Remove a worktree and what git knows of it, whether it is there, half there or not at all."""
    with contextlib.suppress(UsageError):
        git("worktree", "remove", "--force", "--force", str(path))
    if path.exists():
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(UsageError):
            git("worktree", "prune")


def _told_by(label: str, python: Path, environment: dict[str, str], root: Path) -> dict[str, Any]:
    """What a build says of itself. Raises UsageError where it cannot be imported."""
    # from another folder than its own, so that the environment alone decides which farm is found
    command = [str(python), "-c", TELL]
    done = subprocess.run(command, env=environment, cwd=root.parent, capture_output=True, text=True)
    if done.returncode:
        complaint = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UsageError(
            f"{label} cannot be imported: {complaint}", "without --same-environment it has its own packages"
        )
    told: dict[str, Any] = json.loads(done.stdout)
    return told
