"""The driver's log, kept in the job directory, so that it can be read after the cluster's head is gone.

    with job_log(job, "farm-film-1a2b") as log:        # `log/farm-film-1a2b/00000.txt`, 00001.txt, ...
        log.line("pass-1/00003 begun")                 # 2026-11-30 12:00:00Z pass-1/00003 begun

A log is written in parts, because object storage cannot append to an object: only the last part is written anew.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from farm.errors import FarmError, StorageError
from farm.job.directory import JobDirectory
from farm.plan.pace import Progress, Rate

FOLDER = "log"
"""Folder of all logs in the job directory, with a folder for each run in it."""
PART_BYTES = 1 << 16
"""Size from which on a part is left as it is and the next one begun."""
WRITE_SECONDS = 2.0
"""Least seconds between two writes of the last part."""
PROGRESS_SECONDS = 60.0
"""Seconds between two lines of progress."""
LAST_WORD = "farm: "
"""How the last line of a run begins, if its driver could write one."""


class JobLog:
    """Writes the log of one run, from a thread of its own. Lines are kept in memory until `begin` is called.

    Why: before the driver holds the job's lease, nothing may be written into a directory that may be another's.
    """

    def __init__(self, job: JobDirectory, run: str) -> None:
        self._job, self._folder = job, f"{FOLDER}/{run}"
        self._lock = threading.Lock()
        self._text = ""
        self._part = 0
        self._is_new = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="log", daemon=True)

    def begin(self) -> None:
        """Write from now on. A run of this name that was begun before keeps its parts. Further calls do nothing."""
        if self._thread.is_alive() or self._ended.is_set():
            return
        with contextlib.suppress(StorageError):
            self._part = len(self._job.storage.names(self._folder))
        self._thread.start()

    def line(self, text: str) -> None:
        """Add one line with the time before it, in UTC."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
        with self._lock:
            self._text += f"{stamp} {' '.join(text.split())}\n"
            self._is_new = True

    def close(self) -> None:
        """Write what is left, if `begin` was called."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
            self._write()

    def _keep_writing(self) -> None:
        while not self._ended.wait(WRITE_SECONDS):
            self._write()

    def _write(self) -> None:
        with self._lock:
            if not self._is_new:
                return
            text, part, self._is_new = self._text, self._part, False
            if len(text) >= PART_BYTES:
                self._text, self._part = "", part + 1
        try:
            self._job.storage.write(f"{self._folder}/{part:05d}.txt", text.encode())
        except StorageError:  # the next write takes these lines along
            with self._lock:
                if self._part != part:
                    self._text, self._part = text + self._text, part
                self._is_new = True


@contextlib.contextmanager
def job_log(job: JobDirectory, submission: str) -> Iterator[JobLog]:
    """The log of a run, with how it ended as the last line. `submission` is empty for a run that was not submitted."""
    log = JobLog(job, submission or time.strftime("run-%Y%m%d-%H%M%S", time.gmtime()))
    if submission:
        log.begin()
    try:
        yield log
        log.line(f"{LAST_WORD}done")
    except FarmError as error:
        log.line(f"{LAST_WORD}{error}")
        raise
    except KeyboardInterrupt:
        log.line(f"{LAST_WORD}stopped")
        raise
    except BaseException as error:
        log.line(f"{LAST_WORD}{type(error).__name__}: {error}")
        raise
    finally:
        log.close()


class LoggedProgress:
    """A `Progress` that also writes the log: notes, phases, and a line of progress a minute."""

    def __init__(self, shown: Progress, log: JobLog) -> None:
        self._shown, self._log = shown, log
        self._frames = self._done = 0
        self._share: str = ""
        self._logged = time.monotonic()
        self._rate = Rate(self._logged)

    def note(self, line: str) -> None:
        """Show and log one line."""
        self._log.line(line)
        self._shown.note(line)

    def phase(self, name: str, frames: int, steps: float) -> None:
        """Show and log that a phase begins."""
        self._frames, self._done = frames, 0
        self._logged = time.monotonic()
        self._rate = Rate(self._logged)
        self._log.line(f"{name} begins: {frames} frame{'' if frames == 1 else 's'}")
        self._shown.phase(name, frames, steps)

    def advance(self, phase: str, planned_steps: float) -> None:
        """Count one frame, and log the progress where it is time to."""
        now = time.monotonic()
        self._done += 1
        self._rate.done(now)
        if now - self._logged >= PROGRESS_SECONDS:
            self._logged = now
            self._log.line(f"{phase}: {self._done} of {self._frames} frames, {self._rate.per_second(now):.2f} a second")
        self._shown.advance(phase, planned_steps)

    def share(self, phase: str, done: float) -> None:
        """Show a share, and log it where it is time to."""
        now = time.monotonic()
        if phase != self._share or now - self._logged >= PROGRESS_SECONDS:
            self._share, self._logged = phase, now
            self._log.line(f"{phase}: {100 * done:.0f} %")
        self._shown.share(phase, done)


class LogReader:
    """Reads a log piece by piece while it grows. `run` is the submission; without one, the latest run is read."""

    def __init__(self, job: JobDirectory, run: str = "") -> None:
        self._job, self._run = job, run
        self._part = self._read = 0

    def news(self) -> str:
        """What was written since the last call; empty where there is nothing new. Raises StorageError."""
        run = self._run or self._latest_run()
        pieces = []
        while run:
            data = self._job.storage.read(f"{FOLDER}/{run}/{self._part:05d}.txt")
            if data is None:
                break
            pieces.append(data[self._read :])
            self._read = len(data)
            if not self._job.storage.exists(f"{FOLDER}/{run}/{self._part + 1:05d}.txt"):
                break
            self._part, self._read = self._part + 1, 0
        return b"".join(pieces).decode("utf-8", "replace")

    def _latest_run(self) -> str:
        runs = {name.split("/")[1] for name in self._job.storage.names(FOLDER) if name.count("/") == 2}
        local = sorted(run for run in runs if run.startswith("run-"))
        self._run = local[-1] if local else ""
        return self._run
