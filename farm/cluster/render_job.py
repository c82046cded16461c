"""Render a job: read the inputs, find its network, prepare it, take its lease, run its tasks, stitch, and report.

report = render_job(spec, LaunchOptions(job=job_url, workers=2), progress)

The steps are the same on this machine and on a cluster. On a cluster, the film is scanned and stitched as named Ray
tasks, so that the dashboard shows them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from farm.cluster.driver import Driver, DriverSettings, TaskRun
from farm.cluster.driver_tasks import make_segment, run_driver_task
from farm.cluster.head_watch import if_head_is_lost, work_begins
from farm.cluster.render_events import RenderEvents, RunningJob
from farm.cluster.session import RaySession, ray_session
from farm.cluster.sizing import LaunchOptions, job_pool, logical_cpus, planned_workers, worker_runtime
from farm.errors import CancelledError, DamagedError, InputError, OutputError, StorageError
from farm.files.names import shortened
from farm.files.output import check_output_kind, job_beside, output_size
from farm.interruption import noted_interruption
from farm.job import JobDirectory, JobRecord
from farm.job.credentials import check_no_secrets
from farm.job.history import History
from farm.job.keep import give_up
from farm.job.lease import job_lease
from farm.job.log import LAST_WORD, JobLog, LoggedProgress, job_log
from farm.job.request import film_title, in_ascii
from farm.job.state import StateRecorder, job_state
from farm.job.summary import SummaryCounter, load_summary
from farm.media.film import check_encoding, check_output_writable
from farm.media.settle import track_notes
from farm.plan import Task, plan_tasks
from farm.plan.estimates import estimate_storage, space_warning
from farm.plan.pace import Progress
from farm.plan.schedule import Schedule, Window
from farm.plan.segments import Segment, SegmentProgress, segment_of_tasks, segments_ahead, settled_tasks
from farm.render.film_in_progress import FilmMaker
from farm.render.given_pictures import put_aside_and_not_accepted
from farm.render.inputs import Inputs
from farm.render.network_for_film import with_network
from farm.render.prepare import Prepared, prepare_job
from farm.render.stitch import Segments, film_note, is_own_film
from farm.spec import FrameRange, RenderSpec
from farm.spec.choices import Keep
from farm.spec.frames import runs
from farm.spec.units import format_seconds

if TYPE_CHECKING:
    from farm.cluster.flow_ahead import FlowAhead
    from farm.cluster.metrics import JobMetrics
    from farm.cluster.pool import WorkerPool


@dataclass(frozen=True)
class _Work:
    """The tasks of a job, and how much of them an earlier run has done.

    `encoded` are indices of the film's segments that are encoded, `done` ids of the tasks that need not be run.
    """

    tasks: Sequence[Task]
    encoded: Collection[int] = ()
    done: Collection[str] = ()

    @property
    def todo(self) -> list[Task]:
        return [task for task in self.tasks if task.id not in self.done]

    @property
    def done_frames(self) -> int:
        return sum(len(task.frames) for task in self.tasks if task.id in self.done)


@dataclass(frozen=True)
class _Rendered:
    """A job whose every frame is committed: its record, its film at work, and the run's figures for the report."""

    record: JobRecord
    film: FilmMaker
    figures: dict[str, Any] = field(default_factory=dict)


def job_label(job_url: str, submission: str) -> str:
    """The name of a job in metrics: its submission id, or the last part of its directory.

    Ray takes no label with other characters than those of ASCII that are printed. So a name with others is spelled in
    ASCII as far as that goes, with a hash that tells it from all others that are spelled so; a long one is shortened.

    >>> job_label("/jobs/Größe.farm", ""), job_label("/jobs/bikes.farm", "")
    ('Groesse.farm-1fc6abad', 'bikes.farm')
    """
    name = submission or job_url.rstrip("/").rpartition("/")[2]
    plain = "".join(letter for letter in in_ascii(name) if letter.isprintable())
    if plain != name:
        plain = f"{plain}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
    return shortened(plain)


def default_job(output: str) -> str:
    """The job directory where none is given: `film.mp4` is made in `film.farm`, beside it. Raises OutputError."""
    return job_beside(output)


def render_job(spec: RenderSpec, options: LaunchOptions, progress: Progress) -> dict[str, Any]:
    """Render `spec`, or what is left of it, and return the report that is also kept as `report.json`.

    Raises FarmError; CancelledError on Ctrl-C or SIGTERM, after which the same call continues the job.
    """
    if options.address is not None:
        check_no_secrets(options.job, spec)
    with job_log(JobDirectory(options.job), options.submission) as log, contextlib.ExitStack() as session:
        if options.address is not None:
            # from the first to the last step, so that the cluster's dashboard shows them all
            session.enter_context(ray_session(options.address))
        return _render_job(spec, options, LoggedProgress(progress, log), log)


