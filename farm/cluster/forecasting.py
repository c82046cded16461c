"""`farm plan --measure`: measure, play the schedule through with more and fewer workers, and keep it with the job."""

from __future__ import annotations

from typing import Any

from farm.cluster.launch import LaunchOptions
from farm.cluster.measure import measure_costs
from farm.job.directory import JobDirectory
from farm.job.forecast import save_forecast
from farm.plan.forecast import USUAL_WORKERS, floor_seconds, forecast_rows, storage_bytes
from farm.progress import JobProgress
from farm.spec.render import RenderSpec


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
