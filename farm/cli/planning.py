"""`farm plan`, from the options as they were written to the plan as data and as text."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from farm.cli.options import film_spec, spec_values
from farm.cli.plan_text import plan_lines, track_facts, track_lines
from farm.files import Storage
from farm.files.remote import is_remote
from farm.media.scan import scan_video
from farm.media.settle import settle_tracks
from farm.media.tracks import container_extension
from farm.plan import plan_render
from farm.plan.estimates import estimate_storage, estimate_work, space_warning
from farm.render.inputs import Inputs
from farm.spec import RenderSpec
from farm.spec.load import absolute_path

STAND_INS = {"output": "out.mp4", "styles": ["style.png"]}
"""Fields that a plan does not depend on, for a command line that leaves them out."""


def plan_film(options: Mapping[str, Any], workers: int | None) -> tuple[RenderSpec, dict[str, Any], list[str]]:
    """The spec, and its plan with estimates of work and storage: as data for JSON, and as lines for people.

    Nothing is rendered. `workers` (None: one a core) sets how much storage is in use at once. Raises FarmError.
    """
    named = spec_values(options)
    has_styles = bool(options.get("spec")) or "styles" in named or "network" in named  # a network has its own
    spec = film_spec(options, {name: value for name, value in STAND_INS.items() if name != "styles" or not has_styles})
    _check_named_files(spec, styles_are_named=has_styles)
    scan = scan_video(spec.video, allow_truncated=spec.allow_truncated)
    plan = plan_render(spec, scan.probe, scan.cuts)
    work = estimate_work(plan, spec.iterations)
    storage = estimate_storage(plan, spec, workers or os.cpu_count() or 1)
    free = None if is_remote(spec.output) else Storage(str(Path(spec.output).parent)).free_bytes()
    warning = space_warning(storage.total, free, "the job")
    report = {
        **plan.model_dump(mode="json"),
        "notes": list(scan.probe.notes),
        "work": {**work.model_dump(), "chunking_overhead": work.chunking_overhead},
        "storage": {**storage.model_dump(), "warning": warning},
    }
    tracks = settle_tracks(scan.probe, plan.frames, container_extension(spec.output), spec.encode)
    report["tracks"] = [track_facts(track) for track in tracks]
    lines = [*plan_lines(plan, work, storage, scan.probe), *([f"         {warning}"] if warning else [])]
    lines += track_lines(tracks)
    return spec, report, lines


def _check_named_files(spec: RenderSpec, *, styles_are_named: bool) -> None:
    """Look at paintings, masks, networks and flow as the render will. Raises InputError where one cannot be used."""
    Inputs().hashes(spec if styles_are_named else spec.model_copy(update={"styles": ()}), built_in=False)


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
