"""What did a change buy? The same clips through two builds of the farm, in turn: time, memory, work and quality.

    python -m benchmarks.against OLD NEW VIDEO... --style IMG --size 256 --frames 0-47 --pairs 3 -o against/
    python -m benchmarks.against HEAD~5 . car.mp4 bikes.mp4:76-123 --style IMG --weigh car.mp4=2 --same-environment
    python -m benchmarks.against v1 v2 car.mp4 --style IMG -o against/ -- --passes 3     options of both renders

OLD and NEW are revisions of git; `.` is the working tree as it is. A revision gets a worktree of its own in the output
folder, and an environment into which pip installs it; with `--same-environment` both run in the one that runs this, for
two builds with the same dependencies. The worktrees are removed at the end, also after Ctrl-C (`--keep` keeps them). A
clip may have frames of its own, behind a colon.

Renders are paired and take turns, OLD NEW, NEW OLD, ..., each `farm render` with one worker of one thread (`--workers`,
`--threads`), so that other work on the machine slows both. Two clips or builds never render at the same time. Printed
for each clip are the medians of the pairs, the median ratio NEW over OLD, and its range:

    seconds, CPU seconds
                  of the whole command, from its start to its end; CPU time of driver, workers and Ray's own processes
    first frame   seconds from the start of the command until the first frame is committed
    memory        the most that any worker had at any time (VmHWM), and all processes at one time, where what several
                  share counts for each
    steps, work   of the optimiser, over all frames and passes; work is steps times the share of the picture that they
                  were taken over, which is 1 for a build whose ledgers say nothing of it
    loss          style and content of the frames as they are delivered, mean; "by the ledger" is what the build says
                  of the pictures of its last pass
    warp error    as farm.render.steadiness defines it, median over pairs of frames: of the whole picture, and of what
                  moves. Never to be read without `fine`, because a blur has the least
    fine, middle, shape, content
                  as farm.render.detail defines them, over stills, of what moves and of what rests, medians

Loss, warp error and detail of both builds are measured by one code, that of the tree that runs this, on the committed
frames of the last pass of the first pair. Later pairs are measured for time only, and then deleted. Where their frames
are not those of the first (SHA-256 of the pixels), that is said below the tables. The last table has the ratios of all
clips and their geometric mean, in which `--weigh FILM.mp4=2` counts a clip twice. Stills are painted once, by the tree
that runs this, as `benchmarks.quality` does. Where other work comes in bursts, trust the CPU seconds more than the
seconds, and make more pairs.

Writes against.json after each render, and against.png: OLD above NEW above still above film, what moves in view. The
same command again goes on where it was cut. The job directories of the first pair are kept in renders/.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.builds import HERE, ROOT, Build, Builds, Revision, find_revision, tree_key
from benchmarks.comparison import (
    BUILDS,
    Clip,
    clip_table,
    compare_all,
    compare_clip,
    order_of,
    parse_clips,
    parse_weights,
    same_frames,
    summary_table,
)
from benchmarks.processes import TreeUsage, send
from benchmarks.yardstick import Measured, Yardstick
from farm.commands.bench.report import processor
from farm.errors import FarmError, RenderError, UsageError
from farm.files.png import decode_png
from farm.interruption import noted_interruption
from farm.job import JobRecord
from farm.media.contact_sheet import contact_sheet, stacked
from farm.media.pictures import read_picture, write_picture
from farm.paint.device import configure_threads
from farm.paint.styler import local_runtime
from farm.render.detail_figures import AREAS, FIGURES, spread
from farm.render.prepare import prepare_job
from farm.spec import build_spec

LOOK_SECONDS = 0.25
"""Seconds between two looks at the processes of a render. One look takes two milliseconds."""
END_SECONDS = 30.0
"""Seconds that a render has to end after it was told to."""
SHEET_FRAMES = 4
"""Most frames of a clip on the sheet."""
LEAST_SIDE, WIDEST = 128, 320
"""Pixels of the part of a frame that the sheet shows, at the least, and to which a smaller part is enlarged."""


# one render -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Painted:
    """The frames of a job's last pass, uint8 (H, W, 3), by number, and the rows of all its ledgers."""

    frames: dict[int, np.ndarray]
    last_rows: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    code: str
    """Hash of the code that its workers painted with; empty where the job does not say."""


