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
from collections.abc import Iterable
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


def test_films_of_the_cloud_outlive_its_containers():
    (config,) = documents(DEPLOY / "ray/aws.yaml")
    assert any(option.endswith(":/jobs") for option in config["docker"]["head_run_options"])
    for way in ("-o s3://", "ray rsync-down"):
        assert way in (DEPLOY / "ray/aws.yaml").read_text()


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
    for name in ("base", "redis"):
        for resource in documents(DEPLOY / f"kuberay/{name}.yaml"):
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


@pytest.mark.parametrize("cluster", clusters(), ids=["cluster", "job"])
def test_the_head_is_on_a_plain_node_with_an_image_without_cuda(cluster):
    (head,) = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    assert head["image"].endswith(":cpu")
    affinity = cluster["headGroupSpec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert {expression["operator"] for expression in term["matchExpressions"]} == {"NotIn"}
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
        assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": "farm-s3", "optional": True}}]


@pytest.mark.parametrize("cluster", clusters(), ids=["cluster", "job"])
def test_names_that_the_cluster_asks_for_are_made_beside_it(cluster):
    """Accounts, volume and priority are in base.yaml; Kubernetes would wait for them without a word."""
    made = {(one["kind"], one["metadata"]["name"]) for one in documents(DEPLOY / "kuberay/base.yaml")}
    head, *workers = (g["template"]["spec"] for g in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]))
    assert ("PriorityClass", head["priorityClassName"]) in made
    for pod in (head, *workers):
        assert ("ServiceAccount", pod["serviceAccountName"]) in made
        claims = {volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"] if "emptyDir" not in volume}
        assert {("PersistentVolumeClaim", claim) for claim in claims} <= made


@pytest.mark.parametrize("cluster", clusters(), ids=["cluster", "job"])
def test_kuberay_is_told_the_version_of_ray_that_the_image_has(cluster):
    assert f"ray=={cluster['rayVersion']}" in (DEPLOY / "constraints.txt").read_text().splitlines()


def test_pods_do_not_reach_the_clouds_metadata():
    policies = [one for one in documents(DEPLOY / "kuberay/base.yaml") if one["kind"] == "NetworkPolicy"]
    blocks = [
        to["ipBlock"]
        for policy in policies
        for rule in policy["spec"]["egress"]
        for to in rule["to"]
        if "ipBlock" in to
    ]
    assert blocks == [{"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}]


def test_the_job_and_the_cluster_are_of_one_kind():
    cluster, job = clusters()
    assert cluster == job


# compose --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compose_config(tmp_path_factory):
    """What docker-compose makes of its files, secrets in place, by its own schema."""
    compose = tool("docker-compose", "docker-compose")
    copied = tmp_path_factory.mktemp("compose") / "deploy"
    shutil.copytree(DEPLOY, copied, ignore=shutil.ignore_patterns("secrets", ".env"))
    assert run(str(copied / "secrets.sh")).returncode == 0

    def config(*files: str, **environment: str) -> dict[str, Any]:
        chosen = [word for name in files for word in ("-f", str(copied / name))]
        done = run(compose, "--env-file", str(copied / ".env"), *chosen, "config", **environment)
        assert done.returncode == 0, done.stderr
        return yaml.safe_load(done.stdout)

    return config


@pytest.fixture(scope="module")
def composed(compose_config) -> dict[str, Any]:
    return compose_config("compose.yaml")


def test_compose_has_all_it_should_and_publishes_on_loopback_only(composed):
    services = composed["services"]
    assert set(services) == {"head", "worker", "s3", "prometheus", "grafana"}
    assert services["worker"]["deploy"]["replicas"] == 2
    ports = [str(port) for service in services.values() for port in service.get("ports", ())]
    assert len(ports) == 3
    assert all("127.0.0.1" in port for port in ports), ports


def test_a_node_of_compose_has_a_size_a_pulse_and_what_it_waits_for(composed):
    services = composed["services"]
    for name in ("head", "worker"):
        assert float(services[name]["cpus"]) > 0
        assert services[name]["mem_limit"]
    for name in ("head", "worker", "s3"):
        assert services[name]["healthcheck"]["test"]
    assert services["worker"]["depends_on"] == {"head": {"condition": "service_healthy"}}
    assert services["head"]["depends_on"] == {"s3": {"condition": "service_healthy"}}
    assert "head" in services["prometheus"]["depends_on"], "the first that mounts a new volume gives it its owner"


@pytest.mark.process
def test_workers_of_compose_tell_ray_the_cores_that_they_may_use(compose_config):
    worker = compose_config("compose.yaml", WORKER_CPUS="3")["services"]["worker"]
    assert "--num-cpus 3" in worker["command"]
    assert float(worker["cpus"]) == 3


@pytest.mark.process
def test_with_cuda_one_worker_has_all_gpus_and_the_head_none(compose_config):
    services = compose_config("compose.yaml", "compose.cuda.yaml")["services"]
    (device,) = services["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"], device["count"]) == ("nvidia", ["gpu"], "all")
    assert services["worker"]["deploy"]["replicas"] == 1, "each would offer every GPU"
    assert services["worker"]["build"]["args"]["ACCELERATOR"] == "cuda"
    assert services["head"]["image"] == "farm:cpu"


@pytest.mark.parametrize("folder", ["/jobs", "/tmp/ray"])
def test_folders_that_compose_mounts_are_the_farm_users_in_the_image(folder):
    """Docker gives a new volume the owner of the folder in the image, or root where there is none."""
    mounts = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["head"]["volumes"]
    assert any(mount.endswith(f":{folder}") for mount in mounts)
    (line,) = (line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if "install -d -o farm" in line)
    assert folder in line.split()


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
    assert (tmp_path / ".env").read_text() == f"USER_ID={os.getuid() or 1000}\n", "the image takes no root"
    assert set(made[0]) == {"ray_token", "grafana_password", "s3.env", "s3.json"}
    assert len(made[0]["ray_token"]) == 64
    key = json.loads(made[0]["s3.json"])["identities"][0]["credentials"][0]
    assert f"AWS_SECRET_ACCESS_KEY={key['secretKey']}" in made[0]["s3.env"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "secrets").iterdir())


# Prometheus and Grafana -----------------------------------------------------------------------------


@pytest.mark.process
def test_prometheus_takes_its_configuration(tmp_path):
    promtool = tool("promtool", "prometheus")
    done = run(promtool, "check", "config", str(DEPLOY / "prometheus/prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.copy(DEPLOY / "prometheus/farm-alerts.yml", tmp_path)
    # Debian builds Prometheus without Kubernetes' discovery, so that part stands aside
    (config,) = documents(DEPLOY / "prometheus/kubernetes.yml")
    config["scrape_configs"][0].pop("kubernetes_sd_configs")
    (tmp_path / "kubernetes.yml").write_text(yaml.safe_dump(config))
    done = run(promtool, "check", "config", str(tmp_path / "kubernetes.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def with_values(query: str) -> str:
    """A dashboard's query with what Grafana puts in place of its variables."""
    return query.replace("$__rate_interval", "1m").replace("$job", ".+")


@pytest.mark.process
def test_every_query_is_prometheus_query_language(tmp_path):
    promtool = tool("promtool", "prometheus")
    rules = [{"record": f"panel:{number}", "expr": with_values(query)} for number, (_, query) in enumerate(QUERIES)]
    for extra, code in ([], 0), ([{"record": "panel:bad", "expr": "sum(rate(x[1m])"}], 1):
        path = tmp_path / f"rules{code}.yml"
        path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules + extra}]}))
        assert (run(promtool, "check", "rules", str(path)).returncode != 0) == bool(code)


