"""Make one film of the frames of the last pass: encode it segment by segment, then join the segments.

segments = Segments(job, record)
segments.make(segments.plan[0])    # encode, check and commit one segment; a second call changes nothing
segments.join(output)              # join the film from packets: nothing is encoded twice
stitch_film(job, record, output)   # all of it, after the last frame

Segments can be encoded while later frames are still rendered.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tenacity

from farm.errors import DamagedError, EncodeError, StorageError
from farm.files.checked_json import parse_or_none, seal, unseal
from farm.files.names import shortened
from farm.files.output import output_sha256, output_size, put_when_whole
from farm.files.remote import fetch, is_remote
from farm.job import JobDirectory, JobRecord
from farm.media.encode import SUFFIX, encode_segment
from farm.media.ffmpeg import ffmpeg_binary, ffmpeg_version
from farm.media.film import join_segments
from farm.media.settle import settle_tracks
from farm.media.source import content_hash
from farm.media.tonemap import SDR
from farm.media.tracks import Track, container_extension
from farm.plan import VideoProbe, task_id
from farm.plan.segments import Segment, plan_segments
from farm.render.committed import film_frame
from farm.render.read_ahead import ahead
from farm.spec import FrameRange, RenderSpec
from farm.spec.render import EncodeSettings

READ_AHEAD = 8
"""Frames that are read and decoded while the encoder is busy."""
SEGMENT_VERSION = 3
"""Part of the segments' folder name; it counts up when segments of an older farm can no longer be joined."""
FILM_NOTE = "film.json"
"""The file that names the film which the job is about to put in place. After a crash it shows whose the film is."""
ATTEMPTS = 3
"""Times that ffmpeg is started. Why: it may be killed, for example where memory runs out."""

_again = tenacity.retry(
    retry=tenacity.retry_if_exception_type(EncodeError),
    stop=tenacity.stop_after_attempt(ATTEMPTS),
    wait=tenacity.wait_exponential(multiplier=0.2, max=5),
    reraise=True,
)


def encode_settings(spec: RenderSpec) -> EncodeSettings:
    """The spec's encoder settings, with preset `veryfast` for method instant where the user gave none.

    Why: beside a network the encoder takes most of the time, and x264's quality is set by crf, not by its preset.
    """
    if spec.encode.preset or spec.method != "instant":
        return spec.encode
    return spec.encode.model_copy(update={"preset": "veryfast"})


def shown_probe(spec: RenderSpec, probe: VideoProbe) -> VideoProbe:
    """The probe of the source with the colours that rendered frames have: a tone-mapped film is SDR, not HDR."""
    mapped = probe.color.is_hdr and "hdr" not in spec.as_stored
    return probe.model_copy(update={"color": SDR}) if mapped else probe


