"""What no key shows: patches of the keys, or the optimiser with the keys as its styles?

    python -m benchmarks.keys_fill geese.mp4:0-40 --size 256 -o fill/

The first and the last frame of the clip are keys, painted by a filter whose truth is known (benchmarks.keys). In three
frames between them, the pixels that neither key shows for certain (weight below HIDDEN) are painted in these ways:

    warp         what the nearest trusted map of a key leads to, and no more
    patches      farm.render.keyed.synthesis, as method keys does
    steps        50 steps of the optimiser with the keys as styles, from the patches
    photograph   the same from the film's frame

Printed are the PSNR of those pixels over the truth, their fine detail over the truth's, their share of the frame, and
the seconds of a frame: means over the three frames. Writes fill.json and sheet.png (source, truth, all ways).
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.keys import read_clip
from benchmarks.keys_figures import FILTERS, Picture, decibels
from farm.flow import create_matcher
from farm.media.pictures import write_picture
from farm.paint.losses.windows import Steps
from farm.paint.styler import FrameStyler, ShotStyler, local_runtime
from farm.render.detail import fine_detail
from farm.render.keyed import Key, KeyView, first_view, follow
from farm.render.keyed.merging import Merged
from farm.render.keyed.painting import from_keys
from farm.render.keyed.synthesis import synthesise
from farm.spec import build_spec
from farm.spec.frames import evenly

HIDDEN = 0.5
"""Weight below which a pixel counts as one that no key shows."""
STEPS = 50


def views_between(frames: list[Picture], truth: list[Picture]) -> dict[int, tuple[KeyView, KeyView]]:
    """Both keys, the first frame and the last, as each frame between them sees them."""
    matcher, last = create_matcher("dis"), len(frames) - 1
    matches = [matcher.match(after, before) for before, after in itertools.pairwise(frames)]
    left, right = ({n: first_view(Key(n, frames[n], truth[n]))} for n in (0, last))
    for n in range(1, last):
        there, back = matches[n - 1]
        left[n] = follow(left[n - 1], there, back, frames[n])
    for n in range(last - 1, 0, -1):
        back, there = matches[n]
        right[n] = follow(right[n + 1], there, back, frames[n])
    return {n: (left[n], right[n]) for n in range(1, last)}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", metavar="FILM[:A-B]")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--filter", default="oil", choices=FILTERS)
    parser.add_argument("-o", "--output", type=Path, default=Path("fill"))
    options = parser.parse_args(argv)
    options.output.mkdir(parents=True, exist_ok=True)
    _, _, frames = read_clip(options.clip, options.size)
    truth = [FILTERS[options.filter](frame) for frame in frames]
    keys = {"first": truth[0], "last": truth[-1]}
    for name, picture in keys.items():
        write_picture(options.output / f"{name}.png", picture)
    files = [str((options.output / f"{name}.png").absolute()) for name in keys]
    spec = build_spec({"video": "film.mp4", "output": "film.mkv", "styles": files})
    height, width = frames[0].shape[:2]
    runtime = local_runtime("auto", None)
    styler = FrameStyler(spec, (width, height), runtime, lambda _: iter(frames[:1])).of_shot(0)
    views = views_between(frames, truth)
    rows: dict[str, list[dict[str, float]]] = {}
    sheet = []
    for n in [1 + offset for offset in evenly(5, len(frames) - 2)][1:4]:
        left, right = views[n]
        merged = from_keys(frames[n], left, right, n / (len(frames) - 1))
        known, weight = merged.picture, merged.weight[..., None]
        hidden = merged.weight < HIDDEN
        if not hidden.any():
            continue
        by_patches = partial(filled_by_patches, frames[n], merged, (left, right))
        patches = by_patches()
        photograph = weight * known + (1 - weight) * frames[n]
        ways: dict[str, Callable[[], np.ndarray]] = {
            "warp": partial(np.asarray, known),
            "patches": by_patches,
            "steps": partial(filled_by_steps, styler, frames[n], patches),
            "photograph": partial(filled_by_steps, styler, frames[n], photograph),
        }
        shown = [frames[n], truth[n]]
        for name, way in ways.items():
            began = time.perf_counter()
            filled = weight * known + (1 - weight) * way()
            picture = np.rint(np.clip(filled, 0, 255)).astype(np.uint8)
            rows.setdefault(name, []).append(figures(picture, truth[n], hidden, time.perf_counter() - began))
            shown.append(picture)
        sheet.append(np.hstack(shown))
    if not rows:
        sys.exit(f"{options.clip}: the keys show all of it")
    summary: dict[str, Any] = {
        name: {key: float(np.mean([row[key] for row in of_way])) for key in of_way[0]} for name, of_way in rows.items()
    }
    print(f"{'':<12}{'PSNR':>8}{'fine':>8}{'share':>8}{'seconds':>9}")
    for name, row in summary.items():
        print(f"{name:<12}{row['psnr']:>8.2f}{row['fine']:>8.2f}{row['share']:>8.3f}{row['seconds']:>9.2f}")
    (options.output / "fill.json").write_text(json.dumps(summary, indent=1))
    write_picture(options.output / "sheet.png", np.vstack(sheet))
    return 0


def filled_by_patches(content: Picture, merged: Merged, views: Sequence[KeyView]) -> np.ndarray:
    """What no key shows for certain, by patches of the keys: (H, W, 3) float32."""
    return synthesise(content, merged.picture, merged.weight < 1, views).picture


def filled_by_steps(styler: ShotStyler, content: Picture, start: np.ndarray) -> np.ndarray:
    """The frame after STEPS steps of the optimiser from `start`: (H, W, 3) float32."""
    return styler.next(content, start.astype(np.float32), Steps(STEPS), [], []).image.astype(np.float32)


def figures(picture: Picture, truth: Picture, hidden: np.ndarray, seconds: float) -> dict[str, float]:
    """What a way of painting the `hidden` pixels comes to: (H, W) bool."""
    error = float(((picture.astype(np.float64) - truth)[hidden] ** 2).mean())
    fine = float(fine_detail(picture)[hidden].mean() / max(float(fine_detail(truth)[hidden].mean()), 1e-6))
    return {"psnr": decibels(error), "fine": fine, "share": float(hidden.mean()), "seconds": seconds}


if __name__ == "__main__":
    sys.exit(main())
