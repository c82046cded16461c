"""Nodes that come, go and are drained while jobs run, and jobs that share them."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from farm.job import JobDirectory
from farm.job.state import load_state
from farm.plan import plan_tasks
from tests.cluster.commands import commits, farm, same_frames, submit, until
from tests.conftest import make_clip


def dashboard(path: str) -> Any:
    token = Path(os.environ["RAY_AUTH_TOKEN_PATH"]).read_text().strip()
    request = urllib.request.Request(
        f"{os.environ['RAY_API_SERVER_ADDRESS']}{path}", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


@pytest.mark.service
def test_a_short_job_beside_a_film_ends_first_and_both_advance(two_workers, film, style, tmp_path):
    long = make_clip(tmp_path / "long.mp4", frames=240)
    # so many steps that the film does not end while the short job's driver starts
    slow = json.loads(submit(long, style, tmp_path / "slow.mp4", "--iterations", "40,20").stdout)
    until(lambda: len(commits(tmp_path / "slow.farm")) >= 8, "the film's eighth commit", slow["job"])
    quick = json.loads(submit(film, style, tmp_path / "quick.mp4").stdout)
    until(lambda: commits(tmp_path / "quick.farm"), "the short job's first commit", quick["job"])
    before = len(commits(tmp_path / "slow.farm"))
    assert farm("wait", quick["id"]).returncode == 0
    assert len(commits(tmp_path / "slow.farm")) > before, "the film went on meanwhile"
    assert load_state(JobDirectory(slow["job"])).state == "RUNNING"
    assert farm("cancel", slow["id"]).returncode == 0


@pytest.mark.service
def test_a_node_that_is_drained_uses_up_no_attempt(two_workers, film, style, tmp_path, undisturbed):
    job = tmp_path / "out.farm"
    told = json.loads(submit(film, style, tmp_path / "out.mp4").stdout)
    until(lambda: len(commits(job)) >= 6, "the sixth commit", job)
    leaving = two_workers.workers[0]
    drain = ["--node-id", leaving.node_id, "--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "taken away"]
    command = ["ray", "drain-node", "--address", two_workers.address, *drain, "--deadline-remaining-seconds", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    two_workers.workers.remove(leaving)
    waited = farm("wait", told["id"])
    two_workers.remove_node(leaving)
    assert waited.returncode == 0, waited.stderr
    report = JobDirectory(str(job)).load_report()
    assert all("attempt 1" in line for line in report["retries"])
    assert report["rendered"] == sum(len(task.frames) for task in plan_tasks(JobDirectory(str(job)).load_record().plan))
    assert same_frames(str(job), undisturbed["job"])


@pytest.mark.service
def test_one_worker_takes_one_gpu(two_workers, film, style, tmp_path, undisturbed):
    """Ray believes in GPUs that a node says it has; torch finds none there, so the work is that of a core."""
    node = two_workers.add_node(num_cpus=2, num_gpus=2, wait=False)
    try:
        told = json.loads(submit(film, style, tmp_path / "out.mp4", "--threads", "1").stdout)
        waited = farm("wait", told["id"])
        actors = dashboard("/logical/actors")["data"]["actors"].values()
    finally:
        two_workers.remove_node(node)
    assert waited.returncode == 0, waited.stderr
    workers = [
        one for one in actors if one["actorClass"] == "RenderWorker" and one["address"]["nodeId"] == node.node_id
    ]
    assert len(workers) == 2
    assert all(one["requiredResources"] == {"CPU": 1.0, "GPU": 1.0} for one in workers)
    assert same_frames(told["job"], undisturbed["job"])


def test_a_lost_node_costs_time_and_no_attempt_and_a_new_one_is_used(two_workers, film, style, tmp_path, undisturbed):
    job = tmp_path / "out.farm"
    told = json.loads(submit(film, style, tmp_path / "out.mp4").stdout)
    until(lambda: len(commits(job)) >= 8, "the eighth commit", job)
    for _ in range(2):  # both, so that the job ends only if it uses the new one
        two_workers.remove_node(two_workers.workers.pop(), allow_graceful=False)
    two_workers.workers.append(two_workers.add_node(num_cpus=1, wait=False))
    waited = farm("wait", told["id"])
    assert waited.returncode == 0, waited.stderr
    report = JobDirectory(str(job)).load_report()
    assert report["lost_workers"] >= 1
    assert report["lost_seconds"] > 0
    assert len(report["join_seconds"]) == 1, "the new node is used"
    log = farm("logs", told["id"]).stdout
    assert f"{report['lost_workers']} worker(s) lost, {report['lost_seconds']:g} s lost with them" in log
    assert f"new nodes at work after {report['join_seconds'][0]:g} s" in log
    assert all("attempt 1" in line for line in report["retries"]), "a lost node is not the task's fault"
    tasks = plan_tasks(JobDirectory(str(job)).load_record().plan)
    assert report["rendered"] == sum(len(task.frames) for task in tasks)
    assert same_frames(str(job), undisturbed["job"])
