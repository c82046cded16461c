"""Workers that are up and cannot do what they are for. Ray's own part is replaced: no actor is started."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from farm.errors import RenderError, StorageError
from farm.plan import Runtime

pytestmark = pytest.mark.cluster  # the import of ray binds a socket

CPU = Runtime(device="cpu", precision="fp32", threads=1)
GPU = Runtime(device="cuda", precision="fp32", threads=2)


class Cluster:
    """Two nodes, `one` and `two`, with a core and a GPU each; a quota that grants what is wanted."""

    start_seconds = None

    def __init__(self, monkeypatch):
        from farm.cluster import pool

        nodes = [{"NodeID": name, "Alive": True, "Resources": {"CPU": 1, "GPU": 1}} for name in ("one", "two")]
        fake = SimpleNamespace(nodes=lambda: nodes, get=lambda facts: facts, kill=lambda actor: None)
        monkeypatch.setattr(pool, "ray", fake)
        self.module, self.unusable, self.lines = pool, [], []

    def allowed(self, wanted, unusable=()):
        self.unusable.append(set(unusable))
        return 0

    def pool(self, **kind):
        worker_kind = self.module.WorkerKind(1, "auto", **kind)
        return self.module.WorkerPool(
            self, worker_kind, title="film", job_url="/job", inputs=(), on_unfit=lambda *told: self.lines.append(told)
        )


def answer(pool, name, node, runtime, problem=""):
    from farm.cluster.actors import WorkerFacts

    facts = WorkerFacts(runtime=runtime, node=node, pid=1, host=f"host-{node}", problem=problem)
    pool.starting[facts], pool.actors[name] = name, "actor"
    return pool.answered(facts)


@pytest.fixture
def cluster(monkeypatch):
    return Cluster(monkeypatch)


def test_a_node_that_does_not_see_the_film_is_told_of_once_and_is_no_room_for_the_job(cluster):
    pool = cluster.pool(gpu=False)
    pool.follow_quota(2)
    for name in ("worker-1", "worker-2"):
        assert answer(pool, name, "one", CPU, "/film.mp4 is not to be seen") is None
    pool.follow_quota(2)
    assert cluster.lines == [("avoided", "node host-one is not used: /film.mp4 is not to be seen")]
    assert cluster.unusable == [set(), {"one"}]
    with pytest.raises(StorageError, match="no node of the cluster"):
        answer(pool, "worker-3", "two", CPU, "/film.mp4 is not to be seen")


def test_a_gpu_that_pytorch_cannot_use_is_told_of_once_and_the_cpu_paints(cluster):
    pool = cluster.pool(gpu=True)
    assert [answer(pool, f"worker-{n}", "one", CPU) for n in (1, 2)] == ["worker-1", "worker-2"]
    assert answer(pool, "worker-3", "two", GPU) == "worker-3"
    assert cluster.lines == [
        ("note", "node host-one paints on its CPU, and its GPU is idle: PyTorch sees no GPU, though Ray has one")
    ]


def test_a_job_that_asks_for_gpus_does_not_paint_on_a_cpu(cluster):
    pool = cluster.pool(gpu=True, only_gpu=True)
    assert answer(pool, "worker-1", "one", CPU) is None
    assert answer(pool, "worker-2", "two", GPU) == "worker-2"
    assert cluster.lines == [("avoided", "node host-one is not used: PyTorch sees no GPU, though Ray has one")]
    with pytest.raises(RenderError, match="PyTorch sees no GPU"):
        answer(pool, "worker-3", "two", CPU)