class Segments:
    """The encoded segments of one job; `plan` lists all of them. For one thread. Raises StorageError, EncodeError."""

    def __init__(self, job: JobDirectory, record: JobRecord) -> None:
        self._job, self._record = job, record
        self._probe = shown_probe(record.spec, record.probe)
        self._settings = encode_settings(record.spec)
        self.plan = plan_segments(record.plan)
        # packets of two encoders do not make one stream
        coded = [
            SEGMENT_VERSION,
            self._settings.model_dump(exclude={"audio", "subtitles"}),
            ffmpeg_version(ffmpeg_binary()),
        ]
        self._folder = f"segments/{hashlib.sha256(json.dumps(coded).encode()).hexdigest()[:12]}"

    def is_made(self, segment: Segment) -> bool:
        """Whether the segment is there, undamaged, and encoded from the frames that the ledgers name."""
        row = self._row(segment)
        if row is None or not self.is_noted(segment):
            return False
        with contextlib.suppress(StorageError), self._here(segment) as path:
            return path is not None and content_hash(str(path)) == row["file"]
        return False

    def is_noted(self, segment: Segment) -> bool:
        """Whether the segment was encoded from the frames that the ledgers name. Its file is not looked at."""
        row = self._row(segment)
        return row is not None and row["frames"] == self._frames_hash(segment)

    def is_there(self, segment: Segment) -> bool:
        """Whether the segment was committed; its file may be damaged."""
        return self._job.storage.exists(f"{self._name(segment)}.json")

    def make(self, segment: Segment, progress: Callable[[int], None] | None = None) -> None:
        """Encode and commit one segment; `progress` is called with each frame's number.

        Raises StorageError where a frame is gone, EncodeError where ffmpeg keeps failing.
        """
        self._job.forget()
        with self._new_file(segment) as path:
            self._encode(segment, path, progress)
            row = {"frames": self._frames_hash(segment), "file": content_hash(str(path))}
            size = path.stat().st_size
            self._commit(segment, path)
        self._job.storage.write(f"{self._name(segment)}.json", seal({**row, "bytes": size}))

    @_again
    def _encode(self, segment: Segment, path: Path, progress: Callable[[int], None] | None) -> None:
        def read(frame: int) -> np.ndarray:
            return film_frame(self._job, self._record, frame)

        frames = ahead(segment.frames, read, READ_AHEAD)
        encode_segment(frames, self._probe, segment.frames, path, self._settings, progress)

    @_again
    def join(
        self,
        output: str | Path,
        progress: Callable[[int], None] | None = None,
        tracks: Sequence[Track] | None = None,
    ) -> tuple[str, ...]:
        """Join all segments to the film at `output`, and check it by reading its packets back.

        `tracks` are the sound and subtitles that go with it (`farm.media.settle`); None has them settled here.

        Returns notes on what of the source could not be kept. An earlier film stays until the new one is whole. At the
        URL of an object it appears at once, when all of it is uploaded.
        """

        def note(film: Path) -> None:
            facts = {"output": str(output), "file": content_hash(str(film)), "bytes": film.stat().st_size}
            self._job.storage.write(FILM_NOTE, seal({**facts, "corrections": self._job.corrections().digest}))

        settings, frames = encode_settings(self._record.spec), self._record.plan.frames
        if tracks is None:
            tracks = settle_tracks(self._probe, frames, container_extension(str(output)), settings)
        with put_when_whole(str(output)) as path:
            return join_segments(self._paths(), self._probe, frames, path, settings, tracks, progress, note)

    def remove(self) -> None:
        """Remove all segments. For a job whose film is written and whose frames are kept."""
        for name in self._job.storage.names("segments"):
            self._job.storage.remove(name)

    def sweep(self, output: str | Path) -> None:
        """Remove the files that a killed encoder left half written. Only for the process that holds the job's lease."""
        local, film = self._job.storage.local, Path(output)
        left = [] if local is None else list((local / self._folder).glob(f".*{SUFFIX}"))
        folder = [] if is_remote(output) else list(film.parent.iterdir())
        beside = re.compile(rf"\.{re.escape(shortened(film.stem))}\.[0-9a-f]{{12}}({re.escape(film.suffix)}|\.source)")
        left += [path for path in folder if beside.fullmatch(path.name)]
        for path in left:
            path.unlink(missing_ok=True)

    def film_to_join_from(self) -> str | None:
        """The finished film of this job where it is intact: its pictures can be joined to other sound as they are.

        None where frames were corrected since.
        """
        note = film_note(self._job)
        as_now = note is not None and note.get("corrections", "") == self._job.corrections().digest
        film = str(note.get("output")) if note and as_now else ""
        return film if film and self._job.load_report() is not None and is_own_film(self._job, film) else None

    def _paths(self) -> Iterator[Path]:
        if (film := self.film_to_join_from()) is not None:
            with tempfile.TemporaryDirectory(prefix="farm-film-") as folder:
                if is_remote(film):
                    fetch(film, Path(folder) / Path(film).name)
                    film = str(Path(folder) / Path(film).name)
                yield Path(film)
            return
        for segment in self.plan:
            row = self._row(segment)
            with self._here(segment) as path:
                if row is None or path is None or content_hash(str(path)) != row["file"]:
                    raise DamagedError(
                        f"segment {segment.index} of {self._job.url} is gone or damaged", "run the same command again"
                    )
                yield path

    def _row(self, segment: Segment) -> dict[str, Any] | None:
        data = self._job.storage.read(f"{self._name(segment)}.json")
        try:
            return None if data is None else unseal(data)
        except ValueError:
            return None

    def _name(self, segment: Segment) -> str:
        return f"{self._folder}/{segment.index:05d}"

    def _frames_hash(self, segment: Segment) -> str:
        """Hash of the hashes of all frames that the segment shows; the frames may have been removed."""
        plan = self._record.plan
        digest = hashlib.sha256(str(segment.frames).encode())
        for index in range(segment.first_chunk, segment.last_chunk + 1):
            chunk = plan.chunks[index]
            sources = [(task_id(plan.passes, index), chunk.frames)]
            if plan.passes == 1 and not chunk.first_in_shot and plan.chunks[index - 1].reach > chunk.start:
                sources.append((task_id(1, index - 1), FrameRange(chunk.start, plan.chunks[index - 1].reach)))
            for task, frames in sources:
                ledger = self._job.ledger(task)
                for frame in frames:
                    digest.update(ledger[frame].sha256.encode() if frame in ledger else b"none")
        for corrected in self._job.corrections():
            if corrected.frame in segment.frames and corrected.is_corrected:
                digest.update(f"{corrected.frame} {corrected.current.sha256}".encode())
        return digest.hexdigest()

    @contextlib.contextmanager
    def _new_file(self, segment: Segment) -> Iterator[Path]:
        """A local path for a segment that is being written: beside its final place where that is local."""
        local = self._job.storage.local
        if local is not None:
            folder = local / self._folder
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(
                    f"{folder} cannot be written: {error.strerror}", "free or mend the storage"
                ) from None
            path = folder / f".{segment.index:05d}.{os.getpid()}{SUFFIX}"
            try:
                yield path
            finally:
                path.unlink(missing_ok=True)
        else:
            with tempfile.TemporaryDirectory(prefix="farm-segment-") as name:
                yield Path(name) / f"segment{SUFFIX}"

    def _commit(self, segment: Segment, path: Path) -> None:
        storage, name = self._job.storage, f"{self._name(segment)}{SUFFIX}"
        if storage.local is None:
            storage.upload(path, name)
        else:
            storage.adopt(path, name)

    @contextlib.contextmanager
    def _here(self, segment: Segment) -> Iterator[Path | None]:
        """The segment's file on this machine, or None. One on object storage is fetched, and removed afterwards."""
        storage, name = self._job.storage, f"{self._name(segment)}{SUFFIX}"
        if storage.local is not None:
            path = storage.local / name
            yield path if path.is_file() else None
            return
        data = storage.read(name)
        if data is None:
            yield None
            return
        with tempfile.TemporaryDirectory(prefix="farm-segment-") as folder:
            path = Path(folder) / f"segment{SUFFIX}"
            path.write_bytes(data)
            yield path


