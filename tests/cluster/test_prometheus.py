"""A real Prometheus, with the configuration of deploy/, reads a running job: `make test-metrics`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.commands import ROOT, farm, submit, until
from tests.conftest import free_port, make_clip

pytestmark = pytest.mark.metrics

RUN_SECONDS = 75.0
"""Longer than the minute that both rates are taken over."""
PANELS = json.loads((ROOT / "deploy/grafana/dashboards/farm.json").read_text())["panels"]
QUERIES = {target["expr"]: panel["title"] for panel in PANELS for target in panel["targets"]}
NOT_ALWAYS_TOLD = ("retries", "lost", "failed", "gpu", "nodes")
"""Words in the titles of panels of what there is only in trouble, with GPUs, or as nodes come and go."""


@pytest.fixture(scope="module")
def prometheus(ray_nodes, tmp_path_factory) -> Iterator[str]:
    """Its address. Only where the file of Ray's ports lies, and how often they are read, differ from deploy/."""
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("prometheus is not here: apt-get install prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    text = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
    config = yaml.safe_load(text.replace("/tmp/ray/", f"{ray_nodes.folder}/"))
    config["global"]["scrape_interval"] = "2s"
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    options = {"config.file": folder / "prometheus.yml", "storage.tsdb.path": folder, "web.listen-address": address}
    with (folder / "log").open("w") as log:
        command = [binary, *(f"--{name}={value}" for name, value in options.items())]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        until(lambda: _answers(f"http://{address}/-/ready"), "Prometheus")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(url, timeout=5).status == 200)
    except OSError:
        return False


def ask(address: str, query: str) -> list[dict[str, Any]]:
    url = f"{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())["data"]["result"]


def as_grafana_asks(query: str, job: str) -> str:
    return query.replace("$__rate_interval", "1m").replace("$job", re.escape(job).replace("\\", "\\\\"))


def rate_in(line: str) -> float:
    """Frames a second, from `pass 1: 23/148 frames  1.5 frames/s  ETA 49 s`."""
    found = re.search(r"([\d.]+) (frames/s|s/frame)", line)
    assert found, line
    value = float(found[1])
    return value if found[2] == "frames/s" else 1 / value


def test_prometheus_and_the_log_tell_the_same_rate(prometheus, ray_nodes, style, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_PROMETHEUS_HOST", prometheus)
    film = make_clip(tmp_path / "street.mp4", frames=3000)
    told = json.loads(submit(film, style, tmp_path / "out.mp4", "--iterations", "2,2").stdout)
    assert told["prometheus"] == prometheus
    rate = next(query for query, title in QUERIES.items() if title == "Frames a second")
    compared, seen, began = [], 0, 0.0
    while len(compared) < 2:
        log = farm("logs", told["id"]).stdout
        assert "farm: done" not in log, "the job is too short"
        lines = re.findall(r"^.*\d+/\d+ frames  .*ETA.*$", log, re.MULTILINE)
        began = began or (time.monotonic() if lines else 0.0)
        if len(lines) > seen:
            seen = len(lines)
            if time.monotonic() - began > RUN_SECONDS:
                measured = ask(prometheus, as_grafana_asks(rate, told["id"]))
                compared.append((float(measured[0]["value"][1]), rate_in(lines[-1])))
                print(f"frames a second: Prometheus {compared[-1][0]:.2f}, log {compared[-1][1]:.2f}   {lines[-1]}")
        time.sleep(0.5)
    answers = {query: ask(prometheus, as_grafana_asks(query, told["id"])) for query in QUERIES}
    farm("cancel", told["id"])
    for measured, said in compared:
        assert measured == pytest.approx(said, rel=0.15)
    silent = {title for query, title in QUERIES.items() if not answers[query]}
    assert all(any(word in title.lower() for word in NOT_ALWAYS_TOLD) for title in silent), silent
    assert Path(told["job"]).exists()
