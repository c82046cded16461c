"""How steady is a chunked render, is what moves still painted, and do its seams show? One run, one table, one picture.

    python -m benchmarks.quality VIDEO --style IMG --frames 0-47 --size 256 --iterations 60,24 \
        --chunk-frames 16 -o quality/

The clip is rendered by the farm with its defaults, and beside it as the field does it: every frame alone, strictly
sequential (one pass with all steps), one chunk in Ruder's alternating passes, chunks with a hard cut, and chunks with a
cross-faded overlap. `--set FIELD=VALUE` changes a field of the farm's own render (blend=0, passes=2, ...); the value is
JSON. All are measured on the frames before encoding:

    warp error    as farm.render.steadiness defines it, median over pairs, along the yardstick's flow on the source.
                  That is OpenCV's DIS at its medium preset, not the finer one that the frames were painted with:
                  no render is measured by its own ruler
    seam ratio    of a boundary: each pair's warp error over the sequential render's, the largest within 6
                  frames of the boundary over the median of its shot away from boundaries
    style ratio   the same for the Gram loss of the frames, largest and smallest
    drift         of the last quarter against the first: luminance and contrast, over the source's own change,
                  and Gram loss; 1 is none
    fine          fine detail of what moves, over that of a still: a blur has the least warp error, and little of this
    middle, shape, content
                  as farm.render.detail defines them, all four also of what rests: 1 is as good as a still, content is
                  the better the lower. Medians over the stills, and the worst of them with its frame

A still is a frame that the benchmark paints by itself, as `farm stylize` does, at the size of the film: every
`--still-every` frames, in `--still-iterations` steps.

Writes quality.json, quality.png and stills/, and prints the table. With `--flow-truth A.png B.png TRUTH.flo` (again for
another pair) it adds the end-point error and time of every flow estimator, as benchmarks.flow_error prints them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.flow_error import measure
from benchmarks.yardstick import Measured, Yardstick
from farm.job import JobDirectory, JobRecord
from farm.plan import RenderPlan, plan_render
from farm.render.committed import frame_of_pass
from farm.render.detail_figures import AREAS, FIGURES, Spread, spread
from farm.render.seams import Seam, seam_table
from farm.spec import RenderSpec, build_spec

ONE_CHUNK = 100_000
"""Chunk length that no clip reaches."""
VARIANTS: dict[str, dict[str, Any]] = {
    "farm": {},
    "sequential": {"chunk_frames": ONE_CHUNK, "passes": 1, "overlap": 0},
    "hard cut": {"passes": 1, "overlap": 0, "chunk_start": "scratch"},
    "alternating": {"chunk_frames": ONE_CHUNK, "overlap": 0, "sweep": "alternating"},
    "cross-fade": {"passes": 1, "overlap": 4, "chunk_start": "scratch"},
}
"""What each way of rendering changes in the spec."""


def seams(variant: Measured, base: Measured, plan: RenderPlan) -> list[Seam]:
    """The seam table of a render's warp errors and style losses, each over those of the sequential render."""

    def over_base(values: Sequence[float | None], others: Sequence[float | None], first: int) -> dict[int, float]:
        pairs = enumerate(zip(values, others, strict=True))
        return {first + i: value / other for i, (value, other) in pairs if value is not None and other}

    errors = over_base(variant.warp_error, base.warp_error, plan.start + 1)
    styles = over_base(variant.style_loss, base.style_loss, plan.start)
    return seam_table(plan, errors, styles)


def render_variant(name: str, base: RenderSpec, changes: dict[str, Any], folder: Path, workers: int | None) -> Any:
    """Render through the farm. Returns the painted frames, the report and the job's record."""
    from farm.cli.progress import JobProgress
    from farm.cluster.render_job import render_job
    from farm.cluster.sizing import LaunchOptions

    stem = name.replace(" ", "-")
    spec = build_spec({**base.model_dump(), **changes, "output": str(folder / f"{stem}.mp4")})
    with JobProgress() as progress:
        progress.note(f"-- {name}")
        report = render_job(
            spec, LaunchOptions(job=str(folder / f"{stem}.farm"), workers=workers, overwrite=True), progress
        )
    job = JobDirectory(report["job"])
    record = job.load_record()
    assert record is not None
    painted = [frame_of_pass(job, record, record.plan.passes, frame) for frame in record.plan.frames]
    return painted, report, record


