"""`farm preview`: a frame of each shot, or of each variant, painted small by the workers of a render.

    preview = make_preview(PreviewRequest(folder, cells), progress)

Every variant is a small job of its own below the preview's folder. So a still that was painted once is not painted
again, colours are those of whole shots, and drawn masks are carried along, as in the render.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from farm.cluster.render_job import render_job
from farm.cluster.session import ray_session
from farm.cluster.sizing import LaunchOptions, job_pool, logical_cpus, worker_runtime
from farm.errors import CancelledError
from farm.interruption import noted_interruption
from farm.job import JobDirectory, JobRecord
from farm.job.software import installed
from farm.media.join import join_films
from farm.plan.film_looks import looks_of
from farm.plan.pace import Progress
from farm.plan.timeline_drawing import points_to_show
from farm.plan.variants import first_seconds, frames_to_show
from farm.render.committed import read_committed, single_frame_task
from farm.render.inputs import Inputs
from farm.render.prepare import Prepared, prepare_job
from farm.render.source_frames import SourceFrames
from farm.spec import RenderSpec

if TYPE_CHECKING:
    from farm.cluster.pool import WorkerPool

MOVING_SECONDS = 1.0
"""Seconds of every shot that the moving preview shows."""


@dataclass(frozen=True)
class Cell:
    """A variant's name, by option, and its spec at the preview's size."""

    labels: tuple[str, ...]
    spec: RenderSpec


@dataclass(frozen=True)
class PreviewRequest:
    """`frames` are those to show; empty: the points of a timeline, or one frame of each of the `shots` longest shots.

    `folder` keeps the stills.
    """

    folder: Path
    cells: Sequence[Cell]
    frames: Sequence[int] = ()
    shots: int = 24
    moving: bool = False
    workers: int | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Painted:
    """One still: `picture` (H, W, 3) uint8, the seconds that it took, and whether an earlier preview had painted it."""

    picture: np.ndarray
    seconds: float
    reused: bool


@dataclass(frozen=True)
class Preview:
    """`stills[cell][frame]`, beside `sources[frame]`, (H, W, 3) uint8; `film` is the moving preview, where wanted."""

    record: JobRecord
    frames: Sequence[int]
    sources: dict[int, np.ndarray]
    stills: list[dict[int, Painted]]
    seconds: float
    film: Path | None = None


def make_preview(request: PreviewRequest, progress: Progress) -> Preview:
    """Paint the stills that are not painted yet. Raises FarmError as a render does; CancelledError on Ctrl-C.

    Stills that were painted before an error are kept.
    """
    began = time.perf_counter()
    progress.phase("probe", 1, 1)
    jobs = request.folder / "jobs"
    inputs = Inputs()
    prepared = [_prepared(cell.spec, jobs, inputs) for cell in request.cells]
    for cell_job in prepared:
        cell_job.job.check_writable()
    base = prepared[0]
    looks = looks_of(base.spec, base.scan.probe, base.scan.cuts)
    points = [] if looks is None else points_to_show(looks, base.plan.frames)
    frames = frames_to_show(base.plan, request.frames or points, request.shots)
    options = LaunchOptions(job=base.job.url, workers=request.workers, threads=request.threads, dashboard=False)
    film = None
    try:
        with noted_interruption() as interruption, ray_session(None, cpus=logical_cpus(options)) as session:
            pool = job_pool(_as_wide(base, len(frames) * len(prepared)), options, session, progress)
            try:
                runtime = worker_runtime(pool, session, base.spec, interruption.check)
                records = [cell_job.begin(runtime) for cell_job in prepared]
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


def _prepared(spec: RenderSpec, jobs: Path, inputs: Inputs) -> Prepared:
    """A variant's small job, named by a hash of all that decides how a still looks: its files and the software too.

    So a file that has changed makes another job, and so does another build of the farm.
    """
    read = prepare_job(spec, str(jobs / "none"), inputs)
    parts = [spec.model_dump(mode="json", exclude={"output"}), sorted(read.input_hashes.items()), installed()]
    name = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    job = JobDirectory(str(jobs / f"{name}.farm"))
    record = job.load_record()
    return replace(read, job=job, record=record, plan=record.plan if record else read.plan)


def _as_wide(base: Prepared, stills: int) -> Prepared:
    """`base` with one chunk for each still, because a pool has no more workers than the plan has chunks."""
    chunks = tuple(itertools.islice(itertools.cycle(base.plan.chunks), stills))
    return replace(base, plan=base.plan.model_copy(update={"chunks": chunks}))


def _paint(
    pool: WorkerPool,
    prepared: Sequence[Prepared],
    frames: Sequence[int],
    progress: Progress,
    check: Callable[[], None],
) -> list[dict[int, Painted]]:
    """Every frame of every variant, handed to whichever worker is idle, variant by variant."""
    from farm.cluster.pool_work import work_off

    steps = [max(cell_job.plan.steps.first, 1) for cell_job in prepared]
    pieces = [(cell, frame) for cell in range(len(prepared)) for frame in frames]
    progress.phase("preview", len(pieces), sum(steps) * len(frames))
    stills: list[dict[int, Painted]] = [{} for _ in prepared]

    def call(actor: Any, piece: tuple[int, int]) -> Any:
        cell, frame = piece
        return actor.still.options(name="preview").remote(prepared[cell].job.url, frame)

    for (cell, frame), report in work_off(pool, pieces, call, check, lambda piece: f"frame {piece[1]}"):
        job = prepared[cell].job
        job.forget()
        picture = read_committed(job, single_frame_task(frame), frame)
        stills[cell][frame] = Painted(picture, report.record.seconds, report.reused)
        progress.advance("preview", steps[cell])
    return [{frame: painted[frame] for frame in frames} for painted in stills]


def _moving(request: PreviewRequest, base: Prepared, options: LaunchOptions, progress: Progress) -> Path:
    """Render the first second of every shot in one pass, and join them to one film. Returns its path."""
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
