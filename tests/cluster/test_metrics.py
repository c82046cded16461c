"""What the driver tells of a job, and what Prometheus then reads from Ray's metrics port."""

from __future__ import annotations

import time
import urllib.request
from typing import Any

import pytest

from farm.job import FrameRecord
from farm.render.frame_report import FrameReport


def scrape() -> dict[tuple[str, str, str], float]:
    """Value by series, job and stage, of every node's metrics port, the workers' own labels added up."""
    import ray
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[tuple[str, str, str], float] = {}
    for node in ray.nodes():
        url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.startswith("ray_farm_"):
                    key = (sample.name, sample.labels["job"], sample.labels.get("stage", ""))
                    found[key] = found.get(key, 0.0) + sample.value
    return found


def until_scraped(key: tuple[str, str, str], value: float) -> dict[tuple[str, str, str], float]:
    deadline = time.monotonic() + 30
    while (found := scrape()).get(key) != value:
        assert time.monotonic() < deadline, f"{key} is {found.get(key)}, not {value}"
        time.sleep(0.3)
    return found


@pytest.fixture
def metrics(ray_here):
    from farm.cluster.metrics import JobMetrics

    return JobMetrics("clip", temporal_weight=1000.0)


def report(frame: int, **record: object) -> FrameReport:
    return FrameReport("pass-1/00000", frame, FrameRecord(frame=frame, sha256="", **record))


def test_every_metric_is_scraped_with_its_value(metrics):
    from farm.cluster.metrics import Meters, exported_series

    metrics.frame(report(0, steps=20, seconds=2.0, bytes=300, losses={"temporal": 0.0}), "pass 1")
    metrics.frame(report(1, steps=5, seconds=0.5, bytes=400, losses={"temporal": 650.25}), "pass 1")
    metrics.frames_left(7)
    metrics.tasks(queued=4, running=2, workers=2)
    metrics.retry()
    metrics.worker_lost()
    metrics.time_lost(12.5)
    metrics.task_failed()
    Meters("clip").add("farm_flow_fields", 2)
    found = until_scraped(("ray_farm_failed_tasks_total", "clip", ""), 1)
    expected = {
        ("ray_farm_frames_rendered_total", "pass 1"): 2,
        ("ray_farm_work_seconds_total", "pass 1"): 2.5,
        ("ray_farm_frame_seconds_count", "pass 1"): 2,
        ("ray_farm_optimizer_steps_total", "pass 1"): 25,
        ("ray_farm_committed_bytes_total", "pass 1"): 700,
        ("ray_farm_warp_error", "pass 1"): 650.25 / 1000 / 255**2,
        ("ray_farm_queued_tasks", ""): 4,
        ("ray_farm_running_tasks", ""): 2,
        ("ray_farm_workers", ""): 2,
        ("ray_farm_frames_left", ""): 7,
        ("ray_farm_retries_total", ""): 1,
        ("ray_farm_lost_workers_total", ""): 1,
        ("ray_farm_lost_seconds_total", ""): 12.5,
        ("ray_farm_flow_fields_total", ""): 2,
    }
    assert {(name, stage): found[name, "clip", stage] for name, stage in expected} == pytest.approx(expected)
    assert {name for name, job, _ in found if job == "clip"} == exported_series(), "nothing is declared and never told"


class Kept:
    """In place of Meters: keeps what it is told, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, kind: str) -> Any:
        return lambda name, value=1.0, pass_name=None: self.calls.append((kind, name, value, pass_name))


def test_a_frame_costs_five_values():
    """However many frames there were: 5 calls of some microseconds beside seconds of painting."""
    from farm.cluster.metrics import JobMetrics

    kept = Kept()
    metrics = JobMetrics("clip", 1000.0, kept)
    for frame in range(100):
        metrics.frame(report(frame, steps=5, seconds=0.5, bytes=400, losses={"temporal": 650.25}), "pass 2")
    assert kept.calls[-5:] == [
        ("add", "farm_frames_rendered", 1.0, "pass 2"),
        ("add", "farm_work_seconds", 0.5, "pass 2"),
        ("observe", "farm_frame_seconds", 0.5, "pass 2"),
        ("add", "farm_optimizer_steps", 5, "pass 2"),
        ("add", "farm_committed_bytes", 400, "pass 2"),
    ]
    assert len(kept.calls) == 500


def test_every_gauge_is_set_again_though_nothing_has_changed():
    """Ray forgets a gauge that was not set for two of its intervals; a frame may take longer than that."""
    from farm.cluster.metrics import JobMetrics

    kept = Kept()
    metrics = JobMetrics("slow", 1000.0, kept)
    metrics.frame(report(0, steps=5, seconds=0.5, bytes=400, losses={"temporal": 650.25}), "pass 1")
    metrics.frame(report(1, steps=5, seconds=0.5, bytes=400, losses={"temporal": 0.0}), "pass 1")
    metrics.frames_left(3)
    kept.calls.clear()
    gauges = [
        ("set", "farm_warp_error", pytest.approx(650.25 / 1000 / 255**2), "pass 1"),
        ("set", "farm_frames_left", 3, None),
        ("set", "farm_queued_tasks", 0, None),
        ("set", "farm_running_tasks", 1, None),
        ("set", "farm_workers", 1, None),
    ]
    for _ in range(3):
        metrics.tasks(queued=0, running=1, workers=1)
    assert kept.calls == gauges * 3
