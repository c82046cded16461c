"""Renders in odd surroundings: names, folders and readers that are not as one expects. Nothing breaks on the way.

PLACES has a function for each row, as FAULTS (faults.py) has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.chaos.harness import COMMAND_SECONDS, FRAMES, ROOT, Bench, Case, Row, hashes
from benchmarks.chaos.watch import Watch
from farm.media.probe import probe_video

NAME_BYTES = 255
"""Bytes of the longest name of a file."""


def longest_name(bench: Bench, name: str) -> Row:
    """The film and the job directory have names of 255 bytes, with letters beyond ASCII.

    The job directory is given: that of such a film would have one byte too many, and is refused before the start.
    """
    case = Case(bench, name)
    case.output, case.job = (case.folder / named_to_the_full(extension) for extension in (".mp4", ".farm"))
    case.spec["output"] = str(case.output)
    case.watch = Watch(case.job, case.output)
    case.row.when = f"{NAME_BYTES} bytes each"
    case.run()
    return case.compare()


def named_to_the_full(extension: str) -> str:
    """A name of NAME_BYTES bytes with letters beyond ASCII."""
    room = NAME_BYTES - len(extension)
    stem = ("Größe 日本 " * NAME_BYTES).encode()[:room].decode("utf-8", "ignore")
    return f"{stem}{'n' * (room - len(stem.encode()))}{extension}"


def surroundings(when: str, change: Callable[[Path], dict[str, str]]) -> Callable[[Bench, str], Row]:
    """A row with other environment variables, which `change` gives for the case's folder."""

    def render(bench: Bench, name: str) -> Row:
        case = Case(bench, name)
        case.row.when = when
        case.environment = change(case.folder)
        case.run()
        return case.compare()

    return render


def _no_home(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder / "nobody")}


def _long_folder(folder: Path) -> dict[str, str]:
    long = folder / ("t" * 120)
    long.mkdir()
    return {"TMPDIR": str(long)}


def closed_stdout(bench: Bench, name: str) -> Row:
    """The command itself, whose stdout is a pipe that nobody reads. It ends with 0, and the film is whole."""
    case = Case(bench, name)
    spec = case.folder / "spec.json"
    spec.write_text(json.dumps(case.spec))
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "farm", "render", "--spec", str(spec), "--job", str(case.job), "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with case.watch:
        done = subprocess.run(
            [*command, "--threads", "1"],
            stdout=writer, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment, timeout=COMMAND_SECONDS,
        )  # fmt: skip
    os.close(writer)
    case.row.when, case.row.codes = "before anything is written", [done.returncode]
    whole = case.output.exists() and probe_video(str(case.output)).frame_count == FRAMES
    same = hashes(case.job) == bench.frames
    lines = done.stderr.splitlines()
    case.row.says = lines[-1] if lines and done.returncode else ""
    faults = [] if whole else ["no film"]
    faults += [] if same else ["frames differ"]
    faults += [f"the command ended with {done.returncode}"] if done.returncode else []
    case.row.identical = "; ".join(faults) or "yes"
    return case.row


PLACES: dict[str, Callable[[Bench, str], Row]] = {
    "a name of 255 bytes beyond ASCII": longest_name,
    "HOME that is not there": surroundings("the whole time", _no_home),
    "TMPDIR too long for Ray's sockets": surroundings("the whole time", _long_folder),
    "stdout closed by its reader": closed_stdout,
}
"""What is odd about a render, by the name of its row."""
