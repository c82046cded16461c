"""What a job tells Prometheus, through the metrics port that Ray has on every node.

    with JobMetrics("farm-clip-1a2b", temporal_weight=1000.0) as metrics:
        metrics.frame(report, pass_name="pass 1")
        metrics.tasks(queued=3, running=2, workers=2)

Ray puts `ray_` before every name: `sum by (job) (rate(ray_farm_frames_rendered_total[1m]))` is frames a second. The
label of the pass is called "stage".

Every value goes to Ray as a gauge, counters and histograms as well. Why: Ray 2.60 keeps each series of a counter and of
a histogram until the node ends, so /metrics would grow with every job. A series of a gauge is gone some 20 seconds
after it was last set. To Prometheus it makes no difference, because it tells a counter by its use in a query.

So values are kept here and told again all the time, by a thread, for as long as the job lasts: also while its film
is encoded, when nothing else happens. All but the flow's are told by the driver.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ray.util.metrics import Gauge

from farm.render.chunk import FrameReport

LEVELS = 255.0
"""The largest value of a pixel where losses are computed."""
FRAME_SECONDS_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, math.inf)
"""Upper bounds, in seconds, of the buckets of the histogram of seconds a frame."""
LINGER_SECONDS = 1.5
"""A little more than the second between two reports of a driver on a cluster (`ray_session` sets it)."""
PUBLISH_SECONDS = 0.5
"""Seconds between two times that all values are told to Ray.

A node's Ray forgets a gauge after two of its report intervals: 10 s each, but 1 s where somebody has set so. So every
report finds a value, also then. It takes less than a millisecond.
"""


@dataclass(frozen=True)
class Metric:
    """One metric as it is declared to Ray: `labels` are the names of the labels that every value of it carries."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ("job",)

    def series(self, name: str) -> tuple[str, ...]:
        """The names that Prometheus stores, without Ray's `ray_`."""
        if self.kind == "histogram":
            return tuple(f"{name}_{part}" for part in ("bucket", "count", "sum"))
        return (f"{name}_total" if self.kind == "counter" else name,)


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
    "farm_seconds_left": Metric("gauge", "Seconds until the last frame is committed, as the job's bar has it"),
    "farm_storage_free_bytes": Metric("gauge", "Free space where the job directory is; of a folder, not of a bucket"),
    "farm_ended": Metric("gauge", "1 once the job's driver has ended by itself, however the job ended"),
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
COUNTED_FROM_START = ("farm_retries", "farm_lost_workers", "farm_lost_seconds", "farm_failed_tasks")
"""Counters that are 0 from the start of a job.

Why: `increase()` sees no increase in a series that begins at 1, and an empty panel could mean that nothing is measured.
"""


def exported_series() -> set[str]:
    """Every name under which Prometheus can be asked for something of the farm."""
    return {f"ray_{series}" for name, metric in METRICS.items() for series in metric.series(name)}


