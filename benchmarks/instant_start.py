"""Is a network's picture a better start for the optimiser than the photograph, and do chunks agree sooner?

    python -m benchmarks.instant_start VIDEO --network NET.safetensors --style IMG --size 256 -o start/

Some pairs of neighbouring frames of the clip are painted by the optimiser, every frame by itself, as the first frames
of two chunks would be: once from the photograph, which is the farm's default, once from what the network makes of it.

    loss        total loss after so many steps, over that from the photograph after --iterations, median over frames
    steps       that the network's start takes to the loss of the photograph's after --iterations, median
    agreement   warp error of the two paintings of a pair, as farm.render.steadiness defines it, along DIS flow on the
                source: by how much chunks that begin so would differ
    fine        fine detail, in grey levels, of the second painting of a pair where the film moves, as
                farm.render.detail defines it, median: two blurs would agree as well

Writes instant_start.json and contact.png, and prints the table.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.flow import create_matcher
from farm.media.contact_sheet import contact_sheet
from farm.media.decode import FrameReader
from farm.media.pictures import cover, read_picture, write_picture
from farm.media.scan import scan_video
from farm.paint.device import configure_threads
from farm.paint.features.vgg import VGGFeatures
from farm.paint.features.weights import load_weights
from farm.paint.losses.objective import OptimizeSettings
from farm.paint.losses.targets import Style, StyleTargets
from farm.paint.network.painter import InstantPainter
from farm.paint.optimizer.frame import FrameOptimizer, StepProgress
from farm.plan import Runtime
from farm.plan.render_plan import output_size
from farm.render.detail import fine_detail, mean_within, moving_area
from farm.render.steadiness import warp_error
from farm.spec import FrameRange
from farm.spec.frames import evenly

Picture = NDArray[np.uint8]
"""(H, W, 3) RGB."""
STEPS = (0, 5, 10, 20, 50, 100, 200)
"""Columns of the table, as far as `--iterations` goes."""
SHOWN = (150, 200)
"""Height and width of a picture on the contact sheet."""
STARTS = ("photograph", "network")


def pairs_of_frames(options: argparse.Namespace) -> list[tuple[Picture, Picture]]:
    """Evenly spaced pairs of neighbouring frames of the clip. Raises VideoError."""
    probe = scan_video(options.video).probe
    size = output_size(probe.width, probe.height, options.size)
    frames = FrameRange.parse(options.frames) if options.frames else FrameRange(0, probe.frame_count)
    pairs = []
    with FrameReader(probe, size) as reader:
        for first in [list(frames)[i] for i in evenly(options.pairs, len(frames) - 1)]:
            before, after = reader.read(FrameRange(first, first + 2))
            pairs.append((before, after))
    return pairs


def optimised(
    optimizer: FrameOptimizer, content: Picture, start: Picture, iterations: int
) -> tuple[Picture, list[float]]:
    """The painting, and the lowest total loss up to each step; the first evaluation is the start's, entry 0."""
    losses: list[float] = []

    def note(progress: StepProgress) -> None:
        losses.append(min([*losses[-1:], progress.losses["total"]]))

    return optimizer.stylize(content, start, iterations, progress=note).image, losses


def disagreement(before: Picture, after: Picture, paintings: tuple[Picture, Picture]) -> float | None:
    """Warp error of the paintings of two neighbouring frames; None where their flow cannot be judged."""
    back, _ = create_matcher("dis").match(after, before)
    first, second = paintings
    return warp_error(before=first, after=second, flow=back.flow, weight=back.weight)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--size", type=int, default=256, help="longest side, pixels")
    parser.add_argument("--frames", help="A-B")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=Path("instant_start"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    configure_threads(options.threads)
    pairs = pairs_of_frames(options)
    painter = InstantPainter(str(options.network), Runtime(device="cpu", precision="fp32", threads=options.threads))
    features = VGGFeatures(load_weights())
    targets = StyleTargets.of(features, [Style(read_picture(options.style))], pairs[0][0].shape[:2])
    # every start is followed to the end: what it saves is what is asked
    optimizer = FrameOptimizer(features, targets, OptimizeSettings(convergence=0, window=10**9))
    curves: dict[str, list[list[float]]] = {start: [] for start in STARTS}
    differences: dict[str, list[float]] = {start: [] for start in STARTS}
    fine: dict[str, list[float]] = {start: [] for start in STARTS}
    rows: dict[str, list[Picture]] = {"frame": [], "network alone": [], **{f"from the {name}": [] for name in STARTS}}
    for pair in pairs:
        begun = {"photograph": list(pair), "network": painter.paint(pair)}
        rows["frame"].append(cover(pair[0], SHOWN))
        rows["network alone"].append(cover(begun["network"][0], SHOWN))
        for name, starts in begun.items():
            results = [
                optimised(optimizer, content, start, options.iterations)
                for content, start in zip(pair, starts, strict=True)
            ]
            curves[name] += [curve for _, curve in results]
            error = disagreement(*pair, (results[0][0], results[1][0]))
            differences[name] += [error] if error is not None else []
            level = mean_within(fine_detail(results[1][0]), moving_area(pair, 1))
            fine[name] += [level] if level is not None else []
            rows[f"from the {name}"].append(cover(results[0][0], SHOWN))
    write_picture(
        options.output / "contact.png",
        contact_sheet(list(rows.items()), [str(i + 1) for i in range(len(pairs))]),
    )
    figures = compared(curves, differences, options.iterations)
    for name, levels in fine.items():
        figures[name]["fine_moving"] = float(np.median(levels)) if levels else None
    (options.output / "instant_start.json").write_text(json.dumps({**figures, "curves": curves}, indent=1))
    print(table(figures))


def compared(
    curves: dict[str, list[list[float]]], differences: dict[str, list[float]], iterations: int
) -> dict[str, Any]:
    """The figures of each start; `curves` are lowest losses by step, `differences` the warp errors of the pairs."""
    goals = [curve[-1] for curve in curves["photograph"]]
    steps = [step for step in STEPS if step <= iterations]

    def reached(curve: list[float], loss: float) -> float:
        return next((float(step) for step, value in enumerate(curve) if value <= loss), float("inf"))

    return {
        name: {
            "loss": {
                step: float(
                    np.median([curve[min(step, len(curve) - 1)] / loss for curve, loss in zip(own, goals, strict=True)])
                )
                for step in steps
            },
            "steps": float(np.median([reached(curve, loss) for curve, loss in zip(own, goals, strict=True)])),
            "agreement": float(np.median(differences[name])) if differences[name] else None,
        }
        for name, own in curves.items()
    }


def table(figures: dict[str, Any]) -> str:
    """The figures, as they are printed."""
    steps = list(figures["photograph"]["loss"])
    lines = [
        f"{'loss after':<14}" + "".join(f"{step:>8}" for step in steps) + f"{'steps':>9}{'agreement':>12}{'fine':>8}"
    ]
    for name, row in figures.items():
        agreement = f"{row['agreement']:.6f}" if row["agreement"] is not None else "-"
        fine = f"{row['fine_moving']:.2f}" if row["fine_moving"] is not None else "-"
        lines.append(
            f"{name:<14}"
            + "".join(f"{row['loss'][step]:>8.2f}" for step in steps)
            + f"{row['steps']:>9.0f}{agreement:>12}{fine:>8}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
