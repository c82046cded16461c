"""The job directory: the whole state of a render. Running the same command again continues it.

    job.json                  the spec, hashes of what it reads, the probe, the plan, the precision; and a copy,
                              job.copy.json, for when it is damaged
    frames/TASK/000123.png    a committed frame of a task, 8 bits a channel
    ledger/TASK.json          for each committed frame of the task: its hash, losses, steps, seconds
    flow/KEY/0001/FROM-TO.png optical flow between two frames, in folders of 100 frames; KEY names video, size, method
    masks/NN-KEY/000123.png   where region NN of the spec is in a frame; KEY names all that this depends on
    segments/KEY/00012.mkv    frames of the last pass, encoded, until the film is there; beside it a .json with hashes
    corrections.json          frames that a person corrected, their pictures in corrected/: farm.job.corrections
    edited/000123.png         a frame that a person edited and nobody accepted, put aside before it was painted again
    film.json                 the hash of the film, just before it is put in its place
    report.json               what the finished render was: written last
    state.json                what the job is doing, for people; nothing is decided by it
    state.reserve             room for its last write on a disk that is full; only while the job runs
    summary.json              frames committed by pass, and time left, for people: farm.job.summary
    log/RUN/00000.txt         what the driver of each run wrote, with times
    history.json              runs, workers that came and went, retries: for people too
    request.json              what was submitted to a cluster, if it was
    lock, lease.json          which driver is at work here: farm.job.lease
    inputs/                   what `farm submit --copy-inputs` copied here

job.json, the ledgers and the report carry their own checksum (farm.files.checked_json).
A frame counts as committed when the ledger names it *and* the file has the hash that the ledger says.
A later frame reads only committed frames, decoded from these files, so that a render that lost workers
is bit-identical to one that did not.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from farm.errors import JobMismatchError, OutputError, StorageError
from farm.files import Storage
from farm.files.background import Ahead, Kept
from farm.files.checked_json import parse_or_none, seal, unseal
from farm.files.png import decode_png, encode_png, is_whole_png
from farm.job.corrections import CORRECTIONS, Corrections, Version, parse_corrections, version_name
from farm.job.record import FrameRecord, JobRecord
from farm.plan import Task
from farm.spec import RenderSpec
from farm.spec.load import spec_differences

if TYPE_CHECKING:
    import numpy as np

LEDGER_ROWS_KEPT = 4096
"""Rows of ledgers that are kept in memory, those read last.