def _render_job(spec: RenderSpec, options: LaunchOptions, progress: Progress, log: JobLog) -> dict[str, Any]:
    began = time.monotonic()
    _check_output(spec, JobDirectory(options.job), overwrite=options.overwrite)
    inputs = _read_inputs(spec, options, progress)
    on_this_machine = options.address is None
    spec = with_network(spec, options.job, inputs, progress, threads=options.threads, use_cache=on_this_machine)
    prepared = prepare_job(spec, options.job, inputs, workers=planned_workers(options, spec.device))
    # Asked before the lease, so that a finished job is reported without a lock and without Ray...
    if (report := _finished_report(prepared.spec, prepared.job)) is not None:
        return _noted(report, progress)
    prepared.job.check_writable()
    prepared.rehearse()
    prepared = prepared.with_tracks()
    for note in track_notes(prepared.tracks or ()):
        progress.note(note)
    if missing := prepared.scan.probe.missing_frames:
        progress.note(f"{spec.video} is truncated: about {missing} frames are missing")
    try:
        with noted_interruption() as interruption, job_lease(prepared.job.storage, progress.note):
            log.begin()
            prepared = prepared.as_it_is_now()
            # ... and after it, because the driver that held the lease meanwhile may have finished the job.
            if (report := _finished_report(prepared.spec, prepared.job)) is not None:
                return _noted(report, progress)
            with job_state(prepared.job, options.submission) as state, _failed_without_head(options, state, log):
                running = RunningJob(options, progress, interruption, state, History(prepared.job), log)
                running.history.add("run", text=options.submission)
                return _render_and_stitch(prepared, running, began)
    except KeyboardInterrupt:
        raise CancelledError(f"stopped; job {prepared.job.url} is kept", "run the same command to continue") from None


@contextlib.contextmanager
def _failed_without_head(options: LaunchOptions, state: StateRecorder, log: JobLog) -> Iterator[None]:
    """Write that the job failed where the cluster's head is lost inside the block. The process ends there.

    A submitted job keeps its state, by which the queue knows after the head's restart that it has to begin it again.
    """

    def note(line: str) -> None:
        log.line(f"{LAST_WORD}{line}")
        log.close()
        if not options.submission:
            state.end("FAILED", line)

    with if_head_is_lost(note):
        yield


def _render_and_stitch(prepared: Prepared, running: RunningJob, began: float) -> dict[str, Any]:
    """Render what is left and stitch. What an earlier run committed is believed until it is used.

    Where a frame or segment then turns out to be damaged, all files are read, and what is damaged is made again. So a
    run that continues a long film begins to work at once, instead of reading every frame of it first.
    """
    try:
        return _run(prepared, running, began, read_all=False)
    except DamagedError as error:
        line = f"{error.problem}: every file is read again, and what is damaged is made anew"
    running.progress.note(line)
    running.history.add("note", text=line)
    return _run(prepared.as_it_is_now(), running, began, read_all=True)


def _run(prepared: Prepared, running: RunningJob, began: float, *, read_all: bool) -> dict[str, Any]:
    with contextlib.ExitStack() as until_the_end:
        rendered = _render_frames(prepared, running, until_the_end, read_all=read_all)
        report = _stitch_and_report(prepared, rendered, running, began)
    for line in summary(report).splitlines():
        running.log.line(line)
    return report


def _check_output(spec: RenderSpec, job: JobDirectory, *, overwrite: bool) -> None:
    """Find out before any work whether the film can be put where it shall be. Raises OutputError, UsageError.

    A film that this job put there, finished or not, may be replaced; any other film only with `overwrite`.
    """
    check_output_kind(spec.output)
    if spec.output == spec.video:
        raise OutputError(f"output {spec.output} is the video itself", "choose another -o")
    finished = _finished_report(spec, job) is not None
    check_output_writable(spec.output, overwrite or finished or is_own_film(job, spec.output))
    if not finished:
        check_encoding(spec.output, spec.encode)


def _read_inputs(spec: RenderSpec, options: LaunchOptions, progress: Progress) -> Inputs:
    """Check and hash every input, then scan the film: the one time that a command does."""
    progress.phase("probe", 1, 1)
    if options.address is None:
        return read_inputs(spec)
    try:
        return run_driver_task("probe", read_inputs, spec, note=progress.note)
    except InputError:  # a node that lacks the shared folder says so too: the driver's own node has the last word
        return run_driver_task("probe", read_inputs, spec, note=progress.note, here=True)


