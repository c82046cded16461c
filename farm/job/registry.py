"""The jobs that were submitted, so that `farm list` knows them after the cluster's head was started anew.

note_submission(job_url, submission, os.environ)
submitted_jobs(os.environ)                          # every job that was noted, the latest first

Ray forgets its jobs with its head. The registry is a folder with one small file for each job directory: the one that
FARM_REGISTRY names, a path or URL, or one of this user. Give every user of a farm the same FARM_REGISTRY, on storage
that all see, and each lists the jobs of all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from farm.errors import FarmError
from farm.files import Storage
from farm.files.checked_json import parse_or_none
from farm.spec import Model

VARIABLE = "FARM_REGISTRY"
"""Environment variable that names the folder, a path or URL."""
READERS = 16
"""Requests to storage at the same time."""


class Entry(Model):
    """A job that was submitted: the URL of its directory, its latest submission, and when that was (Unix seconds)."""

    job: str
    submission: str
    submitted: float


def registry(environment: Mapping[str, str]) -> Storage:
    """The folder: FARM_REGISTRY, else `farm/jobs` in XDG_STATE_HOME, else `~/.local/state/farm/jobs`."""
    home = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Storage(environment.get(VARIABLE) or f"{home}/farm/jobs")


def note_submission(job_url: str, submission: str, environment: Mapping[str, str]) -> None:
    """Note a submission. A folder that cannot be written is passed over: the job runs all the same."""
    entry = Entry(job=job_url, submission=submission, submitted=round(time.time(), 3))
    with contextlib.suppress(FarmError, OSError):
        registry(environment).write(_name(job_url), entry.model_dump_json().encode())


def submitted_jobs(environment: Mapping[str, str]) -> list[Entry]:
    """All jobs that were noted, the latest first. What cannot be read is left out."""
    try:
        folder = registry(environment)
        names = [name for name in folder.names("jobs") if name.endswith(".json")]
    except FarmError:
        return []

    def entry(name: str) -> Entry | None:
        with contextlib.suppress(FarmError):
            return parse_or_none(folder.read(name), lambda data: Entry.model_validate(json.loads(data)))
        return None

    with ThreadPoolExecutor(READERS) as readers:
        entries = [found for found in readers.map(entry, names) if found is not None]
    return sorted(entries, key=lambda found: found.submitted, reverse=True)


def _name(job_url: str) -> str:
    return f"jobs/{hashlib.sha256(job_url.encode()).hexdigest()[:32]}.json"
