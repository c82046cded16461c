"""What a job tells Prometheus, through the metrics port that Ray has on every node.

    metrics = JobMetrics("farm-clip-1a2b", temporal_weight=1000.0)
    metrics.frame(report, pass_name="pass 1")
    metrics.tasks(queued=3, running=2, workers=2)

Ray puts `ray_` before every name, and `_total` after a counter's: `sum by (job)
(rate(ray_farm_frames_rendered_total[1m]))` is frames a second. The label of the pass is called "stage".

All metrics but the flow's are told by the driver, which lives as long as the job. Why: a gauge is gone when its process
is, and when it was not set again for a few seconds. One call takes some microseconds, beside seconds of painting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ray.util.metrics import Counter, Gauge, Histogram

from farm.render.frame_report import FrameReport

LEVELS = 255.0
"""The largest value of a pixel where losses are computed."""
FRAME_SECONDS_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0)
"""Upper bounds, in seconds, of the buckets of the histogram of seconds a frame. Ray keeps buckets only and guesses the
sum of a histogram from them, so the sum has a counter of its own.
"""


@dataclass(frozen=True)
class Metric:
    """One metric as it is declared to Ray: `labels` are the names of the labels that every value of it carries."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ("job",)

    def series(self, name: str) -> tuple[str, ...]:
        """The names that Prometheus stores."""
        if self.kind == "histogram":
            return tuple(f"ray_{name}_{part}" for part in ("bucket", "count", "sum"))
        return (f"ray_{name}_total" if self.kind == "counter" else f"ray_{name}",)


BY_PASS = ("job", "stage")
"""Labels of what is counted for each pass. The label is "stage" because dashboards ask for it by that name."""
METRICS = {
    "farm_frames_rendered": Metric("counter", "Frames committed, one for each pass of a frame", BY_PASS),
    "farm_work_seconds": Metric("counter", "Seconds of work on frames, waiting for storage included", BY_PASS),
    "farm_frame_seconds": Metric("histogram", "How the seconds of work on a frame are spread", BY_PASS),
    "farm_optimizer_steps": Metric("counter", "Optimiser steps", BY_PASS),
    "farm_committed_bytes": Metric("counter", "Bytes of committed frames", BY_PASS),
    "farm_warp_error": Metric(
        "gauge",
        "Temporal loss of the latest frame, divided by its weight and by 255 squared: for each warped neighbour that "
        "the frame is tied to, the mean over all pixels of the squared difference (values 0..1) times the reliability "
        "of the flow, added up. Not the warp error of the report, which averages over reliable pixels only",
        BY_PASS,
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
"""Every metric, by the name that it has before Ray adds to it.

`farm_warp_error` is, against its name, the temporal loss that the optimiser minimises, rescaled. It is of the picture
before rounding, and pixels where the flow is not reliable count as 0. The warp error of farm.render.steadiness is of
committed frames, and averages over the pixels where the flow is reliable. So the values of the two cannot be compared.
"""
KINDS = {"counter": Counter, "gauge": Gauge}
"""Ray's class for each kind of metric but the histogram, which needs its bounds as well."""


def exported_series() -> set[str]:
    """Every name under which Prometheus can be asked for something of the farm."""
    return {series for name, metric in METRICS.items() for series in metric.series(name)}


class Meters:
    """Metrics of this process, with the label `job`. Each is declared to Ray when it gets its first value."""

    def __init__(self, job: str) -> None:
        self._job = job
        self._declared: dict[str, Any] = {}

    def add(self, name: str, value: float = 1.0, pass_name: str | None = None) -> None:
        """Count a counter on. A value of 0 is not passed on: Ray refuses it, and Prometheus knows no difference."""
        if value > 0:
            self._meter(name).inc(value, self._labels(pass_name))

    def set(self, name: str, value: float, pass_name: str | None = None) -> None:
        """Set a gauge."""
        self._meter(name).set(value, self._labels(pass_name))

    def observe(self, name: str, value: float, pass_name: str | None = None) -> None:
        """Add one value to a histogram. A value of 0 counts as 1e-6, because Ray refuses 0."""
        self._meter(name).observe(max(value, 1e-6), self._labels(pass_name))

    def _labels(self, pass_name: str | None) -> dict[str, str]:
        return {"job": self._job} if pass_name is None else {"job": self._job, "stage": pass_name}

    def _meter(self, name: str) -> Any:
        if name not in self._declared:
            metric = METRICS[name]
            if metric.kind == "histogram":
                self._declared[name] = Histogram(name, metric.help, list(FRAME_SECONDS_BOUNDS), metric.labels)
            else:
                self._declared[name] = KINDS[metric.kind](name, metric.help, metric.labels)
        return self._declared[name]


class JobMetrics:
    """What the driver tells of one job. `temporal_weight` is the spec's, by which the temporal loss is divided.

    `meters` takes the values; tests give one that keeps them.
    """

    def __init__(self, job: str, temporal_weight: float = 0.0, meters: Meters | None = None) -> None:
        self._meters = meters or Meters(job)
        self._temporal_weight = temporal_weight
        self._frames_left: int | None = None
        self._temporal_losses: dict[str, float] = {}
        """Of the latest frame of each pass, without its weight and for values 0..1."""

    def frame(self, report: FrameReport, pass_name: str) -> None:
        """A frame was committed in this run."""
        record = report.record
        self._meters.add("farm_frames_rendered", pass_name=pass_name)
        self._meters.add("farm_work_seconds", record.seconds, pass_name)
        self._meters.observe("farm_frame_seconds", record.seconds, pass_name)
        self._meters.add("farm_optimizer_steps", record.steps, pass_name)
        self._meters.add("farm_committed_bytes", record.bytes, pass_name)
        temporal = record.losses.get("temporal")  # 0 or none for a frame that is tied to nothing
        if temporal and self._temporal_weight:
            self._temporal_losses[pass_name] = temporal / self._temporal_weight / LEVELS**2

    def tasks(self, *, queued: int, running: int, workers: int) -> None:
        """Set all gauges, whether or not they have changed.

        The driver calls it each time that its loop comes round. Why: Ray forgets a gauge that was not set for a while.
        """
        for pass_name, loss in self._temporal_losses.items():
            self._meters.set("farm_warp_error", loss, pass_name)
        if self._frames_left is not None:
            self._meters.set("farm_frames_left", self._frames_left)
        self._meters.set("farm_queued_tasks", queued)
        self._meters.set("farm_running_tasks", running)
        self._meters.set("farm_workers", workers)

    def frames_left(self, count: int) -> None:
        """Frames that this run has still to commit. The gauge is set with the next `tasks`."""
        self._frames_left = count

    def retry(self) -> None:
        """A task was put back to be tried again."""
        self._meters.add("farm_retries")

    def worker_lost(self) -> None:
        """A worker died, or its node was taken away."""
        self._meters.add("farm_lost_workers")

    def time_lost(self, seconds: float) -> None:
        """A task goes on after the loss of its worker, which cost this many seconds."""
        self._meters.add("farm_lost_seconds", seconds)

    def task_failed(self) -> None:
        """A task failed for good."""
        self._meters.add("farm_failed_tasks")
