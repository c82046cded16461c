"""Whoever reads a command's output may stop reading: the work goes on, and its exit code is that of the work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.process


def run_with_closed_pipe(arguments: list[str], closed: str) -> tuple[int, str]:
    """The exit code, and what the command wrote to the stream that is not `closed`."""
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, closed: writer}
    process = subprocess.Popen([sys.executable, *arguments], text=True, cwd=ROOT, **streams)
    os.close(writer)
    out, err = process.communicate(timeout=100)
    return process.returncode, out or err or ""


@pytest.mark.parametrize("command", [["--version"], ["schema"]])
def test_a_reader_of_stdout_that_is_gone_is_no_error(command):
    assert run_with_closed_pipe(["-m", "farm", *command], "stdout") == (0, "")


def test_the_exit_code_of_an_error_stays(tmp_path):
    command = ["-m", "farm", "plan", str(tmp_path / "none.mp4")]
    code, said = run_with_closed_pipe(command, "stdout")
    assert (code, said.count("\n")) == (2, 1)
    assert run_with_closed_pipe(command, "stderr") == (2, "")


NOTES = """
import sys
from farm.cli.arguments import print_result
from farm.cli.progress import JobProgress

with JobProgress() as progress:
    progress.note("one")
    progress.note("two")
print_result({"frames": 2}, True, "")
"""


def test_work_goes_on_where_nobody_reads_what_it_notes():
    """rich's own console ends the process there, in the middle of a render."""
    assert run_with_closed_pipe(["-c", NOTES], "stderr") == (0, '{"frames": 2}\n')
    assert run_with_closed_pipe(["-c", NOTES], "stdout") == (0, "one\ntwo\n")
