"""Against the `pastiche` package (pip install pastiche), in one run: a still, and a clip frame by frame.

    python -m benchmarks.peers still PHOTO --style IMG --size 512 -o peers/
    python -m benchmarks.peers clip VIDEO --style IMG --size 512 --frames 0-23 -o peers/

Both sides get the same resized pictures, VGG-19 from the same file, max pooling, the same layers and the same ratio of
content to style, and as many threads; with one, times are of the CPU. One yardstick judges both: 5 content + 100 style
of the farm's own losses in float32, on the picture as it is delivered, clipped to 0..255. Its time is not counted,
nor is the time to load networks.

still   pastiche makes `--peer-steps` steps of its L-BFGS. How soon is the farm at the loss that pastiche has then? The
        farm paints coarse to fine in `--iterations` steps, as `farm stylize` does; the time counted is all of it,
        small levels, style targets and resizing included. The two take turns, so that other work slows both.
clip    The farm renders the clip as `farm render` does, with one worker (`--iterations`, `--passes`, as there).
        pastiche paints pairs of neighbouring frames (`--pairs`), each frame from its photograph in `--peer-steps`
        steps. Seconds a frame, median loss on those frames, and warp error of the pairs (Ruder et al. 2016, eq. 7
        and 6: mean squared difference to the warped predecessor where flow is reliable, values 0..1).

Writes still.json and still.png, or clip.json and clip.png, and prints a table.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.stills import LOADED, WORKING, Report, measure, pastiche_way
from farm.commands.bench.clip import render_alone, warp_error
from farm.commands.bench.report import processor
from farm.flow import create_matcher
from farm.job.directory import JobDirectory
from farm.media.pictures import read_picture, resize, write_picture
from farm.paint.device import choose_precision, configure_threads
from farm.paint.features.vgg import VGGFeatures
from farm.paint.features.weights import load_weights
from farm.paint.losses.objective import Objective, OptimizeSettings
from farm.paint.losses.targets import SizedTargets, Style, StyleTargets, matching_size
from farm.paint.optimizer.frame import StepProgress
from farm.paint.optimizer.pyramid import Painter, stylize_coarse_to_fine
from farm.paint.tensors import image_to_tensor
from farm.render.committed import frame_of_pass
from farm.render.source_frames import SourceFrames
from farm.spec.load import build_spec


class Yardstick:
    """The loss of finished pictures against one photograph."""

    def __init__(self, painting: NDArray[np.uint8], size: tuple[int, int]) -> None:
        self._features = VGGFeatures(load_weights())
        self._targets = StyleTargets.of(self._features, [Style(painting)], size)

    def of(self, content: NDArray[np.uint8]) -> Callable[[torch.Tensor], float]:
        objective = Objective(self._features, self._targets, OptimizeSettings(range_weight=0), content, None)
        return lambda image: objective.evaluate(image.clamp(0, 255), with_gradient=False)[0]["total"]


def farm_way(content: NDArray[np.uint8], painting: NDArray[np.uint8], steps: int) -> Callable[[Report], None]:
    """What `farm stylize` does, with a look at each full-size image after it was evaluated."""

    def run(report: Report) -> None:
        dtype = choose_precision("auto", torch.device("cpu"))
        features = VGGFeatures(load_weights(), dtype=dtype)
        size = content.shape[:2]
        settings = OptimizeSettings()
        painter = Painter(features, SizedTargets(features, [Style(painting)], 1.0, settings.style_layers), settings)
        count = 0

        def look(step: StepProgress) -> None:
            nonlocal count
            if step.point.shape[2:] != size:
                report(WORKING, step.point)
                return
            report(count, step.point)
            count += 1

        report(LOADED, torch.empty(0))
        stylize_coarse_to_fine(painter, content, steps, progress=look)

    return run


def still(options: argparse.Namespace) -> dict[str, Any]:
    content = read_picture(options.source, options.size)
    size = (content.shape[0], content.shape[1])
    painting = read_picture(options.style)
    painting = resize(painting, matching_size(painting.shape[:2], size, 1.0))
    for name, picture in (("content", content), ("style", painting)):
        write_picture(options.output / f"{name}.png", picture)
    sizes = {"content": size, "style": (painting.shape[0], painting.shape[1])}
    paths = options.output / "content.png", options.output / "style.png"
    ways = {
        "farm": farm_way(content, painting, options.iterations),
        "pastiche": pastiche_way(*paths, sizes, options.peer_steps),
    }
    runs = measure(ways, Yardstick(painting, size).of(content), options.every, options.peer_steps)
    goal = runs["pastiche"].losses[-1]
    farm = runs["farm"]
    first = next((i for i, loss in enumerate(farm.losses) if loss <= goal), None)
    spent = runs["pastiche"].seconds[-1]
    told = {
        "size": [size[1], size[0]],
        "pastiche": {"steps": options.peer_steps, "seconds": spent, "loss": goal},
        "farm": {"seconds": farm.seconds[-1], "loss": farm.losses[-1]},
        "reached": None if first is None else {"seconds": farm.seconds[first], "loss": farm.losses[first]},
        "times_faster": None if first is None else spent / farm.seconds[first],
        "curves": {name: {"seconds": run.seconds, "losses": run.losses} for name, run in runs.items()},
    }
    shown = [run.image for run in runs.values() if run.image is not None]
    write_picture(options.output / "still.png", np.concatenate([content, *shown], axis=1))
    print(f"{size[1]}x{size[0]}, loss {goal:.0f} after {options.peer_steps} steps of pastiche in {spent:.0f} s")
    if first is None:
        print(f"farm: {farm.losses[-1]:.0f} after {farm.seconds[-1]:.0f} s, not there yet")
    else:
        print(f"farm: there after {farm.seconds[first]:.1f} s, {told['times_faster']:.1f} times as fast; ", end="")
        print(f"{farm.losses[-1]:.0f} ({farm.losses[-1] / goal:.3f}) after {farm.seconds[-1]:.0f} s")
    return told


def clip(options: argparse.Namespace) -> dict[str, Any]:
    first, following = (int(number) for number in (options.iterations or "200,50").split(","))
    values: dict[str, Any] = {"video": str(options.source.absolute()), "styles": [str(options.style.absolute())]}
    values |= {"output": str((options.output / "film.mp4").absolute()), "size": options.size, "frames": options.frames}
    values |= {"iterations": {"first": first, "next": following}}
    if options.passes:
        values["passes"] = options.passes
    spec = build_spec(values)
    found = render_alone(spec, options.output, options.threads)
    job = JobDirectory(str(options.output / "alone.farm"))
    record = job.load_record()
    assert record is not None
    source, matcher = SourceFrames(record), create_matcher(spec.flow)
    size = (record.plan.height, record.plan.width)
    painting = read_picture(options.style)
    painting = resize(painting, matching_size(painting.shape[:2], size, 1.0))
    write_picture(options.output / "style.png", painting)
    yardstick = Yardstick(painting, size)
    sizes = {"content": size, "style": painting.shape[:2]}
    seconds, rows, shown = [], [], []
    pairs = []
    for pair in options.pairs:
        numbers = [record.plan.start + pair, record.plan.start + pair + 1]
        contents = [source(number) for number in numbers]
        ours = [frame_of_pass(job, record, record.plan.passes, number) for number in numbers]
        theirs = []
        for content in contents:
            write_picture(options.output / "content.png", content)
            paths = options.output / "content.png", options.output / "style.png"
            run = measure(
                {"pastiche": pastiche_way(*paths, sizes, options.peer_steps)}, lambda _: 0.0, 10**9, options.peer_steps
            )["pastiche"]
            assert run.image is not None
            seconds.append(run.seconds[-1])
            theirs.append(run.image)
        match = matcher.match(contents[1], contents[0])[0]
        for content, mine, other in zip(contents, ours, theirs, strict=True):
            judge = yardstick.of(content)
            rows.append({"farm": judge(image_to_tensor(mine)), "pastiche": judge(image_to_tensor(other))})
        steady = {
            name: warp_error(before=images[0], after=images[1], flow=match.flow, weight=match.weight)
            for name, images in (("farm", ours), ("pastiche", theirs))
        }
        pairs.append(steady)
        shown.append(np.concatenate([contents[1], ours[1], theirs[1]], axis=1))
    write_picture(options.output / "clip.png", np.concatenate(shown))
    each = found.cpu if options.threads == 1 else found.wall
    peer = statistics.median(seconds)
    losses = {name: statistics.median(row[name] for row in rows) for name in ("farm", "pastiche")}
    errors = {
        name: statistics.median(error for pair in pairs if (error := pair[name]) is not None)
        for name in ("farm", "pastiche")
    }
    print(
        f"{found.frames} frames of {size[1]}x{size[0]}; {options.peer_steps} steps of pastiche, {len(seconds)} frames"
    )
    print(f"{'':10}{'s a frame':>12}{'loss':>12}{'warp error':>12}")
    for name, own in (("farm", each), ("pastiche", peer)):
        print(f"{name:10}{own:>12.1f}{losses[name]:>12.0f}{errors[name]:>12.6f}")
    print(
        f"{peer / each:.1f} times less time a frame, loss {losses['farm'] / losses['pastiche']:.3f} of pastiche's, ",
        end="",
    )
    print(f"warp error {errors['farm'] / errors['pastiche']:.3f}")
    return {
        "farm": {"seconds": each, "steps": found.steps / found.frames, "loss": losses["farm"]},
        "pastiche": {"seconds": peer, "loss": losses["pastiche"]},
        "warp_errors": errors,
        "frames": rows,
        "iterations": [first, following],
        "passes": spec.passes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("kind", choices=["still", "clip"])
    parser.add_argument("source", type=Path, help="photograph or film")
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512, help="longest side, pixels")
    parser.add_argument("--iterations", default=None, help="the farm's; 120 for a still, FIRST,NEXT for a clip")
    parser.add_argument("--peer-steps", type=int, default=200)
    parser.add_argument("--every", type=int, default=2, help="steps between two measurements of a still")
    parser.add_argument("--frames", default="0-23", help="of a clip")
    parser.add_argument("--passes", type=int, help="of the farm; without it, as many as farm render makes")
    parser.add_argument("--pairs", type=int, nargs="+", default=[2, 20], help="first frames of pairs, from the clip's")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("peers"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    configure_threads(options.threads)
    print(f"{processor()}, {options.threads} thread(s), torch {torch.__version__}")
    if options.kind == "still":
        options.iterations = int(options.iterations or 120)
        told = still(options)
    else:
        told = clip(options)
    told["machine"] = {"processor": processor(), "threads": options.threads, "torch": torch.__version__}
    (options.output / f"{options.kind}.json").write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
