from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from farm.flow import write_flow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pair(textured_pair, tmp_path):
    made = textured_pair("zoom")
    cv2.imwrite(str(tmp_path / "a.png"), made.a[..., ::-1])
    cv2.imwrite(str(tmp_path / "b.png"), made.b[..., ::-1])
    write_flow(tmp_path / "truth.flo", made.truth)
    cv2.imwrite(str(tmp_path / "invalid.png"), np.where(made.interior(8), 0, 255).astype(np.uint8))
    return ["--pair", *(str(tmp_path / name) for name in ("a.png", "b.png", "truth.flo"))]


def run(*options):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.flow_error", *options],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )


@pytest.mark.process
def test_errors_as_json(pair, tmp_path):
    done = run(*pair, "--invalid", str(tmp_path / "invalid.png"), "--repeat", "1", "--json")
    assert done.returncode == 0, done.stderr
    measured = {each["method"]: each for each in json.loads(done.stdout)}
    assert set(measured) == {"dis", "deepflow", "epicflow", "farneback"}
    for each in measured.values():
        assert 0 < each["error_px"] <= each["direct_error_px"]
        assert each["seconds"] > 0


@pytest.mark.process
def test_a_table_and_a_picture_that_is_not_there(pair, tmp_path):
    done = run(*pair, "--methods", "farneback", "--repeat", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith("farneback ")
    (tmp_path / "a.png").unlink()
    failed = run(*pair)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.count("\n") == 1
    assert "a.png is not a picture" in failed.stderr
