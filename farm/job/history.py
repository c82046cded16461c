"""What happened to a job beside its frames, kept in its directory as `history.json` through every run.

    history = History(job)
    history.add("lost", worker="worker-2", task="pass-1/00003", text="its worker died")

The ledger says who committed which frame and when. The history says the rest: when runs began and ended, which workers
came and went, retries and failures. It is for people only: nothing is decided by it.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import Literal, get_args

from farm.errors import StorageError
from farm.files.checked_json import parse_or_none
from farm.job.directory import JobDirectory
from farm.spec import Model

Kind = Literal[
    "run", "joined", "released", "lost", "refused", "retry", "failed", "avoided", "regained", "note", "stitch", "end"
]
"""What a happening is. "run" begins a run, "end" ends it; "regained" means that a lost task's loss was made up for.

A "released" worker was given back while the job went on. A "refused" machine cannot work on the job, and `text` says
why.
"""


class Happening(Model):
    """One thing that happened, at `at` seconds since 1970.

    Of kind "regained", `seconds` is how much time the loss cost. The other kinds leave it 0. Of kind "joined", `ahead`
    is by how many seconds the worker's clock is ahead of the driver's, 0 for a few seconds, and `text` is how its
    software differs from the job's, if it does.
    """

    at: float
    kind: Kind
    worker: str = ""
    task: str = ""
    host: str = ""
    text: str = ""
    seconds: float = 0.0
    ahead: float = 0.0


class History:
    """Adds to the history of a job. Each addition writes the whole file: these things are rare."""

    def __init__(self, job: JobDirectory) -> None:
        self._job = job
        self._happenings = list(load_history(job))

    def add(
        self,
        kind: Kind,
        *,
        worker: str = "",
        task: str = "",
        host: str = "",
        text: str = "",
        seconds: float = 0.0,
        ahead: float = 0.0,
    ) -> None:
        """Note that something happened now. Raises nothing.

        Where the storage takes nothing now, the next call writes all of it.
        """
        self._happenings.append(
            Happening(
                at=round(time.time(), 3),
                kind=kind,
                worker=worker,
                task=task,
                host=host,
                text=" ".join(text.split()),
                seconds=round(seconds, 3),
                ahead=ahead,
            )
        )
        rows = [happening.model_dump(mode="json", exclude_defaults=True) for happening in self._happenings]
        with contextlib.suppress(StorageError):
            self._job.storage.write("history.json", json.dumps(rows, indent=0).encode())


def load_history(job: JobDirectory) -> tuple[Happening, ...]:
    """All that was noted, in order. Kinds that a later version of the farm has noted are left out.

    Empty where there is no file, or one that this version does not understand.
    """
    return parse_or_none(job.storage.read("history.json"), _parse) or ()


def _parse(data: bytes) -> tuple[Happening, ...]:
    known = get_args(Kind)
    return tuple(Happening.model_validate(row) for row in json.loads(data) if row["kind"] in known)