def render_alone(record: JobRecord, yardstick: Yardstick) -> tuple[list[np.ndarray], int, float]:
    """Paint every frame alone, with the steps of a later frame. Returns frames, steps and seconds."""
    began, steps, painted = time.perf_counter(), 0, []
    for frame in record.plan.frames:
        picture = yardstick.styler.first(yardstick.source(frame), record.spec.iterations.next)
        steps += picture.steps
        painted.append(picture.image)
    return painted, steps, time.perf_counter() - began


def flow_errors(pair: list[str]) -> list[dict[str, Any]]:
    """The rows of flow_error for two pictures and the true flow between them."""
    options = argparse.Namespace(
        pair=[Path(name) for name in pair], invalid=[], methods=None, raft_weights=None, repeat=3, threads=None
    )
    return [asdict(one) for one in measure(options)]


def plot(variants: dict[str, Measured], boundaries: list[int], first: int, path: Path) -> None:
    """Draw warp error, style loss and mean level by frame; `first` is the number of the first frame."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(3, 1, figsize=(11, 9), sharex=True)
    for name, measured in variants.items():
        axes[0].plot([first + 1 + i for i in range(len(measured.warp_error))], measured.warp_error, label=name)
        axes[1].plot([first + i for i in range(len(measured.style_loss))], measured.style_loss, label=name)
        axes[2].plot([first + i for i in range(len(measured.luminance))], measured.luminance, label=name)
    for axis, title in zip(axes, ("warp error", "style loss (Gram)", "mean level"), strict=True):
        for boundary in boundaries:
            axis.axvline(boundary, color="0.6", linestyle=":", linewidth=1)
        axis.set_ylabel(title)
        axis.grid(alpha=0.2)
    axes[0].set_yscale("log")
    axes[1].set_yscale("log")
    axes[2].set_xlabel("frame (dotted: first frame of a chunk)")
    axes[0].legend(ncols=5, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def table(result: dict[str, Any]) -> str:
    """The figures, as they are printed."""
    lines = [
        f"{'':<12}{'warp error':>12}{'of seq.':>9}{'fine, moving':>20}{'seam':>7}{'style ratio':>15}{'style loss':>12}"
        f"{'drift L/C/S':>19}{'steps':>8}{'seconds':>9}"
    ]
    for name, row in result["variants"].items():
        seam = f"{row['worst_seam']:.2f}" if row["worst_seam"] else "-"
        span = f"{row['style_ratio_min']:.2f}..{row['style_ratio_max']:.2f}" if row["worst_seam"] else "-"
        drift = "/".join(f"{row['drift'][key]:.2f}" for key in ("luminance", "contrast", "style"))
        lines.append(
            f"{name:<12}{row['warp_error']:>12.6f}{row['of_sequential']:>9.2f}{shown(row['fine_moving']):>20}"
            f"{seam:>7}{span:>15}{row['style_loss']:>12.0f}{drift:>19}{row['steps']:>8}{row['seconds']:>9.0f}"
        )
    stills = result["stills"]
    numbers = ", ".join(str(frame) for frame in stills["frames"])
    lines.append(f"\nover stills of {stills['iterations']} steps, frames {numbers}: median (worst, its frame)")
    for area in AREAS:
        lines.append(f"{area:<12}" + "".join(f"{figure:>20}" for figure in FIGURES))
        for name, row in result["variants"].items():
            cells = (f"{shown(row[f'{figure}_{area}']):>20}" for figure in FIGURES)
            lines.append(f"{name:<12}" + "".join(cells))
    return "\n".join(lines)


def shown(row: dict[str, float] | None) -> str:
    """Median, worst and its frame, as they are printed."""
    return f"{row['median']:.2f} ({row['worst']:.2f}, {row['frame']})" if row else "-"


def parse_options() -> argparse.Namespace:
    """The options of the command line. Makes the output folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("--style", action="append", required=True)
    parser.add_argument("--frames", default="0-47")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--iterations", default="200,50")
    parser.add_argument("--chunk-frames", type=int, default=16)
    parser.add_argument("--variants", default=",".join(["alone", *VARIANTS]))
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="for the farm's render")
    parser.add_argument("--flow-truth", action="append", default=[], nargs=3, metavar=("A", "B", "TRUTH.flo"))
    parser.add_argument("--still-every", type=int, default=12, metavar="FRAMES")
    parser.add_argument("--still-iterations", type=int, default=200)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--fresh", action="store_true", help="render anew what is there already")
    parser.add_argument("-o", "--output", type=Path, default=Path("quality"))
    options = parser.parse_args()
    if options.fresh:
        shutil.rmtree(options.output, ignore_errors=True)
    (options.output / "stills").mkdir(parents=True, exist_ok=True)
    return options