def series_in(queries: Iterable[str]) -> set[str]:
    return {name for query in queries for name in re.findall(r"\bray_\w+", query)}


def known_series() -> set[str]:
    """What the farm exports, and Ray's own of nodes and of the autoscaler."""
    from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

    from farm.cluster.metrics import exported_series

    return exported_series() | {f"ray_{name}" for name in METRICS_GAUGES}


def test_panels_show_what_is_exported_and_all_of_it(ray_here):
    from farm.cluster.metrics import METRICS

    asked = series_in(query for _, query in QUERIES)
    assert asked <= known_series()
    unseen = {name for name, metric in METRICS.items() if not asked & {f"ray_{part}" for part in metric.series(name)}}
    assert unseen == set()


ALERTS = yaml.safe_load((DEPLOY / "prometheus/farm-alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]


def test_alert_rules_ask_for_what_is_exported(ray_here):
    assert all(series_in([rule["expr"]]) for rule in RULES)
    assert series_in(rule["expr"] for rule in RULES) <= known_series()


def test_every_alert_says_what_to_do_and_is_tested():
    tested = {
        case["alertname"]
        for test in documents(DEPLOY / "prometheus/farm-alerts.test.yml")[0]["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert {rule["alert"] for rule in RULES} == tested
    assert all({"summary", "action"} <= set(rule["annotations"]) for rule in RULES)


@pytest.mark.process
def test_alerts_come_when_they_should(tmp_path):
    promtool = tool("promtool", "prometheus")
    done = run(promtool, "test", "rules", str(DEPLOY / "prometheus/farm-alerts.test.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("farm-alerts.yml", "farm-alerts.test.yml"):
        shutil.copy(DEPLOY / "prometheus" / name, tmp_path)
    rules = tmp_path / "farm-alerts.yml"
    rules.write_text(rules.read_text().replace("> 90", "> 99"))
    assert run(promtool, "test", "rules", str(tmp_path / "farm-alerts.test.yml")).returncode != 0


def test_the_operator_of_prometheus_gets_the_same_rules():
    (resource,) = documents(DEPLOY / "kuberay/monitoring/rules.yaml")
    assert (resource["kind"], resource["spec"]) == ("PrometheusRule", ALERTS)


def test_the_operator_of_prometheus_reads_the_port_that_pods_have():
    (monitor,) = documents(DEPLOY / "kuberay/monitoring/pod-monitor.yaml")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is True
    for cluster in clusters():
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            (container,) = group["template"]["spec"]["containers"]
            assert endpoint["port"] in {port["name"] for port in container["ports"]}


@pytest.mark.process
def test_kustomize_makes_one_of_it_with_the_dashboard():
    kubectl = tool("kubectl", "kubernetes-client")
    done = run(kubectl, "kustomize", str(DEPLOY / "kuberay/monitoring"))
    assert done.returncode == 0, done.stderr
    made = {resource["kind"]: resource for resource in yaml.safe_load_all(done.stdout)}
    assert set(made) == {"ConfigMap", "PodMonitor", "PrometheusRule"}
    assert json.loads(made["ConfigMap"]["data"]["farm.json"]) == DASHBOARD
    assert made["ConfigMap"]["metadata"]["labels"] == {"grafana_dashboard": "1"}


def test_the_dashboard_is_as_grafana_expects_it():
    """The data source is a variable, so that a Grafana that has one under another name can import the dashboard."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    source, job = DASHBOARD["templating"]["list"]
    assert (source["type"], source["query"], source["name"]) == ("datasource", "prometheus", "datasource")
    assert job["datasource"]["uid"] == "${datasource}"
    targets = [target for panel in panels for target in panel["targets"]]
    assert {part["datasource"]["uid"] for part in (*panels, *targets)} == {"${datasource}"}
    places = [(p["x"] + dx, p["y"] + dy) for p in (panel["gridPos"] for panel in panels)
              for dx in range(p["w"]) for dy in range(p["h"])]  # fmt: skip
    assert len(places) == len(set(places)), "no panel covers another"
    assert max(x for x, _ in places) < 24
