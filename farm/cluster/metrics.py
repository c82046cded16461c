"""What a job tells Prometheus, through Ray's own metrics port of every node.

    metrics = JobMetrics("farm-clip-1a2b", temporal_weight=1000.0)
    metrics.frame(report, stage="pass 1")
    metrics.tasks(queued=3, running=2, workers=2)

Ray puts `ray_` before a name, and `_total` after a counter's: `sum by (job) (rate(ray_farm_frames_rendered_total[1m]))`
is frames a second. All but the flow are told by the driver, which lives as long as the job: a gauge is
gone when its process is, and when it was not told of again for a few seconds. One call takes some microseconds, beside
seconds of painting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ray.util.metrics import Counter, Gauge, Histogram

from farm.render.chunk import FrameReport

LEVELS = 255.0
SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0)
"""Upper bounds of the histogram of seconds a frame. Ray keeps buckets only and guesses a histogram's sum from them,
so the sum has a counter of its own.
"""


@dataclass(frozen=True)
class Metric:
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ("job",)

    def series(self, name: str) -> tuple[str, ...]:
        """The names that Prometheus stores."""
        if self.kind == "histogram":
            return tuple(f"ray_{name}_{part}" for part in ("bucket", "count", "sum"))
        return (f"ray_{name}_total" if self.kind == "counter" else f"ray_{name}",)


BY_STAGE = ("job", "stage")
METRICS = {
    "farm_frames_rendered": Metric("counter", "Frames committed, one for each stage of a frame", BY_STAGE),
    "farm_work_seconds": Metric("counter", "Seconds of work on frames, waiting for storage included", BY_STAGE),
    "farm_frame_seconds": Metric("histogram", "How the seconds of work on a frame are spread", BY_STAGE),
    "farm_optimizer_steps": Metric("counter", "Optimiser steps", BY_STAGE),
    "farm_committed_bytes": Metric("counter", "Bytes of committed frames", BY_STAGE),
    "farm_warp_error": Metric(
        "gauge",
        "Of the latest frame: mean squared difference (values 0..1) to its warped neighbours where flow is reliable",
        BY_STAGE,
    ),
    "farm_flow_fields": Metric("counter", "Optical flow fields computed ahead of the renderers"),
    "farm_frames_left": Metric("gauge", "Frames that this run of the job has still to commit"),
    "farm_queued_tasks": Metric("gauge", "Tasks that wait for a worker and for nothing else"),
    "farm_running_tasks": Metric("gauge", "Tasks at work"),
    "farm_workers": Metric("gauge", "Workers that are up"),
    "farm_retries": Metric("counter", "Tasks that were put back to be tried again"),
    "farm_lost_workers": Metric("counter", "Workers that died or whose node was taken away"),
    "farm_lost_seconds": Metric("counter", "Seconds that tasks lost with their workers"),
    "farm_failed_tasks": Metric("counter", "Tasks that failed as often as they may"),
}
KINDS = {"counter": Counter, "gauge": Gauge}


def exported_series() -> set[str]:
    """Every name under which Prometheus can be asked for something of the farm."""
    return {series for name, metric in METRICS.items() for series in metric.series(name)}


class Meters:
    """Metrics of this process, each made when it is first told of. A value without a reader costs nothing more."""

    def __init__(self, job: str) -> None:
        self._job = job
        self._made: dict[str, Any] = {}

    def add(self, name: str, value: float = 1.0, stage: str | None = None) -> None:
        """Count on. Nothing is told of 0: Ray refuses it, and Prometheus knows no difference."""
        if value > 0:
            self._meter(name).inc(value, self._labels(stage))

    def set(self, name: str, value: float, stage: str | None = None) -> None:
        self._meter(name).set(value, self._labels(stage))

    def observe(self, name: str, value: float, stage: str | None = None) -> None:
        """One value of a histogram. Ray refuses 0."""
        self._meter(name).observe(max(value, 1e-6), self._labels(stage))

    def _labels(self, stage: str | None) -> dict[str, str]:
        return {"job": self._job} if stage is None else {"job": self._job, "stage": stage}

    def _meter(self, name: str) -> Any:
        if name not in self._made:
            metric = METRICS[name]
            if metric.kind == "histogram":
                self._made[name] = Histogram(name, metric.help, list(SECONDS), metric.labels)
            else:
                self._made[name] = KINDS[metric.kind](name, metric.help, metric.labels)
        return self._made[name]


class JobMetrics:
    """What the driver tells of one job. `temporal_weight` is the spec's: it turns a loss into an error."""

    def __init__(self, job: str, temporal_weight: float = 0.0) -> None:
        self._meters = Meters(job)
        self._temporal_weight = temporal_weight
        self._frames_left: int | None = None
        self._warp_errors: dict[str, float] = {}

    def frame(self, report: FrameReport, stage: str) -> None:
        """A frame was committed in this run."""
        record = report.record
        self._meters.add("farm_frames_rendered", stage=stage)
        self._meters.add("farm_work_seconds", record.seconds, stage)
        self._meters.observe("farm_frame_seconds", record.seconds, stage)
        self._meters.add("farm_optimizer_steps", record.steps, stage)
        self._meters.add("farm_committed_bytes", record.bytes, stage)
        temporal = record.losses.get("temporal")  # 0 or none for a frame that is tied to nothing
        if temporal and self._temporal_weight:
            self._warp_errors[stage] = temporal / self._temporal_weight / LEVELS**2

    def tasks(self, *, queued: int, running: int, workers: int) -> None:
        """All gauges, told each time that the driver's loop comes round, whether anything has changed or not."""
        for stage, error in self._warp_errors.items():
            self._meters.set("farm_warp_error", error, stage)
        if self._frames_left is not None:
            self._meters.set("farm_frames_left", self._frames_left)
        self._meters.set("farm_queued_tasks", queued)
        self._meters.set("farm_running_tasks", running)
        self._meters.set("farm_workers", workers)

    def frames_left(self, count: int) -> None:
        """Told with the next `tasks`."""
        self._frames_left = count

    def retry(self) -> None:
        self._meters.add("farm_retries")

    def worker_lost(self) -> None:
        self._meters.add("farm_lost_workers")

    def time_lost(self, seconds: float) -> None:
        self._meters.add("farm_lost_seconds", seconds)

    def task_failed(self) -> None:
        self._meters.add("farm_failed_tasks")