def base_spec(options: argparse.Namespace) -> RenderSpec:
    """The farm's own render of the clip. Raises UsageError."""
    return build_spec(
        {
            "video": str(Path(options.video).absolute()),
            "styles": [str(Path(style).absolute()) for style in options.style],
            "output": str(options.output / "farm.mp4"),
            "frames": options.frames,
            "size": options.size,
            "iterations": options.iterations,
            "chunk_frames": options.chunk_frames,
        }
    )


def measure_variants(options: argparse.Namespace, base: RenderSpec) -> tuple[dict[str, Measured], Measured, RenderPlan]:
    """Render and measure all that is asked for, and the sequential render.

    Returns them by name, the source measured by the same yardstick, and the plan of the farm's render.
    """
    wanted = options.variants.split(",")
    variants: dict[str, Measured] = {}
    painted, report, sequential = render_variant(
        "sequential", base, VARIANTS["sequential"], options.output, options.workers
    )
    yardstick = Yardstick(sequential, options.still_every, options.still_iterations, options.output / "stills")
    variants["sequential"] = yardstick.measure(painted, report["steps"], report.get("render_seconds", 0.0))
    plan = plan_render(base, sequential.probe, sequential.cuts)
    for name in wanted:
        if name in ("alone", "sequential"):
            continue
        changes = dict(VARIANTS[name])
        if name == "farm":
            fields = (setting.split("=", 1) for setting in options.set)
            changes |= {field_name: json.loads(value) for field_name, value in fields}
        painted, report, record = render_variant(name, base, changes, options.output, options.workers)
        variants[name] = yardstick.measure(painted, report["steps"], report.get("render_seconds", 0.0))
        if name == "farm":
            plan = record.plan
    if "alone" in wanted:
        variants["alone"] = yardstick.measure(*render_alone(sequential, yardstick))
    source = yardstick.measure([yardstick.source(frame) for frame in yardstick.frames], 0, 0.0)
    return variants, source, plan


def figures_of(variant: Measured, sequential: Measured, source: Measured, rows: list[Seam]) -> dict[str, Any]:
    """What quality.json says of one way of rendering; `rows` are its seams."""
    paint: dict[str, Spread | None] = {
        f"{figure}_{area}": spread(variant.details, area, figure) for figure in FIGURES for area in AREAS
    }
    return {
        "warp_error": variant.median_error(),
        "of_sequential": variant.median_error() / sequential.median_error(),
        **{name: asdict(row) if row else None for name, row in paint.items()},
        "worst_seam": max((row.ratio for row in rows if row.ratio is not None), default=None),
        "style_ratio_min": min((row.style_low for row in rows if row.style_low is not None), default=None),
        "style_ratio_max": max((row.style_high for row in rows if row.style_high is not None), default=None),
        "style_loss": float(np.median(variant.style_loss)),
        "content_loss": float(np.median(variant.content_loss)),
        "drift": variant.drift(source),
        "steps": variant.steps,
        "seconds": variant.seconds,
        "seams": [asdict(row) for row in rows],
        "per_frame": {key: getattr(variant, key) for key in ("warp_error", "style_loss", "content_loss", "luminance")},
        "per_still": {frame: asdict(detail) for frame, detail in variant.details.items()},
    }


def main() -> None:
    options = parse_options()
    base = base_spec(options)
    variants, source, plan = measure_variants(options, base)
    boundaries = [chunk.start for chunk in plan.chunks if not chunk.first_in_shot]
    sequential = variants["sequential"]
    stills = {"iterations": options.still_iterations, "frames": list(sequential.details)}
    result: dict[str, Any] = {"video": base.video, "boundaries": boundaries, "stills": stills, "variants": {}}
    for name, variant in variants.items():
        rows = [] if name in ("sequential", "alone") else seams(variant, sequential, plan)
        result["variants"][name] = figures_of(variant, sequential, source, rows)
    result["flow"] = {truth: flow_errors([a, b, truth]) for a, b, truth in options.flow_truth}
    (options.output / "quality.json").write_text(json.dumps(result, indent=1))
    plot(variants, boundaries, plan.start, options.output / "quality.png")
    print(table(result))
    for truth, errors in result["flow"].items():
        print(f"\n{truth}")
        for row in errors:
            print(f"{row['method']:<12}{row['error_px']:>8.4f} px{row['seconds']:>9.3f} s")


if __name__ == "__main__":
    main()
