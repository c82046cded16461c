"""Which files the table of faults damages: those that the rest of a render still reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.chaos.faults import is_still_read

FRAMES = {"pass-1/00001/000011", "pass-1/00002/000012"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("frames/pass-1/00001/000011.png", True),
        ("frames/pass-1/00001/000009.png", False),
        ("ledger/pass-1/00001.json", True),
        ("ledger/pass-1/00000.json", False),
        ("flow/dis-64x43-78/000001-000002.png", True),
        ("job.json", True),
    ],
)
def test_a_file_counts_as_read_where_a_frame_is_made_from_it(path, expected):
    assert is_still_read(Path(path), FRAMES) is expected
