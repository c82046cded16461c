"""What Ray keeps of submitted jobs, read and written beside its Jobs API, for processes within the cluster.

    info = ray_job("farm-film-1a2b")       # a dictionary, as Ray stores it; None for an unknown job
    show_waiting("farm-film-1a2b", info, "2nd of 5 in the queue", {"number": 2, "of": 5})
    forget_job("farm-film-1a2b")           # the id is free to be submitted once more

Why: Ray has no state for a job without a process, and gives out an id only once. It keeps each job as JSON under a key
of its key-value store (`JobInfoStorageClient`), which is no public API: this module alone knows of it.
"""

from __future__ import annotations

import json
from typing import Any

from farm.cluster.queued import QUEUE_FIELD

KEY = "_ray_internal_job_info_"
"""Beginning of the key of a job; its id follows."""
JOBS = b"job"
"""Namespace of Ray's store in which it keeps jobs."""
NAMESPACE = b"farm"
"""Namespace of what the farm itself keeps there."""


def ray_job(job: str) -> dict[str, Any] | None:
    """What Ray keeps of a job, None where it has no such job."""
    data = _store()._internal_kv_get(f"{KEY}{job}".encode(), namespace=JOBS)
    return None if data is None else json.loads(data)


def farm_jobs() -> dict[str, dict[str, Any]]:
    """What Ray keeps of each job that the farm submitted, by its id."""
    keys = _store()._internal_kv_list(KEY.encode(), namespace=JOBS)
    names = [key.decode().removeprefix(KEY) for key in keys]
    jobs = {name: ray_job(name) for name in names if name.startswith("farm-")}
    return {name: job for name, job in jobs.items() if job and "farm_job" in (job.get("metadata") or {})}


def show_waiting(job: str, info: dict[str, Any], message: str, place: dict[str, Any]) -> None:
    """Have Ray list a job that has no process as PENDING, with `message`. `info` is what Ray kept of it before."""
    metadata = {**(info.get("metadata") or {}), QUEUE_FIELD: json.dumps(place)}
    end = {"end_time": None, "driver_exit_code": None, "error_type": None}
    _put(job, {**info, **end, "status": "PENDING", "message": message, "metadata": metadata})


def show_ended(job: str, info: dict[str, Any], state: str, message: str, now: float) -> None:
    """Have Ray list a job that waited as ended, in `state`."""
    metadata = {name: value for name, value in (info.get("metadata") or {}).items() if name != QUEUE_FIELD}
    _put(job, {**info, "status": state, "message": message, "metadata": metadata, "end_time": int(now * 1000)})


def forget_job(job: str) -> None:
    """Remove a job from Ray's list. One that is not there is no error."""
    _store()._internal_kv_del(f"{KEY}{job}".encode(), namespace=JOBS)


def dashboard_address() -> str | None:
    """`host:port` of this cluster's dashboard, None where it has none.

    Ray's own function tells it to drivers only, and an actor gets an empty string from it.
    """
    data = _store()._internal_kv_get(b"webui:url", namespace=b"dashboard")
    return data.decode() if data else None


def keep(name: str, text: str) -> None:
    """Keep a text of the farm's own in Ray's store, for as long as the cluster has it."""
    _store()._internal_kv_put(name.encode(), text.encode(), overwrite=True, namespace=NAMESPACE)


def kept(name: str) -> str | None:
    """The text that was kept under this name."""
    data = _store()._internal_kv_get(name.encode(), namespace=NAMESPACE)
    return None if data is None else data.decode()


def _put(job: str, info: dict[str, Any]) -> None:
    key = f"{KEY}{job}".encode()
    _store()._internal_kv_put(key, json.dumps(info).encode(), overwrite=True, namespace=JOBS)


def _store() -> Any:
    from ray.experimental import internal_kv

    return internal_kv
