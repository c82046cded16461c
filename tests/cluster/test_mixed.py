"""A node whose farm is another build: refused, or accepted and named with every frame that it made."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import farm as package
from farm.job import JobDirectory
from farm.job.history import load_history
from farm.job.software import code_hash
from farm.job.state import load_state
from farm.plan import plan_tasks
from tests.cluster.commands import farm, same_frames, submit

pytestmark = pytest.mark.service


@pytest.fixture
def odd_node(ray_nodes, tmp_path) -> Iterator[Any]:
    """A node with a copy of the farm that commits every picture inverted. `code` is the hash of that copy."""
    copy = tmp_path / "odd/farm"
    shutil.copytree(Path(package.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    directory = copy / "job/directory.py"
    text = directory.read_text()
    assert "encode_png(image," in text
    directory.write_text(text.replace("encode_png(image,", "encode_png(255 - image,"))
    before = os.environ["PYTHONPATH"]
    os.environ["PYTHONPATH"] = f"{copy.parent}:{before}"
    try:
        node = ray_nodes.add_node(num_cpus=1, wait=False)
    finally:
        os.environ["PYTHONPATH"] = before
    node.code = code_hash.__wrapped__(copy)
    yield node
    if node in ray_nodes.list_all_nodes():
        ray_nodes.remove_node(node)


def remove_workers(cluster: Any) -> None:
    while cluster.workers:
        cluster.remove_node(cluster.workers.pop())


def test_where_no_node_fits_the_job_fails_with_the_reason_and_mixed_goes_on(
    two_workers, odd_node, film, style, tmp_path
):
    remove_workers(two_workers)
    told = json.loads(submit(film, style, tmp_path / "out.mp4").stdout)
    job = JobDirectory(told["job"])
    waited = farm("wait", told["id"])
    assert waited.returncode == 1, waited.stderr
    differs = f"farm code {odd_node.code} instead of {code_hash()}"
    state = load_state(job)
    assert state.state == "FAILED"
    assert differs in state.reason
    assert "--mixed" in state.reason
    assert [one.text for one in load_history(job) if one.kind == "refused"] == [
        f"node {socket.gethostname()} is not used: it paints with other software than the job: {differs}"
    ]
    again = json.loads(farm("resume", told["job"], "--mixed", "--json").stdout)
    waited = farm("wait", again["id"])
    assert waited.returncode == 0, waited.stderr + farm("logs", again["id"]).stdout


def test_a_job_that_others_can_work_on_goes_on_without_it(two_workers, odd_node, film, style, tmp_path, undisturbed):
    told = json.loads(submit(film, style, tmp_path / "out.mp4").stdout)
    waited = farm("wait", told["id"])
    assert waited.returncode == 0, waited.stderr + farm("logs", told["id"]).stdout
    assert same_frames(told["job"], undisturbed["job"])
    job = JobDirectory(told["job"])
    assert job.load_report()["mixed"] == {}
    assert job.load_record().versions["farm code"] == code_hash()


def test_a_job_that_has_begun_names_the_frames_of_other_software(two_workers, odd_node, film, style, tmp_path):
    """Some frames are made again on the other node, and each of them says so."""
    told = json.loads(submit(film, style, tmp_path / "out.mp4").stdout)
    assert farm("wait", told["id"]).returncode == 0
    remove_workers(two_workers)
    again = json.loads(farm("retry", told["job"], "--frames", "8-11", "--mixed", "--json").stdout)
    waited = farm("wait", again["id"])
    assert waited.returncode == 0, waited.stderr + farm("logs", again["id"]).stdout
    job = JobDirectory(told["job"])
    differs = f"farm code {odd_node.code} instead of {code_hash()}"
    software = {
        (task.pass_index, frame): row.software
        for task in plan_tasks(job.load_record().plan)
        for frame, row in job.ledger(task.id).items()
    }
    assert set(software.values()) == {"", differs}
    assert all(software[1, frame] == differs for frame in range(8, 12))
    assert all(software[1, frame] == "" for frame in range(8))
    assert job.load_report()["mixed"] == {differs: sum(text == differs for text in software.values())}
    joined = [one.text for one in load_history(job) if one.kind == "joined"]
    assert differs in joined
