"""A film as long as films are: does memory grow, does the render get slower, how much is stored at any time?

    python -m benchmarks.longfilm                       20,000 frames of 64 pixels, identity, end to end
    python -m benchmarks.longfilm --plan                `farm plan` of 260,000 frames: seconds and MiB
    python -m benchmarks.longfilm --frames 5000 --workers 1
    python -m benchmarks.longfilm --chunk-frames 2      10,000 chunks

Prints figures, one a line, and writes them as longfilm.json. For a render it draws longfilm.png: anonymous memory of
the driver and of every worker, open files, and storage, by time. Memory counts as flat where its slope over the last
three quarters of the run comes to less than 5 % of it. A film of less than LEAST_FRAMES frames says nothing about that:
`flat` is None. The pace is frames a second in the last tenth of all commits, and in the second tenth.
Exits with 1 where memory is not flat.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import command_of, descendants
from farm.job import JobDirectory
from farm.media.ffmpeg import ffmpeg_binary
from farm.plan import plan_tasks
from farm.plan.estimates import estimate_storage

ROOT = Path(__file__).parents[1]
LOOP = 1000
"""Frames that are encoded. A longer film repeats their packets."""
SAMPLE_SECONDS = 1.0
"""Seconds between two looks at memory, files and storage."""
LEAST_FRAMES = 2000
"""Frames from which on a render says whether memory is flat. A shorter one is mostly the start of its processes."""
FLAT = 0.05
"""Largest growth of memory, as a share of it, that counts as none."""


@dataclass
class Series:
    """Samples of one process: seconds since the beginning, MiB of anonymous memory, open files."""

    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def growth(self, begin: float, end: float) -> float:
        """By how much a straight line through the last three quarters rises, as a share of its middle.

        `begin` and `end` are the seconds of the run. 0 where there are fewer than 4 samples.
        """
        at = np.array(self.seconds)
        kept = at >= begin + (end - begin) / 4
        if kept.sum() < 4:
            return 0.0
        slope, _ = np.polyfit(at[kept], np.array(self.memory)[kept], 1)
        return float(slope * (at[kept][-1] - at[kept][0]) / np.mean(np.array(self.memory)[kept]))


def make_film(path: Path, frames: int) -> Path:
    """Make a film of so many moving test pictures with a tone: LOOP frames, then copies of their packets."""
    once = path.with_name("loop.mp4")
    sources = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=24", "-f", "lavfi", "-i", "sine=frequency=330"]
    coded = ["-frames:v", str(LOOP), "-c:v", "libx264", "-preset", "ultrafast", "-g", "48", "-pix_fmt", "yuv420p"]
    subprocess.run(
        [ffmpeg_binary(), "-v", "error", *sources, *coded, "-c:a", "aac", "-shortest", str(once)], check=True
    )
    repeat = ["-stream_loop", str(frames // LOOP), "-i", str(once), "-c", "copy", "-frames:v", str(frames), "-shortest"]
    subprocess.run([ffmpeg_binary(), "-v", "error", *repeat, str(path)], check=True)
    return path


def status(pid: int, name: str) -> float:
    """MiB of the line of that name in /proc/PID/status; 0 where the process is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = [line for line in text.splitlines() if line.startswith(f"{name}:")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


def workers_below(pid: int) -> dict[int, str]:
    """Titles of the workers that this driver's own Ray has started, by process id."""
    titles = {child: command_of(child).strip() for child in descendants(pid)}
    return {child: title for child, title in titles.items() if title.startswith("ray::")}


def stored(folder: Path) -> int:
    """Bytes of all files below a folder. Files may go while they are counted."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(where, name).stat().st_size
            except FileNotFoundError:
                continue
    return total


def run(command: list[str], job: Path | None) -> tuple[int, dict[str, Series], list[tuple[float, float]], float]:
    """Run a command and watch it.

    Returns its exit code, the samples of every process by name, (seconds, MiB stored in `job`) by time, and the peak
    memory of the command itself in MiB.
    """
    series: dict[str, Series] = {}
    storage: list[tuple[float, float]] = []
    names: dict[int, str] = {}
    peak = 0.0
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    while process.poll() is None:
        time.sleep(SAMPLE_SECONDS)
        peak = max(peak, status(process.pid, "VmHWM"))
        now = time.monotonic() - began
        watched = {process.pid: "driver"}
        if job is not None:
            for pid, title in workers_below(process.pid).items():
                if pid in names or title.startswith(("ray::render", "ray::pass")):
                    names.setdefault(pid, f"worker {len(names) + 1}")
                    watched[pid] = names[pid]
            storage.append((now, stored(job) / 2**20))
        for pid, name in watched.items():
            memory = status(pid, "RssAnon")
            if memory:
                samples = series.setdefault(name, Series())
                samples.seconds.append(now)
                samples.memory.append(memory)
                samples.files.append(_open_files(pid))
    return process.returncode, series, storage, peak


def _open_files(pid: int) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0


def pace(job: Path) -> dict[str, Any]:
    """Frames a second by the times in the ledgers: in the second and in the last tenth of all commits, and in each.

    `time_ratio` is the time of a frame in the last tenth over that in the second. Empty for fewer than 20 frames.
    """
    directory = JobDirectory(str(job))
    record = directory.load_record()
    assert record is not None
    tasks = plan_tasks(record.plan)
    times = sorted(row.committed for task in tasks for row in directory.ledger(task.id).values())
    tenth = len(times) // 10
    if tenth < 2:
        return {}

    def rate(begin: int, end: int) -> float:
        # frames of a batch are committed at once, and times are kept to the millisecond
        return (end - begin) / max(times[end - 1] - times[begin], 0.001)

    start, end = rate(tenth, 2 * tenth), rate(len(times) - tenth, len(times))
    tenths = [round(rate(i * tenth, (i + 1) * tenth)) for i in range(10)]
    return {"start": round(start, 2), "end": round(end, 2), "time_ratio": round(start / end, 3), "tenths": tenths}


def render(folder: Path, frames: int, workers: int, chunk_frames: int | None, picture: Path) -> dict[str, Any]:
    """Render a film of so many frames and return the figures; `picture` is where they are drawn.

    Raises SystemExit where the render fails.
    """
    film, job, output = make_film(folder / "film.mp4", frames), folder / "out.farm", folder / "out.mp4"
    command = [sys.executable, "-m", "farm", "render", str(film), "--method", "identity", "-o", str(output)]
    command += ["--workers", str(workers), "--threads", "1", "--save-storage", "--json"]
    command += ["--chunk-frames", str(chunk_frames)] if chunk_frames else []
    began = time.monotonic()
    code, series, storage, peak = run(command, job)
    seconds = time.monotonic() - began
    if code != 0:
        raise SystemExit(f"the render ended with {code}")
    directory = JobDirectory(str(job))
    record, report = directory.load_record(), directory.load_report()
    assert record is not None
    assert report is not None
    estimate = estimate_storage(record.plan, record.spec, workers)
    probe_ends = series["driver"].seconds[-1] - report["seconds"]
    growth = {name: round(one.growth(max(probe_ends, 0), one.seconds[-1]), 4) for name, one in series.items()}
    draw(series, storage, estimate.at_once / 2**20, picture)
    return {
        "frames": report["frames"],
        "chunks": report["chunks"],
        "seconds": round(seconds, 1),
        "pace": pace(job),
        "memory_mib": {name: round(max(one.memory), 1) for name, one in series.items()},
        "memory_growth": growth,
        "flat": None if frames < LEAST_FRAMES else all(abs(rise) < FLAT for rise in growth.values()),
        "peak_mib": round(peak, 1),
        "open_files": {name: max(one.files) for name, one in series.items()},
        "storage_mib_at_once": round(max(size for _, size in storage), 2),
        "storage_mib_at_the_end": round(storage[-1][1], 2),
        "storage_mib_planned": round(estimate.at_once / 2**20, 2),
        "storage_mib_without_sparing": round(estimate.total / 2**20, 2),
        "film_mib": round(output.stat().st_size / 2**20, 2),
        "film_share_of_raw": round(output.stat().st_size / (frames * record.plan.width * record.plan.height * 3), 4),
    }


def plan(folder: Path, frames: int) -> dict[str, Any]:
    """Plan a film of so many frames: seconds and memory of `farm plan`, and seconds of the planning alone."""
    film = make_film(folder / "film.mp4", frames)
    began = time.monotonic()
    command = [sys.executable, "-m", "farm", "plan", str(film), "--json"]
    code, _, _, peak = run(command, None)
    whole = time.monotonic() - began
    if code != 0:
        raise SystemExit(f"farm plan ended with {code}")
    from farm.media.scan import scan_video
    from farm.plan import plan_render
    from farm.plan.estimates import estimate_work
    from farm.spec import build_spec

    scan = scan_video(str(film))
    spec = build_spec({"video": str(film), "styles": ["style.png"], "output": "out.mp4"})
    began = time.monotonic()
    render_plan = plan_render(spec, scan.probe, scan.cuts)
    estimate_work(render_plan, spec.iterations)
    estimate_storage(render_plan, spec, 8)
    seconds = time.monotonic() - began
    return {
        "frames": scan.probe.frame_count,
        "shots": len(render_plan.shots),
        "chunks": len(render_plan.chunks),
        "whole_command_seconds": round(whole, 1),
        "of_which_planning": round(seconds, 2),
        "peak_mib": round(peak, 1),
    }


def draw(series: dict[str, Series], storage: list[tuple[float, float]], bound: float, picture: Path) -> None:
    """Draw memory, open files and storage by time. `bound`: MiB that `farm plan` announces."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (memory, files, disk) = pyplot.subplots(3, 1, figsize=(9, 9), sharex=True)
    for name, samples in series.items():
        memory.plot(samples.seconds, samples.memory, label=name)
        files.plot(samples.seconds, samples.files, label=name)
    memory.set(ylabel="anonymous memory, MiB", ylim=(0, None))
    files.set(ylabel="open files", ylim=(0, None))
    disk.plot(*zip(*storage, strict=True), label="job directory")
    disk.axhline(bound, color="grey", linestyle="--", label="what farm plan says at the most")
    disk.set(ylabel="storage, MiB", xlabel="seconds", ylim=(0, None))
    for axes in (memory, files, disk):
        axes.legend(loc="lower right")
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(picture, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", action="store_true", help="only plan")
    parser.add_argument("--frames", type=int, help="default 20,000, or 260,000 with --plan")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--chunk-frames", type=int, help="of every chunk; default the farm's own choice")
    parser.add_argument("--output", "-o", type=Path, default=Path("longfilm.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="farm-long-") as name:
        if options.plan:
            figures = plan(Path(name), options.frames or 260_000)
        else:
            picture = options.output.with_suffix(".png")
            figures = render(Path(name), options.frames or 20_000, options.workers, options.chunk_frames, picture)
    for key, value in figures.items():
        print(f"{key:<28} {value}")
    options.output.write_text(json.dumps(figures, indent=1))
    return int(figures.get("flat") is False)


if __name__ == "__main__":
    sys.exit(main())
