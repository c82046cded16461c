"""What is printed at submit of where to look."""

import json
from pathlib import Path

import pytest

from farm.cluster.monitoring import DASHBOARD, monitoring_addresses

GRAFANA = {"RAY_GRAFANA_HOST": "http://grafana:3000/"}


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({}, {}),
        ({"RAY_PROMETHEUS_HOST": "http://127.0.0.1:9090"}, {"prometheus": "http://127.0.0.1:9090"}),
        (GRAFANA, {"grafana": "http://grafana:3000/d/farm?var-job=farm-a"}),
        (
            {**GRAFANA, "RAY_GRAFANA_IFRAME_HOST": "https://g.example"},
            {"grafana": "https://g.example/d/farm?var-job=farm-a"},
        ),
        ({"RAY_GRAFANA_HOST": "DISABLED"}, {}),
        ({"RAY_PROMETHEUS_HOST": "http://me:secret@127.0.0.1:9090"}, {}),
    ],
)
def test_addresses_are_those_that_ray_is_told(environment, shown):
    assert monitoring_addresses("farm-a", environment) == shown


def test_the_dashboard_is_the_one_in_deploy():
    path = Path(__file__).parents[2] / "deploy/grafana/dashboards/farm.json"
    made = json.loads(path.read_text())
    assert made["uid"] == DASHBOARD
    assert [variable["name"] for variable in made["templating"]["list"]] == ["datasource", "job"]
