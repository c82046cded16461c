"""How long `farm status`, `list` and `watch` take for a job of 100,000 frames, without rendering any.

    python -m benchmarks.longjob                          100,800 frames of five passes, and 200 jobs for `farm list`
    python -m benchmarks.longjob --frames 20000 --jobs 50

The job directory is synthetic: a plan of shots of 90 frames, and ledgers that name every frame of every pass but the
last shot's as committed. No frame is stored. `farm status` and the first look of `farm watch` are measured with the
summary that a driver keeps (farm.job.summary) and without it, `farm list` over many jobs that have one. Each row is a
process of its own: CPU seconds, wall seconds, peak resident MiB. All of them are written as longjob.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from farm.files.checked_json import seal
from farm.job import JobDirectory, JobRecord
from farm.job.directory import ledger_name
from farm.job.registry import note_submission
from farm.job.request import JobRequest, save_request
from farm.job.state import JobState, save_state
from farm.job.summary import SummaryCounter, save_summary
from farm.plan import JobRuntime, Task, VideoProbe, plan_render, plan_tasks
from farm.plan.video import ColorTags
from farm.spec import RenderSpec, build_spec

ROOT = Path(__file__).parents[1]
SHOT_FRAMES = 90
"""Frames of a shot: some four seconds, as in feature films."""
RATE = 24
MEASURED = """
import resource, runpy, sys, time
began = time.perf_counter()
try:
    exec(sys.argv.pop(1))
except SystemExit as stop:
    if stop.code:
        raise
times = resource.getrusage(resource.RUSAGE_SELF)
with open("/proc/self/status") as status:  # ru_maxrss would be that of the process which started this one, if larger
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(times.ru_utime + times.ru_stime, time.perf_counter() - began, peak / 1024, file=sys.stderr)
"""
COMMAND = "sys.argv[0] = 'farm'; runpy.run_module('farm', run_name='__main__')"
FIRST_LOOK = """
from farm.pages.facts import JobReader
from farm.pages.watch import JobWatch
JobWatch(JobReader(sys.argv[1])).first_look()
"""


def make_spec(folder: Path) -> RenderSpec:
    """A spec whose files are not there: nothing is rendered."""
    values = {"video": "/films/long.mp4", "styles": ["/styles/style.png"], "output": str(folder / "out.mp4")}
    return build_spec({**values, "size": 512})


def make_record(spec: RenderSpec, frames: int) -> JobRecord:
    """The record of a film of so many frames, cut every SHOT_FRAMES."""
    probe = VideoProbe(
        path=spec.video,
        container="mov",
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
        content_hash="0" * 64,
    )
    cuts = tuple(range(SHOT_FRAMES, frames, SHOT_FRAMES))
    return JobRecord(
        spec=spec,
        input_hashes={},
        probe=probe,
        cuts=cuts,
        plan=plan_render(spec, probe, cuts),
        runtime=JobRuntime(precision="fp32"),
        versions={"farm": "0.1.0"},
    )


def make_job(folder: Path, frames: int) -> tuple[JobDirectory, SummaryCounter]:
    """A job directory as a driver leaves it that is at the last shot, and the counter of its summary."""
    job = JobDirectory(str(folder / "out.farm"))
    record = make_record(make_spec(folder), frames)
    job.save_record(record)
    tasks = plan_tasks(record.plan)
    last = record.plan.shots[-1].start
    done = [task for task in tasks if task.frames.start < last]
    begun = time.time() - 86400
    for task in done:
        rows = [ledger_row(task, frame, begun) for frame in task.frames]
        path = Path(job.url) / ledger_name(task.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(seal({"frames": rows}))  # not committed to the disk one by one: a benchmark may lose them
    save_request(job, JobRequest(spec=record.spec, dashboard="http://127.0.0.1:9", submissions=("farm-long-1",)))
    save_state(job, JobState(state="RUNNING", submission="farm-long-1", phase="pass 1"))
    return job, SummaryCounter(record, tasks, {task.id: task.frames for task in done}, None)


def ledger_row(task: Task, frame: int, begun: float) -> dict[str, Any]:
    """A row of a ledger as an optimised frame has it."""
    losses = {"style": 1234.5, "content": 567.8, "tv": 9.1, "temporal": 23.4, "total": 1834.8}
    return {
        "frame": frame,
        "sha256": f"{frame:064x}",
        "steps": task.steps // max(len(task.frames), 1),
        "stop": "steps",
        "restarts": 0,
        "notes": [],
        "losses": losses,
        "seconds": 12.34,
        "bytes": 700_000,
        "worker": "film worker-2",
        "committed": round(begun + frame / 10, 3),
    }


def make_jobs(folder: Path, count: int, registry: str) -> None:
    """So many small submitted jobs with their summaries, all in the registry."""
    for number in range(count):
        job = JobDirectory(str(folder / f"{number:03d}.farm"))
        spec = make_spec(folder)
        record = make_record(spec, SHOT_FRAMES)
        submission = f"farm-long-{number:03d}"
        save_request(job, JobRequest(spec=spec, dashboard="http://127.0.0.1:9", submissions=(submission,)))
        save_state(job, JobState(state="RUNNING", submission=submission))
        save_summary(job, SummaryCounter(record, plan_tasks(record.plan), {}, None).summary())
        note_submission(job.url, submission, {"FARM_REGISTRY": registry})


def measure(name: str, code: str, *arguments: str, registry: str) -> dict[str, Any]:
    """Run code in a process of its own; what it took."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FARM_REGISTRY": registry}
    environment["RAY_API_SERVER_ADDRESS"] = "http://127.0.0.1:9"  # where nothing answers
    command = [sys.executable, "-c", MEASURED, code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr}")
    cpu, wall, memory = map(float, done.stderr.splitlines()[-1].split())
    row = {"what": name, "cpu_seconds": round(cpu, 2), "seconds": round(wall, 2), "mib": round(memory)}
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    """Make the jobs, measure, print one row of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100_800)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--output", "-o", type=Path, default=Path("longjob.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="farm-longjob-") as name:
        folder, registry = Path(name), f"{name}/registry"
        job, counter = make_job(folder, options.frames)
        rows = [measure("farm status, from ledgers", COMMAND, "status", job.url, registry=registry)]
        save_summary(job, counter.summary())
        rows += [
            measure("farm status, from the summary", COMMAND, "status", job.url, registry=registry),
            measure("first look of farm watch", FIRST_LOOK, job.url, registry=registry),
        ]
        (folder / "many").mkdir()
        make_jobs(folder / "many", options.jobs, registry)
        rows.append(measure(f"farm list, {options.jobs} jobs", COMMAND, "list", registry=registry))
    options.output.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
