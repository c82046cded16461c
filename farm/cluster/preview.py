"""`farm preview`: a frame of each shot, or of each variant, painted small by the workers of a render.

    told = make_preview(request, progress)

Every variant is a small job of its own below the preview's folder, so that what was painted once is not painted again,
colours are those of whole shots, and drawn masks are carried along, as in the render.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from farm.cli.progress import JobProgress
from farm.cluster.render_job import render_job
from farm.cluster.session import ray_session
from farm.cluster.sizing import LaunchOptions, job_pool, logical_cpus
from farm.errors import CancelledError, ChunkFailedError, FarmError
from farm.interruption import noted_interruption
from farm.job.directory import JobDirectory
from farm.job.record import JobRecord
from farm.media.join import join_films
from farm.media.scan import VideoScan
from farm.plan.variants import first_seconds, frames_to_show
from farm.render.chunk import still_task
from farm.render.committed import read_committed
from farm.render.prepare import Prepared, prepare_job
from farm.render.source_frames import SourceFrames
from farm.spec.render import RenderSpec

if TYPE_CHECKING:
    from farm.cluster.pool import WorkerPool

MOVING_SECONDS = 1.0


@dataclass(frozen=True)
class Cell:
    """A variant's name, by option, and its spec at the preview's size."""

    labels: tuple[str, ...]
    spec: RenderSpec


@dataclass(frozen=True)
class PreviewRequest:
    """`frames` are those to show; none: one of each of the `shots` longest shots. `folder` keeps what is made."""

    folder: Path
    cells: Sequence[Cell]
    frames: Sequence[int] = ()
    shots: int = 24
    moving: bool = False
    workers: int | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Painted:
    """One still: `picture` (H, W, 3) uint8, how long it took, and whether it had been there."""

    picture: np.ndarray
    seconds: float
    reused: bool


@dataclass(frozen=True)
class Preview:
    """`stills[cell][frame]`, with the source's frames; `full` is the width and height of the render itself."""

    record: JobRecord
    frames: Sequence[int]
    sources: dict[int, np.ndarray]
    stills: list[dict[int, Painted]]
    seconds: float
    film: Path | None = None


def make_preview(request: PreviewRequest, progress: JobProgress) -> Preview:
    """Paint what is not painted yet. Raises FarmError as a render does; CancelledError on Ctrl-C, what is made kept."""
    began = time.perf_counter()
    progress.phase("probe", 1, 1)
    jobs = request.folder / "jobs"
    base = _prepared(request.cells[0].spec, jobs, None)
    prepared = [base, *(_prepared(cell.spec, jobs, base.scan) for cell in request.cells[1:])]
    for one in prepared:
        one.job.check_writable()
    frames = frames_to_show(base.plan, request.frames, request.shots)
    options = LaunchOptions(job=base.job.url, workers=request.workers, threads=request.threads, dashboard=False)
    film = None
    try:
        with noted_interruption() as interruption, ray_session(None, cpus=logical_cpus(options)) as session:
            pool = job_pool(_as_wide(base, len(frames) * len(prepared)), options, session, progress)
            try:
                runtime = pool.first_facts(interruption.check).runtime
                memory = base.spec.max_memory or (runtime.max_memory and runtime.max_memory // max(pool.allowed, 1))
                records = [one.begin(runtime.model_copy(update={"max_memory": memory})) for one in prepared]
                stills = _paint(pool, prepared, frames, progress, interruption.check)
            finally:
                pool.close()
            if request.moving:
                film = _moving(request, base, options, progress)
    except KeyboardInterrupt:
        raise CancelledError("stopped; what is painted is kept", "run the same command to continue") from None
    source = SourceFrames(records[0])
    return Preview(
        record=records[0],
        frames=frames,
        sources={frame: source(frame) for frame in frames},
        stills=stills,
        seconds=time.perf_counter() - began,
        film=film,
    )


def _prepared(spec: RenderSpec, jobs: Path, scan: VideoScan | None) -> Prepared:
    """A small job of its own, named by all that decides how a still looks: files that changed make another one."""
    read = prepare_job(spec, str(jobs / "none"), scan)
    ways = [spec.model_dump(mode="json", exclude={"output"}), sorted(read.input_hashes.items())]
    name = hashlib.sha256(json.dumps(ways).encode()).hexdigest()[:16]
    job = JobDirectory(str(jobs / f"{name}.farm"))
    record = job.load_record()
    return replace(read, job=job, record=record, plan=record.plan if record else read.plan)


def _as_wide(base: Prepared, stills: int) -> Prepared:
    """For the pool, which has as many workers as chunks at the most: a still is as good as a chunk."""
    chunks = tuple(itertools.islice(itertools.cycle(base.plan.chunks), stills))
    return replace(base, plan=base.plan.model_copy(update={"chunks": chunks}))


def _paint(
    pool: WorkerPool, prepared: Sequence[Prepared], frames: Sequence[int], progress: JobProgress, check: Any
) -> list[dict[int, Painted]]:
    """Every frame of every variant, handed to whichever worker is idle, variant by variant."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    from farm.cluster.pool import cause_of

    steps = [max(one.plan.steps.first, 1) for one in prepared]
    todo = [(cell, frame) for cell in range(len(prepared)) for frame in frames][::-1]
    progress.phase("preview", len(todo), sum(steps) * len(frames))
    found: list[dict[int, Painted]] = [{} for _ in prepared]
    busy: dict[Any, tuple[str, int, int]] = {}
    idle = list(pool.facts)
    while todo or busy:
        check()
        while idle and todo:
            worker, (cell, frame) = idle.pop(), todo.pop()
            call = pool.actors[worker].still.options(name="preview")
            busy[call.remote(prepared[cell].job.url, frame)] = (worker, cell, frame)
        pool.follow_quota(len(busy) + len(todo))
        ready, _ = ray.wait([*busy, *pool.starting], num_returns=1, timeout=1.0)
        for source in ready:
            if source in pool.starting:
                joined = pool.answered(source)
                if joined is not None:
                    idle.append(joined)
                continue
            worker, cell, frame = busy.pop(source)
            try:
                report = ray.get(source)
            except RayTaskError as error:
                cause = cause_of(error)
                told = cause if isinstance(cause, FarmError) else ChunkFailedError(f"frame {frame} failed: {cause}")
                raise told from None
            except RayError as error:
                raise ChunkFailedError(
                    f"a worker died at frame {frame}: {error}", "run the same command again"
                ) from None
            idle.append(worker)
            job = prepared[cell].job
            job.forget()
            picture = read_committed(job, still_task(frame), frame)
            found[cell][frame] = Painted(picture, report.record.seconds, report.reused)
            progress.advance("preview", steps[cell])
    return [{frame: stills[frame] for frame in frames} for stills in found]


def _moving(request: PreviewRequest, base: Prepared, options: LaunchOptions, progress: JobProgress) -> Path:
    """The first second of every shot as the render would make it in one pass, one after the other."""
    rate = float(base.scan.probe.frame_rate)
    films = []
    for part in first_seconds(base.plan, max(round(rate * MOVING_SECONDS), 2), request.shots):
        film = Path(base.job.url).with_name(f"{Path(base.job.url).stem}-{part.start}.mp4")
        wide = max(2, -(-len(part) // max(request.workers or 2, 1)))
        changes = {"frames": part, "output": str(film), "passes": 1, "chunk_frames": wide}
        spec = base.spec.model_copy(update=changes)
        job = str(film.with_suffix(".farm"))
        render_job(spec, replace(options, job=job, overwrite=True), progress)
        films.append(film)
    output = request.folder / "moving.mp4"
    join_films(films, output)
    return output
