"""What a render will cost, measured here and now: Ray and workers started as for the render, a few frames rendered.

    costs = measure_costs(spec, LaunchOptions(job=..., workers=2), progress)

Every worker renders at the same time, as it will in the render: cores that share memory and power are slower together.
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

from farm.cli.progress import JobProgress
from farm.cluster.session import ray_session
from farm.cluster.sizing import LaunchOptions, job_pool, logical_cpus
from farm.errors import CancelledError, ChunkFailedError, FarmError, UsageError
from farm.interruption import noted_interruption
from farm.job.directory import JobDirectory
from farm.job.forecast import save_forecast
from farm.job.record import JobRecord
from farm.media.film import encode_film
from farm.plan.forecast import USUAL_WORKERS, Costs, Forecast, floor_seconds, forecast_rows, storage_bytes
from farm.render.cost_sample import Sample, chunks_to_sample
from farm.render.prepare import prepare_job
from farm.render.stitch import encode_settings, shown_probe
from farm.spec.frames import FrameRange
from farm.spec.render import RenderSpec

if TYPE_CHECKING:
    from farm.cluster.pool import WorkerPool

ENCODED = (4, 24)
"""Frames of two short films, whose difference is the encoder's time for a frame."""
WORKER_SECONDS = 60.0


def measure_costs(spec: RenderSpec, options: LaunchOptions, progress: JobProgress) -> tuple[Forecast, JobRecord]:
    """Render some frames on this machine and say what they cost; nothing is left behind.

    Raises FarmError as a render does, and UsageError where a network would have to be trained first.
    """
    if spec.method == "instant" and spec.network is None:
        raise UsageError("there is no network to measure yet", "farm train makes one, or give --network")
    with tempfile.TemporaryDirectory(prefix="farm-measure-") as folder:
        began = time.perf_counter()
        options = replace(options, job=str(Path(folder) / "0.farm"), dashboard=False)
        progress.phase("probe", 1, 1)
        prepared = prepare_job(spec, options.job)
        prepared.job.check_writable()
        try:
            with noted_interruption() as interruption, ray_session(None, cpus=logical_cpus(options)) as session:
                pool = job_pool(prepared, options, session, progress)
                try:
                    runtime = pool.first_facts(interruption.check).runtime
                    start = time.perf_counter() - began
                    memory = spec.max_memory or (runtime.max_memory and runtime.max_memory // max(pool.allowed, 1))
                    record = prepared.begin(runtime.model_copy(update={"max_memory": memory}))
                    progress.phase("measure", 1, 1)
                    samples = _sample(pool, record, Path(folder), interruption.check)
                finally:
                    pool.close()
                leaving = time.perf_counter()
        except KeyboardInterrupt:
            raise CancelledError("stopped; nothing was kept") from None
        leaving = time.perf_counter() - leaving
        stitch, finish = _encoding_seconds(record, [one for sample in samples for one in sample.painted], Path(folder))
    costs = mean_costs(samples, start=start, stitch=stitch, finish=finish + leaving)
    return Forecast(spec=spec, made=time.time(), workers=len(samples), costs=costs), record


def mean_costs(samples: Sequence[Sample], *, start: float, stitch: float, finish: float) -> Costs:
    """What the workers measured, averaged. A kind that nobody has is taken as the next dearer one."""
    first = _mean([seconds for one in samples for seconds in one.first])
    sequential = _mean([seconds for one in samples for seconds in one.sequential], first)
    return Costs(
        start=start,
        load=max(one.load for one in samples),
        first=first or sequential,
        sequential=sequential,
        refine=_mean([seconds for one in samples for seconds in one.refine], sequential),
        tie=fmean(one.tie for one in samples),
        stitch=stitch,
        finish=finish,
        frame_bytes=fmean(one.frame_bytes for one in samples),
        flow_bytes=fmean(one.flow_bytes for one in samples),
    )


def _mean(seconds: Sequence[float], otherwise: float = 0.0) -> float:
    return fmean(seconds) if seconds else otherwise


def _sample(pool: WorkerPool, record: JobRecord, folder: Path, check: Callable[[], None]) -> list[Sample]:
    """One sample of each worker, all at the same time, each in a scratch job of its own."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    from farm.cluster.pool import cause_of

    deadline = time.monotonic() + WORKER_SECONDS
    while len(pool.facts) < pool.allowed and time.monotonic() < deadline:
        check()
        pool.follow_quota(pool.allowed)
        for source in ray.wait(list(pool.starting), timeout=1.0)[0] if pool.starting else ():
            pool.answered(source)
    calls = []
    for number, (name, chunk) in enumerate(
        zip(pool.facts, chunks_to_sample(record.plan, len(pool.facts)), strict=True)
    ):
        scratch = JobDirectory(str(folder / f"{number}.farm"))
        scratch.save_record(record)
        calls.append(pool.actors[name].sample.options(name="measure").remote(scratch.url, chunk))
    while True:
        check()
        ready, _ = ray.wait(calls, num_returns=len(calls), timeout=1.0)
        if len(ready) == len(calls):
            break
    try:
        return list(ray.get(calls))
    except RayTaskError as error:
        cause = cause_of(error)
        told = cause if isinstance(cause, FarmError) else ChunkFailedError(f"no frame could be rendered: {cause}")
        raise told from None
    except RayError as error:
        raise ChunkFailedError(f"a worker died while it was measured: {error}") from None


def _encoding_seconds(record: JobRecord, painted: Sequence[np.ndarray], folder: Path) -> tuple[float, float]:
    """Seconds that the encoder takes for a frame, and for a film beside."""
    took = []
    start = record.plan.start
    lengths = [min(count, len(record.plan.frames)) for count in ENCODED]
    for count in lengths:
        began = time.perf_counter()
        output = folder / f"{count}{Path(record.spec.output).suffix or '.mp4'}"
        frames = itertools.islice(itertools.cycle(painted), count)
        settings = encode_settings(record.spec)
        encode_film(frames, shown_probe(record), FrameRange(start, start + count), output, settings)
        took.append(time.perf_counter() - began)
    if lengths[0] == lengths[1]:
        return 0.0, took[1]
    each = max((took[1] - took[0]) / (lengths[1] - lengths[0]), 0.0)
    return each, max(took[0] - each * lengths[0], 0.0)


def forecast_render(
    spec: RenderSpec, options: LaunchOptions, price_per_hour: float | None, progress: JobProgress, *, keep: bool
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
