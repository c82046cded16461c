"""The forecast that a job directory keeps."""

from __future__ import annotations

import json

from pydantic import ValidationError

from farm.job.directory import JobDirectory
from farm.plan.forecast import Forecast

FORECAST = "forecast.json"


def save_forecast(job: JobDirectory, forecast: Forecast) -> None:
    job.storage.write(FORECAST, forecast.model_dump_json(indent=1).encode())


def load_forecast(job: JobDirectory) -> Forecast | None:
    """None where none was made, or none that this version understands."""
    data = job.storage.read(FORECAST)
    try:
        return None if data is None else Forecast.model_validate(json.loads(data))
    except (ValueError, ValidationError):
        return None
