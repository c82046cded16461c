"""Whether workers have GPUs, and how the memory of a node is divided among the workers there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from farm.cluster import sizing
from farm.cluster.node_types import NodeType, types_in_config
from farm.cluster.session import RaySession
from farm.cluster.sizing import LaunchOptions, paints_on_gpus, worker_runtime
from farm.errors import UsageError
from farm.plan import JobRuntime, Runtime
from farm.plan.pace import NoProgress
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


GPU_TYPE, CPU_TYPE = NodeType("gpu", 4, 1), NodeType("cpu", 16, 0)


@pytest.mark.parametrize(
    ("device", "gpus_up", "types", "gpu"),
    [
        ("auto", 0, [], False),
        ("auto", 1, [], True),
        ("auto", 0, [CPU_TYPE], False),
        ("auto", 0, [CPU_TYPE, GPU_TYPE], True),  # none is up yet, and the autoscaler starts one
        ("cpu", 8, [GPU_TYPE], False),
        ("gpu", 0, [], True),  # it waits for one
    ],
)
def test_whether_a_run_paints_on_gpus(device, gpus_up, types, gpu):
    assert paints_on_gpus(device, gpus_up, types, on_this_machine=False) is gpu


def test_a_gpu_that_this_machine_does_not_have_is_refused():
    with pytest.raises(UsageError, match="no GPU"):
        paints_on_gpus("gpu", 0, [], on_this_machine=True)
    assert paints_on_gpus("gpu", 1, [], on_this_machine=True)


@pytest.mark.parametrize(
    ("device", "session", "asked", "machines"),
    [
        ("auto", RaySession("", 0, 0, 1), True, (True, 4)),  # a head alone: the smallest node that could come
        ("auto", RaySession("", 0, 8, 8), True, (True, 8)),
        ("auto", RaySession("", 2, 8, 8), False, (True, 8)),
        ("cpu", RaySession("", 0, 0, 1), True, (False, 4)),
        ("cpu", RaySession("", 0, 8, 8), False, (False, 8)),
    ],
)
def test_the_autoscaler_is_asked_only_for_what_is_not_up(monkeypatch, device, session, asked, machines):
    questions = []
    monkeypatch.setattr(sizing, "startable_nodes", lambda: questions.append(1) or (GPU_TYPE, CPU_TYPE))
    assert sizing._machines(device, LaunchOptions(job="j", address="auto"), session) == machines
    assert bool(questions) is asked


def test_no_autoscaler_is_asked_on_one_machine(monkeypatch):
    monkeypatch.setattr(sizing, "startable_nodes", lambda: pytest.fail("it was asked"))
    assert sizing._machines("auto", LaunchOptions(job="j"), RaySession("", 0, 2, 2)) == (False, 2)


@pytest.mark.cluster  # the import of ray binds a socket
@pytest.mark.parametrize(("asked_before", "asked", "threads"), [(None, None, 2), (3, None, 3), (3, 5, 5)])
def test_a_job_that_is_resumed_asks_anew_and_keeps_only_threads_that_were_asked_for(
    monkeypatch, tmp_path, asked_before, asked, threads
):
    """It began on cores; now the autoscaler could start nodes with GPUs."""
    monkeypatch.setattr(sizing, "startable_nodes", lambda: (GPU_TYPE,))
    spec = build_spec({"video": "v.mp4", "output": "/o.mp4", "method": "identity"})
    runtime = JobRuntime(precision="fp32", memory_of="cpu")
    record = SimpleNamespace(threads=asked_before, runtime=runtime, versions={})
    job, plan = SimpleNamespace(url=str(tmp_path)), SimpleNamespace(chunks=[1, 2])
    prepared = SimpleNamespace(spec=spec, record=record, job=job, plan=plan)
    options = LaunchOptions(job=str(tmp_path), address="auto", threads=asked)
    pool = sizing.job_pool(prepared, options, RaySession("", 0, 0, 1), NoProgress())
    assert (pool.kind.gpu, pool.kind.only_gpu, pool.kind.threads) == (True, False, threads)


@pytest.mark.parametrize(
    "config",
    [
        None,
        "text",
        {},
        {"available_node_types": []},
        {"available_node_types": {"gpu": {"resources": {"GPU": 1}, "max_workers": 0}}},
        {"available_node_types": {"gpu": {"resources": {"GPU": 1}}}, "max_workers": 0},
        {"available_node_types": {"head": {"resources": {"GPU": 1}, "max_workers": 1}}, "head_node_type": "head"},
    ],
)
def test_a_configuration_that_starts_nothing_has_no_node_types(config):
    assert types_in_config(config) == ()


def test_node_types_of_the_deployed_cluster():
    (config,) = yaml.safe_load_all((Path(__file__).parents[2] / "deploy/ray/aws.yaml").read_text())
    assert types_in_config(config) == (NodeType("spot-gpu", 4, 1),)
