"""Which workers a pool takes, by what they say of themselves. Ray is a stand-in that has two nodes."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from farm.cluster import pool as pool_module
from farm.cluster.actors import WorkerFacts
from farm.cluster.pool import FixedQuota, WorkerKind, WorkerPool
from farm.errors import ChunkFailedError, JobMismatchError, StorageError
from farm.job.software import SoftwareCheck
from farm.plan import Runtime

OURS = {"farm": "0.1.0", "farm code": "aaaa", "torch": "2.9"}
OTHER = {**OURS, "farm code": "bbbb"}
TOLD = "farm code bbbb instead of aaaa"


def facts(node: str, software: dict[str, str] | None = OURS, **more: Any) -> WorkerFacts:
    runtime = Runtime(device="cpu", precision="fp32", threads=1)
    return WorkerFacts(runtime=runtime, node=node, pid=1, host=f"host-{node}", software=software, **more)


class FakeRay:
    """Nodes `a` and `b` of one core. What `get` is given is what it returns, or raises."""

    def __init__(self) -> None:
        self.killed: list[Any] = []

    def get(self, answer: Any) -> Any:
        if isinstance(answer.value, Exception):
            raise answer.value
        return answer.value

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": name, "Alive": True, "Resources": {"CPU": 1.0}} for name in ("a", "b")]

    def kill(self, actor: Any) -> None:
        self.killed.append(actor)


@pytest.fixture
def told(monkeypatch) -> list[tuple[str, str]]:
    monkeypatch.setattr(pool_module, "ray", FakeRay())
    return []


def make(told: list[tuple[str, str]], *, begun: bool = True, mixed: bool = False) -> WorkerPool:
    software = SoftwareCheck(OURS, begun=begun, mixed=mixed)
    return WorkerPool(
        FixedQuota(2),
        WorkerKind(1, "fp32", gpu=False),
        title="film",
        job_url="job",
        inputs=(),
        software=software,
        on_unfit=lambda kind, line: told.append((kind, line)),
    )


def answer(pool: WorkerPool, name: str, value: Any) -> str | None:
    """What the pool makes of a worker's first answer."""
    source = SimpleNamespace(value=value)
    key = id(source)
    pool.actors[name] = f"actor of {name}"
    pool.starting = {**pool.starting, key: name}
    pool_module.ray.get = lambda asked: FakeRay.get(pool_module.ray, source)
    return pool.answered(key)


def test_a_worker_of_other_software_is_refused_and_others_are_taken(told):
    pool = make(told)
    assert answer(pool, "worker-1", facts("a", OTHER)) is None
    assert (pool.avoided, pool_module.ray.killed) == ({"a"}, ["actor of worker-1"])
    assert told == [("refused", f"node host-a is not used: it paints with other software than the job: {TOLD}")]
    assert answer(pool, "worker-2", facts("b")) == "worker-2"
    assert answer(pool, "worker-3", facts("a", None)) is None, "an earlier build, which tells nothing"
    assert list(pool.facts) == ["worker-2"]


def test_where_no_node_fits_the_job_is_told_why(told):
    pool = make(told)
    assert answer(pool, "worker-1", facts("a", OTHER)) is None
    with pytest.raises(JobMismatchError, match=rf"host-b has {TOLD}; .*--mixed"):
        answer(pool, "worker-2", facts("b", OTHER))


def test_mixed_takes_it_and_keeps_how_it_differs(told):
    pool = make(told, mixed=True)
    assert answer(pool, "worker-1", facts("a", OTHER)) == "worker-1"
    assert pool.facts["worker-1"].differs == TOLD
    assert told == []


def test_the_first_worker_of_a_new_job_decides_for_the_others(told):
    pool = make(told, begun=False)
    assert answer(pool, "worker-1", facts("a", {**OURS, "torch": "2.9+cu"})) == "worker-1"
    assert pool.software.job["torch"] == "2.9+cu"
    assert answer(pool, "worker-2", facts("b")) is None
    line = "node host-b is not used: it paints with other software than the job: torch 2.9 instead of 2.9+cu"
    assert told == [("refused", line)]


def test_a_worker_that_does_not_see_the_files_is_told_as_before(told):
    pool = make(told)
    assert answer(pool, "worker-1", facts("a", problem="/films is not to be seen")) is None
    assert told == [("avoided", "node host-a is not used: /films is not to be seen")]
    with pytest.raises(StorageError, match="put it on storage"):
        answer(pool, "worker-2", facts("b", problem="/films is not to be seen"))


@pytest.mark.parametrize(("ahead", "expected"), [(0.0, 0.0), (3.0, 0.0), (7200.0, 7200.0), (-600.0, -600.0)])
def test_a_clock_is_measured_as_a_worker_joins(told, ahead, expected):
    pool = make(told)
    answer(pool, "worker-1", facts("a", clock=time.time() + ahead))
    assert pool.facts["worker-1"].ahead == pytest.approx(expected, abs=60 if expected else 0)


def test_a_worker_whose_start_raises_is_tried_again_and_not_for_ever(told):
    from ray.exceptions import RayTaskError

    pool = make(told)
    error = RayTaskError("facts", "Traceback: TypeError", TypeError("facts() takes 3 arguments"))
    assert answer(pool, "worker-1", error) is None
    assert answer(pool, "worker-2", facts("b")) == "worker-2"
    assert answer(pool, "worker-3", error) is None
    assert answer(pool, "worker-4", error) is None
    with pytest.raises(ChunkFailedError, match="workers die while starting"):
        answer(pool, "worker-5", error)
