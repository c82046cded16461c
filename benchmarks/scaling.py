"""How the farm scales: on this machine, on a Ray of simulated workers, and under a virtual clock.

    python -m benchmarks.scaling local VIDEO --style IMG --size 256 --frames 0-47 -o scaling/
    python -m benchmarks.scaling ray --frame-seconds 4 -o scaling/
    python -m benchmarks.scaling virtual --step-seconds 0.1 -o scaling/

local    `farm render` with 1 and with 2 workers of one thread, in turn, `--repeats` times: medians, and their ratio;
         and the share of time in which each of the two painted, by the seconds that the ledgers have for each frame.
ray      The farm's own driver, schedule and worker pool on a real Ray. Renderers only sleep, for `--frame-seconds` a
         frame (farm bench says what a frame takes), and report as real ones do. Efficiency is the time slept over
         workers times the time from the first task to the end; overhead, the mean time from a task's end to the next
         one's beginning on the same worker.
virtual  virtual.py: a 2-hour film at 24 frames a second on 10 to 10,000 GPUs, tasks as `farm plan` makes
         them. Shots are lognormal (median 2.6 s, sigma 0.9: mean 3.9 s, as in feature films of today); failures and
         stragglers as in `Chances`, which is printed. A plot of efficiency, and what it is lost to.

Writes local.json, ray.json, virtual.json and virtual.png.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TextIO

from benchmarks.virtual import Chances, Outcome, simulate
from farm.cluster.driver import Driver, DriverSettings, JobEvents
from farm.commands.bench.report import processor
from farm.plan import Task, VideoProbe, plan_render, plan_tasks, task_id
from farm.plan.schedule import Event, Instruction, Schedule
from farm.plan.video import ColorTags
from farm.spec import build_spec

RATE = 24
"""Frames a second of the film under a virtual clock."""
SHOT_MEDIAN, SHOT_SIGMA = 2.6, 0.9
"""Seconds, and the standard deviation of their logarithm."""
GPUS = (10, 30, 100, 300, 1000, 3000, 10000)
WORKERS = (1, 2, 4, 8, 16, 32, 64)


# virtual --------------------------------------------------------------------------------------------------


def film(seconds: float, seed: int) -> tuple[VideoProbe, list[int]]:
    """A film that nobody shot, of so many seconds, and the first frames of its shots but the first."""
    frames, draw = round(seconds * RATE), random.Random(seed)
    cuts: list[int] = []
    at = 0
    while True:
        at += max(round(draw.lognormvariate(math.log(SHOT_MEDIAN), SHOT_SIGMA) * RATE), 6)
        if at > frames - 6:
            break
        cuts.append(at)
    probe = VideoProbe(
        path="film.mp4",
        container="mp4",
        codec="h264",
        pixel_format="yuv420p",
        bit_depth=8,
        width=1920,
        height=1080,
        rotation=0,
        pixel_aspect=Fraction(1),
        frame_rate=Fraction(RATE),
        time_base=Fraction(1, RATE),
        pts=tuple(range(frames)),
        last_duration=1,
        interlaced=False,
        has_alpha=False,
        color=ColorTags(),
        audio=(),
        subtitles=(),
        missing_frames=0,
        content_hash="",
    )
    return probe, cuts


def film_tasks(seconds: float, seed: int, **fields: Any) -> list[Task]:
    """The tasks of rendering `film`; `fields` are of the spec."""
    probe, cuts = film(seconds, seed)
    spec = build_spec({"video": "film.mp4", "styles": ["style.png"], "output": "out.mp4", **fields})
    return plan_tasks(plan_render(spec, probe, cuts))


def virtual(options: argparse.Namespace) -> dict[str, Any]:
    """Run the schedule under a virtual clock, print a row for each number of GPUs, and return the figures."""
    fields = {"chunk_frames": options.chunk_frames} if options.chunk_frames else {}
    tasks = film_tasks(options.hours * 3600, options.seed, **fields)
    chances = Chances(step=options.step_seconds)
    print(f"{options.hours:g} hours, {len(tasks)} tasks, {sum(task.steps for task in tasks)} steps; {chances}")
    print(f"{'GPUs':>6}{'hours':>9}{'efficiency':>12}{'chain':>8}  lost to", " " * 30, "decision, ms a task")
    rows = []
    for gpus in options.gpus or GPUS:
        outcome = simulate(tasks, gpus, chances, options.seed)
        lost = ", ".join(f"{name} {share:.1%}" for name, share in outcome.lost_shares.items())
        bound, decision = outcome.bound / outcome.makespan, 1000 * outcome.deciding / len(tasks)
        hours = outcome.makespan / 3600
        print(f"{gpus:>6}{hours:>9.2f}{outcome.efficiency:>12.1%}{bound:>8.0%}  {lost:<50}{decision:.2f}")
        rows.append({**asdict(outcome), "efficiency": outcome.efficiency, "lost_shares": outcome.lost_shares})
        rows[-1]["decision_ms"] = decision
    plot([Outcome(**{k: row[k] for k in Outcome.__dataclass_fields__}) for row in rows], options.output / "virtual.png")
    return {"chances": asdict(chances), "tasks": len(tasks), "runs": rows}


def plot(outcomes: list[Outcome], path: Path) -> None:
    """Draw where GPU time goes, by the number of GPUs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    gpus = [outcome.gpus for outcome in outcomes]
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    causes = list(outcomes[0].lost_shares)
    layers = [[outcome.efficiency for outcome in outcomes]]
    layers += [[outcome.lost_shares[name] for outcome in outcomes] for name in causes]
    colors = ["#3b7a57", "#d9a441", "#b5533c", "#7a6f9b", "#c9ccd1"]
    axes.stackplot(gpus, *layers, labels=["painting", *causes], colors=colors)
    chain = [min(1.0, outcome.useful / (outcome.gpus * outcome.bound)) for outcome in outcomes]
    axes.plot(gpus, chain, "k--", label="bound by the longest chain")
    axes.set(xscale="log", xlabel="GPUs", ylabel="share of GPU time", ylim=(0, 1), xlim=(gpus[0], gpus[-1]))
    axes.legend(loc="lower left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


# ray ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SleeperFacts:
    """What a worker says of itself, without what `WorkerFacts` would import into each of 64 processes."""

    node: str
    pid: int
    host: str = "here"
    problem: str = ""
    runtime: None = None
    clock: float = 0.0
    ahead: float = 0.0
    differs: str = ""


@dataclass(frozen=True)
class SleptFrame:
    """What the driver reads of a FrameRecord."""

    seconds: float
    steps: int = 1
    restarts: int = 0
    bytes: int = 0
    software: str = ""
    notes: tuple[str, ...] = ()
    losses: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SleptReport:
    """What the driver reads of a FrameReport, and when the frame began and ended, by the monotonic clock."""

    task: str
    frame: int
    record: SleptFrame
    began: float
    ended: float
    worker: int
    reused: bool = False


class Sleeper:
    """A RenderWorker that sleeps in place of painting."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def facts(self, *_: Any) -> SleeperFacts:
        """Where this worker is."""
        import os

        import ray

        return SleeperFacts(ray.get_runtime_context().get_node_id(), os.getpid())

    def render(self, job_url: str, task: Task) -> Iterator[SleptReport]:
        """Sleep for each frame of the task, and report it."""
        import os

        for frame in task.frames:
            began = time.monotonic()
            time.sleep(self._seconds)
            ended = time.monotonic()
            yield SleptReport(task.id, frame, SleptFrame(self._seconds), began, ended, os.getpid())


def on_ray(options: argparse.Namespace) -> dict[str, Any]:
    """Run the driver with workers that sleep, print a row for each number of them, and return the figures."""
    from farm.cluster.session import ray_session

    print(f"frames of {options.frame_seconds:g} s, tasks of {options.task_frames} frames")
    print(f"{'workers':>8}{'seconds':>9}{'efficiency':>12}{'between tasks, ms':>19}{'decision, ms a task':>21}")
    table = sys.stdout  # a session keeps what Ray prints off it
    with ray_session(cpus=2, dashboard=False):
        rows = [sleeping_run(workers, options, table) for workers in options.workers or WORKERS]
    return {"frame_seconds": options.frame_seconds, "task_frames": options.task_frames, "runs": rows}


def sleeping_run(workers: int, options: argparse.Namespace, table: TextIO) -> dict[str, float]:
    """One run with so many workers; prints its row to `table` and returns it."""
    import ray  # not before ray_session has said how it is to listen

    from farm.cluster.metrics import JobMetrics
    from farm.cluster.pool import FixedQuota, WorkerKind, WorkerPool
    from farm.cluster.pool_work import wait_for_all

    def start(*_: Any, **__: Any) -> Any:
        return ray.remote(Sleeper).options(num_cpus=0).remote(options.frame_seconds)

    tasks = sleeper_tasks(workers * options.rounds, options.task_frames)
    schedule, events = TimedSchedule(tasks), Collected()
    kind = WorkerKind(threads=1, precision="fp32", gpu=False, start=start)
    with closing(WorkerPool(FixedQuota(workers), kind, title="nap", job_url="", inputs=(), on_note=print)) as pool:
        pool.follow_quota(workers)
        wait_for_all(pool, math.inf, lambda: None)
        settings = DriverSettings(JobMetrics("scaling"), NoHistory())  # type: ignore[arg-type]
        Driver(pool, "", schedule, events, settings).run()
    reports = events.reports
    whole = max(one.ended for one in reports) - min(one.began for one in reports)
    row = {
        "workers": workers,
        "seconds": whole,
        "efficiency": len(reports) * options.frame_seconds / (workers * whole),
        "between_ms": 1000 * statistics.mean(between_tasks(reports)),
        "decision_ms": 1000 * schedule.seconds / len(tasks),
    }
    shown = f"{row['efficiency']:>12.1%}{row['between_ms']:>19.1f}{row['decision_ms']:>21.3f}"
    print(f"{workers:>8}{whole:>9.1f}{shown}", file=table, flush=True)
    return row


class TimedSchedule(Schedule):
    """A schedule that adds up the seconds in which it decides."""

    seconds = 0.0

    def handle(self, event: Event) -> list[Instruction]:
        """Decide as the schedule does."""
        began = time.perf_counter()
        instructions = super().handle(event)
        self.seconds += time.perf_counter() - began
        return instructions


class Collected(JobEvents):
    """Keeps the reports of all frames, and prints the notes."""

    def __init__(self) -> None:
        self.reports: list[SleptReport] = []

    def note(self, line: str) -> None:
        """Print a line."""
        print(line)

    def frame(self, report: Any) -> None:
        """Keep a report."""
        self.reports.append(report)


class NoHistory:
    """In place of a job's history: the workers that sleep have no job directory."""

    def add(self, *_: Any, **__: Any) -> None:
        """Note nothing."""


def sleeper_tasks(count: int, frames: int) -> list[Task]:
    """So many tasks of so many frames, of which none waits for another."""
    return [
        Task(id=task_id(1, i), pass_index=1, chunk=i, start=i * frames, stop=(i + 1) * frames, needs=(), steps=frames)
        for i in range(count)
    ]


def between_tasks(reports: list[SleptReport]) -> list[float]:
    """Seconds from the end of each task to the beginning of the next on the same worker."""
    by_worker: dict[int, list[SleptReport]] = {}
    for report in sorted(reports, key=lambda report: report.began):
        by_worker.setdefault(report.worker, []).append(report)
    return [
        later.began - before.ended
        for row in by_worker.values()
        for before, later in itertools.pairwise(row)
        if later.task != before.task
    ]


# local ----------------------------------------------------------------------------------------------------


def local(options: argparse.Namespace) -> dict[str, Any]:
    """Render the clip with one worker and with two, print how much faster two are, and return the figures."""
    from farm.commands.bench.clip import render_with_ray

    values: dict[str, Any] = {"video": str(options.video.absolute()), "styles": [str(options.style.absolute())]}
    values |= {"output": str((options.output / "film.mp4").absolute()), "size": options.size, "frames": options.frames}
    values |= {"iterations": options.iterations, "chunk_frames": options.chunk_frames}
    spec = build_spec({name: value for name, value in values.items() if value is not None})
    runs: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    for _ in range(options.repeats):
        for workers, done in runs.items():
            done.append(render_with_ray(spec, options.output, workers, threads=1))
    seconds_by_workers = {workers: [run["frame_seconds"] for run in done] for workers, done in runs.items()}
    one, two = (statistics.median(seconds) for seconds in seconds_by_workers.values())
    ratio = statistics.median(a / b for a, b in zip(seconds_by_workers[1], seconds_by_workers[2], strict=True))
    commands = {workers: statistics.median(run["command_seconds"] for run in done) for workers, done in runs.items()}
    busy = sorted((sorted(run["busy_shares"].values()) for run in runs[2]), key=min)[len(runs[2]) // 2]
    print(
        f"{one:.2f} s a frame with 1 worker, {two:.2f} s with 2: {ratio:.2f} times as fast, {1 / ratio:.2f} of the time"
    )
    print(
        f"the whole command: {commands[1]:.1f} s and {commands[2]:.1f} s, {commands[2] / commands[1]:.2f} of the time"
    )
    print("share of time in which each of 2 painted, from the third frame on:", ", ".join(f"{one:.0%}" for one in busy))
    return {
        "seconds": {str(n): seconds for n, seconds in seconds_by_workers.items()},
        "ratio": ratio,
        "command_seconds": {str(n): seconds for n, seconds in commands.items()},
        "busy": busy,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    here, simulated, clock = (kinds.add_parser(name) for name in ("local", "ray", "virtual"))
    here.add_argument("video", type=Path)
    here.add_argument("--style", type=Path, required=True)
    here.add_argument("--size", type=int, default=256)
    here.add_argument("--frames", default="0-47")
    here.add_argument("--iterations", default="60,24")
    here.add_argument("--repeats", type=int, default=1)
    simulated.add_argument("--frame-seconds", type=float, default=4.0)
    simulated.add_argument("--task-frames", type=int, default=6)
    simulated.add_argument("--rounds", type=int, default=3, help="tasks of each worker")
    simulated.add_argument("--workers", type=int, nargs="+")
    clock.add_argument("--step-seconds", type=float, default=Chances.step)
    clock.add_argument("--hours", type=float, default=2.0)
    clock.add_argument("--gpus", type=int, nargs="+")
    clock.add_argument("--seed", type=int, default=1)
    for one in (here, clock):
        one.add_argument("--chunk-frames", type=int)
    for one in (here, simulated, clock):
        one.add_argument("-o", "--output", type=Path, default=Path("scaling"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    print(processor())
    figures = {"machine": processor()} | {"local": local, "ray": on_ray, "virtual": virtual}[options.kind](options)
    (options.output / f"{options.kind}.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
