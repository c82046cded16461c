"""Measures a step, a clip alone and a clip over Ray; makes a table of them, beside the figures of the last time.

figures = run_bench(spec, Path("bench"), workers=2, new_progress=JobProgress)
print(bench_table(figures, figures["last"]))
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from farm.commands.bench.clip import AloneTimes, render_alone, render_with_ray
from farm.commands.bench.step import measure_step
from farm.errors import UsageError
from farm.files import write_atomically
from farm.media.decode import FrameReader
from farm.media.pictures import read_picture
from farm.media.scan import scan_video
from farm.paint.device import choose_device, configure_threads
from farm.paint.features.vgg import VGGFeatures
from farm.paint.losses.targets import Style, StyleTargets
from farm.paint.styler import load_network, local_runtime, objective_settings
from farm.plan.pace import NoProgress, Progress
from farm.plan.render_plan import output_size
from farm.spec import FrameRange, RenderSpec
from farm.spec.units import format_bytes

OPTIMISER = ("forward", "backward", "losses", "optimizer")
"""What the stopwatch counts that is the optimiser's. The rest is what it waits for."""
AROUND = ("decode", "flow", "warp", "reread", "commit")
"""What the stopwatch counts around the optimiser."""


def run_bench(
    spec: RenderSpec,
    folder: Path,
    workers: int = 1,
    threads: int | None = None,
    new_progress: Callable[[], AbstractContextManager[Progress]] = lambda: nullcontext(NoProgress()),
) -> dict[str, Any]:
    """Measure, and keep the figures as `bench.json` in `folder`. Returned under `last` are those of the last time.

    `new_progress` opens what shows the progress of one render over Ray.
    Raises what a render of `spec` raises, and UsageError for a method that does not optimise.
    """
    if spec.method != "optimize":
        raise UsageError(f"--method {spec.method} has no optimiser to measure", "leave --method out")
    report_file = folder / "bench.json"
    last = _last_report(report_file)
    configure_threads(threads)
    step = step_of(spec, threads)  # finds what is wrong with film and styles before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    alone = render_alone(spec, folder, threads)
    figures: dict[str, Any] = {
        "machine": machine(threads),
        "clip": {"video": Path(spec.video).name, "frames": alone.frames, "size": step.pop("size")},
        "spec": {"iterations": spec.iterations.model_dump(), "passes": spec.passes, "chunk_frames": spec.chunk_frames},
        "step": step,
        "alone": asdict(alone),
        "shares": shares(alone),
    }
    if workers > 1:
        one, many = (render_with_ray(spec, folder, count, threads or 1, new_progress) for count in (1, workers))
        figures["ray"] = {"one": one, "many": many, "speedup": one["frame_seconds"] / many["frame_seconds"]}
    write_atomically(report_file, json.dumps(figures, indent=1).encode())
    return {**figures, "last": last}


def step_of(spec: RenderSpec, threads: int | None) -> dict[str, Any]:
    """`measure_step` on the clip's first frame, at the size and in the style of the spec. Raises FarmError."""
    runtime = local_runtime(spec.precision, threads)
    dtype = torch.bfloat16 if runtime.precision == "bf16" else torch.float32
    features = VGGFeatures(load_network(spec), spec.pooling, choose_device(runtime.device), dtype)
    probe = scan_video(spec.video, allow_truncated=spec.allow_truncated).probe
    width, height = output_size(probe.width, probe.height, spec.size, upscale=spec.upscale)
    first = spec.frames.start if spec.frames else 0
    with FrameReader(probe, (width, height), spec.as_stored) as reader:
        picture = next(iter(reader.read(FrameRange(first, first + 1))))
    settings = objective_settings(spec)
    styles = [Style(read_picture(style.path), style.weight) for style in spec.styles]
    targets = StyleTargets.of(features, styles, (height, width), spec.style_scale, settings.style_layers)
    return {"size": [width, height], **asdict(measure_step(features, targets, settings, picture))}


def shares(alone: AloneTimes) -> dict[str, float]:
    """Seconds a frame of the optimiser, and what everything around it adds, as a share of that."""
    optimiser = sum(alone.stages.get(name, 0.0) for name in OPTIMISER)
    around = sum(alone.stages.get(name, 0.0) for name in AROUND)
    return {"optimiser_seconds": optimiser, "around": around / optimiser, "other": alone.stages["other"] / optimiser}


