"""Is a job what it was? Every file of its directory, and every file that it reads, is read again and compared.

verify_job("painted.farm").damage      # [] where all is well
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from farm.errors import FarmError, UsageError
from farm.files.checked_json import unseal
from farm.files.png import is_whole_png
from farm.files.remote import local_path
from farm.flow.codec import decode_match
from farm.job.directory import RECORD_NAMES, JobDirectory, frame_name, ledger_name
from farm.job.record import JobRecord
from farm.media.source import content_hash
from farm.plan.segments import SegmentProgress, unread_tasks
from farm.plan.tasks import Task, plan_tasks
from farm.render.stitch import Segments
from farm.spec.load import absolute_path
from farm.spec.named_files import input_files

MADE_AGAIN = "the same command makes it again"
LISTED = 20


@dataclass(frozen=True)
class Damage:
    """A file that is not what was written, and what comes of it."""

    name: str
    problem: str
    remedy: str


@dataclass
class Verification:
    """What was read, by kind, and what of it is damaged."""

    checked: Counter[str] = field(default_factory=Counter)
    damage: list[Damage] = field(default_factory=list)

    def look(self, kind: str, name: str, problem: str, remedy: str = MADE_AGAIN) -> None:
        """One file more has been read; `problem` is empty where it is whole."""
        self.checked[kind] += 1
        if problem:
            self.damage.append(Damage(name, problem, remedy))

    def lines(self) -> Iterator[str]:
        yield "  read again: " + (", ".join(f"{count} {kind}" for kind, count in self.checked.items()) or "nothing")
        for one in self.damage[:LISTED]:
            yield f"  {one.name} {one.problem}: {one.remedy}"
        if len(self.damage) > LISTED:
            yield f"  ... and {len(self.damage) - LISTED} more"
        yield "  all of it is as it was written" if not self.damage else f"  {len(self.damage)} damaged"


def verify_job(job_url: str) -> Verification:
    """Read everything again. Raises UsageError where there is no job, StorageError where it cannot be read."""
    job = JobDirectory(absolute_path(job_url))
    found = Verification()
    for name in RECORD_NAMES:
        data = job.storage.read(name)
        if data is None and name == RECORD_NAMES[0] and job.storage.read(RECORD_NAMES[1]) is None:
            raise UsageError(f"{job_url} holds no job that has begun", "give the job directory")
        found.look("records", name, "is missing" if data is None else _broken_seal(data), "the other copy is used")
    record = job.load_record()
    assert record is not None
    tasks = plan_tasks(record.plan)
    given_up = _given_up(job, record, tasks)
    for task in tasks:
        data = job.storage.read(ledger_name(task.id))
        if data is not None:
            found.look("ledgers", ledger_name(task.id), _broken_seal(data), "its frames are made again")
        if task.id in given_up:
            continue
        for frame, row in job.ledger(task.id).items():
            name = frame_name(task.id, frame)
            found.look("frames", name, _differs(job.storage.read(name), row.sha256))
    _verify_segments(job, record, found)
    _verify_pictures(job, found)
    _verify_inputs(record, found)
    _verify_film(job, record, found)
    return found


def _given_up(job: JobDirectory, record: JobRecord, tasks: Sequence[Task]) -> set[str]:
    """Tasks of which no frame is kept because nobody reads one any more: what it was read for is in the film."""
    segments = Segments(job, record)
    covered = SegmentProgress(record.plan, {one.index for one in segments.plan if segments.is_made(one)}, ()).covered
    unread = unread_tasks(record.plan, tasks, covered, {task.id for task in tasks})
    return {
        task.id
        for task in tasks
        if task.id in unread and not any(job.storage.exists(frame_name(task.id, frame)) for frame in task.frames)
    }


def _verify_segments(job: JobDirectory, record: JobRecord, found: Verification) -> None:
    segments = Segments(job, record)
    for segment in segments.plan:
        if segments.is_there(segment):
            found.look("segments", f"segment {segment.index}", "" if segments.is_made(segment) else "is damaged")


def _verify_pictures(job: JobDirectory, found: Verification) -> None:
    """Flow fields and masks: they have no ledger, but a PNG has checksums of its own."""
    for kind in ("flow", "masks"):
        for name in job.storage.names(kind):
            data = job.storage.read(name) or b""
            problem = "" if is_whole_png(data) else "is damaged"
            if kind == "flow" and not problem:
                try:
                    decode_match(data)
                except FarmError:
                    problem = "is no flow"
            found.look("flow fields" if kind == "flow" else "masks", name, problem)


def _verify_inputs(record: JobRecord, found: Verification) -> None:
    """The film, paintings and networks that the job reads; given flow is a folder, and told by its listing only."""
    remedy = "put the file back, or render it as a new job: --job"
    for path in input_files(record.spec):
        expected = record.input_hashes.get(path)
        if expected is None:
            continue
        try:
            hashed = content_hash(path) if path == record.spec.video or _is_film(record, path) else _file_hash(path)
        except FarmError as error:
            found.look("inputs", path, error.problem, remedy)
        else:
            found.look("inputs", path, "" if hashed == expected else "has changed", remedy)


def _verify_film(job: JobDirectory, record: JobRecord, found: Verification) -> None:
    data = job.storage.read("report.json")
    if data is None:
        return
    found.look("reports", "report.json", _broken_seal(data), "the same command writes it again")
    report = job.load_report()
    output = Path(str(report["output"])) if report else None
    if report is None or output is None:
        return
    if not output.is_file():
        found.look("films", str(output), "is not on this machine", "the same command makes it again, if it is gone")
    elif report.get("output_sha256"):
        found.look("films", str(output), "" if content_hash(str(output)) == report["output_sha256"] else "has changed")


def _is_film(record: JobRecord, path: str) -> bool:
    return any(region.mask == path and not region.is_picture for region in record.spec.regions)


def _broken_seal(data: bytes) -> str:
    try:
        unseal(data)
    except ValueError:
        return "is damaged"
    return ""


def _differs(data: bytes | None, expected: str) -> str:
    if data is None:
        return "is missing"
    return "" if hashlib.sha256(data).hexdigest() == expected else "is damaged"


def _file_hash(path: str) -> str:
    try:
        return hashlib.sha256(local_path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}") from None
