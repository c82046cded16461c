"""The bars of a film in Ray's dashboard: planned frames from the start, and the same percentage in the job's record."""

import json

import pytest

from farm.cluster.phase_bars import MOST_PARTS, parts_of_passes, with_progress


@pytest.mark.parametrize(
    "frames", [{"pass 1": 61, "pass 2": 61}, {"pass 1": 100_000, "pass 2": 100_000, "pass 3": 99_999}, {"frames": 1}]
)
def test_a_bar_has_as_many_parts_as_frames_or_its_share_of_the_most(frames):
    parts = parts_of_passes(frames)
    assert parts.keys() == frames.keys()
    assert sum(parts.values()) <= MOST_PARTS
    if sum(frames.values()) <= MOST_PARTS:
        assert parts == frames
    for name, count in frames.items():
        done = count * 4 // 100
        assert 100 * (parts[name] * done // count) / parts[name] == pytest.approx(100 * done / count, abs=1.0)


def test_a_pass_without_frames_has_no_bar():
    assert parts_of_passes({"pass 1": 5, "pass 2": 0}) == {"pass 1": 5}


RECORD = {"status": "RUNNING", "entrypoint": "python", "message": "is running", "metadata": {"job_name": "film"}}


def test_the_percentage_is_put_beside_what_ray_knows():
    told = json.loads(with_progress(json.dumps(RECORD).encode(), "4 %", "4 % painted"))
    assert told == {**RECORD, "message": "4 % painted", "metadata": {"job_name": "film", "progress": "4 %"}}


@pytest.mark.parametrize("status", ["PENDING", "STOPPED", "SUCCEEDED", "FAILED"])
def test_a_job_that_does_not_run_stays_as_ray_has_it(status):
    assert with_progress(json.dumps({**RECORD, "status": status}).encode(), "4 %", "") is None
    assert with_progress(None, "4 %", "") is None
