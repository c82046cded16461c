"""What a node paints with is compared with what a job was begun with."""

import shutil
from pathlib import Path

import pytest

import farm
from farm.job import FrameRecord
from farm.job.software import CODE, FOR_FLOW, SoftwareCheck, code_hash, differences, installed, used_by
from farm.spec import RenderSpec

JOB = {
    "farm": "0.1.0",
    CODE: "aaaa",
    "torch": "2.9.1",
    "opencv-contrib-python-headless": "4.13",
    "av": "16.0",
    "numpy": "2.3",
    "ray": "2.60.0",
    "precision": "fp32",
    "processor": "x86_64 AVX512",
}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ()),
        ({"ray": "2.61.0"}, ()),  # it computes nothing of a frame
        ({"torchvision": "0.24"}, ()),  # the job does not use it
        ({CODE: "bbbb"}, ("farm code bbbb instead of aaaa",)),
        ({"farm": "0.2.0"}, ("farm 0.2.0 instead of 0.1.0",)),
        ({"torch": "2.9.1+cpu"}, ("torch 2.9.1+cpu instead of 2.9.1",)),
        ({"opencv-contrib-python-headless": "4.12"}, ("opencv-contrib-python-headless 4.12 instead of 4.13",)),
        ({"av": "15.1", "numpy": "2.2"}, ("av 15.1 instead of 16.0", "numpy 2.2 instead of 2.3")),
        ({"precision": "bf16"}, ("precision bf16 instead of fp32",)),
        ({"processor": "x86_64 AVX2"}, ("processor x86_64 AVX2 instead of x86_64 AVX512",)),
    ],
)
def test_what_differs_is_named(changes, told):
    assert differences(JOB, {**JOB, **changes}) == told


def test_a_node_that_lacks_something_or_tells_nothing_differs():
    assert differences(JOB, {name: value for name, value in JOB.items() if name != "torch"}) == (
        "torch unknown instead of 2.9.1",
    )
    assert differences(JOB, None) == ("an earlier build of the farm, which does not say what it paints with",)


def test_a_job_of_an_earlier_build_is_told_and_the_rest_is_compared():
    earlier = {name: value for name, value in JOB.items() if name not in (CODE, "precision", "processor")}
    assert differences(earlier, JOB) == ("farm code aaaa, and the job was begun by an earlier build of the farm",)
    assert differences(earlier, {**JOB, "numpy": "2.4"})[1:] == ("numpy 2.4 instead of 2.3",)


def test_flow_does_not_depend_on_torch():
    assert differences(JOB, {**JOB, "torch": "2.8", "precision": "bf16"}, FOR_FLOW) == ()
    assert differences(JOB, {**JOB, "numpy": "2.2"}, FOR_FLOW) == ("numpy 2.2 instead of 2.3",)


def test_the_first_worker_with_this_farm_decides_the_rest_for_a_new_job():
    """A head without GPUs often has another build of torch than the workers."""
    check = SoftwareCheck({**JOB, "torch": "2.9.1+cpu"}, begun=False, mixed=False)
    worker = {**JOB, "torch": "2.9.1+cu128"}
    assert check.differences({**worker, CODE: "bbbb"}) == "farm code bbbb instead of aaaa"
    assert check.differences(worker) == ""
    check.decide(worker)
    check.decide(JOB)
    assert check.job == worker
    assert check.differences(JOB) == "torch 2.9.1 instead of 2.9.1+cu128"


def test_a_job_that_has_begun_decides_for_every_worker():
    check = SoftwareCheck(JOB, begun=True, mixed=True)
    check.decide({**JOB, "torch": "3"})
    assert check.job == JOB


def test_torchvision_counts_where_raft_computes_the_flow():
    software = {**JOB, "torchvision": "0.24"}
    spec = RenderSpec(video="a.mp4", output="b.mp4", method="identity")
    assert used_by(spec, software) == JOB
    assert used_by(spec.model_copy(update={"flow": "raft"}), software) == software


def test_the_hash_is_of_what_workers_run(tmp_path):
    """The same in a copy of the package, another after a change of what is run, the same after one of what is shown."""
    copy = tmp_path / "farm"
    shutil.copytree(Path(farm.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))

    def hash_of_copy() -> str:
        return code_hash.__wrapped__(copy)

    assert hash_of_copy() == code_hash() == installed()[CODE]
    with (copy / "pages/watch.py").open("a") as file:
        file.write("# shown\n")
    assert hash_of_copy() == code_hash()
    with (copy / "render/chunk.py").open("a") as file:
        file.write("# run\n")
    assert hash_of_copy() != code_hash()


def test_a_row_of_the_ledger_is_as_before_where_nothing_is_mixed():
    """Earlier builds read the ledgers of a job, and refuse what they do not know."""
    row = FrameRecord(frame=1, sha256="a").as_row()
    assert "software" not in row
    mixed = FrameRecord(frame=1, sha256="a", software="torch 3 instead of 2")
    assert FrameRecord.model_validate(mixed.as_row()) == mixed