def read_inputs(spec: RenderSpec) -> Inputs:
    """The inputs of `spec`, read. Raises VideoError, PictureError, WeightsError, FlowFileError or UsageError."""
    inputs = Inputs()
    inputs.hashes(spec)  # first: a bad painting is found before a scan that may take minutes
    inputs.scan(spec)
    return inputs


def _finished_report(spec: RenderSpec, job: JobDirectory) -> dict[str, Any] | None:
    """The report of a job whose film is where it was put, with the size that the report says; None for any other.

    Also None where the film has other sound or subtitles than `spec` asks for, or does not show its corrected frames.
    """
    report = job.load_report()
    if report is None or report.get("output") != spec.output:
        return None
    wanted = {"audio": spec.encode.audio, "subtitles": spec.encode.subtitles}
    if any(report.get(name, value) != value for name, value in wanted.items()):
        return None
    if report.get("corrections", "") != job.corrections().digest:
        return None
    return report if output_size(spec.output) == report.get("output_bytes", -1) else None


def _noted(report: dict[str, Any], progress: Progress) -> dict[str, Any]:
    progress.note(f"{report['output']} is finished already; remove {report['job']} to render it anew")
    return report


def _render_frames(
    prepared: Prepared, running: RunningJob, until_the_end: contextlib.ExitStack, *, read_all: bool
) -> _Rendered:
    """Start Ray, or join it, and run every task that is left. The film is at work `until_the_end`."""
    options, work = running.options, _work_left(prepared, read_all=read_all)
    if warning := _space_warning(prepared, work, options):
        running.progress.note(warning)

    def film_of(record: JobRecord) -> FilmMaker:
        note = running.progress.note
        return until_the_end.enter_context(_film_maker(prepared.job, record, work, options, note))

    with ray_session(options.address, cpus=logical_cpus(options), dashboard=options.dashboard) as session:
        if session.dashboard_url:
            running.progress.note(f"dashboard {session.dashboard_url}")
        if prepared.record is not None and not work.todo:
            running.state.summarize(_counter(prepared.job, prepared.record, work, fresh=False).summary)
            figures = {"rendered": 0, "reused": work.done_frames, "steps": 0}
            return _Rendered(prepared.record, film_of(prepared.record), figures)
        pool = job_pool(
            prepared, options, session, running.progress, lambda kind, line: running.history.add(kind, text=line)
        )
        with contextlib.closing(pool), contextlib.ExitStack() as tasks_done:
            runtime = worker_runtime(pool, session, prepared.spec, running.interruption.check)
            record = prepared.begin(
                runtime,
                software=pool.software.job if pool.software else None,
                save_storage=options.save_storage,
                threads=options.threads,
                keep=options.keep,
            )
            film = film_of(record)
            counter = _counter(prepared.job, record, work, fresh=prepared.record is None)
            running.state.summarize(counter.summary)
            metrics = _job_metrics(prepared.job, record, options)
            # Ray that was started here ends before the film is written
            (tasks_done if options.address is None else until_the_end).enter_context(metrics)
            work_begins()
            run = _run_tasks(pool, session, prepared.job, _Rendered(record, film), work, running, counter, metrics)
        own = record.runtime.on(runtime)
        return _Rendered(record, film, {"runtime": own.model_dump(), **_figures(run, work, pool)})


def _work_left(prepared: Prepared, *, read_all: bool) -> _Work:
    """The plan's tasks, and what of them the job directory holds: by the ledgers, or with `read_all` by every file."""
    tasks, job, record = plan_tasks(prepared.plan), prepared.job, prepared.record
    if record is None:
        return _Work(tasks)
    segments = Segments(job, record)
    if segments.film_to_join_from() is not None:
        return _Work(tasks, {segment.index for segment in segments.plan}, {task.id for task in tasks})
    is_encoded = segments.is_made if read_all else segments.is_noted
    encoded = {segment.index for segment in segments.plan if is_encoded(segment)}
    covered = SegmentProgress(record.plan, encoded, ()).covered
    is_done: Callable[[Task], bool] = job.is_finished if read_all else job.is_committed
    if not read_all and job.storage.local is None:
        committed = job.committed_tasks(tasks)  # a ledger after the other, they would take minutes
        is_done = lambda task: task.id in committed  # noqa: E731
    return _Work(tasks, encoded, settled_tasks(record.plan, tasks, covered, is_done))


