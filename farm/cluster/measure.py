"""Measure what a render will cost: start Ray and the workers as for the render, and render a few frames.

    forecast, record = measure_costs(spec, LaunchOptions(job=job_url, workers=2), progress)

All workers render at the same time, as they will in the render, because cores that share memory bandwidth and power
are slower together.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from farm.cluster.session import ray_session
from farm.cluster.sizing import LaunchOptions, job_pool, logical_cpus, planned_workers, worker_runtime
from farm.errors import CancelledError, UsageError
from farm.interruption import noted_interruption
from farm.job import JobDirectory, JobRecord
from farm.job.forecast import save_forecast
from farm.media.film import encode_film
from farm.plan.forecast import USUAL_WORKERS, Costs, Forecast, floor_seconds, forecast_rows, storage_bytes
from farm.plan.pace import Progress
from farm.render.cost_sample import Sample, chunks_to_sample
from farm.render.prepare import prepare_job
from farm.render.stitch import encode_settings, shown_probe
from farm.spec import FrameRange, RenderSpec

if TYPE_CHECKING:
    from farm.cluster.pool import WorkerPool

ENCODED = (4, 24)
"""Frames of two short films. The difference of their times gives the encoder's time for a frame."""
WORKER_SECONDS = 60.0
"""Seconds that workers have to come up; those that are late are not measured."""


def measure_costs(spec: RenderSpec, options: LaunchOptions, progress: Progress) -> tuple[Forecast, JobRecord]:
    """Render some frames on this machine: the forecast, and the record of the scratch job. It leaves no file behind.

    Raises FarmError as a render does, and UsageError where a network would have to be trained first.
    """
    if spec.method == "instant" and spec.network is None:
        raise UsageError("there is no network to measure yet", "farm train makes one, or give --network")
    with tempfile.TemporaryDirectory(prefix="farm-measure-") as folder:
        began = time.perf_counter()
        options = replace(options, job=str(Path(folder) / "0.farm"), dashboard=False)
        progress.phase("probe", 1, 1)
        prepared = prepare_job(spec, options.job, workers=planned_workers(options, spec.device))
        prepared.job.check_writable()
        try:
            with noted_interruption() as interruption, ray_session(None, cpus=logical_cpus(options)) as session:
                pool = job_pool(prepared, options, session, progress)
                try:
                    runtime = worker_runtime(pool, session, spec, interruption.check)
                    start = time.perf_counter() - began
                    record = prepared.begin(runtime)
                    progress.phase("measure", 1, 1)
                    samples = _sample(pool, record, Path(folder), interruption.check)
                finally:
                    pool.close()
                leaving = time.perf_counter()
        except KeyboardInterrupt:
            raise CancelledError("stopped; nothing was kept") from None
        leaving = time.perf_counter() - leaving
        stitch, finish = _encoding_seconds(
            record, [picture for sample in samples for picture in sample.painted], Path(folder)
        )
    costs = mean_costs(samples, start=start, stitch=stitch, finish=finish + leaving)
    return Forecast(spec=spec, made=time.time(), workers=len(samples), costs=costs), record


def mean_costs(samples: Sequence[Sample], *, start: float, stitch: float, finish: float) -> Costs:
    """The workers' measurements, averaged. A kind of frame that no sample has costs as much as the next dearer kind."""
    first = _mean([seconds for sample in samples for seconds in sample.first])
    sequential = _mean([seconds for sample in samples for seconds in sample.sequential], first)
    return Costs(
        start=start,
        load=max(sample.load for sample in samples),
        first=first or sequential,
        sequential=sequential,
        refine=_mean([seconds for sample in samples for seconds in sample.refine], sequential),
        tie=fmean(sample.tie for sample in samples),
        stitch=stitch,
        finish=finish,
        frame_bytes=fmean(sample.frame_bytes for sample in samples),
        flow_bytes=fmean(sample.flow_bytes for sample in samples),
    )


def _mean(seconds: Sequence[float], otherwise: float = 0.0) -> float:
    return fmean(seconds) if seconds else otherwise


def _sample(pool: WorkerPool, record: JobRecord, folder: Path, check: Callable[[], None]) -> list[Sample]:
    """One sample of each worker, all at the same time, each in a scratch job of its own."""
    from farm.cluster.pool_work import wait_for_all, work_off

    wait_for_all(pool, WORKER_SECONDS, check)
    scratch_jobs = []
    for number, chunk in enumerate(chunks_to_sample(record.plan, len(pool.facts))):
        scratch = JobDirectory(str(folder / f"{number}.farm"))
        scratch.save_record(record)
        scratch_jobs.append((scratch.url, chunk))

    def call(actor: Any, piece: tuple[str, int]) -> Any:
        return actor.sample.options(name="measure").remote(*piece)

    done = work_off(pool, scratch_jobs, call, check, lambda piece: f"the sample of chunk {piece[1]}")
    return [sample for _, sample in done]


def _encoding_seconds(record: JobRecord, painted: Sequence[np.ndarray], folder: Path) -> tuple[float, float]:
    """The encoder's seconds for a frame, and for a film besides its frames. `painted`: (H, W, 3) uint8 each."""
    durations = []
    start = record.plan.start
    lengths = [min(count, len(record.plan.frames)) for count in ENCODED]
    for count in lengths:
        began = time.perf_counter()
        output = folder / f"{count}{Path(record.spec.output).suffix or '.mp4'}"
        frames = itertools.islice(itertools.cycle(painted), count)
        settings = encode_settings(record.spec)
        encode_film(frames, shown_probe(record.spec, record.probe), FrameRange(start, start + count), output, settings)
        durations.append(time.perf_counter() - began)
    if lengths[0] == lengths[1]:
        return 0.0, durations[1]
    seconds_per_frame = max((durations[1] - durations[0]) / (lengths[1] - lengths[0]), 0.0)
    return seconds_per_frame, max(durations[0] - seconds_per_frame * lengths[0], 0.0)


def forecast_render(
    spec: RenderSpec, options: LaunchOptions, price_per_hour: float | None, progress: Progress, *, keep: bool
) -> dict[str, Any]:
    """Time, storage and money for 1, 2, 8, 64 and as many workers as there are here.

    With `keep` the forecast goes into the job directory, where the report sets the fact beside it. Raises FarmError.
    """
    forecast, record = measure_costs(spec, options, progress)
    if keep:
        save_forecast(JobDirectory(options.job), forecast)
    counts = {*USUAL_WORKERS, forecast.workers, *([options.workers] if options.workers else [])}
    rows = forecast_rows(record.plan, spec, forecast.costs, sorted(counts), price_per_hour)
    return {
        "measured_workers": forecast.workers,
        "costs": forecast.costs.model_dump(),
        "rows": [row.model_dump() for row in rows],
        "floor_seconds": floor_seconds(record.plan, spec, forecast.costs),
        "storage_bytes": storage_bytes(record.plan, forecast.costs),
        "price_per_hour": price_per_hour,
        "kept": options.job if keep else None,
    }
