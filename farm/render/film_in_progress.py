"""Segments are encoded in a thread of their own while later frames are rendered.

With `save_storage`, the frames of a segment are given up once the segment is encoded.

with FilmMaker(job_url, record, tasks, made, done, save_storage=False) as film:
    film.task_done("pass-3/00007")     # from the driver's loop, as tasks succeed
    film.floor                         # the first segment that is not encoded yet
    film.finish(output, ...)           # the film
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from farm.errors import CancelledError, StorageError
from farm.job.directory import JobDirectory, frame_name
from farm.job.record import JobRecord, record_flow_key
from farm.plan.segments import Segment, SegmentProgress, unread_tasks
from farm.plan.tasks import Task
from farm.render.stitch import Segments

POLL_SECONDS = 0.2


class FilmMaker:
    """`made` are segments that are encoded, `done` ids of the tasks that need not be run any more.

    `make` commits a segment elsewhere than in this process; it calls its second argument now and then, which raises
    CancelledError when nobody wants the segment any more.
    Methods are for the thread that made it. They raise what the encoding thread ran into.
    """

    def __init__(
        self,
        job_url: str,
        record: JobRecord,
        tasks: Sequence[Task],
        made: Collection[int],
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
        self._progress = SegmentProgress(record.plan, made, done)
        self._done = set(done)
        self._shots_cleared: set[int] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="segments")
        self._waiting: list[Future[Segment]] = []
        self._stopped = threading.Event()
        self._make_elsewhere = make
        if save_storage:
            there = {name.rpartition("/")[0].partition("/")[2] for name in self._job.storage.names("frames")}
            given_up = self._done - there
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
        """All segments before this one are encoded. Raises what went wrong while they were."""
        self._collect()
        return self._progress.floor

    def task_done(self, task: str) -> None:
        """Its frames are committed."""
        self._done.add(task)
        for segment in self._progress.task_done(task):
            self._begin(segment)

    def finish(self, output: str, check: Callable[[], None], on_frame: Callable[[int], None]) -> tuple[str, ...]:
        """Wait for the last segments, write the film, and return notes on what could not be kept."""
        while self._waiting:
            check()
            self._stopped.wait(POLL_SECONDS)
            self._collect()
        self._segments.sweep(output)
        with contextlib.suppress(StorageError):  # what was left half written costs room, and nothing else
            self._job.sweep()
        return self._segments.join(output, on_frame)

    def tidy(self) -> None:
        """The film is there, and the report: segments whose frames are kept have done their work."""
        if not self._save_storage:
            with contextlib.suppress(StorageError):  # they cost room, and nothing else
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
        """Remove the frames that nobody reads any more, and flow and masks of shots that are in the film."""
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
        """Files of flow and masks have the number of the frame that they belong to."""
        for folder in (f"flow/{record_flow_key(self._record)}", "masks"):
            for name in self._job.storage.names(folder):
                number = name.rpartition("/")[2][:6]
                if number.isdigit() and start <= int(number) < stop:
                    self._job.storage.remove(name)
