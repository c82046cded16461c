"""`farm preview`, from the options as they were written to the files that are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from farm.cli.options import FILM, PAINT, film_spec
from farm.cli.progress import JobProgress
from farm.cluster.preview import Cell, Preview, PreviewRequest, make_preview
from farm.errors import OutputError
from farm.files.atomic import write_atomically
from farm.pages.preview import Shown, preview_page, preview_sheet
from farm.plan.render_plan import RenderPlan
from farm.plan.variants import Variant, parse_frames, parse_vary, spread
from farm.spec.render import RenderSpec

SHEET, PAGE = "sheet.png", "sheet.html"


def preview_film(
    given: Mapping[str, Any],
    *,
    vary: Sequence[str],
    folder: Path | None,
    size: int,
    steps: int,
    shots: int,
    moving: bool,
    workers: int | None,
    threads: int | None,
    progress: JobProgress,
) -> dict[str, Any]:
    """Make the sheet as PNG and HTML, and the film if one is wanted. Raises FarmError."""
    given = dict(given)
    part, frames = parse_frames(given.pop("frames")) if "frames" in given else (None, [])
    if part is not None:
        given["frames"] = str(part)
    wanted = _spec(given)
    varied = parse_vary(vary, {**FILM, **PAINT})
    variants = spread(given, varied, _numbers(wanted)) if varied else [Variant((), given)]
    cells = [Cell(variant.labels, small(_spec(variant.given), size, steps)) for variant in variants]
    target = _folder(folder, given, wanted)
    made = make_preview(
        PreviewRequest(target, cells, frames, shots, moving=moving, workers=workers, threads=threads), progress
    )
    shown = _shown(made, [cell.labels for cell in cells], wanted)

    from farm.media.pictures import write_picture

    write_picture(target / SHEET, preview_sheet(shown))
    write_atomically(target / PAGE, preview_page(shown, SHEET).encode())
    return {
        "sheet": str(target / SHEET),
        "page": str(target / PAGE),
        "film": str(made.film) if made.film else None,
        "frames": list(made.frames),
        "variants": [list(labels) for labels in shown.labels],
        "seconds": round(made.seconds, 1),
        "painted": shown.painted,
        "reused": shown.reused,
    }


def small(spec: RenderSpec, size: int, steps: int) -> RenderSpec:
    """The same picture, no larger than `size` and in no more than `steps` steps."""
    iterations = spec.iterations.model_copy(
        update={"first": min(spec.iterations.first, steps), "next": min(spec.iterations.next, max(steps // 4, 1))}
    )
    return spec.model_copy(update={"size": min(spec.size or size, size), "upscale": False, "iterations": iterations})


def _spec(given: Mapping[str, Any]) -> RenderSpec:
    return film_spec(given, {"output": "out.mp4"})


def _numbers(spec: RenderSpec) -> dict[str, float]:
    """What `x2` doubles: the numbers of a spec by the names of their options."""
    plain = {name.replace("_", "-"): value for name, value in spec.model_dump().items()}
    weights = {f"{name}-weight": value for name, value in spec.weights.model_dump().items()}
    return {name: float(value) for name, value in {**plain, **weights}.items() if isinstance(value, int | float)}


def _folder(folder: Path | None, given: Mapping[str, Any], spec: RenderSpec) -> Path:
    beside = Path(spec.output).with_suffix(".preview")
    if "output" not in given and "spec" not in given:
        beside = Path(Path(spec.video).name).with_suffix(".preview")
    target = (folder or beside).absolute()
    foreign = [name for name in (SHEET, PAGE) if (target / name).exists() and not (target / "jobs").is_dir()]
    if foreign:
        raise OutputError(f"{target / foreign[0]} is there and not of a preview", "give another --folder")
    return target


def _shown(made: Preview, labels: Sequence[tuple[str, ...]], wanted: RenderSpec) -> Shown:
    plan = made.record.plan
    stills = [still for cell in made.stills for still in cell.values()]
    longest = max(made.record.probe.width, made.record.probe.height)
    full = min(wanted.size or longest, longest) if not wanted.upscale else wanted.size or longest
    return Shown(
        title=Path(wanted.video).name,
        frames=made.frames,
        captions={frame: _caption(plan, frame) for frame in made.frames},
        sources=made.sources,
        labels=list(labels),
        cells=[{frame: still.picture for frame, still in cell.items()} for cell in made.stills],
        seconds=made.seconds,
        painted=len(stills),
        reused=sum(still.reused for still in stills),
        size=(plan.width, plan.height),
        stroke_ratio=full / max(plan.width, plan.height),
        film=made.film.name if made.film else None,
    )


def _caption(plan: RenderPlan, frame: int) -> str:
    return f"shot {plan.chunk_of(frame).shot + 1}, frame {frame}"
