"""One way to render: prepare, start Ray or join it, run the tasks, stitch, report.

result = render_job(spec, LaunchOptions(job=..., workers=2), JobProgress())
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farm.cli.progress import JobProgress
from farm.cluster.driver_tasks import make_segment, run_errand
from farm.cluster.session import RaySession, ray_session
from farm.cluster.sizing import LaunchOptions, _workers_a_node, job_pool, logical_cpus
from farm.errors import CancelledError, OutputError
from farm.interruption import Interruption, noted_interruption
from farm.job.credentials import check_no_secrets
from farm.job.history import History
from farm.job.lease import job_lease
from farm.job.record import JobRecord
from farm.job.request import film_title
from farm.job.state import StateRecorder, job_state
from farm.media.film import check_encoding, check_output_writable
from farm.media.source import content_hash
from farm.plan.schedule import Window
from farm.plan.segments import Segment, SegmentProgress, segment_of_tasks, segments_ahead, settled_tasks
from farm.plan.tasks import Task, plan_tasks
from farm.render.chunk import FrameReport
from farm.render.film_in_progress import FilmMaker
from farm.render.network_for_film import with_network
from farm.render.prepare import Prepared, prepare_job, sibling_flow_sources
from farm.render.stitch import Segments, is_own_film
from farm.spec.frames import FrameRange
from farm.spec.render import RenderSpec
from farm.spec.units import format_seconds

if TYPE_CHECKING:
    pass


def job_label(job_url: str, submission: str) -> str:
    """What a job is called in metrics: its submission id, or the last part of its directory."""
    return submission or job_url.rstrip("/").rpartition("/")[2]


def default_job(output: str) -> str:
    """`film.mp4` is made in `film.farm`, beside it."""
    return str(Path(output).with_suffix(".farm"))


def render_job(spec: RenderSpec, options: LaunchOptions, progress: JobProgress) -> dict[str, Any]:
    """Render `spec`, or what is left of it, and return the report that is also kept as `report.json`.

    Raises FarmError; CancelledError on Ctrl-C or SIGTERM, after which the same call continues the job.
    """
    if options.address is None:
        return _render_job(spec, options, progress)
    check_no_secrets(options.job, spec)
    # from the first to the last step, so that the cluster's dashboard shows them all
    with ray_session(options.address):
        return _render_job(spec, options, progress)


def _render_job(spec: RenderSpec, options: LaunchOptions, progress: JobProgress) -> dict[str, Any]:
    began = time.monotonic()
    own = options.address is None
    spec = with_network(spec, options.job, options.threads, progress.note, use_cache=own)
    progress.phase("probe", 1, 1)
    prepared = prepare_job(spec, options.job) if own else run_errand("probe", prepare_job, spec, options.job)
    if (finished := _finished_report(prepared, progress)) is not None:
        return finished
    _check_output(prepared, overwrite=options.overwrite)
    probe = prepared.scan.probe
    if probe.missing_frames:
        progress.note(f"{spec.video} is truncated: about {probe.missing_frames} frames are missing")
    try:
        with noted_interruption() as interruption, job_lease(prepared.job.storage, progress.note):
            prepared = prepared.as_it_is_now()
            if (finished := _finished_report(prepared, progress)) is not None:
                return finished
            with job_state(prepared.job, options.submission) as state, contextlib.ExitStack() as until_the_end:
                history = History(prepared.job)
                history.add("run", text=options.submission)
                with ray_session(options.address, cpus=logical_cpus(options), dashboard=options.dashboard) as session:
                    if session.dashboard_url:
                        progress.note(f"dashboard {session.dashboard_url}")
                    run, record, film = _run(
                        prepared, options, session, progress, interruption, state, history, until_the_end
                    )
                stitching = time.perf_counter()
                history.add("stitch")
                notes = _stitch(film, prepared, record, progress, interruption, state)
                run["stitch_seconds"] = round(time.perf_counter() - stitching, 1)
                history.add("end")
                report = _save_report(prepared, record, run, notes, began)
                film.tidy()
                return report
    except KeyboardInterrupt:
        raise CancelledError(f"stopped; job {prepared.job.url} is kept", "run the same command to continue") from None


def _save_report(
    prepared: Prepared, record: JobRecord, run: dict[str, Any], notes: list[str], began: float
) -> dict[str, Any]:
    report = {
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
        "output_bytes": Path(prepared.spec.output).stat().st_size,
        "output_sha256": content_hash(prepared.spec.output),
        "notes": notes,
        **run,
    }
    prepared.job.save_report(report)
    return report


def _run(
    prepared: Prepared,
    options: LaunchOptions,
    session: RaySession,
    progress: JobProgress,
    interruption: Interruption,
    state: StateRecorder,
    history: History,
    until_the_end: contextlib.ExitStack,
) -> tuple[dict[str, Any], JobRecord, FilmMaker]:
    tasks = plan_tasks(prepared.plan)
    record = prepared.record
    made, done = _what_is_there(prepared, tasks)
    todo = [task for task in tasks if task.id not in done]

    def new_film(record: JobRecord) -> FilmMaker:
        make = None if options.address is None else stitch
        maker = FilmMaker(prepared.job.url, record, tasks, made, done, save_storage=options.save_storage, make=make)
        return until_the_end.enter_context(maker)

    def stitch(segment: Segment, check: Callable[[], None]) -> None:
        run_errand("stitch", make_segment, prepared.job.url, segment, check=check)

    if not todo and record is not None:
        reused = sum(len(task.frames) for task in tasks)
        return {"rendered": 0, "reused": reused, "steps": 0}, record, new_film(record)
    from farm.cluster.driver import Driver, DriverSettings, JobEvents
    from farm.cluster.flow_ahead import FlowAhead
    from farm.cluster.metrics import JobMetrics
    from farm.cluster.phase_bars import PassBars

    label = job_label(prepared.job.url, options.submission)
    metrics = JobMetrics(label, prepared.spec.weights.temporal)
    pool = job_pool(prepared, options, session, progress)
    ahead = None
    try:
        runtime = pool.first_facts(interruption.check).runtime
        memory = prepared.spec.max_memory or (
            runtime.max_memory and runtime.max_memory // _workers_a_node(pool, session)
        )
        runtime = runtime.model_copy(update={"max_memory": memory})
        record = prepared.begin(runtime, save_storage=options.save_storage)
        sources = sibling_flow_sources(prepared.job, record)
        film = new_film(record)
        window = None
        if options.save_storage:
            at_once = segments_ahead(record.plan, options.workers or session.cpus)
            window = Window(segment_of_tasks(record.plan, tasks), at_once)
        elif prepared.spec.method == "optimize":
            ranges = _flow_ranges(record)
            ahead = FlowAhead(prepared.job.url, ranges, sources, title=film_title(prepared.spec), label=label)
        steps = _planned_steps(tasks)
        frames = sum(len(task.frames) for task in todo)
        progress.phase("start", frames, sum(task.steps or len(task.frames) for task in todo))
        stages = {task.id: task.pass_name for task in tasks}
        latest, committed = "start", 0

        bars = None if options.address is None else PassBars()

        class Events(JobEvents):
            def frame(self, report: FrameReport) -> None:
                nonlocal latest, committed
                latest, committed = stages[report.task], committed + 1
                metrics.frames_left(frames - committed)
                progress.advance(latest, steps[report.task])

            def check(self) -> None:
                interruption.check()
                state.beat(latest, committed, frames)

            def note(self, line: str) -> None:
                progress.note(line)

            def task_begun(self, task: Task, reports: Any) -> None:
                if bars:
                    bars.begun(task.pass_name, reports)

            def task_done(self, task_id: str) -> None:
                film.task_done(task_id)

            def failures(self, failures: dict[str, list[str]]) -> None:
                state.failed(failures)

        settings = DriverSettings(
            metrics=metrics,
            history=history,
            flow_sources=sources,
            patience=options.patience,
            window=window,
            filmed_up_to=lambda: film.floor,
        )
        run = Driver(pool, prepared.job.url, tasks, done, Events(), settings).run()
    finally:
        pool.close()
        if ahead:
            ahead.stop()
    return (
        {
            "rendered": run.rendered,
            "reused": run.reused + sum(len(task.frames) for task in tasks if task.id in done),
            "steps": run.steps,
            "render_seconds": round(run.seconds, 1),
            "workers": pool.peak,
            "lost_workers": run.lost_workers,
            "lost_seconds": round(run.lost_seconds, 1),
            "join_seconds": run.join_seconds,
            "retries": run.retries,
            "restarts": run.restarts,
        },
        record,
        film,
    )


def _what_is_there(prepared: Prepared, tasks: Sequence[Task]) -> tuple[set[int], set[str]]:
    """Indices of the segments that are encoded, and ids of the tasks that need not be run."""
    job, record = prepared.job, prepared.record
    if record is None:
        return set(), set()
    segments = Segments(job, record)
    made = {one.index for one in segments.plan if segments.is_made(one)}
    covered = SegmentProgress(record.plan, made, ()).covered
    return made, settled_tasks(record.plan, tasks, covered, job.is_finished)


def _stitch(
    film: FilmMaker,
    prepared: Prepared,
    record: JobRecord,
    progress: JobProgress,
    interruption: Interruption,
    state: StateRecorder,
) -> list[str]:
    frames = len(record.plan.frames)
    progress.phase("stitch", frames, frames)

    def on_frame(frame: int) -> None:
        interruption.check()
        state.beat("stitch", frame, frames)
        progress.advance("stitch", 1.0)

    return list(film.finish(prepared.spec.output, interruption.check, on_frame))


def _planned_steps(tasks: list[Task]) -> dict[str, float]:
    """Of a frame of each task, to weigh what is left by; without an optimiser every frame is one."""
    return {task.id: task.steps / len(task.frames) or 1.0 for task in tasks}


def _flow_ranges(record: JobRecord) -> tuple[FrameRange, ...]:
    return tuple(FrameRange(shot.start, shot.stop) for shot in record.plan.shots if shot.stop - shot.start > 1)


def _check_output(prepared: Prepared, *, overwrite: bool) -> None:
    """A job that was interrupted while its own film stood there may replace it; anything else must be asked for."""
    if prepared.spec.output == prepared.spec.video:
        raise OutputError(f"output {prepared.spec.output} is the video itself", "choose another -o")
    own = is_own_film(prepared.job, prepared.spec.output)
    check_output_writable(prepared.spec.output, overwrite or own)
    check_encoding(prepared.spec.output, prepared.spec.encode)
    prepared.job.check_writable()


def _finished_report(prepared: Prepared, progress: JobProgress) -> dict[str, Any] | None:
    """The report of a job whose film is where it was put, byte count and all."""
    report = prepared.job.load_report()
    output = Path(prepared.spec.output)
    if report is None or report.get("output") != prepared.spec.output or not output.is_file():
        return None
    if output.stat().st_size != report.get("output_bytes"):
        return None
    progress.note(f"{prepared.spec.output} is finished already; remove {prepared.job.url} to render it anew")
    return report


def summary(report: dict[str, Any]) -> str:
    """For people: one line, and another where workers were lost or nodes joined."""
    each = report.get("render_seconds", 0) / max(report["frames"], 1)
    rate = f"{each:.1f} s a frame" if each >= 1 or not each else f"{1 / each:.1f} frames a second"
    line = (
        f"{report['output']}: {report['frames']} frames, {report['shots']} shots, {report['chunks']} chunks in "
        f"{format_seconds(report['seconds'])} ({rate} with {report.get('workers', 0)} workers)"
    )
    came = ", ".join(f"{seconds:g} s" for seconds in report.get("join_seconds", ()))
    events = [
        f"{report.get('lost_workers')} worker(s) lost, {report.get('lost_seconds', 0):g} s lost with them"
        if report.get("lost_workers")
        else "",
        f"new nodes at work after {came}" if came else "",
    ]
    told = "; ".join(event for event in events if event)
    return f"{line}\n{told}" if told else line
