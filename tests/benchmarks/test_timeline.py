"""The verdict of benchmarks.timeline, on losses and errors with known answers."""

from __future__ import annotations

import pytest

from benchmarks.timeline import judge, monotonous


def test_a_loss_has_to_rise_or_fall_from_every_frame_to_the_next():
    assert monotonous([1.0, 2.0, 3.0], rises=True)
    assert monotonous([3.0, 2.0], rises=False)
    assert not monotonous([1.0, 3.0, 2.0], rises=True)
    assert not monotonous([3.0, 1.0, 2.0], rises=False)


def test_only_the_pairs_at_the_points_count_as_jumps_there():
    losses = [[1.0, 9.0], [3.0, 6.0], [5.0, 2.0], [4.0, 4.0], [2.0, 8.0]]
    summary = judge(losses, [1.0, 0.8, None, 1.9], (0, 2, 4))
    assert all(summary["monotonous"].values())
    assert summary["at points"] == pytest.approx(1.9)  # the last pair is at the last point
    summary = judge(losses, [1.0, 0.8, 1.7, 1.0], (0, 2, 4))
    assert summary["at points"] == pytest.approx(1.7)  # the pair after the middle point
    summary = judge([[1.0, 9.0], [0.5, 6.0], *losses[2:]], [1.0] * 4, (0, 2, 4))
    assert summary["monotonous"] == {
        "to A, first half": False,
        "to B, first half": True,
        "to A, second half": True,
        "to B, second half": True,
    }
