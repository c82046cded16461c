"""Frames are told of once, whichever way a task goes through them and however often it is taken up."""

import pytest

from farm.job import FrameRecord


@pytest.mark.parametrize("frames", [[4, 5, 6, 7], [7, 6, 5, 4]])
def test_a_task_taken_up_again_tells_nothing_twice(frames):
    from farm.cluster.launch import FrameTally  # imports nothing of ray, and needs no cluster
    from farm.render import FrameReport

    tally = FrameTally()

    def told(some):
        return [f for f in some if tally.is_new(FrameReport("pass-2/00000", f, FrameRecord(frame=f, sha256="")))]

    assert told(frames[:3]) == frames[:3]
    assert told(frames) == frames[3:]
    assert tally.is_new(FrameReport("pass-2/00001", 5, FrameRecord(frame=5, sha256="")))
