"""Verify a job: read every file of its directory, and every file that it reads, and compare with what was written.

verify_job("painted.farm").damage      # [] where every file is as it was written
"""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from farm.errors import FarmError, UsageError
from farm.files import local_path
from farm.files.checked_json import unseal
from farm.files.output import output_sha256, output_size
from farm.files.png import is_whole_png
from farm.files.remote import is_remote
from farm.flow.codec import decode_match
from farm.job import JobDirectory, JobRecord
from farm.job.corrections import version_name
from farm.job.directory import RECORD_NAMES, frame_name, ledger_name
from farm.media.source import content_hash
from farm.plan import Task, plan_tasks
from farm.plan.segments import SegmentProgress, unread_tasks
from farm.render.inputs import file_hash
from farm.render.stitch import Segments
from farm.spec.load import absolute_path
from farm.spec.named_files import input_files

MADE_AGAIN = "the same command makes it again"
"""The remedy for most files: a job makes again what is damaged."""
DAMAGED = "is damaged"
"""The problem of a file that has another hash than was written down."""
LISTED = 20
"""Damaged files that are named one by one; the others are counted."""


@dataclass(frozen=True)
class Damage:
    """A file that is not as it was written: its name, the problem, and the remedy."""

    name: str
    problem: str
    remedy: str


@dataclass
class Verification:
    """How many files were read, by kind, and which of them are damaged."""

    checked: Counter[str] = field(default_factory=Counter)
    damage: list[Damage] = field(default_factory=list)

    def look(self, kind: str, name: str, problem: str, remedy: str = MADE_AGAIN) -> None:
        """Count one more file of `kind`; `problem` is empty where the file is whole."""
        self.checked[kind] += 1
        if problem:
            self.damage.append(Damage(name, problem, remedy))

    def lines(self) -> Iterator[str]:
        """The result for people: what was read, a line for each of the first LISTED damaged files, and their number."""
        yield "  read again: " + (", ".join(f"{count} {kind}" for kind, count in self.checked.items()) or "nothing")
        for damage in self.damage[:LISTED]:
            yield f"  {damage.name} {damage.problem}: {damage.remedy}"
        if len(self.damage) > LISTED:
            yield f"  ... and {len(self.damage) - LISTED} more"
        yield "  all of it is as it was written" if not self.damage else f"  {len(self.damage)} damaged"


def verify_job(job_url: str) -> Verification:
    """Read everything again. Raises UsageError where there is no job, StorageError where the job cannot be read."""
    job = JobDirectory(absolute_path(job_url))
    checks = Verification()
    for name in RECORD_NAMES:
        data = job.storage.read(name)
        if data is None and name == RECORD_NAMES[0] and job.storage.read(RECORD_NAMES[1]) is None:
            raise UsageError(f"{job_url} holds no job that has begun", "give the job directory")
        checks.look("records", name, "is missing" if data is None else _broken_seal(data), "the other copy is used")
    record = job.load_record()
    assert record is not None
    tasks = plan_tasks(record.plan)
    given_up = _given_up(job, record, tasks)
    for task in tasks:
        data = job.storage.read(ledger_name(task.id))
        if data is not None:
            checks.look("ledgers", ledger_name(task.id), _broken_seal(data), "its frames are made again")
        if task.id in given_up:
            continue
        for frame, row in job.ledger(task.id).items():
            name = frame_name(task.id, frame)
            problem, remedy = _differs(job.storage.read(name), row.sha256), MADE_AGAIN
            if problem == DAMAGED and task.pass_index == record.plan.passes:
                problem, remedy = _edited(job, task.id, frame)
            checks.look("frames", name, problem, remedy)
    _verify_corrected(job, checks)
    _verify_segments(job, record, checks)
    _verify_pictures(job, checks)
    _verify_inputs(record, checks)
    _verify_film(job, record, checks)
    return checks


def _given_up(job: JobDirectory, record: JobRecord, tasks: Sequence[Task]) -> set[str]:
    """Ids of the tasks whose frames were removed, because every segment of the film that needs them is encoded."""
    segments = Segments(job, record)
    covered = SegmentProgress(record.plan, {one.index for one in segments.plan if segments.is_made(one)}, ()).covered
    unread = unread_tasks(record.plan, tasks, covered, {task.id for task in tasks})
    return {
        task.id
        for task in tasks
        if task.id in unread and not any(job.storage.exists(frame_name(task.id, frame)) for frame in task.frames)
    }


