"""The commands as people give them, and what they leave in a job directory."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from farm.cli.main import main
from farm.job import JobDirectory
from farm.job.state import load_state

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 300


def farm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this process: importing Ray for each of them would take most of the tests' time."""
    stdout, stderr, before = io.StringIO(), io.StringIO(), signal.getsignal(signal.SIGTERM)
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["farm", *arguments])
        try:
            main()
            code = 0
        except SystemExit as done:
            code = int(done.code or 0)
        finally:
            signal.signal(signal.SIGTERM, before)
    return subprocess.CompletedProcess(arguments, code, stdout.getvalue(), stderr.getvalue())


def farm_alone(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process and an environment of its own."""
    command = [sys.executable, "-m", "farm", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, env={**os.environ, **environment}, cwd=ROOT
    )


def submit(film: Path | str, style: Path | str, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """A render of 64 pixels and few steps; `more` overrides what it is given."""
    options = ["--size", "64", "--iterations", "2,1", "--chunk-frames", "4", "--passes", "2", "--long-term", "none"]
    return farm("submit", str(film), "--style", str(style), "-o", str(output), *options, "--json", *more)


def final_frames(job: str) -> list[np.ndarray]:
    """What the last pass of a job has committed, frame by frame: (H, W, 3) uint8."""
    from farm.render.committed import frame_of_pass  # it loads torch, which most tests do without

    directory = JobDirectory(job)
    record = directory.load_record()
    return [frame_of_pass(directory, record, record.plan.passes, frame) for frame in record.plan.frames]


def same_frames(one: str, other: str) -> bool:
    """Whether two jobs have committed the same frames, to the bit."""
    pairs = zip(final_frames(one), final_frames(other), strict=True)
    return all(np.array_equal(frame, there) for frame, there in pairs)


def commits(job: Path) -> dict[str, int]:
    """Time of writing of every committed frame."""
    return {str(path): path.stat().st_mtime_ns for path in (job / "frames").rglob("[0-9]*.png")}


def until(happened: Callable[[], object], what: str, job: str | Path | None = None) -> None:
    """Wait for something; no longer than until `job` has failed."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not happen"
        state = load_state(JobDirectory(str(job))) if job else None
        assert state is None or state.state != "FAILED", state
        time.sleep(0.1)
