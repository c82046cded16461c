"""Encode segments of the film in a thread while later frames are rendered.

With `save_storage`, the frames of a segment are removed once the segment is encoded.

with FilmMaker(job_url, record, tasks, encoded, done, save_storage=False) as film:
    film.task_done("pass-3/00007")            # from the driver's loop, as tasks succeed
    film.floor                                # index of the first segment that is not encoded yet
    film.finish(output, check, on_frame)      # write the film
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from farm.errors import CancelledError, StorageError
from farm.flow.store import flow_folder
from farm.job import JobDirectory, JobRecord
from farm.job.directory import frame_name
from farm.job.record import record_flow_key
from farm.media.tracks import Track
from farm.plan import Task
from farm.plan.segments import Segment, SegmentProgress, unread_tasks
from farm.render.stitch import Segments

POLL_SECONDS = 0.2
"""Seconds between two looks at the last segments, at the end."""


class FilmMaker:
    """Encodes each segment as soon as its frames are committed, in one thread. Use as a context manager.

    `encoded` are indices of the segments that are encoded, `done` ids of the tasks that need not be run.
    `make` commits a segment in another process; None encodes in the thread. It calls its second argument now and then,
    which raises CancelledError once the segment is not wanted any more.
    All methods are for the thread that made the object. They raise what the encoding thread raised.
    """

    def __init__(
        self,
        job_url: str,
        record: JobRecord,
        tasks: Sequence[Task],
        encoded: Collection[int],
        done: Collection[str],
        *,
        save_storage: bool = False,
        make: Callable[[Segment, Callable[[], None]], None] | None = None,
    ) -> None:
        # ledgers are read by two threads at once: each has its own
        self._job = JobDirectory(job_url)
        self._record, self._save_storage = record, save_storage
        self._tasks = tasks  # whose frames are kept: what is given up need not be asked about for every segment
        self._segments = Segments(self._job, record)
        self._progress = SegmentProgress(record.plan, encoded, done)
        self._done = set(done)
        self._shots_cleared: set[int] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="segments")
        self._waiting: list[Future[Segment]] = []
        self._stopped = threading.Event()
        self._make_elsewhere = make
        if save_storage:
            stored_tasks = {name.rpartition("/")[0].partition("/")[2] for name in self._job.storage.names("frames")}
            given_up = self._done - stored_tasks
            self._tasks = [task for task in tasks if task.id not in given_up]
            self._give_up_frames()
        for segment in self._progress.ready_at_first:
            self._begin(segment)

    def __enter__(self) -> FilmMaker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.shutdown(wait=True, cancel_futures=True)

    @property
    def floor(self) -> int:
        """Index of the first segment that is not encoded; all before it are. Raises what the encoding thread raised."""
        self._collect()
        return self._progress.floor

    def task_done(self, task: str) -> None:
        """Begin the segments whose frames are all committed, now that those of `task` are."""
        self._done.add(task)
        for segment in self._progress.task_done(task):
            self._begin(segment)

    def finish(
        self,
        output: str,
        check: Callable[[], None],
        on_frame: Callable[[int], None],
        tracks: Sequence[Track] | None = None,
    ) -> tuple[str, ...]:
        """Wait for the last segments, write the film with `tracks`, and return notes on what could not be kept.

        `check` is called while it waits, and may raise; `on_frame` is called with each frame that is written.
        """
        while self._waiting:
            check()
            self._stopped.wait(POLL_SECONDS)
            self._collect()
        self._segments.sweep(output)
        with contextlib.suppress(StorageError):  # half-written files only take room
            self._job.sweep()
        return self._segments.join(output, on_frame, tracks)

    def tidy(self) -> None:
        """Remove the segments where their frames are kept. Call it once the film and the report are written."""
        if not self._save_storage:
            with contextlib.suppress(StorageError):  # left-over segments only take room
                self._segments.remove()

    def _begin(self, segment: Segment) -> None:
        self._waiting.append(self._thread.submit(self._make, segment))

    def _make(self, segment: Segment) -> Segment:
        if self._make_elsewhere:
            self._make_elsewhere(segment, self._go_on)
        else:
            self._segments.make(segment, lambda _: self._go_on())
        return segment

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise CancelledError("stopped while a segment was encoded")

    def _collect(self) -> None:
        while self._waiting and self._waiting[0].done():
            self._progress.segment_made(self._waiting.pop(0).result().index)
            if self._save_storage:
                self._give_up_frames()

    def _give_up_frames(self) -> None:
        """Remove frames that no task or segment will read, and flow and masks of shots whose segments are encoded."""
        covered = self._progress.covered
        unread = unread_tasks(self._record.plan, self._tasks, covered, self._done)
        for task in self._tasks:
            if task.id in unread:
                for frame in task.frames:
                    self._job.storage.remove(frame_name(task.id, frame))
        self._tasks = [task for task in self._tasks if task.id not in unread]
        plan = self._record.plan
        for shot in plan.shots:
            chunks = range(shot.first_chunk, shot.first_chunk + shot.chunks)
            if shot.index not in self._shots_cleared and all(chunk in covered for chunk in chunks):
                self._shots_cleared.add(shot.index)
                if shot.stop - shot.start > 1:
                    self._clear_beside(shot.start, shot.stop)

    def _clear_beside(self, start: int, stop: int) -> None:
        """Remove flow and masks of a shot's frames: their file names begin with the frame's number."""
        flow = f"flow/{record_flow_key(self._record)}"
        shards = dict.fromkeys(flow_folder(frame) for frame in range(start, stop))
        for folder in (*(f"{flow}/{shard}" for shard in shards), "masks"):
            for name in self._job.storage.names(folder):
                number = name.rpartition("/")[2][:6]
                if number.isdigit() and start <= int(number) < stop:
                    self._job.storage.remove(name)