def read_job(job: Path) -> Painted:
    """Read a finished job of any build.

    Why not by JobDirectory: a build knows its own records, and this reads those of earlier and later ones. Frames on
    which two chunks both worked, as spec files can ask for, are those of the later chunk. Raises RenderError.
    """
    try:
        return _read_job(job)
    except (OSError, LookupError, ValueError) as error:
        raise RenderError(f"{job} cannot be read ({error!r})", "render anew with --fresh") from None


def _read_job(job: Path) -> Painted:
    record = json.loads((job / "job.json").read_text())
    last = f"pass-{record['plan']['passes']}"
    frames: dict[int, np.ndarray] = {}
    last_rows, rows = [], []
    for ledger in sorted((job / "ledger").glob("pass-*/*.json")):
        own = json.loads(ledger.read_text())["frames"]
        rows += own
        if ledger.parent.name == last:
            last_rows += own
            folder = job / "frames" / last / ledger.stem
            frames |= {row["frame"]: decode_png((folder / f"{row['frame']:06d}.png").read_bytes()) for row in own}
    return Painted(dict(sorted(frames.items())), last_rows, rows, record.get("versions", {}).get("farm code", ""))


def figures_of_job(painted: Painted, began: float) -> dict[str, Any]:
    """What the ledgers and frames of a job say: `began` is when its command began, in seconds since 1970."""
    # A frame whose steps were all taken in windows says nothing of its content.
    losses = [row["losses"] for row in painted.last_rows if {"style", "content"} <= row["losses"].keys()]
    told = [loss["style"] + loss["content"] for loss in losses]
    return {
        "first_frame_seconds": min(row["committed"] for row in painted.rows) - began,
        "steps": sum(row["steps"] for row in painted.rows),
        "work": float(sum(_work(row) for row in painted.rows)),
        "told_loss": float(np.mean(told)) if told else None,
        "frames": {str(n): hashlib.sha256(frame.tobytes()).hexdigest() for n, frame in painted.frames.items()},
    }


def _work(row: dict[str, Any]) -> float:
    """Steps of a frame times the share of the picture; all of it where the ledger says nothing."""
    work = row.get("work")
    return float(row["steps"] if work is None else work)


def run_watched(command: list[str], build: Build, log: Path) -> tuple[float, TreeUsage, int]:
    """Run a command of a build until it ends, its output in `log`. Returns seconds, what it used, and its exit code.

    Ends it, and whatever it has started, where this is interrupted.
    """
    began = time.monotonic()
    with log.open("w") as output:
        # a session of its own, so that Ctrl-C reaches it once, from here
        child = subprocess.Popen(
            command, cwd=build.root, env=build.environment, stdout=output, stderr=output, start_new_session=True
        )
    usage = TreeUsage(child.pid)
    try:
        while child.poll() is None:
            usage.look()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(LOOK_SECONDS)
        seconds = time.monotonic() - began
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        send(pid for pid, _ in usage.alive())
    return seconds, usage, child.returncode


def render(options: argparse.Namespace, build: Build, label: str, clip: Clip, pair: int) -> dict[str, Any]:
    """Render a clip by a build. Returns the row of against.json. Raises RenderError where it fails."""
    job = job_of(options.output, clip, label, pair)
    job.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(job, ignore_errors=True)  # of a render that was cut: its time would be of a part
    film, log = job.with_suffix(".mp4"), job.with_suffix(".log")
    film.unlink(missing_ok=True)
    command = [*build.farm, "render", str(clip.path), "-o", str(film), "--job", str(job), "--frames", clip.frames]
    command += [argument for style in options.style for argument in ("--style", str(style.absolute()))]
    command += ["--size", str(options.size), "--workers", str(options.workers), "--threads", str(options.threads)]
    command += ["--iterations", options.iterations] if options.iterations else []
    began = time.time()
    seconds, usage, code = run_watched([*command, *options.both], build, log)
    if code:
        lines = [line for line in re.split(r"[\r\n]+", log.read_text(errors="replace")) if line.strip()]
        said = lines[-1].strip() if lines else "nothing"
        raise RenderError(f"{label} could not render {clip.name}, and said: {said}", f"its output is in {log}")
    painted = read_job(job)
    if painted.code and build.code and painted.code != build.code:
        raise RenderError(
            f"the workers of {label} painted with other code ({painted.code}) than that of {build.root} ({build.code})",
            "leave out --same-environment",
        )
    row = {"clip": clip.name, "build": label, "pair": pair, "seconds": seconds, "cpu_seconds": usage.cpu_seconds()}
    row |= {"worker_bytes": usage.worker_bytes, "all_bytes": usage.peak_bytes, **figures_of_job(painted, began)}
    if pair:
        shutil.rmtree(job)
        film.unlink(missing_ok=True)
    return row


