"""Everything in deploy/ against the real thing that reads it, or the schema that it reads with.

Validators that come from Debian (promtool, docker-compose) are used where they are; the others are Python packages.
Tests that import ray ask for `ray_here`, because the farm has to import it first.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
RAY_UP = sorted((DEPLOY / "ray").glob("*.yaml"))
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/farm.json").read_text())
QUERIES = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here: apt-get install {package}")
    return found


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment})


# ray up ---------------------------------------------------------------------------------------------


@pytest.fixture
def checked_by_ray(ray_here):
    from ray.autoscaler._private.util import prepare_config, validate_config

    def check(config: dict[str, Any]) -> dict[str, Any]:
        """What `ray up` does before it reaches for any machine."""
        prepared = prepare_config(copy.deepcopy(config))
        validate_config(prepared)
        return prepared

    return check


@pytest.mark.parametrize("path", RAY_UP, ids=lambda path: path.name)
def test_ray_up_takes_the_cluster(path, checked_by_ray):
    (config,) = documents(path)
    assert checked_by_ray(config)["cluster_name"] == "farm"
    with pytest.raises(Exception, match="unheard_of"):
        checked_by_ray({**config, "unheard_of": 1})


@pytest.mark.parametrize("path", RAY_UP, ids=lambda path: path.name)
def test_nodes_start_with_a_token_and_the_dashboard_on_loopback(path):
    (config,) = documents(path)
    head, worker = (
        next(line for line in config[f"{kind}_start_ray_commands"] if "ray start" in line)
        for kind in ("head", "worker")
    )
    assert "RAY_AUTH_MODE=token" in head
    assert "RAY_AUTH_MODE=token" in worker
    assert "--dashboard-host 127.0.0.1" in head
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_gpu_workers_on_the_cloud_are_spot_and_come_from_nothing():
    kinds = documents(DEPLOY / "ray/aws.yaml")[0]["available_node_types"]
    assert kinds["spot-gpu"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert (kinds["spot-gpu"]["min_workers"], kinds["spot-gpu"]["resources"]["GPU"]) == (0, 1)
    assert kinds["head"]["resources"] == {"CPU": 0}


# Kubernetes -----------------------------------------------------------------------------------------


def clusters() -> list[dict[str, Any]]:
    (cluster,) = documents(DEPLOY / "kuberay/cluster.yaml")
    (job,) = documents(DEPLOY / "kuberay/job.yaml")
    return [cluster["spec"], job["spec"]["rayClusterSpec"]]


def check_kubernetes(resource: dict[str, Any]) -> None:
    import kubernetes_validate

    kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


def test_plain_kubernetes_objects_have_their_schema():
    pytest.importorskip("kubernetes_validate")
    for resource in documents(DEPLOY / "kuberay/base.yaml"):
        check_kubernetes(resource)


@pytest.mark.parametrize("cluster", clusters(), ids=["cluster", "job"])
def test_pods_have_the_schema_of_a_pod_and_no_rights(cluster):
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": group["template"]["spec"]}
        check_kubernetes(pod)
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
    with pytest.raises(kubernetes_validate.ValidationError):
        check_kubernetes({**pod, "spec": {**pod["spec"], "unheardOf": 1}})


@pytest.mark.parametrize("cluster", clusters(), ids=["cluster", "job"])
def test_the_autoscaler_reads_gpu_workers_from_the_cluster(ray_here, cluster):
    """What runs beside KubeRay's head makes of it: a head without cores, and GPU nodes from none to eight."""
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    resource = {"metadata": {"name": "farm", "namespace": "farm"}, "spec": cluster}
    kinds = _derive_autoscaling_config_from_ray_cr(resource)["available_node_types"]
    assert kinds["headgroup"]["resources"]["CPU"] == 0
    gpu = kinds["gpu"]
    assert (gpu["resources"]["GPU"], gpu["min_workers"], gpu["max_workers"]) == (1, 0, 8)
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["authOptions"] == {"mode": "token", "secretName": "farm-token"}


def test_the_job_and_the_cluster_are_of_one_kind():
    cluster, job = clusters()
    assert cluster == job


