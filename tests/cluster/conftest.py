"""One cluster of several nodes for all tests in this folder, and a job that was rendered there undisturbed."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.commands import ROOT, farm, submit
from tests.conftest import free_port, make_clip

START_ATTEMPTS = 3


@pytest.fixture(scope="package")
def ray_nodes(tmp_path_factory) -> Iterator[Any]:
    """A head without cores and two workers of one core, as processes of their own. The token is this cluster's own.

    `cluster.folder` is Ray's, and nobody else's on this machine; it has to have a short name. `cluster.audit` is what
    all of its processes write and start, see audit/sitecustomize.py.
    """
    from ray._private.utils import write_ray_address
    from ray.cluster_utils import Cluster

    before, folder = dict(os.environ), tempfile.mkdtemp(prefix="farm-", dir="/tmp")
    audit = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    os.environ |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{Path(__file__).parent / 'audit'}:{ROOT}",
        "FARM_AUDIT": str(audit),
    }
    head = {"num_cpus": 0, "include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": free_port()}
    head["dashboard_agent_listen_port"] = free_port()  # another Ray on this machine may have the usual one
    for attempt in range(START_ATTEMPTS):
        try:
            cluster = Cluster(initialize_head=True, head_node_args={**head, "temp_dir": folder})
            break
        except Exception as error:  # Ray waits 30 seconds for its own processes: too few on a busy machine
            if attempt == START_ATTEMPTS - 1 or "timed out" not in str(error):
                raise
    cluster.folder, cluster.audit = Path(folder), audit
    # as `ray start` does: a job looks there for its own cluster, and otherwise takes any that it finds on the machine
    write_ray_address(cluster.address, folder)
    cluster.workers = [cluster.add_node(num_cpus=1, wait=False) for _ in range(2)]
    os.environ["RAY_API_SERVER_ADDRESS"] = f"http://{cluster.head_node.webui_url}"
    yield cluster
    cluster.shutdown()
    os.environ.clear()
    os.environ.update(before)
    shutil.rmtree(folder, ignore_errors=True)


def with_two_workers(cluster: Any) -> Any:
    while len(cluster.workers) < 2:
        cluster.workers.append(cluster.add_node(num_cpus=1, wait=False))
    return cluster


@pytest.fixture(autouse=True)
def whole_cluster(request) -> None:
    """Two workers for each test that uses the cluster: one that failed before may have left it with none."""
    if "ray_nodes" in request.fixturenames:
        with_two_workers(request.getfixturevalue("ray_nodes"))


@pytest.fixture
def two_workers(ray_nodes, whole_cluster) -> Any:
    """The cluster, for a test that changes its workers."""
    return ray_nodes


@pytest.fixture(scope="package")
def film(tmp_path_factory) -> Path:
    return make_clip(tmp_path_factory.mktemp("film") / "film.mp4", frames=12)


@pytest.fixture(scope="package")
def undisturbed(ray_nodes, film, style, tmp_path_factory) -> dict[str, Any]:
    """What `farm submit` said of a job that is finished now."""
    with_two_workers(ray_nodes)  # made before `two_workers` of the test that wants it
    done = submit(film, style, tmp_path_factory.mktemp("undisturbed") / "out.mp4")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    waited = farm("wait", told["id"], "--json")
    assert waited.returncode == 0, waited.stderr + farm("logs", told["id"]).stdout
    assert json.loads(waited.stdout)["state"] == "SUCCEEDED"
    return told
