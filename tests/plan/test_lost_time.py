"""Seconds lost with a worker, by exact times."""

import pytest

from farm.plan.liveness import LostTime


@pytest.mark.parametrize(
    ("signs", "lost_again", "committed_at", "work", "seconds"),
    [
        ([10.0], False, 35.0, 5.0, 20.0),  # lost while at its first frame
        ([10.0, 14.0, 18.0], False, 35.0, 5.0, 12.0),  # what was committed is not lost
        ([10.0], True, 60.0, 5.0, 45.0),  # the second worker died too
        ([10.0], False, 11.0, 5.0, 0.0),
    ],
)
def test_a_loss_lasts_from_the_last_sign_to_the_next_frame(signs, lost_again, committed_at, work, seconds):
    times = LostTime()
    for now in signs:
        times.sign("pass-1/00000", now)
    times.lost("pass-1/00000")
    if lost_again:
        times.sign("pass-1/00000", 40.0)
        times.lost("pass-1/00000")
    assert times.committed("pass-1/00000", work, committed_at) == seconds
    assert times.committed("pass-1/00000", work, committed_at + 9) is None
    assert times.total == seconds


def test_tasks_do_not_share_their_losses():
    times = LostTime()
    for task in ("a", "b"):
        times.sign(task, 0.0)
    times.lost("a")
    assert times.committed("b", 1.0, 5.0) is None
    assert times.committed("a", 1.0, 8.0) == 7.0