def is_own_film(job: JobDirectory, output: str | Path) -> bool:
    """Whether the film at `output` is the one that this job wrote, by its hash."""
    note = film_note(job)
    size = output_size(str(output)) if note and note.get("output") == str(output) else None
    if note is None or size is None or size != note.get("bytes", size):
        return False
    return output_sha256(str(output)) == note.get("file")


def film_note(job: JobDirectory) -> dict[str, Any] | None:
    """`output`, `file` (SHA-256) and `bytes` of the film that the job put in its place last, or was about to."""
    return parse_or_none(job.storage.read(FILM_NOTE), unseal)


def stitch_film(
    job: JobDirectory,
    record: JobRecord,
    output: str | Path,
    progress: Callable[[int], None] | None = None,
    tracks: Sequence[Track] | None = None,
) -> tuple[str, ...]:
    """Encode the segments that are missing and join them to the film at `output`; notes on what could not be kept.

    `tracks` are as in `Segments.join`.

    Raises StorageError where a frame is gone, EncodeError where ffmpeg or the check fails;
    an earlier file at `output` is then untouched.
    """
    job.forget()
    segments = Segments(job, record)
    for segment in segments.plan:
        if not segments.is_made(segment):
            segments.make(segment)
    return segments.join(output, progress, tracks)
