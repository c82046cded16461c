"""Does a film go from one style to another and back as its timeline says, gradually and without a jump?

    python -m benchmarks.timeline VIDEO STYLE_A STYLE_B [--frames 0-60] [--size 128] [--iterations 100,40]

The film is painted with a timeline of three points: A at its first frame, B in the middle, A at the last one. Beside it
stands the same film wholly in A. Printed for every third frame are the style losses of the committed frame to both
paintings (as the losses of docs/how-it-works.md, in millions), and its warp error from the frame before over the film's
median, by OpenCV's DIS at its medium preset on the source.

Then: whether each loss is monotonous in both halves (of all frames), and the largest warp error of the pairs at the
points over the median. Writes timeline.json and sheet.png. Exits with 1 where a loss is not monotonous, or a pair at a
point has more than LARGEST_AT_POINT times the median.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from farm.media.pictures import read_picture, write_picture
from farm.paint.features.vgg import VGGFeatures
from farm.paint.losses.functional import gram_matrix
from farm.paint.losses.targets import Style, StyleTargets
from farm.paint.styler import load_network, local_runtime
from farm.paint.tensors import image_to_tensor
from farm.plan import plan_tasks
from farm.render.chunk import ChunkRenderer
from farm.render.committed import frame_of_pass
from farm.render.film_meter import SourcePair
from farm.render.prepare import prepare_job
from farm.spec import FrameRange, RenderSpec, build_spec
from farm.spec.frames import evenly

LARGEST_AT_POINT = 1.3
"""Largest warp error of a pair at a point, over the median."""
SHOWN = 9
"""Frames of the sheet."""


def rendered(spec: RenderSpec, job: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(source frames, committed frames of the last pass) of a film that is painted in this process."""
    prepared = prepare_job(spec, job)
    record = prepared.begin(local_runtime(spec.precision, None))
    renderer = ChunkRenderer(prepared.job.url)
    tasks = plan_tasks(record.plan)
    for number, task in enumerate(tasks):
        for _ in renderer.render(task):
            pass
        print(f"\r{Path(job).stem}: {number + 1}/{len(tasks)} tasks", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    frames = list(record.plan.frames)
    painted = [frame_of_pass(prepared.job, record, record.plan.passes, frame) for frame in frames]
    return [renderer.source(frame) for frame in frames], painted


class StyleLosses:
    """The style loss of pictures of one size to some paintings, as the optimiser weighs it, in float32."""

    def __init__(self, spec: RenderSpec, paintings: Sequence[str], size: tuple[int, int]) -> None:
        """`size` is (height, width)."""
        self._features = VGGFeatures(load_network(spec), spec.pooling, torch.device("cpu"), torch.float32)
        self._targets = [StyleTargets.of(self._features, [Style(read_picture(path))], size) for path in paintings]
        self._weight = spec.weights.style

    def of(self, picture: np.ndarray) -> list[float]:
        """The loss of a picture (H, W, 3) uint8 to each of the paintings."""
        with torch.no_grad():
            maps = self._features(image_to_tensor(picture, torch.device("cpu")), list(self._targets[0].grams))
            grams = {name: gram_matrix(features) for name, features in maps.items()}
        return [
            self._weight * sum(float((grams[name] - gram).square().mean()) for name, gram in targets.grams.items())
            for targets in self._targets
        ]


def monotonous(values: Sequence[float], *, rises: bool) -> bool:
    """Whether each value is above (or, if it does not rise, below) the one before."""
    return all((after > before) == rises for before, after in itertools.pairwise(values))


def over_median(source: list[np.ndarray], film: list[np.ndarray]) -> list[float | None]:
    """The warp error of each pair over the median of all, None where it cannot be judged."""
    pairs = zip(itertools.pairwise(source), itertools.pairwise(film), strict=True)
    errors = [SourcePair(*shown).warp_error(*painted) for shown, painted in pairs]
    median = float(np.median([error for error in errors if error is not None]))
    return [None if error is None else error / median for error in errors]


def judge(losses: list[list[float]], errors: list[float | None], points: Sequence[int]) -> dict[str, Any]:
    """The summary. `losses` are those of each frame to A and B, `errors` of each pair, `points` three positions."""
    first, middle, last = points
    of_a, of_b = ([loss[which] for loss in losses] for which in (0, 1))
    to_b, to_a = slice(first, middle + 1), slice(middle, last + 1)
    at_points = [errors[pair] for point in points for pair in (point - 1, point) if 0 <= pair < len(errors)]
    return {
        "monotonous": {
            "to A, first half": monotonous(of_a[to_b], rises=True),
            "to B, first half": monotonous(of_b[to_b], rises=False),
            "to A, second half": monotonous(of_a[to_a], rises=False),
            "to B, second half": monotonous(of_b[to_a], rises=True),
        },
        "at points": max(error for error in at_points if error is not None),
        "largest": max(error for error in errors if error is not None),
    }


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("styles", nargs=2, metavar="STYLE")
    parser.add_argument("--frames", default="0-60")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--iterations", default="100,40")
    parser.add_argument("-o", "--output", type=Path, default=Path("timeline"))
    options = parser.parse_args(argv)
    options.output.mkdir(parents=True, exist_ok=True)
    frames = FrameRange.parse(options.frames)
    middle, last = (len(frames) - 1) // 2, len(frames) - 1
    a, b = (str(Path(style).absolute()) for style in options.styles)
    fields = {"video": str(Path(options.video).absolute()), "output": str(options.output / "film.mkv"), "styles": [a]}
    fields |= {"frames": options.frames, "size": options.size, "iterations": options.iterations}
    points = [{"at": frames.start + at, "styles": style} for at, style in ((0, a), (middle, b), (last, a))]
    spec = build_spec({**fields, "timeline": {"points": points}})
    source, film = rendered(spec, str(options.output / "film.farm"))
    _, plain = rendered(build_spec(fields), str(options.output / "plain.farm"))
    losses_of = StyleLosses(spec, [a, b], source[0].shape[:2])
    losses = [losses_of.of(picture) for picture in film]
    errors, plain_errors = over_median(source, film), over_median(source, plain)
    print(f"{'frame':>6} {'to A':>9} {'to B':>9} {'error':>7} {'in A':>7}   losses in millions, errors over the median")
    for at in range(0, len(film), 3):
        of_pair = [float("nan") if not at or row[at - 1] is None else row[at - 1] for row in (errors, plain_errors)]
        to_a, to_b = (loss / 1e6 for loss in losses[at])
        print(f"{frames.start + at:>6} {to_a:>9.2f} {to_b:>9.2f} {of_pair[0]:>7.2f} {of_pair[1]:>7.2f}")
    summary = judge(losses, errors, (0, middle, last))
    for name, holds in summary["monotonous"].items():
        print(f"style loss {name}: {'monotonous' if holds else 'not monotonous'}")
    print(
        f"warp error at the points {summary['at points']:.2f} of the median at most, anywhere {summary['largest']:.2f}"
    )
    everything = {"losses": losses, "errors": errors, "plain_errors": plain_errors, **summary}
    (options.output / "timeline.json").write_text(json.dumps(everything, indent=1))
    picked = evenly(SHOWN, len(film))
    write_picture(
        options.output / "sheet.png", np.vstack([np.hstack([row[at] for at in picked]) for row in (source, film)])
    )
    return int(not all(summary["monotonous"].values()) or summary["at points"] > LARGEST_AT_POINT)


if __name__ == "__main__":
    sys.exit(main())
