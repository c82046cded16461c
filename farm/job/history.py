"""What happened to a job beside its frames, kept in its directory as `history.json` through every run.

    history = History(job)
    history.add("lost", worker="worker-2", task="pass-1/00003", text="its worker died")

Who committed which frame when is in the ledger; here is the rest: when runs began and ended, workers that came and
went, retries, failures. For people only: nothing is decided by it.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import Literal

from pydantic import ValidationError

from farm.errors import StorageError
from farm.job.directory import JobDirectory
from farm.spec import Model

Kind = Literal["run", "joined", "lost", "retry", "failed", "avoided", "regained", "note", "stitch", "end"]


class Happening(Model):
    """At `at` seconds since 1970. `seconds` are those that were lost, of kind "regained"."""

    at: float
    kind: Kind
    worker: str = ""
    task: str = ""
    host: str = ""
    text: str = ""
    seconds: float = 0.0


class History:
    """Adds to the history of a job, one write each: these things are rare."""

    def __init__(self, job: JobDirectory) -> None:
        self._job = job
        self._told = list(load_history(job))

    def add(
        self, kind: Kind, *, worker: str = "", task: str = "", host: str = "", text: str = "", seconds: float = 0.0
    ) -> None:
        """Storage that takes nothing now is no reason to stop: the next time all of it is written."""
        self._told.append(
            Happening(
                at=round(time.time(), 3),
                kind=kind,
                worker=worker,
                task=task,
                host=host,
                text=" ".join(text.split()),
                seconds=round(seconds, 3),
            )
        )
        rows = [one.model_dump(mode="json", exclude_defaults=True) for one in self._told]
        with contextlib.suppress(StorageError):
            self._job.storage.write("history.json", json.dumps(rows, indent=0).encode())


def load_history(job: JobDirectory) -> tuple[Happening, ...]:
    """All that was noted, in order; nothing where there is none, or none that this version understands."""
    data = job.storage.read("history.json")
    try:
        return () if data is None else tuple(Happening.model_validate(row) for row in json.loads(data))
    except (ValueError, ValidationError, TypeError):
        return ()