class Meters:
    """Metrics of this process, with the label `job`. Values are kept until `publish` tells all of them to Ray.

    Any thread may call any method.
    """

    def __init__(self, job: str) -> None:
        self._job = job
        self._lock = threading.Lock()
        self._values: dict[tuple[str, str, tuple[tuple[str, str], ...]], float] = {}
        """By the name of the metric, of the series, and labels."""
        self._gauges: dict[str, Any] = {}

    def add(self, name: str, value: float = 1.0, pass_name: str | None = None) -> None:
        """Count a counter on."""
        self._change(name, f"{name}_total", self._labels(pass_name), value)

    def set(self, name: str, value: float, pass_name: str | None = None) -> None:
        """Set a gauge."""
        with self._lock:
            self._values[name, name, self._labels(pass_name)] = value

    def observe(self, name: str, value: float, pass_name: str | None = None) -> None:
        """Add one value to a histogram. A bucket counts all values up to its bound, as Prometheus has it."""
        labels = self._labels(pass_name)
        for bound in FRAME_SECONDS_BOUNDS:
            text = "+Inf" if math.isinf(bound) else f"{bound:g}"
            self._change(name, f"{name}_bucket", (*labels, ("le", text)), float(value <= bound))
        self._change(name, f"{name}_count", labels, 1.0)
        self._change(name, f"{name}_sum", labels, value)

    def values(self) -> dict[tuple[str, str, tuple[tuple[str, str], ...]], float]:
        """All values so far, by metric, series and labels."""
        with self._lock:
            return dict(self._values)

    def publish(self) -> None:
        """Tell Ray every value, changed or not."""
        for (name, series, labels), value in self.values().items():
            if series not in self._gauges:
                self._gauges[series] = Gauge(series, METRICS[name].help, tuple(label for label, _ in labels))
            self._gauges[series].set(value, dict(labels))

    def _change(self, name: str, series: str, labels: tuple[tuple[str, str], ...], value: float) -> None:
        with self._lock:
            key = name, series, labels
            self._values[key] = self._values.get(key, 0.0) + value

    def _labels(self, pass_name: str | None) -> tuple[tuple[str, str], ...]:
        return (("job", self._job),) if pass_name is None else (("job", self._job), ("stage", pass_name))


@contextlib.contextmanager
def published(meters: Meters, before: Callable[[], None] | None = None) -> Iterator[None]:
    """Publish `meters` every PUBLISH_SECONDS inside the block, and at its end. `before` is called each time before."""
    over = threading.Event()

    def publish() -> None:
        if before is not None:
            before()
        meters.publish()

    def keep_publishing() -> None:
        publish()
        while not over.wait(PUBLISH_SECONDS):
            publish()

    thread = threading.Thread(target=keep_publishing, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        publish()


class JobMetrics(contextlib.AbstractContextManager["JobMetrics"]):
    """What the driver tells of one job. `temporal_weight` is the spec's, by which the temporal loss is divided.

    `folder` is the job directory where it is one of this machine's, whose free space is told. As a context manager it
    tells Ray the values until the end of the block, and that the job has ended then. It waits `linger` seconds after
    that: without a report of Ray in them, the job would look like one whose driver was killed. `meters` takes the
    values.
    """

    def __init__(
        self,
        job: str,
        temporal_weight: float = 0.0,
        *,
        folder: str | None = None,
        linger: float = 0.0,
        meters: Meters | None = None,
    ) -> None:
        self._meters = meters or Meters(job)
        self._temporal_weight = temporal_weight
        self._folder = folder
        self._linger = linger
        self._publishing = contextlib.ExitStack()
        for name in COUNTED_FROM_START:
            self._meters.add(name, 0.0)
        self._meters.set("farm_ended", 0.0)

    def __enter__(self) -> JobMetrics:
        self._publishing.enter_context(published(self._meters, self._measure_storage))
        return self

    def __exit__(self, *error: object) -> None:
        self._meters.set("farm_ended", 1.0)
        self._publishing.close()
        time.sleep(self._linger)

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
            self._meters.set("farm_warp_error", temporal / self._temporal_weight / LEVELS**2, pass_name)

    def tasks(self, *, queued: int, running: int, workers: int) -> None:
        """How many tasks wait and are at work, and how many workers are up."""
        self._meters.set("farm_queued_tasks", queued)
        self._meters.set("farm_running_tasks", running)
        self._meters.set("farm_workers", workers)

    def left(self, frames: int, seconds: float | None) -> None:
        """Frames that this run has still to commit, and the seconds that they will take, None where nobody knows."""
        self._meters.set("farm_frames_left", frames)
        if seconds is not None:
            self._meters.set("farm_seconds_left", seconds)

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

    def _measure_storage(self) -> None:
        with contextlib.suppress(OSError):
            if self._folder is not None:
                room = os.statvfs(self._folder)
                self._meters.set("farm_storage_free_bytes", float(room.f_bavail * room.f_frsize))
