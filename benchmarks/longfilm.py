"""A film as long as films are: does memory grow with it, does it get slower, how much storage is there at any time?

    python -m benchmarks.longfilm                       20,000 frames of 64 pixels, identity, end to end
    python -m benchmarks.longfilm --plan                `farm plan` of 260,000 frames: seconds and MiB
    python -m benchmarks.longfilm --frames 5000 --workers 1
    python -m benchmarks.longfilm --chunk-frames 2      10,000 chunks

Prints figures, writes longfilm.json, and for a render longfilm.png: anonymous memory of the driver and of every worker,
open files, and storage, by time. Memory counts as flat where its slope over the last three quarters of the run comes to
less than 5 % of it; the pace is frames a second in the last tenth of all commits against the second tenth.
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

from benchmarks.processes import below, command_of
from farm.job.directory import JobDirectory
from farm.media.ffmpeg import ffmpeg_binary
from farm.plan.estimates import estimate_storage
from farm.plan.tasks import plan_tasks

ROOT = Path(__file__).parents[1]
LOOP = 1000
SAMPLE_SECONDS = 1.0
FLAT = 0.05


@dataclass
class Series:
    """Of one process: seconds since the beginning, MiB of anonymous memory, open files."""

    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def growth(self, begin: float, end: float) -> float:
        """By how much a straight line through the last three quarters rises, as a share of its middle."""
        at = np.array(self.seconds)
        kept = at >= begin + (end - begin) / 4
        if kept.sum() < 4:
            return 0.0
        slope, _ = np.polyfit(at[kept], np.array(self.memory)[kept], 1)
        return float(slope * (at[kept][-1] - at[kept][0]) / np.mean(np.array(self.memory)[kept]))


def make_film(path: Path, frames: int) -> Path:
    """Moving test pictures with a tone: a thousand frames, then copies of their packets."""
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
    """MiB of a line in /proc/PID/status; 0 where the process is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = [line for line in text.splitlines() if line.startswith(f"{name}:")]
    return int(found[0].split()[1]) / 1024 if found else 0.0


def workers_below(pid: int) -> dict[int, str]:
    """Render workers that this driver's own Ray has started, by process id."""
    titles = {one: command_of(one).strip() for one in below(pid)}
    return {one: title for one, title in titles.items() if title.startswith("ray::")}


def stored(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(where, name).stat().st_size
            except FileNotFoundError:
                continue
    return total


def run(command: list[str], job: Path | None) -> tuple[int, dict[str, Series], list[tuple[float, float]], float]:
    """(exit code, memory by process, (seconds, MiB stored), peak MiB of the command itself)."""
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
                one = series.setdefault(name, Series())
                one.seconds.append(now)
                one.memory.append(memory)
                one.files.append(_open_files(pid))
    return process.returncode, series, storage, peak


def _open_files(pid: int) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0


def pace(job: Path) -> dict[str, Any]:
    """Frames a second in the second and in the last tenth of all commits, and in every tenth: from the ledgers."""
    directory = JobDirectory(str(job))
    record = directory.load_record()
    assert record is not None
    tasks = plan_tasks(record.plan)
    times = sorted(row.committed for task in tasks for row in directory.ledger(task.id).values())
    tenth = len(times) // 10

    def rate(begin: int, end: int) -> float:
        return (end - begin) / (times[end - 1] - times[begin])

    start, end = rate(tenth, 2 * tenth), rate(len(times) - tenth, len(times))
    tenths = [round(rate(i * tenth, (i + 1) * tenth)) for i in range(10)]
    return {"start": round(start, 2), "end": round(end, 2), "time_ratio": round(start / end, 3), "tenths": tenths}


def render(folder: Path, frames: int, workers: int, chunk_frames: int | None, picture: Path) -> dict[str, Any]:
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
        "flat": all(abs(rise) < FLAT for rise in growth.values()),
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
    film = make_film(folder / "film.mp4", frames)
    began = time.monotonic()
    command = [sys.executable, "-m", "farm", "plan", str(film), "--json"]
    code, _, _, peak = run(command, None)
    whole = time.monotonic() - began
    if code != 0:
        raise SystemExit(f"farm plan ended with {code}")
    from farm.media.scan import scan_video
    from farm.plan.estimates import estimate_work
    from farm.plan.render_plan import plan_render
    from farm.spec.load import build_spec

    scan = scan_video(str(film))
    spec = build_spec({"video": str(film), "styles": ["style.png"], "output": "out.mp4"})
    began = time.monotonic()
    made = plan_render(spec, scan.probe, scan.cuts)
    estimate_work(made, spec.iterations)
    estimate_storage(made, spec, 8)
    seconds = time.monotonic() - began
    return {
        "frames": scan.probe.frame_count,
        "shots": len(made.shots),
        "chunks": len(made.chunks),
        "whole_command_seconds": round(whole, 1),
        "of_which_planning": round(seconds, 2),
        "peak_mib": round(peak, 1),
    }


def draw(series: dict[str, Series], storage: list[tuple[float, float]], bound: float, picture: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (memory, files, disk) = pyplot.subplots(3, 1, figsize=(9, 9), sharex=True)
    for name, one in series.items():
        memory.plot(one.seconds, one.memory, label=name)
        files.plot(one.seconds, one.files, label=name)
    memory.set(ylabel="anonymous memory, MiB", ylim=(0, None))
    files.set(ylabel="open files", ylim=(0, None))
    disk.plot(*zip(*storage, strict=True), label="job directory")
    disk.axhline(bound, color="grey", linestyle="--", label="what farm plan says at the most")
    disk.set(ylabel="storage, MiB", xlabel="seconds", ylim=(0, None))
    for one in (memory, files, disk):
        one.legend(loc="lower right")
        one.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(picture, dpi=110)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--plan", action="store_true", help="only plan, and 260,000 frames unless told otherwise")
    options.add_argument("--frames", type=int)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--chunk-frames", type=int, help="of every chunk; default the farm's own choice")
    options.add_argument("--output", "-o", type=Path, default=Path("longfilm.json"))
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="farm-long-") as name:
        if given.plan:
            told = plan(Path(name), given.frames or 260_000)
        else:
            picture = given.output.with_suffix(".png")
            told = render(Path(name), given.frames or 20_000, given.workers, given.chunk_frames, picture)
    for key, value in told.items():
        print(f"{key:<28} {value}")
    given.output.write_text(json.dumps(told, indent=1))
    return int(not told.get("flat", True))


if __name__ == "__main__":
    sys.exit(main())
