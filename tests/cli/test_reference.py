"""docs/cli.md is what the commands say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from farm.cli.reference import MEND, reference

ROOT = Path(__file__).parents[2]


def test_the_reference_is_up_to_date():
    written = (ROOT / "docs" / "cli.md").read_text()
    assert written == reference(), f"docs/cli.md is out of date: run `{MEND}`"


def test_make_docs_writes_it():
    makefile = (ROOT / "Makefile").read_text()
    target = MEND.removeprefix("make ")
    assert f"\n{target}:" in makefile
    assert "-m farm.cli.reference > docs/cli.md" in makefile


@pytest.mark.process
def test_the_reference_depends_on_no_terminal():
    environment = {**os.environ, "COLUMNS": "33", "TERM": "dumb", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "farm.cli.reference"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    assert run.stdout == reference()


def test_what_a_table_of_the_reference_shows():
    text = reference()
    render = text[text.index("## farm render\n") : text.index("## farm plan\n")]
    assert "\nfarm render [VIDEO] [OPTIONS]\n" in render
    assert "| `--crf INT` | `16` | " in render
    assert "| `--output`, `-o OUT` |  | " in render
    assert "| `--flow dis\\|deepflow\\|epicflow\\|farneback\\|raft` | `dis` | " in render
    assert "| `--overwrite` |  | " in render
    live = text[text.index("## farm live\n") : text.index("## farm preview\n")]
    assert "| `--network FILE` | required | " in live
