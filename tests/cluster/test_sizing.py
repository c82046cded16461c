"""How the memory of a node is divided among the workers there."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from farm.cluster.session import RaySession
from farm.cluster.sizing import worker_runtime
from farm.plan import Runtime
from farm.spec import build_spec


@pytest.mark.parametrize(
    ("asked", "found", "gpu", "allowed", "threads", "node_cpus", "share"),
    [
        (None, 800, False, 4, 1, 4, 200),
        (None, 800, False, 4, 2, 4, 400),  # two nodes, two workers each
        (None, 800, False, 2, 1, 8, 400),  # fewer workers than the node has room for
        (None, 800, False, 4, 8, 4, 800),  # more threads than cores: one worker a node
        (None, 800, False, 0, 1, 4, 800),  # a cluster that is full lets none in now; the first is up
        (None, 800, True, 4, 2, 16, 800),  # each has a GPU, and its memory, to itself
        (None, None, False, 4, 1, 4, None),  # the machine does not say
        (300, 800, False, 4, 1, 4, 300),
        (300, None, True, 4, 1, 4, 300),
    ],
)
def test_memory_is_divided_among_the_workers_of_a_node(asked, found, gpu, allowed, threads, node_cpus, share):
    runtime = Runtime(device="cuda" if gpu else "cpu", precision="fp32", threads=threads, max_memory=found)
    facts = SimpleNamespace(runtime=runtime)
    kind = SimpleNamespace(gpu=gpu, threads=threads)
    pool = SimpleNamespace(kind=kind, allowed=allowed, first_facts=lambda check: facts)
    spec = build_spec({"video": "v.mp4", "output": "/o.mp4", "method": "identity"})
    spec = spec.model_copy(update={"max_memory": asked})
    session = RaySession("", gpus=4 if gpu else 0, cpus=node_cpus, node_cpus=node_cpus)
    assert worker_runtime(pool, session, spec) == runtime.model_copy(update={"max_memory": share})
