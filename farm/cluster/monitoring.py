"""Where a job's metrics are shown: Prometheus and the farm's Grafana dashboard, from the variables that Ray reads too.

RAY_PROMETHEUS_HOST, RAY_GRAFANA_HOST, and RAY_GRAFANA_IFRAME_HOST where browsers know Grafana by another name.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from farm.job.credentials import has_credentials

DASHBOARD = "farm"
"""Identifier of deploy/grafana/dashboards/farm.json."""


def monitoring_addresses(job: str, environment: Mapping[str, str]) -> dict[str, str]:
    """`prometheus` and `grafana` (the dashboard, showing this job); those that are not set are left out.

    One that carries a password is left out too: what is printed ends in logs.
    """
    grafana = environment.get("RAY_GRAFANA_IFRAME_HOST") or environment.get("RAY_GRAFANA_HOST", "")
    found = {"prometheus": environment.get("RAY_PROMETHEUS_HOST", ""), "grafana": grafana}
    shown = {name: url.rstrip("/") for name, url in found.items() if "://" in url and not has_credentials(url)}
    if "grafana" in shown:
        shown["grafana"] += f"/d/{DASHBOARD}?var-job={quote(job, safe='')}"
    return shown