# compose --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def composed(tmp_path_factory) -> dict[str, Any]:
    """What docker-compose makes of the file, secrets in place, by its own schema."""
    compose = tool("docker-compose", "docker-compose")
    copied = tmp_path_factory.mktemp("compose") / "deploy"
    shutil.copytree(DEPLOY, copied, ignore=shutil.ignore_patterns("secrets"))
    assert run(str(copied / "secrets.sh")).returncode == 0
    done = run(compose, "-f", str(copied / "compose.yaml"), "config")
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def test_compose_has_all_it_should_and_publishes_on_loopback_only(composed):
    services = composed["services"]
    assert set(services) == {"head", "worker", "s3", "prometheus", "grafana"}
    assert services["worker"]["deploy"]["replicas"] == 2
    ports = [str(port) for service in services.values() for port in service.get("ports", ())]
    assert len(ports) == 3
    assert all("127.0.0.1" in port for port in ports), ports


def test_compose_gives_ray_a_token_by_file(composed):
    for name in ("head", "worker"):
        environment = composed["services"][name]["environment"]
        assert environment["RAY_AUTH_MODE"] == "token"
        assert environment["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray_token"
        assert "RAY_AUTH_TOKEN" not in environment


@pytest.mark.process
def test_secrets_are_made_once_and_for_their_owner(tmp_path):
    shutil.copy(DEPLOY / "secrets.sh", tmp_path)
    made = []
    for _ in range(2):
        assert run(str(tmp_path / "secrets.sh")).returncode == 0
        made.append({path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()})
    assert made[0] == made[1]
    assert set(made[0]) == {"ray_token", "grafana_password", "s3.env", "s3.json"}
    assert len(made[0]["ray_token"]) == 64
    key = json.loads(made[0]["s3.json"])["identities"][0]["credentials"][0]
    assert f"AWS_SECRET_ACCESS_KEY={key['secretKey']}" in made[0]["s3.env"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "secrets").iterdir())


# Prometheus and Grafana -----------------------------------------------------------------------------


def test_prometheus_takes_its_configuration(tmp_path):
    promtool = tool("promtool", "prometheus")
    done = run(promtool, "check", "config", str(DEPLOY / "prometheus/prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    # Debian builds Prometheus without Kubernetes' discovery, so that part stands aside
    (config,) = documents(DEPLOY / "prometheus/kubernetes.yml")
    config["scrape_configs"][0].pop("kubernetes_sd_configs")
    (tmp_path / "kubernetes.yml").write_text(yaml.safe_dump(config))
    done = run(promtool, "check", "config", str(tmp_path / "kubernetes.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def with_values(query: str) -> str:
    """A dashboard's query with what Grafana puts in place of its variables."""
    return query.replace("$__rate_interval", "1m").replace("$job", ".+")


def test_every_query_is_prometheus_query_language(tmp_path):
    promtool = tool("promtool", "prometheus")
    rules = [{"record": f"panel:{number}", "expr": with_values(query)} for number, (_, query) in enumerate(QUERIES)]
    for extra, code in ([], 0), ([{"record": "panel:bad", "expr": "sum(rate(x[1m])"}], 1):
        path = tmp_path / f"rules{code}.yml"
        path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules + extra}]}))
        assert (run(promtool, "check", "rules", str(path)).returncode != 0) == bool(code)


def test_panels_show_what_is_exported_and_all_of_it(ray_here):
    from farm.cluster.metrics import METRICS, exported_series

    asked = {name for _, query in QUERIES for name in re.findall(r"\bray_\w+", query)}
    assert asked <= exported_series()
    unseen = {name for name, metric in METRICS.items() if not asked & set(metric.series(name))}
    assert unseen == set()


def test_the_dashboard_is_as_grafana_expects_it():
    (source,) = documents(DEPLOY / "grafana/provisioning/datasources/prometheus.yaml")[0]["datasources"]
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["datasource"]["uid"] == source["uid"] for panel in panels)
    places = [(p["x"] + dx, p["y"] + dy) for p in (panel["gridPos"] for panel in panels)
              for dx in range(p["w"]) for dy in range(p["h"])]  # fmt: skip
    assert len(places) == len(set(places)), "no panel covers another"
    assert max(x for x, _ in places) < 24


# the image ------------------------------------------------------------------------------------------


def test_the_image_runs_as_a_user_with_token_authentication():
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(None, 1) for line in lines if line.strip() and not line.startswith("#") and line[0] != " "]
    assert [text for name, text in steps if name == "USER"] == ["farm"]
    assert any(name == "ENV" and "RAY_AUTH_MODE=token" in text for name, text in steps)
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for name in [word for name, text in steps if name == "COPY" for word in text.split()[:-1]]:
        assert (DEPLOY.parent / name).exists()
        assert f"!{name}" in ignored