def _space_warning(prepared: Prepared, work: _Work, options: LaunchOptions) -> str:
    """A line where the disk of the job directory has less room than what is left to render will take; else empty."""
    storage = estimate_storage(prepared.plan, prepared.spec, options.workers or 1)
    whole = storage.at_once if options.save_storage else storage.total
    left = sum(len(task.frames) for task in work.todo) / max(sum(len(task.frames) for task in work.tasks), 1)
    return space_warning(round(whole * left), prepared.job.storage.free_bytes(), prepared.job.url)


def _counter(job: JobDirectory, record: JobRecord, work: _Work, *, fresh: bool) -> SummaryCounter:
    """What the job's summary is counted with. In a `fresh` job nothing is committed, so no ledger is read."""
    committed: dict[str, Collection[int]] = {task.id: task.frames for task in work.tasks if task.id in work.done}
    if not fresh:
        committed |= job.committed_frames(work.todo)
    return SummaryCounter(record, work.tasks, committed, load_summary(job))


def _film_maker(
    job: JobDirectory, record: JobRecord, work: _Work, options: LaunchOptions, note: Callable[[str], None]
) -> FilmMaker:
    """The film in progress; on a cluster its segments are encoded in a Ray task, so that the dashboard shows them."""

    def stitch(segment: Segment, check: Callable[[], None]) -> None:
        run_driver_task("stitch", make_segment, job.url, segment, check=check, note=note)
        if not segments.is_there(segment):  # a node with another ffmpeg made one that cannot be joined to the others
            run_driver_task("stitch", make_segment, job.url, segment, check=check, note=note, here=True)

    segments = Segments(JobDirectory(job.url), record)
    make = None if options.address is None else stitch
    keep = options.save_storage
    return FilmMaker(job.url, record, work.tasks, work.encoded, work.done, save_storage=keep, make=make)


def _job_metrics(job: JobDirectory, record: JobRecord, options: LaunchOptions) -> JobMetrics:
    from farm.cluster.metrics import LINGER_SECONDS, JobMetrics

    folder = None if "://" in job.url else job.url
    linger = 0.0 if options.address is None else LINGER_SECONDS
    label = job_label(job.url, options.submission)
    return JobMetrics(label, record.spec.weights.temporal, folder=folder, linger=linger)


def _run_tasks(
    pool: WorkerPool,
    session: RaySession,
    job: JobDirectory,
    rendered: _Rendered,
    work: _Work,
    running: RunningJob,
    counter: SummaryCounter,
    metrics: JobMetrics,
) -> TaskRun:
    """Run the tasks that are left on the workers of `pool`, with optical flow computed ahead of them."""
    from farm.cluster.phase_bars import PassBars

    options, record, film = running.options, rendered.record, rendered.film
    window = None
    if options.save_storage:
        at_once = segments_ahead(record.plan, options.workers or session.cpus)
        window = Window(segment_of_tasks(record.plan, work.tasks), at_once)
    with contextlib.ExitStack() as cleanup:
        bars = None
        if options.address is not None:
            with contextlib.suppress(Exception):  # nothing depends on the bars
                bars = PassBars(options.submission or job.url, work.tasks, work.done)
                cleanup.callback(bars.close)
        # not beside a window: it would fill the storage with fields that are not needed for long
        if record.spec.in_sequence and window is None:
            cleanup.callback(_flow_ahead(job, record, options).stop)
        settings = DriverSettings(
            metrics=metrics,
            history=running.history,
            patience=options.patience,
            filmed_up_to=lambda: film.floor,
        )
        events = RenderEvents(running, film, metrics, work.todo, counter, bars)
        return Driver(pool, job.url, Schedule(work.tasks, work.done, window=window), events, settings).run()


def _flow_ahead(job: JobDirectory, record: JobRecord, options: LaunchOptions) -> FlowAhead:
    from farm.cluster.flow_ahead import FlowAhead

    ranges = tuple(FrameRange(shot.start, shot.stop) for shot in record.plan.shots if shot.stop - shot.start > 1)
    label = job_label(job.url, options.submission)
    title = film_title(record.spec)
    return FlowAhead(job.url, ranges, title=title, label=label, mixed=options.mixed)


def _figures(run: TaskRun, work: _Work, pool: WorkerPool) -> dict[str, Any]:
    """What the report says of a run that rendered something."""
    return {
        "rendered": run.rendered,
        "reused": run.reused + work.done_frames,
        "steps": run.steps,
        "render_seconds": round(run.seconds, 1),
        "workers": pool.peak,
        "lost_workers": run.lost_workers,
        "lost_seconds": round(run.lost_seconds, 1),
        "join_seconds": run.join_seconds,
        "retries": run.retries,
        "restarts": run.restarts,
        "mixed": dict(run.mixed),
    }