def job_of(folder: Path, clip: Clip, label: str, pair: int) -> Path:
    """Where a render has its job directory."""
    return (folder / "renders" / clip.name.replace(" ", "-") / f"{label.lower()}-{pair + 1}.farm").absolute()


# quality --------------------------------------------------------------------------------------------------


def prepare(options: argparse.Namespace, clip: Clip) -> JobRecord:
    """What this tree would render of the clip: source, shots and style, for the yardstick. Raises FarmError."""
    values: dict[str, Any] = {"video": str(clip.path), "styles": [str(style.absolute()) for style in options.style]}
    values |= {"frames": clip.frames, "size": options.size}
    folder = options.output.absolute() / "yardstick" / clip.name.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    spec = build_spec({**values, "output": str(folder / "film.mp4")})
    shutil.rmtree(folder / "film.farm", ignore_errors=True)
    return prepare_job(spec, str(folder / "film.farm")).begin(local_runtime(spec.precision, None))


def median(values: Sequence[float | None]) -> float | None:
    """Median of the values that are there; None where there are none."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def quality_figures(measured: Measured, moving: Sequence[float | None]) -> dict[str, float | None]:
    """The figures of a build's frames, by the keys of `comparison.MEASURED`."""
    details = {
        f"{figure}_{area}": found.median if (found := spread(measured.details, area, figure)) else None
        for area in AREAS
        for figure in FIGURES
    }
    return {
        "loss": float(np.mean(measured.style_loss) + np.mean(measured.content_loss)),
        "warp_error": median(measured.warp_error),
        "warp_error_moving": median(moving),
        **details,
    }


def open_yardstick(options: argparse.Namespace, clip: Clip, record: JobRecord) -> tuple[Yardstick, Path]:
    """The clip's yardstick, and the folder of its stills, which are painted once."""
    parts = [record.input_hashes, options.size, options.still_iterations]
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]
    folder = options.output / "stills" / f"{clip.name.replace(' ', '-')}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    return Yardstick(record, options.still_every, options.still_iterations, folder, reuse=True), folder


def judge(yardstick: Yardstick, job: Path) -> dict[str, float | None]:
    """Measure the frames of a job. Raises RenderError where they are not those of the yardstick."""
    frames = read_job(job).frames
    if list(frames) != yardstick.frames:
        raise RenderError(f"{job} has {len(frames)} frames, and not the {len(yardstick.frames)} of the clip")
    painted = list(frames.values())
    return quality_figures(yardstick.measure(painted, 0, 0.0), yardstick.moving_errors(painted))


