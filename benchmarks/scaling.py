"""How the farm scales: on this machine, on a Ray of simulated workers, and under a virtual clock.

    python -m benchmarks.scaling local VIDEO --style IMG --size 256 --frames 0-47 -o scaling/
    python -m benchmarks.scaling ray --frame-seconds 4 -o scaling/
    python -m benchmarks.scaling virtual --step-seconds 0.1 -o scaling/

local    `farm render` with 1 and with 2 workers of one thread, in turn, `--repeats` times: medians, and their ratio.
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
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TextIO

from benchmarks.virtual import Chances, Outcome, simulate
from farm.commands.bench.report import processor
from farm.plan.render_plan import plan_render
from farm.plan.schedule import Schedule
from farm.plan.tasks import Task, plan_tasks, task_id
from farm.plan.video import ColorTags, VideoProbe
from farm.spec.load import build_spec

RATE = 24
SHOT_MEDIAN, SHOT_SIGMA = 2.6, 0.9
GPUS = (10, 30, 100, 300, 1000, 3000, 10000)
WORKERS = (1, 2, 4, 8, 16, 32, 64)


# virtual --------------------------------------------------------------------------------------------------


def film(seconds: float, seed: int) -> tuple[VideoProbe, list[int]]:
    """A film that nobody shot, and its cuts."""
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
    probe, cuts = film(seconds, seed)
    spec = build_spec({"video": "film.mp4", "styles": ["style.png"], "output": "out.mp4", **fields})
    return plan_tasks(plan_render(spec, probe, cuts))


def virtual(options: argparse.Namespace) -> dict[str, Any]:
    fields = {"chunk_frames": options.chunk_frames} if options.chunk_frames else {}
    tasks = film_tasks(options.hours * 3600, options.seed, **fields)
    chances = Chances(step=options.step_seconds)
    print(f"{options.hours:g} hours, {len(tasks)} tasks, {sum(task.steps for task in tasks)} steps; {chances}")
    print(f"{'GPUs':>6}{'hours':>9}{'efficiency':>12}{'chain':>8}  lost to", " " * 30, "decision, ms a task")
    rows = []
    for gpus in options.gpus or GPUS:
        found = simulate(tasks, gpus, chances, options.seed)
        lost = ", ".join(f"{name} {share:.1%}" for name, share in found.lost_shares.items())
        bound, decision = found.bound / found.makespan, 1000 * found.deciding / len(tasks)
        print(f"{gpus:>6}{found.makespan / 3600:>9.2f}{found.efficiency:>12.1%}{bound:>8.0%}  {lost:<50}{decision:.2f}")
        rows.append({**asdict(found), "efficiency": found.efficiency, "lost_shares": found.lost_shares})
        rows[-1]["decision_ms"] = decision
    plot([Outcome(**{k: row[k] for k in Outcome.__dataclass_fields__}) for row in rows], options.output / "virtual.png")
    return {"chances": asdict(chances), "tasks": len(tasks), "runs": rows}


def plot(found: list[Outcome], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    gpus = [one.gpus for one in found]
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    causes = list(found[0].lost_shares)
    layers = [[one.efficiency for one in found], *([one.lost_shares[name] for one in found] for name in causes)]
    colors = ["#3b7a57", "#d9a441", "#b5533c", "#7a6f9b", "#c9ccd1"]
    axes.stackplot(gpus, *layers, labels=["painting", *causes], colors=colors)
    chain = [min(1.0, one.useful / (one.gpus * one.bound)) for one in found]
    axes.plot(gpus, chain, "k--", label="bound by the longest chain")
    axes.set(xscale="log", xlabel="GPUs", ylabel="share of GPU time", ylim=(0, 1), xlim=(gpus[0], gpus[-1]))
    axes.legend(loc="lower left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


# ray ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SleeperFacts:
    """Of a worker, without what `WorkerFacts` would import into each of 64 processes."""

    node: str
    pid: int
    host: str = "here"
    problem: str = ""
    runtime: None = None


@dataclass(frozen=True)
class SleptFrame:
    """What the driver reads of a FrameRecord."""

    seconds: float
    steps: int = 1
    restarts: int = 0
    bytes: int = 0
    notes: tuple[str, ...] = ()
    losses: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SleptReport:
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
        import os

        import ray

        return SleeperFacts(ray.get_runtime_context().get_node_id(), os.getpid())

    def render(self, job_url: str, task: Task, flow_sources: tuple[str, ...]) -> Iterator[SleptReport]:
        import os

        for frame in task.frames:
            began = time.monotonic()
            time.sleep(self._seconds)
            ended = time.monotonic()
            yield SleptReport(task.id, frame, SleptFrame(self._seconds), began, ended, os.getpid())


def on_ray(options: argparse.Namespace) -> dict[str, Any]:
    from farm.cluster.session import ray_session

    print(f"frames of {options.frame_seconds:g} s, tasks of {options.task_frames} frames")
    print(f"{'workers':>8}{'seconds':>9}{'efficiency':>12}{'between tasks, ms':>19}{'decision, ms a task':>21}")
    told = sys.stdout  # a session keeps what Ray prints off it
    with ray_session(cpus=2, dashboard=False):
        rows = [sleeping_run(workers, options, told) for workers in options.workers or WORKERS]
    return {"frame_seconds": options.frame_seconds, "task_frames": options.task_frames, "runs": rows}


def sleeping_run(workers: int, options: argparse.Namespace, told: TextIO) -> dict[str, float]:
    import ray  # not before ray_session has said how it is to listen

    from farm.cluster import driver, pool
    from farm.cluster.metrics import JobMetrics

    def spawn(*_: Any, **__: Any) -> Any:
        return ray.remote(Sleeper).options(num_cpus=0).remote(options.frame_seconds)

    pool.spawn_render_worker = spawn
    tasks = sleeper_tasks(workers * options.rounds, options.task_frames)
    quota = pool.FixedQuota(workers)
    crew = pool.WorkerPool(
        quota, title="nap", job_url="", inputs=(), threads=1, precision="fp32", gpu=False, on_note=print
    )
    while len(crew.facts) < workers:
        crew.follow_quota(workers)
        for source in ray.wait(list(crew.starting), timeout=1.0)[0] if crew.starting else ():
            crew.answered(source)
    reports: list[SleptReport] = []
    with timed_decisions() as decisions:
        settings = driver.DriverSettings(JobMetrics("scaling"), _NoHistory())  # type: ignore[arg-type]
        driver.Driver(crew, "", tasks, (), _Collected(reports), settings).run()  # type: ignore[arg-type]
    crew.close()
    whole = max(one.ended for one in reports) - min(one.began for one in reports)
    row = {
        "workers": workers,
        "seconds": whole,
        "efficiency": len(reports) * options.frame_seconds / (workers * whole),
        "between_ms": 1000 * statistics.mean(between_tasks(reports)),
        "decision_ms": 1000 * sum(decisions) / len(tasks),
    }
    shown = f"{row['efficiency']:>12.1%}{row['between_ms']:>19.1f}{row['decision_ms']:>21.3f}"
    print(f"{workers:>8}{whole:>9.1f}{shown}", file=told, flush=True)
    return row


@contextmanager
def timed_decisions() -> Iterator[list[float]]:
    """Seconds of every call of the schedule."""
    handle, found = Schedule.handle, []

    def timed(self: Schedule, event: Any) -> Any:
        began = time.perf_counter()
        said = handle(self, event)
        found.append(time.perf_counter() - began)
        return said

    Schedule.handle = timed  # type: ignore[method-assign]
    try:
        yield found
    finally:
        Schedule.handle = handle  # type: ignore[method-assign]


class _Collected:
    """A JobEvents that keeps the reports and prints the notes."""

    def __init__(self, reports: list[SleptReport]) -> None:
        self.frame, self.note = reports.append, print

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class _NoHistory:
    def add(self, *_: Any, **__: Any) -> None:
        pass


def sleeper_tasks(count: int, frames: int) -> list[Task]:
    return [
        Task(id=task_id(1, i), pass_index=1, chunk=i, start=i * frames, stop=(i + 1) * frames, needs=(), steps=frames)
        for i in range(count)
    ]


def between_tasks(reports: list[SleptReport]) -> list[float]:
    """Seconds from the end of each task to the beginning of the next on the same worker."""
    by_worker: dict[int, list[SleptReport]] = {}
    for one in sorted(reports, key=lambda one: one.began):
        by_worker.setdefault(one.worker, []).append(one)
    return [
        later.began - before.ended
        for row in by_worker.values()
        for before, later in itertools.pairwise(row)
        if later.task != before.task
    ]


# local ----------------------------------------------------------------------------------------------------


def local(options: argparse.Namespace) -> dict[str, Any]:
    from farm.commands.bench.clip import render_with_ray

    values: dict[str, Any] = {"video": str(options.video.absolute()), "styles": [str(options.style.absolute())]}
    values |= {"output": str((options.output / "film.mp4").absolute()), "size": options.size, "frames": options.frames}
    first, following = (int(number) for number in options.iterations.split(","))
    values |= {"iterations": {"first": first, "next": following}, "chunk_frames": options.chunk_frames or 12}
    spec = build_spec(values)
    found: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(options.repeats):
        for workers, seconds in found.items():
            seconds.append(render_with_ray(spec, options.output, workers, threads=1)["frame_seconds"])
    one, two = (statistics.median(seconds) for seconds in found.values())
    ratio = statistics.median(a / b for a, b in zip(found[1], found[2], strict=True))
    print(f"{one:.2f} s a frame with 1 worker, {two:.2f} s with 2: {ratio:.2f} times as fast")
    return {"seconds": {str(n): seconds for n, seconds in found.items()}, "ratio": ratio}


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
    told = {"machine": processor()} | {"local": local, "ray": on_ray, "virtual": virtual}[options.kind](options)
    (options.output / f"{options.kind}.json").write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
