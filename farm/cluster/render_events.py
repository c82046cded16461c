"""What one job does with what the driver tells it: the progress shown, the metrics, `state.json`, and the film.

    events = RenderEvents(running, film, metrics, todo, counter, bars=None)
    Driver(pool, job_url, schedule, events, settings).run()

Ray must run before this module's callers make a `JobMetrics`; the module itself does not import Ray.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farm.cluster.driver import JobEvents
from farm.cluster.sizing import LaunchOptions
from farm.interruption import Interruption
from farm.job.history import History
from farm.job.log import JobLog
from farm.job.state import StateRecorder
from farm.job.summary import SummaryCounter
from farm.plan import Task
from farm.plan.pace import Eta, Progress
from farm.render.film_in_progress import FilmMaker
from farm.render.frame_report import FrameReport

if TYPE_CHECKING:
    from farm.cluster.metrics import JobMetrics
    from farm.cluster.phase_bars import PassBars


@dataclass(frozen=True)
class RunningJob:
    """A job at work: how it was launched, whom it reports to, and what may stop it.

    `progress` is shown to the user, `state`, `history` and `log` are kept in the job directory, `interruption` is
    Ctrl-C.
    """

    options: LaunchOptions
    progress: Progress
    interruption: Interruption
    state: StateRecorder
    history: History
    log: JobLog


class RenderEvents(JobEvents):
    """The driver's events of one render. `todo` are the tasks that are not finished, `counter` counts for the summary.

    `bars` is None without a cluster. Each method is called by the driver, in the main thread.
    """

    def __init__(
        self,
        running: RunningJob,
        film: FilmMaker,
        metrics: JobMetrics,
        todo: Sequence[Task],
        counter: SummaryCounter,
        bars: PassBars | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._running, self._film, self._metrics, self._bars = running, film, metrics, bars
        self._counter = counter
        self._work: dict[str, tuple[int, float, str]] = {}
        """Of each task at work: frames committed in this run, seconds of work on them, and the latest worker."""
        self._pass_names = {task.id: task.pass_name for task in todo}
        self._steps = {task.id: steps_per_frame(task) for task in todo}
        self._frames = sum(len(task.frames) for task in todo)
        self._phase, self._committed = "start", 0
        steps = sum(task.steps or len(task.frames) for task in todo)
        self._clock, self._eta = clock, Eta(steps)
        self._eta.start(clock())
        metrics.left(self._frames, None)
        running.progress.phase("start", self._frames, steps)

    def check(self) -> None:
        """Give a sign of life in `state.json`. Raises KeyboardInterrupt after Ctrl-C."""
        self._running.interruption.check()
        self._running.state.beat(self._phase, self._committed, self._frames)

    def note(self, line: str) -> None:
        """Show one line of text: a lost worker, a retry, a node that joined."""
        self._running.progress.note(line)

    def frame(self, report: FrameReport) -> None:
        """Count one committed frame."""
        self._phase = self._pass_names[report.task]
        self._committed += 1
        self._counter.frame(report.task, report.frame, report.record.bytes)
        self._running.state.summarize(self._counter.summary)
        if not report.reused:
            frames, seconds, _ = self._work.get(report.task, (0, 0.0, ""))
            self._work[report.task] = (frames + 1, seconds + report.record.seconds, report.record.worker)
        now = self._clock()
        self._eta.done(self._steps[report.task], now)
        self._metrics.left(self._frames - self._committed, self._eta.seconds_left(now))
        self._running.progress.advance(self._phase, self._steps[report.task])
        if self._bars:
            self._bars.frame(self._phase)

    def task_done(self, task_id: str) -> None:
        """Hand the frames of a task on to the film: all of them are committed."""
        frames, seconds, worker = self._work.pop(task_id, (0, 0.0, ""))
        self._running.log.line(f"{task_id} done: {frames} frames in {seconds:.1f} s of work, {worker or 'no worker'}")
        self._film.task_done(task_id)

    def failures(self, failures: dict[str, list[str]]) -> None:
        """Record the tasks that failed for good: for each its reason and the last lines of its worker's log."""
        self._running.state.failed(failures)


def steps_per_frame(task: Task) -> float:
    """Optimiser steps planned for a frame of a task, by which progress is weighed; 1 for a method without optimiser."""
    return task.steps / len(task.frames) or 1.0
