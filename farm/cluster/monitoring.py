"""The addresses where a job's metrics are shown, from the environment variables that Ray reads too.

addresses = monitoring_addresses("farm-film-1a2b", os.environ)    # {"prometheus": URL, "grafana": URL}

They are RAY_PROMETHEUS_HOST, RAY_GRAFANA_HOST, and RAY_GRAFANA_IFRAME_HOST where browsers know Grafana by another name.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from farm.job.credentials import has_credentials

DASHBOARD = "farm"
"""Identifier of deploy/grafana/dashboards/farm.json."""


def monitoring_addresses(job: str, environment: Mapping[str, str]) -> dict[str, str]:
    """URLs under `prometheus` and `grafana`, the latter of the farm's dashboard with `job` chosen.

    An address that is not set is left out. So is one that carries a password, because what is printed ends in logs.
    """
    grafana = environment.get("RAY_GRAFANA_IFRAME_HOST") or environment.get("RAY_GRAFANA_HOST", "")
    addresses = {"prometheus": environment.get("RAY_PROMETHEUS_HOST", ""), "grafana": grafana}
    printable = {name: url.rstrip("/") for name, url in addresses.items() if "://" in url and not has_credentials(url)}
    if "grafana" in printable:
        printable["grafana"] += f"/d/{DASHBOARD}?var-job={quote(job, safe='')}"
    return printable