def window_on(areas: Sequence[np.ndarray]) -> tuple[slice, slice]:
    """The part of a picture, half of each side or LEAST_SIDE pixels, that has most of what moves in all of `areas`.

    `areas` are bool (H, W). Returns rows and columns.
    """
    height, width = areas[0].shape
    rows, columns = (min(max(side // 2, LEAST_SIDE), side) for side in (height, width))
    sums = cv2.integral(sum(area.astype(np.float32) for area in areas))
    held = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
    top, left = np.unravel_index(int(held.argmax()), held.shape)
    return slice(int(top), int(top) + rows), slice(int(left), int(left) + columns)


def sheet_of(yardstick: Yardstick, clip: Clip, jobs: dict[str, Path], stills: Path) -> np.ndarray:
    """The builds above each other, the still and the film, in the frames with most motion, around what moves."""
    moving = dict(zip(yardstick.frames, yardstick.moving, strict=True))
    frames = sorted(sorted(yardstick.stills, key=lambda frame: -float(moving[frame].mean()))[:SHEET_FRAMES])
    part = window_on([moving[frame] for frame in frames])
    enlarged = max(WIDEST // (part[1].stop - part[1].start), 1)

    def cut(picture: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(picture[part].repeat(enlarged, axis=0).repeat(enlarged, axis=1))

    rows = []
    for label, job in jobs.items():
        painted = read_job(job).frames
        rows.append((label, [cut(painted[frame]) for frame in frames]))
    rows.append(("still", [cut(read_picture(stills / f"{frame:06d}.png")) for frame in frames]))
    rows.append(("film", [cut(yardstick.source(frame)) for frame in frames]))
    return contact_sheet(rows, [f"{clip.name}: frame {frame}" for frame in frames])


# all of them ----------------------------------------------------------------------------------------------


class Comparison:
    """The state of against.json: renders that are done, and the figures made of them."""

    def __init__(self, options: argparse.Namespace, clips: list[Clip], revisions: dict[str, Revision]) -> None:
        """Take up what an earlier run of the same comparison has left. Raises UsageError where it was another one."""
        self.path: Path = options.output / "against.json"
        self.clips = clips
        self.weights = parse_weights(options.weigh, clips)
        inputs = [hashlib.sha256(style.read_bytes()).hexdigest() for style in options.style]
        fields = ("size", "iterations", "workers", "threads", "both", "still_every", "still_iterations")
        self.settings = {name: getattr(options, name) for name in (*fields, "same_environment")} | {"styles": inputs}
        self.revisions = {label: asdict(revision) for label, revision in revisions.items()}
        self.renders: list[dict[str, Any]] = []
        self.quality: dict[str, dict[str, dict[str, float | None]]] = {}
        if not self.path.exists():
            return
        earlier = json.loads(self.path.read_text())
        keys = [{label: one["key"] for label, one in which.items()} for which in (earlier["builds"], self.revisions)]
        if earlier["settings"] != self.settings or keys[0] != keys[1]:
            raise UsageError(f"{self.path} is of other builds or settings", "give another -o, or --fresh")
        self.renders, self.quality = earlier["renders"], earlier["quality"]

    def done(self, clip: Clip, label: str, pair: int) -> bool:
        """Whether this render is there."""
        return any((row["clip"], row["build"], row["pair"]) == (clip.name, label, pair) for row in self.renders)

    def renders_of(self, clip: Clip) -> list[dict[str, Any]]:
        """The rows of a clip."""
        return [row for row in self.renders if row["clip"] == clip.name]

    def compared(self) -> dict[str, dict[str, dict[str, Any]]]:
        """By clip and key, the figures of both builds."""
        found = {}
        for clip in self.clips:
            renders = self.renders_of(clip)
            first = {row["build"]: row for row in renders if row["pair"] == 0}
            quality = {
                label: {**first[label], **self.quality.get(clip.name, {}).get(label, {})}
                for label in BUILDS
                if label in first
            }
            found[clip.name] = compare_clip(renders, quality)
        return found

    def notes(self) -> list[str]:
        """What is to be said of the frames of each clip."""
        said = []
        for clip in self.clips:
            renders = self.renders_of(clip)
            said += [f"{clip.name}: {note}" for label in BUILDS if (note := same_frames(renders, label))]
            first = {row["build"]: row["frames"] for row in renders if row["pair"] == 0}
            if len(first) == len(BUILDS) and first["OLD"] == first["NEW"]:
                said.append(f"{clip.name}: both builds paint the same frames, bit for bit")
        return said

    def save(self) -> None:
        """Write against.json."""
        compared = self.compared()
        content = {
            "settings": self.settings,
            "builds": self.revisions,
            "machine": processor(),
            "weights": self.weights,
            "clips": compared,
            "geometric_mean": compare_all(compared, self.weights),
            "notes": self.notes(),
            "quality": self.quality,
            "renders": self.renders,
        }
        half = self.path.with_suffix(".json.part")
        half.write_text(json.dumps(content, indent=1))
        half.replace(self.path)

    def table(self) -> str:
        """All that is printed."""
        compared = self.compared()
        builds = (f"{label}: {one['name']} ({one['key']})" for label, one in self.revisions.items())
        tables = [clip_table(name, figures) for name, figures in compared.items()]
        summary = summary_table(compared, self.weights, compare_all(compared, self.weights))
        return "\n\n".join([", ".join(builds), *tables, "\n".join([summary, *self.notes()])])


def check_unchanged(revisions: dict[str, Revision]) -> None:
    """Raise UsageError where the working tree is measured and is not what it was at the start."""
    for label, revision in revisions.items():
        if revision.name == HERE and tree_key(ROOT) != revision.key:
            raise UsageError(
                f"{label} is the working tree, which was changed meanwhile", "measure a commit, or --fresh"
            )


def compare(options: argparse.Namespace) -> Comparison:
    """Make all renders that are not there yet, measure them, and draw the sheet. Raises FarmError."""
    clips = parse_clips(options.videos, options.frames)
    for style in options.style:
        if not style.is_file():
            raise UsageError(f"there is no picture {style}", "check the path")
    revisions = {label: find_revision(name) for label, name in zip(BUILDS, (options.old, options.new), strict=True)}
    if options.fresh:
        for name in ("renders", "against.json"):
            path = options.output / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    options.output.mkdir(parents=True, exist_ok=True)
    comparison = Comparison(options, clips, revisions)
    records = {clip.name: prepare(options, clip) for clip in clips}
    order = [(pair, clip, label) for pair in range(options.pairs) for clip in clips for label in order_of(pair)]
    missing = [(pair, clip, label) for pair, clip, label in order if not comparison.done(clip, label, pair)]
    if missing:
        with Builds(options.output, same_environment=options.same_environment, keep=options.keep) as builds:
            made = {label: builds.make(label, revision) for label, revision in revisions.items()}
            for pair, clip, label in missing:
                check_unchanged(revisions)
                row = render(options, made[label], label, clip, pair)
                comparison.renders.append(row)
                comparison.save()
                print(f"pair {pair + 1}, {clip.name}, {label}: {row['seconds']:.1f} s", file=sys.stderr, flush=True)
                if all(comparison.done(clip, one, 0) for one in BUILDS):
                    judge_clip(options, comparison, clip, records[clip.name])
    for clip in clips:
        judge_clip(options, comparison, clip, records[clip.name])
    write_picture(options.output / "against.png", stacked([read_picture(sheet_file(options, clip)) for clip in clips]))
    return comparison


def sheet_file(options: argparse.Namespace, clip: Clip) -> Path:
    """Where the sheet of one clip is."""
    return job_of(options.output, clip, "OLD", 0).with_name("sheet.png")


def judge_clip(options: argparse.Namespace, comparison: Comparison, clip: Clip, record: JobRecord) -> None:
    """Measure the frames of the first pair of a clip and draw them, unless that is done."""
    judged = comparison.quality.setdefault(clip.name, {})
    if all(label in judged for label in BUILDS) and sheet_file(options, clip).exists():
        return
    jobs = {label: job_of(options.output, clip, label, 0) for label in BUILDS}
    yardstick, stills = open_yardstick(options, clip, record)
    for label, job in jobs.items():
        judged[label] = judge(yardstick, job)
    write_picture(sheet_file(options, clip), sheet_of(yardstick, clip, jobs, stills))
    comparison.save()


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of the command line; what follows `--` is `both`, for both renders."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.against", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", metavar="OLD", help="revision of git, or . for the working tree")
    parser.add_argument("new", metavar="NEW")
    parser.add_argument("videos", metavar="VIDEO", nargs="+", help="film, or film:76-123 with frames of its own")
    parser.add_argument("--style", type=Path, action="append", required=True)
    parser.add_argument("--size", type=int, default=256, help="longest side, pixels")
    parser.add_argument("--frames", default="0-47", help="of a clip that has none of its own")
    parser.add_argument("--iterations", metavar="FIRST,NEXT", help="of both; without it, each build's default")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each worker")
    parser.add_argument("--weigh", action="append", default=[], metavar="FILM=WEIGHT", help="in the geometric mean")
    parser.add_argument("--still-every", type=int, default=12, metavar="FRAMES")
    parser.add_argument("--still-iterations", type=int, default=200)
    parser.add_argument("--same-environment", action="store_true", help="both run with this interpreter and packages")
    parser.add_argument("--keep", action="store_true", help="keep the worktrees")
    parser.add_argument("--fresh", action="store_true", help="render anew what is there already")
    parser.add_argument("-o", "--output", type=Path, default=Path("against"))
    own = list(arguments)
    split = own.index("--") if "--" in own else len(own)
    options = parser.parse_args(own[:split])
    options.both = own[split + 1 :]
    if min(options.pairs, options.workers, options.threads, options.still_every) < 1:
        parser.error("--pairs, --workers, --threads and --still-every begin at 1")
    return options


def main() -> int:
    options = parse_options(sys.argv[1:])
    try:
        configure_threads(options.threads)
        with noted_interruption():
            comparison = compare(options)
    except FarmError as error:
        print(f"against: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("against: interrupted; the same command goes on", file=sys.stderr)
        return 3
    print(comparison.table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
