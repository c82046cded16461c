"""Warp errors and fine detail of a job, as far as they can be measured from here. No torch: nothing is painted."""

from __future__ import annotations

from collections.abc import Callable

from farm.errors import FarmError
from farm.job.measures import Measures
from farm.pages.facts import JobFacts, JobReader
from farm.render.detail_figures import FineDetail
from farm.render.job_detail import Known, fine_details
from farm.render.steadiness import pair_errors


def measured(
    reader: JobReader,
    facts: JobFacts,
    measures: Measures,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    most_seconds: float | None = None,
) -> dict[int, float | None]:
    """Warp errors by frame, as `pair_errors` returns them; empty where flow or frames cannot be read from here.

    `measures` is brought up to date. `most_seconds` ends the measuring early.
    """
    if facts.record is None:
        return {}
    try:
        return pair_errors(
            reader.job, facts.record, measures, lambda done, of: progress("measure", done, of), most_seconds
        )
    except FarmError:
        return {}


def measured_details(
    reader: JobReader,
    facts: JobFacts,
    known: Known,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    most_seconds: float | None = None,
) -> dict[int, FineDetail]:
    """Fine detail by frame, as `fine_details` returns it; empty where film or frames cannot be read from here.

    `known` is brought up to date. `most_seconds` ends the measuring early.
    """
    if facts.record is None:
        return {}
    try:
        return fine_details(
            reader.job, facts.record, known, lambda done, of: progress("detail", done, of), most_seconds
        )
    except FarmError:
        return {}