Why: all ledgers of a long film would take more memory than its frames in work.
"""
LEDGERS_AT_ONCE = 32
"""Ledgers that are read at the same time where all of them are."""
READ_AT_ONCE = 8
"""Frames that are read ahead at the same time."""
RECORD_NAMES = ("job.json", "job.copy.json")
"""The two copies of the job record. The second is read where the first is damaged."""
WRITTEN_FOLDERS = ("frames", "ledger", "flow", "masks", "segments", "log", "corrected", "edited")
"""Folders into which drivers and workers write."""


class JobDirectory:
    """Reads and commits the files of one job at a path or URL. Every method raises StorageError.

    Ledgers that were read are kept: `forget` has them read anew. Up to `keep_pictures` bytes of pictures are kept too;
    one is used only as long as the ledger names its hash.

    Frames are read and committed by one thread at a time each, which may be two.
    """

    def __init__(self, url: str, keep_pictures: int = 0) -> None:
        self.storage = Storage(url)
        self.url = self.storage.url
        self._ledgers: OrderedDict[str, dict[int, FrameRecord]] = OrderedDict()
        self._lock = threading.Lock()
        self._pictures: Kept[tuple[str, int], tuple[str, np.ndarray]] = Kept(keep_pictures)
        self._held: dict[tuple[str, int], np.ndarray] = {}
        self._corrections: Corrections | None = None
        self._coming: Ahead[tuple[str, int], np.ndarray | None] = Ahead(READ_AT_ONCE)

    def __reduce__(self) -> tuple[type[JobDirectory], tuple[str, int]]:
        """A copy in another process knows the place and reads anew: Ray's tasks return such copies."""
        return JobDirectory, (self.url, self._pictures.most_bytes)

    # the record -------------------------------------------------------------------------------------

    def load_record(self) -> JobRecord | None:
        """What the job is, or None where none has begun here. Raises StorageError where both copies are damaged."""
        copies = [self.storage.read(name) for name in RECORD_NAMES]
        for data in copies:
            try:
                if data is not None:
                    return JobRecord.model_validate(unseal(data))
            except ValueError:  # pydantic's ValidationError is one
                continue
        if any(data is not None for data in copies):
            raise StorageError(
                f"{self.url}/job.json is damaged or of another version of the farm", "choose another --job"
            )
        return None

    def save_record(self, record: JobRecord) -> None:
        """Write both copies of the record."""
        data = seal(record.model_dump(mode="json"), indent=1)
        for name in RECORD_NAMES:
            self.storage.write(name, data)

    def mend_record(self) -> bool:
        """Write both copies of the record anew if they differ. True where they did."""
        record = self.load_record()
        if record is None or len({self.storage.read(name) for name in RECORD_NAMES}) == 1:
            return False
        self.save_record(record)
        return True

    def check_writable(self) -> None:
        """Write and remove a file, to find out before any work whether that is possible. Raises OutputError."""
        try:
            self.storage.write(".writable", b"")
            self.storage.remove(".writable")
        except StorageError as error:
            raise OutputError(f"the job directory cannot be used: {error.problem}", "choose another --job") from None

    @property
    def has_frames(self) -> bool:
        """Whether any frame was committed here. Until then nothing is lost by beginning anew."""
        return self.storage.exists("ledger")

    def check_same(self, record: JobRecord, spec: RenderSpec, input_hashes: dict[str, str]) -> None:
        """Check that `spec` and its inputs are those of `record`. `input_hashes` maps paths to SHA-256 of the files.

        Raises JobMismatchError, with every difference, where they are not.
        """
        differences = spec_differences(record.spec, spec)
        differences += [
            f"{name}: the file has changed"
            for name, digest in input_hashes.items()
            if record.input_hashes.get(name, digest) != digest
        ]
        if differences:
            raise JobMismatchError(
                f"job {self.url} is a render of something else ({'; '.join(differences)})",
                "choose another --job, or remove that directory",
            )

    # frames -----------------------------------------------------------------------------------------

    def ledger(self, task: str) -> dict[int, FrameRecord]:
        """The committed frames of a task as its ledger names them, by frame. Their files are not looked at."""
        with self._lock:
            if task in self._ledgers:
                self._ledgers.move_to_end(task)
                return self._ledgers[task]
        return self._keep_ledger(task, _parse_ledger(self.storage.read(ledger_name(task))))

    def _keep_ledger(self, task: str, ledger: dict[int, FrameRecord]) -> dict[int, FrameRecord]:
        with self._lock:
            self._ledgers[task] = ledger
            self._ledgers.move_to_end(task)
            while len(self._ledgers) > 1 and sum(map(len, self._ledgers.values())) > LEDGER_ROWS_KEPT:
                self._ledgers.popitem(last=False)
        return ledger

    def forget(self) -> None:
        """Read the ledgers and corrections anew when they are next asked for: another process may have written them."""
        self._coming.forget()
        self._corrections = None
        with self._lock:
            self._ledgers.clear()

    def commit_frame(self, task: str, image: np.ndarray, record: FrameRecord) -> FrameRecord:
        """Store `image` (H, W, 3) uint8 and then name it in the ledger. Returns the record with its hash and size."""
        return self.commit_frames(task, [(image, record)])[0]

    def commit_frames(
        self, task: str, frames: Sequence[tuple[np.ndarray, FrameRecord]], *, compress: bool = True
    ) -> list[FrameRecord]:
        """Store several pictures (H, W, 3) uint8, then name all of them in the ledger with one write.

        None of them is committed before that write. `compress` False writes faster and larger files. Returns the
        records with hash, bytes and time of the commit.
        """
        encoded = [(encode_png(image, compress=compress), record) for image, record in frames]
        records = [_committed_now(data, record) for data, record in encoded]
        self.storage.write_all({frame_name(task, record.frame): data for data, record in encoded})
        for image, record in zip((image for image, _ in frames), records, strict=True):
            self._keep_picture(task, record, image)
        self.name_frames(task, records)
        return records

    def store_picture(self, task: str, image: np.ndarray, record: FrameRecord) -> FrameRecord:
        """Store `image` (H, W, 3) uint8 without naming it: the first half of a commit. Returns its complete record."""
        data = encode_png(image)
        record = _committed_now(data, record)
        self.storage.write(frame_name(task, record.frame), data)
        self._keep_picture(task, record, image)
        return record

    def name_frames(self, task: str, records: Sequence[FrameRecord]) -> None:
        """Name stored pictures in the ledger with one write: the second half of a commit."""
        # A worker that was given up for lost may be slow, not dead, and write this ledger beside its successor. What
        # the other committed stands: read anew, or a late entry of the one would undo the last ones of the other.
        written = _parse_ledger(self.storage.read(ledger_name(task)))
        self._save_ledger(task, {**written, **self.ledger(task), **{record.frame: record for record in records}})

    def hold_picture(self, task: str, frame: int, image: np.ndarray | None) -> None:
        """Let `read_frame` return `image` while its commit is under way; None ends that.

        Only for the process that commits it, and commits nothing later that was made of it before it is committed.
        """
        if image is None:
            self._held.pop((task, frame), None)
        else:
            self._held[task, frame] = _read_only(image)

    def _keep_picture(self, task: str, record: FrameRecord, image: np.ndarray) -> None:
        self._pictures.put((task, record.frame), (record.sha256, _read_only(image)), image.nbytes)

    def _save_ledger(self, task: str, ledger: dict[int, FrameRecord]) -> None:
        rows = [ledger[frame].as_row() for frame in sorted(ledger)]
        self.storage.write(ledger_name(task), seal({"frames": rows}))
        self._keep_ledger(task, ledger)

    def read_frame(self, task: str, frame: int) -> np.ndarray | None:
        """The committed picture, (H, W, 3) uint8. None where it is not committed, or its file has another hash."""
        key = (task, frame)
        held = self._held.get(key)
        if held is not None:
            return held
        kept = self._pictures.get(key)
        if kept is not None:
            record = self.ledger(task).get(frame)
            return kept[1] if record is not None and record.sha256 == kept[0] else self._load(task, frame)
        image = self._coming.take(key, lambda: self._load(task, frame))
        return self._load(task, frame) if image is None else image  # it may have been committed since

    def read_ahead(self, task: str, frame: int) -> None:
        """Begin to read a frame that `read_frame` will be asked for, unless this process has its picture."""
        if (task, frame) not in self._held and (task, frame) not in self._pictures:
            self._coming.start((task, frame), lambda: self._load(task, frame))

    def _load(self, task: str, frame: int) -> np.ndarray | None:
        record = self.ledger(task).get(frame)
        data = self.storage.read(frame_name(task, frame)) if record else None
        if record is None or data is None or hashlib.sha256(data).hexdigest() != record.sha256:
            return None
        image = decode_png(data)
        self._keep_picture(task, record, image)
        return image

    def drop_frames(self, task: str, frames: Collection[int]) -> int:
        """Remove committed frames of a task from its ledger, and then their files. Returns how many there were."""
        ledger = self.ledger(task)
        dropped = sorted(ledger.keys() & set(frames))
        if dropped:
            self._save_ledger(task, {frame: row for frame, row in ledger.items() if frame not in frames})
        for frame in dropped:
            self.storage.remove(frame_name(task, frame))
        return len(dropped)

    def is_committed(self, task: Task) -> bool:
        """Whether the ledger names every frame of the task. Their files are not looked at."""
        return set(task.frames) <= self._named(task)

    def committed_tasks(self, tasks: Sequence[Task]) -> set[str]:
        """Ids of the tasks whose every frame is named by its ledger. Reads all ledgers, many at the same time."""
        named = self.committed_frames(tasks)
        return {task.id for task in tasks if len(named[task.id]) == len(task.frames)}

    def committed_frames(self, tasks: Sequence[Task]) -> dict[str, set[int]]:
        """By task id, the frames of the task that its ledger names. Reads all ledgers, many at the same time."""
        with ThreadPoolExecutor(LEDGERS_AT_ONCE) as threads:
            ledgers = threads.map(self._named, tasks)
            return {task.id: named & set(task.frames) for task, named in zip(tasks, ledgers, strict=True)}

    def _named(self, task: Task) -> set[int]:
        return _frames_named(self.storage.read(ledger_name(task.id)))

    def is_finished(self, task: Task) -> bool:
        """Whether every frame of the task is committed and intact."""
        return len(self.intact_frames(task)) == len(task.frames)

    def finished_tasks(self, tasks: Iterable[Task]) -> set[str]:
        """Ids of the tasks whose every frame is committed and intact."""
        return {task.id for task in tasks if self.is_finished(task)}

    def intact_frames(self, task: Task) -> set[int]:
        """Frames of a task that its ledger names and whose files have the ledger's hash. Reads every such file."""
        rows = {frame: row for frame, row in self.ledger(task.id).items() if frame in task.frames}

        def is_intact(frame: int) -> bool:
            data = self.storage.read(frame_name(task.id, frame))
            return data is not None and hashlib.sha256(data).hexdigest() == rows[frame].sha256

        if not rows:
            return set()
        with ThreadPoolExecutor(READ_AT_ONCE) as threads:
            return {frame for frame, intact in zip(rows, threads.map(is_intact, rows), strict=True) if intact}

    # corrected frames -------------------------------------------------------------------------------

    def corrections(self) -> Corrections:
        """The frames that a person corrected. They are kept, as ledgers are. Raises StorageError where damaged."""
        if self._corrections is None:
            self._corrections = parse_corrections(self.storage.read(CORRECTIONS), self.url)
        return self._corrections

    def save_corrections(self, corrections: Corrections) -> None:
        """Have the film show these from now on: one write. Their pictures are there already."""
        self.storage.write(CORRECTIONS, corrections.as_bytes())
        self._corrections = corrections

    def store_versions(self, pictures: Mapping[tuple[int, int], bytes]) -> None:
        """Write pictures, by frame and number, each the bytes of a PNG. `save_corrections` then says what is shown."""
        self.storage.write_all({version_name(*place): data for place, data in pictures.items()})

    def read_version(self, frame: int, version: Version) -> np.ndarray | None:
        """A corrected picture, (H, W, 3) uint8. None where its file is gone or has another hash."""
        data = self.storage.read(version_name(frame, version.number))
        if data is None or hashlib.sha256(data).hexdigest() != version.sha256:
            return None
        return decode_png(data)

    def edited_picture(self, task: str, frame: int) -> bytes | None:
        """The file of a frame that a person edited in its place and nobody has accepted yet; None for any other frame.

        An edited frame is one whose file is a whole PNG and has another hash than the ledger says. One whose bytes are
        damaged is no whole PNG.
        """
        row, corrected = self.ledger(task).get(frame), self.corrections().get(frame)
        data = self.storage.read(frame_name(task, frame)) if row is not None else None
        if row is None or data is None:
            return None
        digest = hashlib.sha256(data).hexdigest()
        known = {row.sha256} | ({version.edited for version in corrected.versions} if corrected else set())
        return data if digest not in known and is_whole_png(data) else None

    def put_aside(self, frame: int, data: bytes) -> None:
        """Keep an edited picture in `edited/`, before its frame is painted again. None is overwritten there."""
        name = f"{frame:06d}.png"
        earlier = self.storage.read(f"edited/{name}")
        if earlier is not None and earlier != data:
            self.storage.write(f"edited/earlier/{hashlib.sha256(earlier).hexdigest()[:12]}/{name}", earlier)
        self.storage.write(f"edited/{name}", data)

    # the end ----------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Remove files that killed writers left half written. Only for a driver that holds the lease, at its end."""
        self.storage.sweep(WRITTEN_FOLDERS)

    def save_report(self, report: dict[str, Any]) -> None:
        """Write what the finished render was, as plain JSON. With it the job is finished."""
        self.storage.write("report.json", seal(report, indent=1))

    def drop_report(self) -> None:
        """Remove the report: the job is not finished any more."""
        self.storage.remove("report.json")

    def load_report(self) -> dict[str, Any] | None:
        """The report. None where the job is not finished; a damaged report counts as absent."""
        return parse_or_none(self.storage.read("report.json"), unseal)


