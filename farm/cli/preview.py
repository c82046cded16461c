"""`farm preview`, from the options as they were written to the files of the preview."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.cli.options import FILM, PAINT, film_spec
from farm.cli.progress import JobProgress
from farm.cluster.preview import Cell, Preview, PreviewRequest, make_preview
from farm.errors import OutputError
from farm.files import write_atomically
from farm.files.remote import file_name, is_remote
from farm.pages.preview import Shown, preview_page, preview_sheet
from farm.plan import RenderPlan
from farm.plan.variants import Variant, parse_frames, parse_vary, spread
from farm.spec import RenderSpec

SHEET, PAGE = "sheet.png", "sheet.html"
"""Names of the contact sheet as a picture and as a page, in the folder of the preview."""


@dataclass(frozen=True)
class PreviewOptions:
    """The options of `farm preview` that are not those of a render."""

    vary: Sequence[str]
    """Texts of --vary, as `style-weight=50,100`."""
    folder: Path | None
    """Where the preview goes; None is beside the output."""
    size: int
    """Longest side of a picture, in pixels, at most."""
    steps: int
    """Optimiser steps of a picture, at most."""
    shots: int
    """Shots that are shown, at most."""
    moving: bool
    """Also paint the first second of each shot, as a film."""
    workers: int | None
    """Workers at once, at most; None is what fits the machine."""
    threads: int | None
    """CPU threads of each worker; None is what suits the machine."""


def preview_film(options: Mapping[str, Any], preview_options: PreviewOptions, progress: JobProgress) -> dict[str, Any]:
    """Make the sheet as PNG and HTML, and the film if one is asked for: the paths of the files, and what they show.

    `options` are those of a render, as they were written. Raises FarmError.
    """
    options = dict(options)
    frame_range, frames = parse_frames(options.pop("frames")) if "frames" in options else (None, [])
    if frame_range is not None:
        options["frames"] = str(frame_range)
    spec = _spec(options)
    varied = parse_vary(preview_options.vary, {*FILM, *PAINT})
    variants = spread(options, varied, _numbers(spec)) if varied else [Variant((), options)]
    cells = [
        Cell(variant.labels, small(_spec(variant.options), preview_options.size, preview_options.steps))
        for variant in variants
    ]
    target = _folder(preview_options.folder, options, spec)
    request = PreviewRequest(
        target,
        cells,
        frames,
        preview_options.shots,
        moving=preview_options.moving,
        workers=preview_options.workers,
        threads=preview_options.threads,
    )
    result = make_preview(request, progress)
    shown = _shown(result, [cell.labels for cell in cells], spec)

    from farm.media.pictures import write_picture

    write_picture(target / SHEET, preview_sheet(shown))
    write_atomically(target / PAGE, preview_page(shown, SHEET).encode())
    return {
        "sheet": str(target / SHEET),
        "page": str(target / PAGE),
        "film": str(result.film) if result.film else None,
        "frames": list(result.frames),
        "variants": [list(labels) for labels in shown.labels],
        "seconds": round(result.seconds, 1),
        "painted": shown.painted,
        "reused": shown.reused,
    }


def small(spec: RenderSpec, size: int, steps: int) -> RenderSpec:
    """The same picture, with a longest side of at most `size` pixels and at most `steps` optimiser steps."""
    iterations = spec.iterations.model_copy(
        update={"first": min(spec.iterations.first, steps), "next": min(spec.iterations.next, max(steps // 4, 1))}
    )
    return spec.model_copy(update={"size": min(spec.size or size, size), "upscale": False, "iterations": iterations})


def _spec(options: Mapping[str, Any]) -> RenderSpec:
    return film_spec(options, {"output": "out.mp4"})


def _numbers(spec: RenderSpec) -> dict[str, float]:
    """The values that `x2` in --vary doubles: the numbers of a spec, by the names of their options."""
    plain = {name.replace("_", "-"): value for name, value in spec.model_dump().items()}
    weights = {f"{name}-weight": value for name, value in spec.weights.model_dump().items()}
    return {name: float(value) for name, value in {**plain, **weights}.items() if isinstance(value, int | float)}


def _folder(folder: Path | None, options: Mapping[str, Any], spec: RenderSpec) -> Path:
    """Where the preview goes. Raises OutputError where files of another kind have the names of its files."""
    output = Path(file_name(spec.output) if is_remote(spec.output) else spec.output)
    beside = output.with_suffix(".preview")
    if "output" not in options and "spec" not in options:
        beside = Path(Path(spec.video).name).with_suffix(".preview")
    target = (folder or beside).absolute()
    foreign = [name for name in (SHEET, PAGE) if (target / name).exists() and not (target / "jobs").is_dir()]
    if foreign:
        raise OutputError(f"{target / foreign[0]} is there and not of a preview", "give another --folder")
    return target


def _shown(preview: Preview, labels: Sequence[tuple[str, ...]], spec: RenderSpec) -> Shown:
    """What the sheet shows of a preview that was made for `spec`."""
    plan = preview.record.plan
    stills = [still for cell in preview.stills for still in cell.values()]
    longest = max(preview.record.probe.width, preview.record.probe.height)
    full = min(spec.size or longest, longest) if not spec.upscale else spec.size or longest
    return Shown(
        title=Path(spec.video).name,
        frames=preview.frames,
        captions={frame: _caption(plan, frame) for frame in preview.frames},
        sources=preview.sources,
        labels=list(labels),
        cells=[{frame: still.picture for frame, still in cell.items()} for cell in preview.stills],
        seconds=preview.seconds,
        painted=len(stills),
        reused=sum(still.reused for still in stills),
        size=(plan.width, plan.height),
        stroke_ratio=full / max(plan.width, plan.height),
        film=preview.film.name if preview.film else None,
    )


def _caption(plan: RenderPlan, frame: int) -> str:
    return f"shot {plan.chunk_of(frame).shot + 1}, frame {frame}"
