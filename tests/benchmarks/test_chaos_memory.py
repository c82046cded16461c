"""The meminfo that the chaos benchmark shows to Ray's memory monitor."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.chaos.faults import Meminfo

pytestmark = pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="there is no /proc here")


def kilobytes(text: str, name: str) -> int:
    return int(re.findall(rf"^{name}: +(\d+) kB$", text, re.MULTILINE)[0])


def test_it_says_how_much_is_available_and_stays_as_long_as_it_was(tmp_path):
    meminfo = Meminfo(tmp_path / "meminfo")
    before = (tmp_path / "meminfo").read_text()
    meminfo.available(0.01)
    low = (tmp_path / "meminfo").read_text()
    assert len(low) == len(before)
    total = kilobytes(before, "MemTotal")
    assert kilobytes(low, "MemTotal") == total
    assert kilobytes(low, "MemAvailable") == total // 100
    assert kilobytes(low, "Cached") == 0
    meminfo.available(None)
    assert (tmp_path / "meminfo").read_text() == before
