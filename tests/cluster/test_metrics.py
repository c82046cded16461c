"""What the driver tells of a job, and what Prometheus then reads from Ray's metrics port."""

from __future__ import annotations

import time
import urllib.request

import pytest

from farm.job import FrameRecord
from farm.render.chunk import FrameReport


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


def report(frame: int, **record: object) -> FrameReport:
    return FrameReport("pass-1/00000", frame, FrameRecord(frame=frame, sha256="", **record))


def test_every_metric_is_scraped_with_its_value(ray_here, tmp_path):
    from farm.cluster.metrics import JobMetrics, Meters, exported_series, published

    flow = Meters("clip")
    with published(flow), JobMetrics("clip", temporal_weight=1000.0, folder=str(tmp_path)) as metrics:
        metrics.frame(report(0, steps=20, seconds=2.0, bytes=300, losses={"temporal": 0.0}), "pass 1")
        metrics.frame(report(1, steps=5, seconds=0.5, bytes=400, losses={"temporal": 650.25}), "pass 1")
        metrics.left(7, 30.0)
        metrics.tasks(queued=4, running=2, workers=2)
        metrics.retry()
        metrics.worker_lost()
        metrics.time_lost(12.5)
        metrics.task_failed()
        flow.add("farm_flow_fields", 2)
        until_scraped(("ray_farm_flow_fields_total", "clip", ""), 2)
        found = until_scraped(("ray_farm_failed_tasks_total", "clip", ""), 1)
    expected = {
        ("ray_farm_frames_rendered_total", "pass 1"): 2,
        ("ray_farm_work_seconds_total", "pass 1"): 2.5,
        ("ray_farm_frame_seconds_count", "pass 1"): 2,
        ("ray_farm_frame_seconds_sum", "pass 1"): 2.5,
        ("ray_farm_optimizer_steps_total", "pass 1"): 25,
        ("ray_farm_committed_bytes_total", "pass 1"): 700,
        ("ray_farm_warp_error", "pass 1"): 650.25 / 1000 / 255**2,
        ("ray_farm_queued_tasks", ""): 4,
        ("ray_farm_running_tasks", ""): 2,
        ("ray_farm_workers", ""): 2,
        ("ray_farm_frames_left", ""): 7,
        ("ray_farm_seconds_left", ""): 30,
        ("ray_farm_retries_total", ""): 1,
        ("ray_farm_lost_workers_total", ""): 1,
        ("ray_farm_lost_seconds_total", ""): 12.5,
        ("ray_farm_flow_fields_total", ""): 2,
        ("ray_farm_ended", ""): 0,
    }
    assert {(name, stage): found[name, "clip", stage] for name, stage in expected} == pytest.approx(expected)
    assert found["ray_farm_storage_free_bytes", "clip", ""] > 0
    assert {name for name, job, _ in found if job == "clip"} == exported_series(), "nothing is declared and never told"
    until_scraped(("ray_farm_ended", "clip", ""), 1)


def test_the_series_of_a_job_that_has_ended_are_gone(ray_here):
    """Ray keeps what is told as a counter or a histogram until the node ends."""
    from farm.cluster.metrics import JobMetrics

    with JobMetrics("short") as metrics:
        metrics.frame(report(0, steps=5, seconds=0.5, bytes=400), "pass 1")
        until_scraped(("ray_farm_frames_rendered_total", "short", "pass 1"), 1)
    deadline = time.monotonic() + 90
    while any(job == "short" for _, job, _ in scrape()):
        assert time.monotonic() < deadline, "the series are still there"
        time.sleep(1.0)


def values(meters) -> dict[tuple[str, ...], float]:
    """Values by series and the labels that are not the job."""
    told = meters.values().items()
    return {(series, *(text for _, text in labels[1:])): value for (_, series, labels), value in told}


def test_a_histogram_counts_up_to_each_bound(ray_here):
    """Every bucket has all that is not larger than its bound, the last one everything."""
    from farm.cluster.metrics import FRAME_SECONDS_BOUNDS, Meters

    meters = Meters("clip")
    for seconds in (0.0, 0.25, 0.3, 1000.0):
        meters.observe("farm_frame_seconds", seconds, "pass 1")
    kept = values(meters)
    assert kept["farm_frame_seconds_count", "pass 1"] == 4
    assert kept["farm_frame_seconds_sum", "pass 1"] == pytest.approx(1000.55)
    buckets = [kept["farm_frame_seconds_bucket", "pass 1", bound] for bound in ("0.1", "0.25", "0.5", "500", "+Inf")]
    assert buckets == [1, 2, 3, 3, 4]
    assert len(kept) == len(FRAME_SECONDS_BOUNDS) + 2


def test_counters_of_what_goes_wrong_begin_at_zero(ray_here):
    """Else the first lost worker is no increase, and no rule of Prometheus sees it."""
    from farm.cluster.metrics import JobMetrics, Meters

    meters = Meters("clip")
    metrics = JobMetrics("clip", meters=meters)
    names = ("farm_retries_total", "farm_lost_workers_total", "farm_lost_seconds_total", "farm_failed_tasks_total")
    assert [values(meters)[name,] for name in names] == [0, 0, 0, 0]
    metrics.worker_lost()
    assert values(meters)["farm_lost_workers_total",] == 1


def test_the_number_of_values_does_not_grow_with_the_frames(ray_here):
    from farm.cluster.metrics import JobMetrics, Meters

    meters, counts = Meters("clip"), set()
    metrics = JobMetrics("clip", 1000.0, meters=meters)
    for frame in range(100):
        metrics.frame(report(frame, steps=5, seconds=0.5, bytes=400, losses={"temporal": 650.25}), "pass 2")
        counts.add(len(meters.values()))
    assert len(counts) == 1
    assert values(meters)["farm_frames_rendered_total", "pass 2"] == 100
