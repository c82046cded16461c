"""`farm report`: the page of a job as one file that loads nothing, its warp errors and fine detail measured.

write_report(job_url, "painted.html", progress)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from farm.errors import FarmError, UsageError
from farm.files import write_atomically
from farm.files.atomic import check_can_write
from farm.job.measures import load_measures, save_measures
from farm.media.jpeg import data_url, jpeg
from farm.pages.document import is_page
from farm.pages.facts import JobFacts, JobReader, Shown
from farm.pages.job_pictures import JobPictures, picture_of
from farm.pages.measuring import measured, measured_details
from farm.pages.sections import GENERATOR, PAIR_WIDTH, SHOT_WIDTH, STRIP_WIDTH, Page
from farm.render.detail_figures import FrameDetail, frames_for_stills, median_at_rest, spread_of_fine
from farm.render.job_detail import compare_with_still

MOST_BYTES = {SHOT_WIDTH: 70_000, PAIR_WIDTH: 40_000, STRIP_WIDTH: 6_000}
"""Largest JPEG of each width, in bytes.

Why: 36 sliders, 12 pairs of five pictures and the strip then stay below 9 MB as base64.
"""


class EmbeddedPictures:
    """Pictures as data URLs, each no larger than MOST_BYTES of its width."""

    def __init__(self, facts: JobFacts, pictures: JobPictures) -> None:
        self._facts, self._pictures = facts, pictures

    def src(self, kind: str, frame: int, width: int) -> str | None:
        """A picture as a data URL; None where it cannot be read. `kind` is one of sections.KINDS."""
        picture = picture_of(self._pictures, self._facts, kind, frame)
        return None if picture is None else data_url(jpeg(picture, width, MOST_BYTES.get(width)))

    def src_of(self, shown: Shown, width: int) -> str | None:
        """A committed frame of any pass as a data URL. Raises StorageError where it is gone."""
        return data_url(jpeg(self._pictures.committed(shown.task.id, shown.frame), width, MOST_BYTES.get(width)))


def write_report(
    job_url: str,
    output: str | None,
    progress: Callable[[str, int, int], None],
    *,
    overwrite: bool = False,
    measure: bool = True,
    stills: int = 0,
) -> dict[str, Any]:
    """Measure the warp errors that are not known yet, and fine detail, and write the page.

    Returns what `farm report --json` prints. With `stills`, that many frames are painted by themselves, those with the
    least fine detail in what moves, and compared. The page goes to `output`, or beside a local job directory as
    JOB.html. `progress` gets (phase, done, total).
    Raises UsageError where there is no job or its method paints no stills, OutputError where the page cannot be put
    there, and what a render raises where a still cannot be painted.
    """
    reader = JobReader(job_url)
    target = Path(output) if output else _default_output(reader.job.url)
    check_can_write(target, overwrite=overwrite or is_page(target, GENERATOR))
    facts = reader.read()
    pictures = None
    if facts.record is not None:
        if measure or stills:
            facts.errors = _measured_and_kept(reader, facts, progress)
            facts.details = measured_details(reader, facts, {}, progress)
            facts.stills = _compared_with_stills(facts, stills, progress)
        pictures = JobPictures(reader.job, facts.record)
    page = Page(facts, EmbeddedPictures(facts, pictures) if pictures else None)
    progress("page", 0, 1)
    html = page.html().encode()
    write_atomically(target, html)
    return {
        "report": str(target),
        "bytes": len(html),
        "state": facts.doing,
        "frames": len(facts.shown),
        "outliers": [{"frame": outlier.frame, "reasons": list(outlier.reasons)} for outlier in page.outliers],
        "seams": [asdict(seam) for seam in facts.seams],
        **_detail_figures(facts),
    }


def _detail_figures(facts: JobFacts) -> dict[str, Any]:
    """What `farm report --json` says of fine detail and stills."""
    moving = spread_of_fine(facts.details)
    return {
        "fine": {"moving": asdict(moving) if moving else None, "resting": median_at_rest(facts.details)},
        "stills": {str(frame): asdict(detail) for frame, detail in facts.stills.items()},
    }


def _compared_with_stills(
    facts: JobFacts, count: int, progress: Callable[[str, int, int], None]
) -> dict[int, FrameDetail]:
    if not count or facts.record is None:
        return {}
    if facts.record.spec.method != "optimize":
        raise UsageError("stills are for films of --method optimize", "leave --stills out")
    from farm.render.chunk import ChunkRenderer  # loads torch, and only stills are painted

    renderer = ChunkRenderer(facts.url)
    compared = {}
    for number, frame in enumerate(frames_for_stills(facts.details, count)):
        progress("stills", number, count)
        compared[frame] = compare_with_still(renderer, frame)
    return compared


def _measured_and_kept(
    reader: JobReader, facts: JobFacts, progress: Callable[[str, int, int], None]
) -> dict[int, float | None]:
    measures = load_measures(reader.job)
    before = dict(measures)
    errors = measured(reader, facts, measures, progress)
    if measures != before:
        with contextlib.suppress(FarmError):  # a job that may only be read is measured again next time
            save_measures(reader.job, measures)
    return errors


def _default_output(job_url: str) -> Path:
    if "://" in job_url:
        return Path(job_url.rstrip("/").rpartition("/")[2]).with_suffix(".html").absolute()
    return Path(job_url).with_suffix(".html")
