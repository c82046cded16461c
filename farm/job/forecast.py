"""The forecast of a render, kept in the job directory so that the report can hold it against what happened."""

from __future__ import annotations

from farm.files.checked_json import parse_or_none
from farm.job.directory import JobDirectory
from farm.plan.forecast import Forecast

FORECAST = "forecast.json"
"""Name of the file in the job directory."""


def save_forecast(job: JobDirectory, forecast: Forecast) -> None:
    """Write `forecast.json`, in place of an earlier one. Raises StorageError."""
    job.storage.write(FORECAST, forecast.model_dump_json(indent=1).encode())


def load_forecast(job: JobDirectory) -> Forecast | None:
    """The forecast of this job. None where none was made, or one that this version does not understand."""
    return parse_or_none(job.storage.read(FORECAST), Forecast.model_validate_json)
