"""What of deploy/kuberay/ is KubeRay's own, outside the pods.

With KUBERAY_CRDS naming a folder that holds ray.io_rayclusters.yaml and ray.io_rayjobs.yaml (a KubeRay release has them
in config/crd/bases), the files are validated against those. In any case against the fields below, read in its Go types.
"""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

KUBERAY = Path(__file__).parents[2] / "deploy/kuberay"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AuthOptions(Strict):
    mode: Literal["token"]
    secretName: str


class SecretKey(Strict):
    name: str
    key: str


class FromSecret(Strict):
    secretKeyRef: SecretKey


class RedisCredential(Strict):
    valueFrom: FromSecret


class GcsFaultTolerance(Strict):
    redisAddress: str
    redisPassword: RedisCredential


class AutoscalerOptions(Strict):
    idleTimeoutSeconds: int = Field(ge=0)
    upscalingMode: Literal["Default", "Aggressive", "Conservative"]


class HeadGroup(Strict):
    rayStartParams: dict[str, str]
    template: dict[str, Any]


class WorkerGroup(HeadGroup):
    groupName: str
    replicas: int
    minReplicas: int
    maxReplicas: int


class ClusterSpec(Strict):
    rayVersion: str
    authOptions: AuthOptions
    enableInTreeAutoscaling: Literal[True]
    autoscalerOptions: AutoscalerOptions
    gcsFaultToleranceOptions: GcsFaultTolerance | None = None
    headGroupSpec: HeadGroup
    workerGroupSpecs: list[WorkerGroup]


class JobSpec(Strict):
    entrypoint: str
    metadata: dict[str, str]
    shutdownAfterJobFinishes: Literal[True]  # ttlSecondsAfterFinished works with it only
    ttlSecondsAfterFinished: int
    backoffLimit: int
    rayClusterSpec: ClusterSpec


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((KUBERAY / name).read_text())


def merged(one: Any, patch: Any) -> Any:
    """What `kubectl patch --type merge` makes of two documents, by RFC 7386."""
    if not (isinstance(one, dict) and isinstance(patch, dict)):
        return patch
    kept = {key: value for key, value in one.items() if patch.get(key, value) is not None}
    return kept | {key: merged(one.get(key), value) for key, value in patch.items() if value is not None}


RESOURCES = {
    "cluster": load("cluster.yaml"),
    "cluster with Redis": merged(load("cluster.yaml"), load("with-redis.yaml")),
    "job": load("job.yaml"),
}
SPECS = {"RayCluster": ClusterSpec, "RayJob": JobSpec}


@pytest.mark.parametrize("given", RESOURCES.values(), ids=RESOURCES)
def test_the_fields_are_kuberays(given):
    assert given["apiVersion"] == "ray.io/v1"
    SPECS[given["kind"]].model_validate(given["spec"])
    with pytest.raises(ValidationError, match="unheardOf"):
        SPECS[given["kind"]].model_validate({**given["spec"], "unheardOf": 1})


def test_the_redis_that_the_cluster_asks_for_is_made_beside_it():
    options = RESOURCES["cluster with Redis"]["spec"]["gcsFaultToleranceOptions"]
    made = {one["kind"]: one for one in yaml.safe_load_all((KUBERAY / "redis.yaml").read_text())}
    name, port = made["Service"]["metadata"]["name"], made["Service"]["spec"]["ports"][0]["port"]
    assert options["redisAddress"] == f"redis://{name}:{port}"
    (container,) = made["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    (password,) = (one["valueFrom"] for one in container["env"] if one["name"] == "REDIS_PASSWORD")
    assert password == options["redisPassword"]["valueFrom"]


@pytest.mark.process
def test_kubectl_lays_redis_over_the_cluster():
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not here: apt-get install kubernetes-client")
    command = ["patch", "--local", "-f", str(KUBERAY / "cluster.yaml"), "--type", "merge"]
    command += ["--patch-file", str(KUBERAY / "with-redis.yaml"), "-o", "yaml"]
    done = subprocess.run([kubectl, *command], capture_output=True, text=True, check=True)
    assert yaml.safe_load(done.stdout) == RESOURCES["cluster with Redis"]


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """A structural schema under which unknown fields are errors, where Kubernetes would drop them without a word."""
    made = copy.deepcopy(schema)
    waiting = [made]
    while waiting:
        one = waiting.pop()
        if isinstance(one.get("properties"), dict):
            if not one.get("x-kubernetes-preserve-unknown-fields"):
                one.setdefault("additionalProperties", False)
            waiting += one["properties"].values()
        waiting += [part for name in ("items", "additionalProperties") if isinstance(part := one.get(name), dict)]
    return made


def check(crd: dict[str, Any], given: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    version = next(one for one in crd["spec"]["versions"] if one["name"] == "v1")
    root = closed(version["schema"]["openAPIV3Schema"])
    root["properties"]["metadata"] = {"type": "object"}
    jsonschema.validate(given, root)


@pytest.mark.parametrize("given", RESOURCES.values(), ids=RESOURCES)
def test_the_resource_is_valid_by_kuberays_own_definition(given):
    folder = os.environ.get("KUBERAY_CRDS")
    if not folder:
        pytest.skip("set KUBERAY_CRDS to a folder with KubeRay's CRDs")
    definition = (Path(folder) / f"ray.io_{given['kind'].lower()}s.yaml").read_text()
    # a megabyte, which the loader in Python reads for a minute
    crd = yaml.load(definition, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    check(crd, given)
    with pytest.raises(Exception, match="unheardOf"):
        check(crd, {**given, "spec": {**given["spec"], "unheardOf": 1}})


def test_a_definition_is_applied_down_to_the_leaves():
    leaf = {"type": "object", "properties": {"count": {"type": "integer"}}}
    spec = {"type": "object", "properties": {"groups": {"type": "array", "items": leaf}}}
    root = {"type": "object", "properties": {"kind": {"type": "string"}, "metadata": {}, "spec": spec}}
    crd = {"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": root}}]}}
    check(crd, {"kind": "x", "metadata": {"name": "a"}, "spec": {"groups": [{"count": 1}]}})
    for wrong in ({"count": "1"}, {"cuont": 1}):
        with pytest.raises(Exception, match=r"count|cuont"):
            check(crd, {"kind": "x", "metadata": {}, "spec": {"groups": [wrong]}})
