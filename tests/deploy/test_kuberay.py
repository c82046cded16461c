"""What of deploy/kuberay/ is KubeRay's own, outside the pods.

With KUBERAY_CRDS naming a folder that holds ray.io_rayclusters.yaml and ray.io_rayjobs.yaml (a KubeRay release has them
in config/crd/bases), the files are validated against those. In any case against the fields below, read in its Go types.
"""

from __future__ import annotations

import copy
import os
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
    headGroupSpec: HeadGroup
    workerGroupSpecs: list[WorkerGroup]


class JobSpec(Strict):
    entrypoint: str
    metadata: dict[str, str]
    shutdownAfterJobFinishes: Literal[True]  # ttlSecondsAfterFinished works with it only
    ttlSecondsAfterFinished: int
    backoffLimit: int
    rayClusterSpec: ClusterSpec


SPECS = {"RayCluster": ("cluster.yaml", ClusterSpec), "RayJob": ("job.yaml", JobSpec)}


def resource(kind: str) -> dict[str, Any]:
    return yaml.safe_load((KUBERAY / SPECS[kind][0]).read_text())


@pytest.mark.parametrize("kind", SPECS)
def test_the_fields_are_kuberays(kind):
    given = resource(kind)
    assert (given["apiVersion"], given["kind"]) == ("ray.io/v1", kind)
    SPECS[kind][1].model_validate(given["spec"])
    with pytest.raises(ValidationError, match="unheardOf"):
        SPECS[kind][1].model_validate({**given["spec"], "unheardOf": 1})


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


@pytest.mark.parametrize("kind", SPECS)
def test_the_resource_is_valid_by_kuberays_own_definition(kind):
    folder = os.environ.get("KUBERAY_CRDS")
    if not folder:
        pytest.skip("set KUBERAY_CRDS to a folder with KubeRay's CRDs")
    crd = yaml.safe_load((Path(folder) / f"ray.io_{kind.lower()}s.yaml").read_text())
    check(crd, resource(kind))
    with pytest.raises(Exception, match="unheardOf"):
        check(crd, {**resource(kind), "spec": {**resource(kind)["spec"], "unheardOf": 1}})


def test_a_definition_is_applied_down_to_the_leaves():
    leaf = {"type": "object", "properties": {"count": {"type": "integer"}}}
    spec = {"type": "object", "properties": {"groups": {"type": "array", "items": leaf}}}
    root = {"type": "object", "properties": {"kind": {"type": "string"}, "metadata": {}, "spec": spec}}
    crd = {"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": root}}]}}
    check(crd, {"kind": "x", "metadata": {"name": "a"}, "spec": {"groups": [{"count": 1}]}})
    for wrong in ({"count": "1"}, {"cuont": 1}):
        with pytest.raises(Exception, match=r"count|cuont"):
            check(crd, {"kind": "x", "metadata": {}, "spec": {"groups": [wrong]}})
