"""The kinds of nodes that a cluster's autoscaler could start, asked on the head.

types = startable_nodes()             # empty without an autoscaler, or where nothing tells of it
any(node.gpus for node in types)      # whether there could be GPUs, though no node is up now

Ray has no one place for this. It is in the GCS where the autoscaler reports it there, in the file that the head was
started with (`ray up`, `ray start --autoscaling-config`), or with Kubernetes (KubeRay).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

ANSWER_SECONDS = 60.0
"""Longest wait, in seconds, for the head's answer. A process starts there for it."""
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Where Kubernetes tells a pod its namespace."""


@dataclass(frozen=True)
class NodeType:
    """A kind of node: its name in the autoscaler's configuration, and the cores and GPUs of one such node."""

    name: str
    cpus: int
    gpus: int


def startable_nodes() -> tuple[NodeType, ...]:
    """What the autoscaler of the cluster that this process is connected to could start. Raises nothing."""
    import ray
    from ray.exceptions import RayError

    from farm.cluster.broker import ON_THE_HEAD

    try:
        return types_in_gcs() or ray.get(
            ray.remote(types_on_the_head).options(name="autoscaler", max_retries=0, **ON_THE_HEAD).remote(),
            timeout=ANSWER_SECONDS,
        )
    except RayError:
        return ()


def types_in_gcs() -> tuple[NodeType, ...]:
    """The node types that the autoscaler has reported to Ray's GCS. Not all autoscalers report them."""
    from ray._private.state import state

    with contextlib.suppress(Exception):  # not public, and so may be another in the next version of Ray
        config = state.get_cluster_config()
        groups = config.node_group_configs if config else ()
        return tuple(_node_type(group.name, group.resources) for group in groups if group.max_count != 0)
    return ()


def types_on_the_head() -> tuple[NodeType, ...]:
    """The node types in the configuration of the autoscaler of this machine's head. Raises nothing."""
    for config in _configurations():
        if types := types_in_config(config):
            return types
    return ()


def types_in_config(config: object) -> tuple[NodeType, ...]:
    """The node types of an autoscaler's configuration that it may start: not the head's, and none with 0 workers.

    Empty for what is no such configuration.

    >>> types_in_config({"available_node_types": {"gpu": {"resources": {"CPU": 4, "GPU": 1}, "max_workers": 8}}})
    (NodeType(name='gpu', cpus=4, gpus=1),)
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("available_node_types"), Mapping):
        return ()
    head = config.get("head_node_type")
    most = config.get("max_workers")
    return tuple(
        _node_type(name, kind.get("resources"))
        for name, kind in config["available_node_types"].items()
        if isinstance(kind, Mapping) and name != head and kind.get("max_workers", most) != 0
    )


def _node_type(name: object, resources: object) -> NodeType:
    has = resources if isinstance(resources, Mapping) else dict(resources or {})  # type: ignore[call-overload]
    return NodeType(str(name), int(has.get("CPU", 0)), int(has.get("GPU", 0)))


def _configurations() -> Iterator[object]:
    """What there is of configurations on this machine, the surest first. What cannot be read is passed over."""
    for path in _files_of_monitors():
        with contextlib.suppress(OSError, ValueError, yaml.YAMLError):
            yield yaml.safe_load(Path(path).read_text())
    name = os.environ.get("RAY_CLUSTER_NAME")
    if name and NAMESPACE_FILE.exists():
        # KubeRay's autoscaler runs in another container of this pod, so its process is not to be seen. It reads the
        # cluster's resource with the pod's rights, and so does this.
        with contextlib.suppress(Exception):
            from ray.autoscaler._private.kuberay.autoscaling_config import AutoscalingConfigProducer

            yield AutoscalingConfigProducer(name, NAMESPACE_FILE.read_text().strip())()


def _files_of_monitors() -> Iterator[str]:
    """The configuration files that this head's autoscaler was started with, by the command lines of its processes.

    Why not the place where `ray up` puts the file: it stays there when the head is started without an autoscaler.
    """
    import ray

    gcs = f"--gcs-address={ray.get_runtime_context().gcs_address}"
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = line.read_bytes().decode(errors="replace").split("\0")
            if gcs in words:
                yield from (word.partition("=")[2] for word in words if word.startswith("--autoscaling-config="))
