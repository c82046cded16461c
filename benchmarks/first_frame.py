"""How long a render on this machine takes from the command to its first committed frame, and what it waits for.

    python -m benchmarks.first_frame film.mp4 --style style.png --size 96 --frames 0-3 -o first_frame/

`farm render` runs as a user runs it, in a process of its own and into a new job, `--repeats` times after one run that
is not counted, by which all files are in memory. Seconds since the command was started, medians of the runs:

    inputs       film and paintings are read, the film is planned, the encoder is tried (`run` in the job's history)
    first worker Ray is up, and a worker has loaded what it paints with (job.json is written)
    first frame  a frame is committed; `painting` are the seconds in which it was painted
    film         the film is there
    end          the command has ended, with Ray

Writes first_frame.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from farm.commands.bench.report import processor
from farm.job import JobDirectory
from farm.job.history import load_history
from farm.plan import plan_tasks

ROOT = Path(__file__).parents[1]
STAGES = ("inputs", "first worker", "first frame", "painting", "film", "end")


def stages_of(job: JobDirectory, began: float, ended: float) -> dict[str, float]:
    """Seconds from `began` to the end of each of STAGES in a finished job. Both times are in seconds since 1970."""
    record = job.load_record()
    assert record is not None, "the render has ended well"
    history = load_history(job)
    frames = [row for task in plan_tasks(record.plan) for row in job.ledger(task.id).values()]
    first = min(frames, key=lambda row: row.committed)
    stages = {
        "inputs": next(row.at for row in history if row.kind == "run") - began,
        "first worker": next(row.at for row in history if row.kind == "joined") - began,
        "first frame": first.committed - began,
        "painting": first.seconds,
        "film": next(row.at for row in history if row.kind == "end") - began,
        "end": ended - began,
    }
    return {name: round(seconds, 3) for name, seconds in stages.items()}


def render(options: argparse.Namespace, number: int) -> dict[str, float]:
    """Render once, and return the stages. Raises CalledProcessError where that fails; its output is shown."""
    folder = options.output / f"run-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    film = folder / "film.mp4"
    command = [sys.executable, "-m", "farm", "render", str(options.video), "--style", str(options.style)]
    command += ["-o", str(film), "--size", str(options.size), *(["--frames", options.frames] if options.frames else [])]
    command += ["--workers", str(options.workers)] if options.workers else []
    command += options.option
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    began = time.time()
    with (folder / "log").open("w") as log:
        subprocess.run(command, env=environment, stdout=log, stderr=log, check=True)
    return stages_of(JobDirectory(str(film.with_suffix(".farm"))), began, time.time())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--size", type=int, default=96, help="longest side, pixels")
    parser.add_argument("--frames", help="A-B")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--option", action="append", default=[], help="one more word of the command, as --option=--seed"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("first_frame"))
    options = parser.parse_args()
    print(processor())
    runs = [render(options, number) for number in range(options.repeats + 1)][1:]
    medians = {name: statistics.median(run[name] for run in runs) for name in STAGES}
    print("".join(f"{name:>14}" for name in STAGES))
    for row in (*runs, medians):
        print("".join(f"{row[name]:>14.2f}" for name in STAGES), "  median" if row is medians else "")
    figures = {"machine": processor(), "runs": runs, "median": medians}
    (options.output / "first_frame.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
