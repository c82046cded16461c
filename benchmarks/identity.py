"""Do two versions of the code paint the same? Checksums of small renders of every kind, each by the command line.

    python -m benchmarks.identity identity/                                 clip, style and network are made here
    python -m benchmarks.identity identity/ --clip film.mp4 --style a.jpg   a clip and a style of one's own
    python -m benchmarks.identity identity/ --demo                          `farm demo` as well, which takes minutes

Run it with both versions, on the same machine, and compare what they print, or identity.json. For each render it
prints one SHA-256 over the pixels of all committed frames, pass by pass and frame by frame, and one over the bytes of
the film:

    optimise    the optimiser, in chunks and passes, with a region of its own and the content's colours
    one pass    the same without region and colours, in one sequence with overlapping chunks
    instant     a network with seeded weights
    demo        `farm demo`

A folder in which this ran before is rendered anew. Exits with the code of a command that fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from farm.job import JobDirectory
from farm.media.ffmpeg import ffmpeg_binary
from farm.paint.network.network import ARCHITECTURES, StyleNetwork
from farm.paint.network.network_file import card_of, save_network
from farm.plan import plan_tasks
from farm.render.committed import read_committed

ROOT = Path(__file__).parents[1]
SIZE = 64
"""Longest side of the renders, pixels."""
FRAMES = 12
"""Frames of the clip that is made here, and the most that are rendered of another one."""


def make_clip(path: Path) -> None:
    """Make a film of moving test pictures."""
    source = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=12", "-frames:v", str(FRAMES)]
    coded = ["-c:v", "libx264", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run([ffmpeg_binary(), "-v", "error", "-y", *source, *coded], check=True)


def make_style(path: Path) -> None:
    """Make a picture of coloured waves and grain."""
    y, x = np.mgrid[:64, :96]
    waves = np.stack([np.sin(x / 5 + y / 9), np.sin(x / 7 - y / 4), np.cos(y / 6)], axis=-1)
    grain = np.random.default_rng(3).normal(0, 20, waves.shape)
    Image.fromarray(np.clip(128 + 90 * waves + grain, 0, 255).astype(np.uint8)).save(path)


def make_mask(path: Path) -> None:
    """Make a mask of the left half, with a soft edge."""
    row = np.clip((48 - np.arange(96)) * 32 + 128, 0, 255)
    Image.fromarray(np.tile(row.astype(np.uint8), (64, 1))).save(path)


def make_network(path: Path) -> None:
    """Save a small network whose weights are drawn from a seed."""
    torch.manual_seed(3)
    network = StyleNetwork(ARCHITECTURES["small"])
    painting = np.random.default_rng(1).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    save_network(path, network, card_of(network, styles=("waves.png",)), painting)


def frames_hash(job: Path) -> str:
    """SHA-256 over the pixels of all committed frames, in the order of the plan. Raises StorageError."""
    directory = JobDirectory(str(job))
    record = directory.load_record()
    assert record is not None
    digest = hashlib.sha256()
    for task in plan_tasks(record.plan):
        for frame in task.frames:
            digest.update(read_committed(directory, task.id, frame).tobytes())
    return digest.hexdigest()


def renders(folder: Path, clip: Path, style: Path) -> dict[str, list[str]]:
    """Arguments of `farm render` for each row, without its output."""
    make_mask(folder / "mask.png")
    make_network(folder / "network.safetensors")
    base = [str(clip), "--size", str(SIZE), "--frames", f"0-{FRAMES - 1}", "--chunk-frames", "4"]
    paint = [*base, "--style", str(style), "--iterations", "4,3"]
    region = f"{folder / 'mask.png'}@static={style}"
    return {
        "optimise": [*paint, "--passes", "3", "--region", region, "--color", "match"],
        "one pass": [*paint, "--passes", "1"],
        "instant": [*base, "--method", "instant", "--network", str(folder / "network.safetensors")],
    }


def run_farm(*arguments: str) -> None:
    """Run a command of the farm. Raises SystemExit with its exit code where it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "farm", *arguments], env=environment, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        raise SystemExit(done.returncode)


def checksums(options: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Make all renders. Returns `frames` and `film`, the two checksums, by the name of the row."""
    folder: Path = options.output.absolute()
    shutil.rmtree(folder / "renders", ignore_errors=True)
    (folder / "renders").mkdir(parents=True)
    clip, style = options.clip or folder / "clip.mp4", options.style or folder / "style.png"
    if options.clip is None:
        make_clip(clip)
    if options.style is None:
        make_style(style)
    films = {}
    for name, arguments in renders(folder, clip.absolute(), style.absolute()).items():
        films[name] = folder / "renders" / f"{name.replace(' ', '-')}.mp4"
        run_farm("render", *arguments, "-o", str(films[name]), "--workers", str(options.workers), "--threads", "1")
    if options.demo:
        films["demo"] = folder / "renders/demo/bunny.mp4"
        run_farm("demo", "-o", str(films["demo"].parent))
    return {
        name: {
            "frames": frames_hash(film.with_suffix(".farm")),
            "film": hashlib.sha256(film.read_bytes()).hexdigest(),
        }
        for name, film in films.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="folder of the inputs made here, the renders and identity.json")
    parser.add_argument("--clip", type=Path, help=f"its first {FRAMES} frames are rendered")
    parser.add_argument("--style", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--demo", action="store_true", help="`farm demo` as well")
    options = parser.parse_args()
    sums = checksums(options)
    (options.output / "identity.json").write_text(json.dumps(sums, indent=1))
    print(f"{'':10}{'frames':<66}film")
    for name, row in sums.items():
        print(f"{name:10}{row['frames']:<66}{row['film']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
