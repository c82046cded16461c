"""A cluster that begins with a head alone, and Ray's own autoscaler over its fake provider of nodes.

The fake node says that it has a GPU, and there is none: what is tested is that the GPU is asked for, booked by the
worker, and given back. PyTorch finds no GPU there, so the worker paints on its CPU and the job says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from farm.job import JobDirectory
from farm.job.history import load_history
from tests.cluster.commands import ROOT, until
from tests.conftest import free_port, make_clip

HEAD = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
GPU_NODE = {"resources": {"CPU": 4, "GPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2}
COMMANDS = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
LISTS = ("cluster_synced_files", "rsync_exclude", "rsync_filter", *(f"{name}_commands" for name in COMMANDS))
PROVIDER = {
    "type": "fake_multinode",
    "use_node_id_as_ip": True,
    "disable_node_updaters": True,
    "disable_launch_config_check": True,
    "foreground_node_launch": True,
    "worker_liveness_check": False,
}


@dataclass(frozen=True)
class FromZero:
    """A head without cores, and an autoscaler that may start two nodes with 4 cores and a GPU each."""

    address: str

    def requested(self) -> list[dict[str, float]]:
        """What Ray's autoscaler is asked to have room for."""
        from ray._raylet import GcsClient
        from ray.autoscaler._private.constants import AUTOSCALER_RESOURCE_REQUEST_CHANNEL

        data = GcsClient(self.address).internal_kv_get(AUTOSCALER_RESOURCE_REQUEST_CHANNEL, None)
        return json.loads(data) if data else []

    def gpus(self) -> list[tuple[float, float]]:
        """(GPUs, GPUs that are booked) of each node that is up and says that it has GPUs."""
        from ray._raylet import GcsClient
        from ray.autoscaler.v2.sdk import get_cluster_resource_state
        from ray.core.generated.autoscaler_pb2 import NodeStatus

        states = get_cluster_resource_state(GcsClient(self.address)).node_states
        return [
            (node.total_resources["GPU"], node.total_resources["GPU"] - node.available_resources.get("GPU", 0.0))
            for node in states
            if node.status != NodeStatus.DEAD and node.total_resources.get("GPU")
        ]


def end_all_of(folder: str) -> None:
    """End what runs in this Ray's folder, which has a name that nothing else has: the head and the fake nodes."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if folder in line.read_text(errors="replace") and int(line.parent.name) != os.getpid():
                    os.kill(int(line.parent.name), number)


@pytest.fixture
def from_zero(tmp_path) -> Iterator[FromZero]:
    folder, port = tempfile.mkdtemp(prefix="farm-", dir="/tmp"), free_port()
    address = f"127.0.0.1:{port}"
    config = {
        "cluster_name": "fake",
        "max_workers": 2,
        "idle_timeout_minutes": 0.1,
        "provider": {**PROVIDER, "gcs_address": address},
        "available_node_types": {"ray.head.default": dict(HEAD), "gpu": dict(GPU_NODE)},
        "head_node_type": "ray.head.default",
        "upscaling_speed": 1.0,
        "auth": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        **{name: [] for name in LISTS},
    }
    (tmp_path / "autoscaler.yaml").write_text(json.dumps(config))
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}"]
    command += [f"--dashboard-port={free_port()}", f"--dashboard-agent-listen-port={free_port()}", "--num-cpus=0"]
    command += [f"--temp-dir={folder}", f"--autoscaling-config={tmp_path / 'autoscaler.yaml'}"]
    command += ["--node-ip-address=127.0.0.1", "--include-dashboard=false"]
    patience = {"RAY_raylet_start_wait_time_s": "240", "RAY_agent_register_timeout_ms": "240000"}
    environment = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "PYTHONPATH": str(ROOT), **patience}
    with (tmp_path / "head.log").open("w") as log:
        inherited = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        head = subprocess.Popen(command, env={**inherited, **environment}, stdout=log, stderr=log)
    try:
        until(lambda: "Ray runtime started" in (tmp_path / "head.log").read_text(), "the start of the head")
        yield FromZero(address)
    finally:
        head.terminate()
        end_all_of(folder)
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.service
@pytest.mark.process
def test_gpus_are_asked_for_from_zero_booked_and_given_back_though_the_driver_was_killed(from_zero, style, tmp_path):
    film, job = make_clip(tmp_path / "film.mp4", frames=400), tmp_path / "out.farm"
    options = ["--size", "64", "--iterations", "20,10", "--passes", "2", "--workers", "1", "--address"]
    command = [sys.executable, "-m", "farm", "render", str(film), "--style", str(style), "-o", str(tmp_path / "o.mp4")]
    with (tmp_path / "driver.log").open("w") as log:
        driver = subprocess.Popen(
            [*command, "--job", str(job), *options, from_zero.address], cwd=ROOT, stdout=log, stderr=log
        )
    try:
        assert from_zero.gpus() == [], "it begins without a GPU"
        until(lambda: from_zero.requested() == [{"CPU": 1, "GPU": 1}], "the request of a GPU", job)
        until(lambda: from_zero.gpus() == [(1.0, 1.0)], "a worker that has booked the GPU", job)
        until(lambda: (job / "job.json").exists(), "the beginning of the job", job)
    finally:
        driver.kill()
        driver.wait()
    assert "device" not in json.loads((job / "job.json").read_text())["runtime"]
    (told,) = [event.text for event in load_history(JobDirectory(str(job))) if event.kind == "note"]
    assert "its GPU is idle: PyTorch sees no GPU" in told
    until(lambda: from_zero.requested() == [], "the end of the lease, as the driver is dead and nobody asks")
    until(lambda: from_zero.gpus() == [], "the end of the node")
