"""`farm plan`, from the options as they were written to the plan as data and as text.

What it finds out about the film and the pictures is kept in the user's cache (farm.files.findings). So a second plan,
in other chunks for example, reads no file again; what reads them is imported only where they are read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from farm.cli.options import film_spec, spec_values
from farm.cli.plan_text import plan_lines, track_facts, track_lines
from farm.files import Storage
from farm.files.findings import kept_finding
from farm.files.remote import is_remote
from farm.media.tracks import Track, container_extension
from farm.paint.cores import usual_workers
from farm.plan import RenderPlan, VideoProbe, plan_render
from farm.plan.estimates import estimate_storage, estimate_work, space_warning
from farm.plan.film_looks import looks_of
from farm.plan.key_reach import far_from_keys
from farm.plan.timeline_drawing import points_to_show, timeline_lines
from farm.plan.video import VideoScan
from farm.spec import RenderSpec
from farm.spec.load import absolute_path
from farm.spec.named_files import input_files

if TYPE_CHECKING:
    from farm.render.painted import PaintedFilm

STAND_INS = {"output": "out.mp4", "styles": ["style.png"]}
"""Fields that a plan does not depend on, for a command line that leaves them out."""


def plan_film(options: Mapping[str, Any], workers: int | None) -> tuple[RenderSpec, dict[str, Any], list[str]]:
    """The spec, and its plan with estimates of work and storage: as data for JSON, and as lines for people.

    Nothing is rendered. `workers` (None: one a core) sets how much storage is in use at once. Raises FarmError.
    """
    named = spec_values(options)
    has_styles = bool(options.get("spec")) or not {"styles", "network", "keys", "painted"}.isdisjoint(named)
    spec = film_spec(options, {name: value for name, value in STAND_INS.items() if name != "styles" or not has_styles})
    _check_named_files(spec, styles_are_named=has_styles)
    scan = _scan(spec)
    painted = _checked_painted(spec, scan.probe)
    size = None if painted is None else (painted.width, painted.height)
    count = workers or usual_workers(gpu=spec.device == "gpu")
    plan = plan_render(spec, scan.probe, scan.cuts, workers=count, size=size)
    if spec.keys:
        from farm.render.held_frames import check_keys

        check_keys(spec, plan)
    work = estimate_work(plan, spec.iterations)
    storage = estimate_storage(plan, spec, workers or os.cpu_count() or 1)
    free = None if is_remote(spec.output) else Storage(str(Path(spec.output).parent)).free_bytes()
    warning = space_warning(storage.total, free, "the job")
    report = {
        **plan.model_dump(mode="json"),
        "far_from_keys": [str(frames) for frames in far_from_keys(plan)],
        "notes": list(scan.probe.notes),
        "work": {**work.model_dump(), "chunking_overhead": work.chunking_overhead},
        "storage": {**storage.model_dump(), "warning": warning},
    }
    looks = looks_of(spec, scan.probe, scan.cuts)
    if looks is not None:
        report["timeline"] = {
            "points": list(looks.frames),
            "looks": {frame: looks.at(frame).model_dump() for frame in points_to_show(looks, plan.frames)},
        }
    tracks = _tracks(spec, scan.probe, plan)
    report["tracks"] = [track_facts(track) for track in tracks]
    lines = [*plan_lines(plan, work, storage, scan.probe), *([f"         {warning}"] if warning else [])]
    lines += [] if looks is None else timeline_lines(looks, plan.frames)
    lines += track_lines(tracks)
    return spec, report, lines


def _check_named_files(spec: RenderSpec, *, styles_are_named: bool) -> None:
    """Look at paintings, masks, networks and flow as the render will. Raises InputError where one cannot be used."""
    looked_at = spec if styles_are_named else spec.model_copy(update={"styles": ()})

    def look() -> str:
        from farm.render.inputs import Inputs

        return json.dumps(Inputs().hashes(looked_at, built_in=False))

    if spec.flow_dir or spec.painted:  # a folder: no time of its own tells of a change in its files
        look()
        return
    asked = looked_at.model_dump(mode="json", exclude={"output", "encode", "frames", "chunk_frames"})
    kept_finding("inputs", asked, [path for path in input_files(looked_at) if path != spec.video], look)


def _checked_painted(spec: RenderSpec, probe: VideoProbe) -> PaintedFilm | None:
    """The painted film of method steady. Raises InputError or UsageError where it is not there, or does not fit."""
    if spec.painted is None:
        return None
    from farm.render.painted import check_painted, look_at_painted

    painted = look_at_painted(spec.painted)
    check_painted(painted, probe)
    return painted


def _scan(spec: RenderSpec) -> VideoScan:
    """Probe and cuts of the film. Raises VideoError."""

    def scan() -> str:
        from farm.media.scan import scan_video

        found = scan_video(spec.video, allow_truncated=spec.allow_truncated)
        return json.dumps({"probe": found.probe.model_dump(mode="json"), "cuts": found.cuts})

    found = json.loads(kept_finding("scan", spec.allow_truncated, [spec.video], scan))
    return VideoScan(VideoProbe.model_validate(found["probe"]), tuple(found["cuts"]))


def _tracks(spec: RenderSpec, probe: VideoProbe, plan: RenderPlan) -> tuple[Track, ...]:
    """What becomes of the film's sound and subtitles. Raises UsageError for a track that is asked for and not there."""
    form = TypeAdapter(tuple[Track, ...])
    extension = container_extension(spec.output)

    def settle() -> str:
        from farm.media.settle import settle_tracks

        return form.dump_json(settle_tracks(probe, plan.frames, extension, spec.encode)).decode()

    if not (probe.audio or probe.subtitles):
        return form.validate_json(settle())
    key = [str(plan.frames), extension, spec.encode.model_dump(mode="json")]
    return form.validate_json(kept_finding("tracks", key, [spec.video], settle))


def forecast_film(
    spec: RenderSpec,
    *,
    job: str | None,
    workers: int | None,
    threads: int | None,
    price_per_hour: float | None,
    keep: bool,
) -> dict[str, Any]:
    """Time, money and storage of a render, from a few frames that are rendered here.

    The job directory (None: beside the output) keeps these frames for the render if `keep` is set. Raises FarmError.
    """
    from farm.cli.progress import JobProgress
    from farm.cluster.measure import forecast_render
    from farm.cluster.render_job import default_job
    from farm.cluster.sizing import LaunchOptions

    directory = absolute_path(job) if job else default_job(spec.output)
    launch = LaunchOptions(job=directory, workers=workers, threads=threads)
    with JobProgress() as progress:
        return forecast_render(spec, launch, price_per_hour, progress, keep=keep)