def _edited(job: JobDirectory, task: str, frame: int) -> tuple[str, str]:
    """What to say of a frame of the last pass whose file is another one than was painted: the problem and the remedy.

    It is no problem where a person edited it and it was accepted: what was painted is made again when it is needed.
    """
    if job.edited_picture(task, frame) is not None:
        accept = f"farm accept {shlex.quote(job.url)} --frames {frame}"
        return "was edited", f"{accept} has the film show it, and what was painted comes back"
    data, corrected = job.storage.read(frame_name(task, frame)), job.corrections().get(frame)
    digest = hashlib.sha256(data or b"").hexdigest()
    accepted = corrected is not None and digest in {version.edited for version in corrected.versions}
    return "" if accepted else DAMAGED, MADE_AGAIN


def _verify_corrected(job: JobDirectory, checks: Verification) -> None:
    """Compare the pictures of corrected frames, those that are shown and the others that were kept."""
    for one in job.corrections():
        for version in one.versions:
            if version.origin != "painted":
                name = version_name(one.frame, version.number)
                remedy = "put it back from a copy, or show another one with farm restore"
                checks.look("corrected pictures", name, _differs(job.storage.read(name), version.sha256), remedy)


def _verify_segments(job: JobDirectory, record: JobRecord, checks: Verification) -> None:
    segments = Segments(job, record)
    for segment in segments.plan:
        if segments.is_there(segment):
            checks.look("segments", f"segment {segment.index}", "" if segments.is_made(segment) else "is damaged")


def _verify_pictures(job: JobDirectory, checks: Verification) -> None:
    """Check flow fields and masks. They have no ledger, but a PNG has checksums of its own."""
    for kind in ("flow", "masks"):
        for name in job.storage.names(kind):
            data = job.storage.read(name) or b""
            problem = "" if is_whole_png(data) else "is damaged"
            if kind == "flow" and not problem:
                try:
                    decode_match(data)
                except FarmError:
                    problem = "is no flow"
            checks.look("flow fields" if kind == "flow" else "masks", name, problem)


def _verify_inputs(record: JobRecord, checks: Verification) -> None:
    """Compare the film, paintings and networks that the job reads. Given flow is a folder, and is left out."""
    remedy = "put the file back, or render it as a new job: --job"
    for path in input_files(record.spec):
        expected = record.input_hashes.get(path)
        if expected is None or Path(path).is_dir():
            continue
        try:
            hashed = content_hash(path) if _is_film(record, path) else _file_hash(path)
        except FarmError as error:
            checks.look("inputs", path, error.problem, remedy)
        else:
            checks.look("inputs", path, "" if hashed == expected else "has changed", remedy)


def _verify_film(job: JobDirectory, record: JobRecord, checks: Verification) -> None:
    data = job.storage.read("report.json")
    if data is None:
        return
    checks.look("reports", "report.json", _broken_seal(data), "the same command writes it again")
    report = job.load_report()
    if report is None:
        return
    output = str(report["output"])
    if output_size(output) is None:
        place = "there" if is_remote(output) else "on this machine"
        checks.look("films", output, f"is not {place}", "the same command makes it again, if it is gone")
    elif report.get("output_sha256"):
        checks.look("films", output, "" if output_sha256(output) == report["output_sha256"] else "has changed")


def _is_film(record: JobRecord, path: str) -> bool:
    spec = record.spec
    masks = {region.mask for region in spec.regions if not region.is_picture}
    return path in {spec.video, spec.painted, *masks}


def _broken_seal(data: bytes) -> str:
    try:
        unseal(data)
    except ValueError:
        return "is damaged"
    return ""


def _differs(data: bytes | None, expected: str) -> str:
    if data is None:
        return "is missing"
    return "" if hashlib.sha256(data).hexdigest() == expected else DAMAGED


def _file_hash(path: str) -> str:
    try:
        return file_hash(local_path(path))
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}") from None
