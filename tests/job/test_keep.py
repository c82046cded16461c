"""What stays of a job once its film is there."""

import numpy as np
import pytest

from farm.errors import UsageError
from farm.job import FrameRecord, JobDirectory
from farm.job.keep import check_frames_kept, give_up
from tests.job.test_directory import record


@pytest.fixture(params=["disk", "memory"])
def job(request, tmp_path):
    """A job of two passes whose film is there."""
    job = JobDirectory(str(tmp_path / "a.farm") if request.param == "disk" else f"memory://{tmp_path.name}")
    for task in ("pass-1/00000", "pass-2/00000"):
        job.commit_frame(task, np.zeros((4, 4, 3), np.uint8), FrameRecord(frame=0, sha256=""))
    for name in ("flow/key/0000/000000-000001.png", "masks/00-key/000000.png", "segments/key/00000.mkv", "job.json"):
        job.storage.write(name, b"x")
    return job


def two_passes():
    one = record()
    return one.model_copy(update={"plan": one.plan.model_copy(update={"passes": 2})})


@pytest.mark.parametrize(
    ("keep", "frames", "beside"),
    [("all", {"pass-1", "pass-2"}, True), ("frames", {"pass-2"}, False), ("film", set(), False)],
)
def test_what_goes_is_gone_and_told_and_ledgers_stay(job, keep, frames, beside):
    line = give_up(job, two_passes(), keep)
    assert {name.split("/")[1] for name in job.storage.names("frames")} == frames
    for folder in ("flow", "masks", "segments"):
        assert bool(job.storage.names(folder)) == beside, folder
    assert len(job.storage.names("ledger")) == 2
    assert job.storage.read("job.json") == b"x"
    assert (line == "") == (keep == "all")
    if keep != "all":
        assert f"{2 - len(frames)} in frames/, 1 in flow/" in line


@pytest.mark.parametrize("keep", ["all", "frames", "film", None])
def test_frames_that_are_gone_cannot_be_made_again(job, keep):
    if keep:
        job.save_report({"keep": keep})
    if keep in ("frames", "film"):
        with pytest.raises(UsageError, match=f"--keep {keep}"):
            check_frames_kept(job)
    else:
        check_frames_kept(job)