def _committed_now(data: bytes, record: FrameRecord) -> FrameRecord:
    """The record of a frame whose file has the bytes `data`."""
    commit = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "committed": round(time.time(), 3)}
    return record.model_copy(update=commit)


def _read_only(image: np.ndarray) -> np.ndarray:
    """The picture as one that was decoded from its file is: in C order, not to be written to."""
    import numpy as np  # here, because commands that read no frame shall answer at once

    view = np.ascontiguousarray(image).view()
    view.flags.writeable = False
    return view


def ledger_name(task: str) -> str:
    """Name of a task's ledger in the job directory: `ledger/pass-1/00003.json`."""
    return f"ledger/{task}.json"


def frame_name(task: str, frame: int) -> str:
    """Name of a committed frame in the job directory: `frames/pass-1/00003/000123.png`."""
    return f"frames/{task}/{frame:06d}.png"


def _frames_named(data: bytes | None) -> set[int]:
    """The frames that a ledger names. Building the records of all frames of a film would take most of the time."""
    return parse_or_none(data, lambda data: {row["frame"] for row in unseal(data)["frames"]}) or set()


def _parse_ledger(data: bytes | None) -> dict[int, FrameRecord]:
    """A ledger that is not what was written counts as empty: its frames are made again, bit for bit."""

    def parse(data: bytes) -> dict[int, FrameRecord]:
        return {row["frame"]: FrameRecord.model_validate(row) for row in unseal(data)["frames"]}

    return parse_or_none(data, parse) or {}