def bench_table(figures: Mapping[str, Any], last: Mapping[str, Any] | None) -> str:
    """The figures as a table. Where the last time had the same clip, size and steps, ratios to it stand beside them."""
    same = last is not None and all(last[name] == figures[name] for name in ("clip", "spec"))
    before: Mapping[str, Any] = last if same and last else {}
    step, alone, width = figures["step"], figures["alone"], 24
    clip = figures["clip"]
    lines = [
        _machine_line(figures["machine"]),
        f"{clip['video']}: {clip['frames']} frames of {clip['size'][0]}x{clip['size'][1]}",
        "",
        f"{'one step':<{width}}{'seconds':>10}{'share':>8}{'last':>8}",
    ]
    for name in (*step["parts"], "step", "bare"):
        seconds = step["parts"].get(name) or step[name]
        label = {"step": "whole step", "bare": "bare convolutions"}.get(name, name)
        old = before.get("step") and (before["step"]["parts"].get(name) or before["step"][name])
        lines.append(f"{label:<{width}}{seconds:>10.4f}{seconds / step['step']:>8.1%}{_times(seconds, old)}")
    lines += [f"a step takes {step['ratio']:.3f} times the bare convolutions", ""]
    lines.append(f"{'one frame, one renderer':<{width}}{'seconds':>10}{'share':>8}{'last':>8}")
    rows = sorted(alone["stages"].items(), key=lambda item: -item[1])
    stages_before = {**before["alone"]["stages"], "whole frame": before["alone"]["wall"]} if before else {}
    for name, seconds in [*rows, ("whole frame", alone["wall"])]:
        old = stages_before.get(name)
        lines.append(f"{name:<{width}}{seconds:>10.3f}{seconds / alone['wall']:>8.1%}{_times(seconds, old)}")
    shared = figures["shares"]
    lines.append(
        f"flow, decode and commit add {shared['around']:.1%} to the optimiser's {shared['optimiser_seconds']:.2f} s"
    )
    lines.append(f"{3600 / alone['wall']:.0f} frames an hour; {alone['steps'] / alone['frames']:.1f} steps a frame")
    if alone["peak"]:
        lines.append(f"memory {format_bytes(alone['peak'])} at the most")
    lines.append(_quality_line(alone["quality"]))
    if "ray" in figures:
        one, many, speedup = (figures["ray"][name] for name in ("one", "many", "speedup"))
        lines += [
            "",
            f"over Ray: {one['frame_seconds']:.2f} s a frame with 1 worker, {many['frame_seconds']:.2f} s with "
            f"{many['workers']}: {speedup:.2f} times as fast; workers waited {many['idle_share']:.0%}",
            f"{3600 / many['frame_seconds']:.0f} frames an hour",
        ]
    return "\n".join(lines)


def _quality_line(quality: Mapping[str, float | None]) -> str:
    """Loss, warp error, and with it what says whether steadiness was bought with paint."""
    parts = [f"loss {quality['loss']:.0f}"]
    if quality["warp_error"] is not None:
        fine = quality["fine_moving"]
        parts.append(f"warp error {quality['warp_error']:.6f}")
        parts.append("nothing moves" if fine is None else f"fine detail where it moves {fine:.2f} of a first frame's")
    return ", ".join(parts)


def _last_report(path: Path) -> dict[str, Any] | None:
    """The figures kept at `path`; None where there are none, or none that this version can read."""
    try:
        report = json.loads(path.read_text())
        return report if {"clip", "spec", "step", "alone"} <= report.keys() else None
    except (OSError, ValueError, AttributeError):
        return None


def machine(threads: int | None) -> dict[str, Any]:
    """What the figures were measured on: `name` of the device, `threads`, and the version of `torch`."""
    device = choose_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return {"name": name, "threads": threads or torch.get_num_threads(), "torch": torch.__version__}


def processor() -> str:
    """The processor as the system names it, its cores, and its instructions for bfloat16."""
    if not sys.platform.startswith("linux"):
        return platform.processor() or platform.machine()
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    bfloat16_flags = " ".join(flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags)
    return f"{names[0] if names else platform.machine()}, {len(names)} cores, {bfloat16_flags or 'no bfloat16'}"


def _machine_line(facts: Mapping[str, Any]) -> str:
    return f"{facts['name']}; {facts['threads']} thread(s), torch {facts['torch']}"


def _times(now: float, old: float | None) -> str:
    return f"{now / old:>7.2f}x" if old else ""