def _stitch_and_report(prepared: Prepared, rendered: _Rendered, running: RunningJob, began: float) -> dict[str, Any]:
    """Write the film from its segments, then the report; a report is there only where its film is."""
    stitching = time.perf_counter()
    running.history.add("stitch")
    notes = _stitch(prepared, rendered, running)
    figures = {**rendered.figures, "stitch_seconds": round(time.perf_counter() - stitching, 1)}
    running.history.add("end")
    keep = running.options.keep
    if keep == "all" and (earlier := prepared.job.load_report()):
        keep = earlier.get("keep", keep)  # what an earlier run gave up does not come back with another sound
    report = _report_of(prepared, rendered.record, figures, notes, began, keep)
    prepared.job.save_report(report)
    rendered.film.tidy()
    if edited := put_aside_and_not_accepted(prepared.job):
        line = edits_line(prepared.job.url, edited)
        running.progress.note(line)
        running.history.add("note", text=line)
    with contextlib.suppress(StorageError):  # what is left over only takes room
        if line := give_up(prepared.job, rendered.record, running.options.keep):
            running.progress.note(line)
    return report


def edits_line(job_url: str, frames: Sequence[int]) -> str:
    """What a person is told whose edited frames were painted again."""
    ranges = runs(frames)
    first = FrameRange(frames[0], frames[-1] + 1)
    return (
        f"frames {', '.join(map(str, ranges))} were edited and painted again; the edited pictures are in "
        f"{job_url}/edited: farm accept {shlex.quote(job_url)} --frames {first} "
        f"--from {shlex.quote(f'{job_url}/edited')} has the film show them"
    )


def _stitch(prepared: Prepared, rendered: _Rendered, running: RunningJob) -> list[str]:
    """Wait for the last segments and join the film. Returns notes on what could not be kept."""
    frames = len(rendered.record.plan.frames)
    running.progress.phase("stitch", frames, frames)

    def on_frame(frame: int) -> None:
        running.interruption.check()
        running.state.beat("stitch", frame, frames)
        running.progress.advance("stitch", 1.0)

    notes = rendered.film.finish(prepared.spec.output, running.interruption.check, on_frame, prepared.tracks)
    return list(notes)


def _report_of(
    prepared: Prepared, record: JobRecord, figures: dict[str, Any], notes: list[str], began: float, keep: Keep
) -> dict[str, Any]:
    """The report of a render whose film is written; `began` is when, on the monotonic clock, and `keep` what stays."""
    film = film_note(prepared.job) or {"bytes": None, "file": None}
    return {
        "job": prepared.job.url,
        "output": prepared.spec.output,
        "frames": len(record.plan.frames),
        "missing_frames": prepared.scan.probe.missing_frames,
        "shots": len(record.plan.shots),
        "chunks": len(record.plan.chunks),
        "size": [record.plan.width, record.plan.height],
        "cuts": [shot.start for shot in record.plan.shots[1:]],
        "boundaries": [chunk.start for chunk in record.plan.chunks if not chunk.first_in_shot],
        "runtime": record.runtime.model_dump(),
        "seconds": round(time.monotonic() - began, 1),
        "output_bytes": film["bytes"],
        "output_sha256": film["file"],
        "corrections": prepared.job.corrections().digest,
        "keep": keep,
        "audio": prepared.spec.encode.audio,
        "subtitles": prepared.spec.encode.subtitles,
        "notes": [*prepared.scan.probe.notes, *notes],
        **figures,
    }


def summary(report: dict[str, Any]) -> str:
    """The report as a line of text, and a second line where workers were lost or nodes joined."""
    frame_seconds = report.get("render_seconds", 0) / max(report["frames"], 1)
    fast = 0 < frame_seconds < 1
    rate = f"{1 / frame_seconds:.1f} frames a second" if fast else f"{frame_seconds:.1f} s a frame"
    line = (
        f"{report['output']}: {report['frames']} frames, {report['shots']} shots, {report['chunks']} chunks in "
        f"{format_seconds(report['seconds'])} ({rate} with {report.get('workers', 0)} workers)"
    )
    events = []
    if report.get("lost_workers"):
        events.append(f"{report['lost_workers']} worker(s) lost, {report.get('lost_seconds', 0):g} s lost with them")
    if joined := ", ".join(f"{seconds:g} s" for seconds in report.get("join_seconds", ())):
        events.append(f"new nodes at work after {joined}")
    return "\n".join([line, "; ".join(events)]) if events else line
