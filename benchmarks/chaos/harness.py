"""What every fault needs: the film, an undisturbed render, jobs to break, the command in a process, the comparison.

bench = Bench(folder, seed=1)            # renders the film undisturbed, and once more until it is killed half-way
case = Case(bench, "slow storage")
case.run("slow")
row = case.compare()                     # "yes" where frames and film are those of the undisturbed render
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from PIL import Image

from benchmarks.chaos.watch import Watch
from benchmarks.processes import command_of, descendants
from farm.job import JobDirectory
from farm.media.ffmpeg import ffmpeg_binary
from farm.plan import plan_tasks

ROOT = Path(__file__).parents[2]
"""Top of the repository."""
SABOTAGE = Path(__file__).parent / "sabotage"
"""Folder whose sitecustomize.py makes trouble in every Python process that has it on its path."""
FRAMES = 24
"""Frames of the film: two seconds."""
SEGMENT_FRAMES = 8
"""Frames of a segment, so that this film has several."""
COMMAND_SECONDS = 300
"""Seconds after which a command is killed."""
PATIENCE_SECONDS = 4.0
"""Seconds that a renderer may be silent. The farm's own patience is minutes."""
MISSED = "the blow did not fall"
"""What a row says where the render was over before it could be broken."""


@dataclass
class Row:
    """The result of one fault."""

    fault: str
    when: str = ""
    """At what moment it struck."""
    codes: list[int] = field(default_factory=list)
    """Exit codes of the commands, in order."""
    recovery: float = -1.0
    """Seconds, -1 where nothing had to recover."""
    twice: int = 0
    """Commits of frames that had been committed before."""
    identical: str = "no"
    """`yes`, `left out`, or what differs from the undisturbed render."""
    says: str = ""
    """The last line that a failed command printed, or MISSED."""


class Driver:
    """One run of the command, begun at once, in a process group of its own.

    `sabotage` names the trouble that its processes have, comma by comma (sabotage/sitecustomize.py); `launch` are
    fields of LaunchOptions.
    """

    def __init__(self, case: Case, sabotage: str = "", **launch: object) -> None:
        launch = {"job": str(case.job), "workers": 2, "patience": PATIENCE_SECONDS, **case.launch, **launch}
        options = case.folder / "options.json"
        options.write_text(json.dumps({"spec": case.spec, "segment_frames": SEGMENT_FRAMES, "launch": launch}))
        paths = [str(SABOTAGE), str(ROOT)] if sabotage else [str(ROOT)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "FARM_SABOTAGE": sabotage}
        environment |= case.environment
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed with the process
        self.began = time.monotonic()
        command = [*case.prefix, sys.executable, "-m", "benchmarks.chaos.driver", str(options)]
        self.process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=self.log, start_new_session=True
        )
        self.late = False
        self._limit = threading.Timer(COMMAND_SECONDS, self._give_up)
        self._limit.start()

    def _give_up(self) -> None:
        self.late = True
        os.killpg(self.process.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end. Returns the exit code, -99 where it took longer than COMMAND_SECONDS."""
        code = self.process.wait()
        self._limit.cancel()
        return -99 if self.late else code

    def last_line(self) -> str:
        """The last line that it wrote to stderr, at most 200 characters; empty where there is none."""
        self.log.seek(0)
        lines = [line.strip() for line in self.log.read().splitlines() if line.strip()]
        return lines[-1][:200] if lines else ""

    def lines(self) -> int:
        """How many lines it has written to stderr."""
        self.log.seek(0)
        return sum(1 for line in self.log.read().splitlines() if line.strip())

    def children(self, pattern: str, seconds: float = COMMAND_SECONDS) -> list[int]:
        """Wait for processes below this one whose command line contains the regular expression `pattern`.

        Returns their ids; none where there was no such process in so many seconds, or this one ended.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.process.poll() is None:
            pids = [pid for pid in descendants(self.process.pid) if re.search(pattern, command_of(pid))]
            if pids:
                return pids
            time.sleep(0.002)
        return []


class Case:
    """A job of its own for one row: a new one, or with `copy_of` a copy of that job directory.

    `spec` overrides fields of the bench's spec.
    """

    def __init__(self, bench: Bench, name: str, copy_of: Path | None = None, **spec: object) -> None:
        self.bench = bench
        self.folder = bench.folder / name.replace(" ", "-").replace("/", "-")
        self.folder.mkdir()
        self.job, self.output = self.folder / "out.farm", self.folder / "out.mp4"
        self.spec = {**bench.spec, "output": str(self.output), **spec}
        self.launch: dict[str, object] = {}
        self.environment: dict[str, str] = {}
        """Environment variables of the command, beside those of this process."""
        self.prefix: tuple[str, ...] = ()
        """What the command is started with: `nice`, for example."""
        self.row = Row(name)
        if copy_of is not None:
            shutil.copytree(copy_of, self.job)
        self.watch = Watch(self.job, self.output)

    def run(self, sabotage: str = "", **launch: object) -> int:
        """Run the command once, to its end, and return its exit code.

        The row's recovery is the time from its start until it has committed something.
        """
        with self.watch as watch:
            driver = Driver(self, sabotage, **launch)
            # what renderers of an earlier command commit before they notice its end is no recovery
            watch.wait(lambda: self.is_held_by(driver) or driver.process.poll() is not None, COMMAND_SECONDS)
            before = watch.steps
            watch.wait(lambda: watch.steps > before or driver.process.poll() is not None, COMMAND_SECONDS)
            if watch.steps > before:
                self.row.recovery = watch.last - driver.began
            self.row.codes.append(driver.wait())
        if self.row.codes[-1]:
            self.row.says = driver.last_line()
        return self.row.codes[-1]

    def run_and_strike(
        self,
        strike: Callable[[Driver, Watch], bool],
        sabotage: str = "",
        *,
        recovered: Callable[[], bool] | None = None,
        loses_worker: bool = False,
    ) -> int:
        """Run the command and strike while it runs. Returns its exit code.

        `strike` returns whether the blow fell, `recovered` whether all is well again. With `loses_worker` the recovery
        is the time that the command's own report says was lost.
        """
        with self.watch as watch:
            driver = Driver(self, sabotage)
            fell = strike(driver, watch)
            struck = time.monotonic()
            if fell and recovered is not None:
                watch.wait(lambda: recovered() or driver.process.poll() is not None, COMMAND_SECONDS)
                if recovered():
                    self.row.recovery = time.monotonic() - struck
            self.row.codes.append(driver.wait())
        if loses_worker:
            report = JobDirectory(str(self.job)).load_report() or {}
            fell = fell and report.get("lost_workers", 0) > 0
            self.row.recovery = float(report.get("lost_seconds", -1)) if fell else -1
        self.row.says = driver.last_line() if self.row.codes[-1] > 0 else ""
        if not fell:
            self.row.says = f"{MISSED}: {self.row.says}"
        return self.row.codes[-1]

    def is_held_by(self, driver: Driver) -> bool:
        """Whether this driver is the one that is at work in the job directory."""
        lock = self.job / "lock"
        return lock.exists() and lock.read_text().startswith(f"process {driver.process.pid} ")

    def compare(self) -> Row:
        """Compare every frame of every pass, and the film's pictures, with the undisturbed render. Returns the row."""
        faults = []
        frames = hashes(self.job)
        if frames != self.bench.frames:
            wrong = sum(frames.get(key) != value for key, value in self.bench.frames.items())
            faults.append(f"{wrong} frames differ")
        if not self.output.exists():
            faults.append("no film")
        elif film_hash(self.output) != self.bench.film:
            faults.append("the film differs")
        if self.row.codes[-1] != 0:
            faults.append(f"the last command ended with {self.row.codes[-1]}")
        if self.row.says.startswith(MISSED):
            faults.append(MISSED)
        self.row.twice = self.watch.twice
        self.row.identical = "; ".join(faults) or "yes"
        return self.row


class Bench:
    """The film, its undisturbed render, and a render that was killed half-way, of which damaged jobs are copies.

    Raises SystemExit where one of the two renders fails. All moments are drawn from `seed`. `kind` is one of KINDS.
    """

    def __init__(self, folder: Path, seed: int, kind: str = "style") -> None:
        self.folder, self.seed = folder, seed
        self.random = random.Random(seed)
        video, style = folder / "film.mp4", folder / "style.png"
        make = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=12", "-f", "lavfi", "-i", "sine=frequency=440"]
        coded = ["-frames:v", str(FRAMES), "-c:v", "libx264", "-g", "12", "-pix_fmt", "yuv420p"]
        coded += ["-c:a", "aac", "-shortest"]
        subprocess.run([ffmpeg_binary(), "-v", "error", *make, *coded, str(video)], check=True)
        waves = np.add.outer(np.arange(48) // 4, np.arange(64) // 6)[..., None] * np.array([17, 31, 7])
        Image.fromarray((waves % 256).astype(np.uint8)).save(style)
        self.spec: dict[str, object] = {
            "video": str(video),
            "styles": [str(style)],
            "iterations": "2,1",
            "passes": 2,
            "chunk_frames": 6,
            "overlap": 2,
            "long_term": [3],
            "style_layers": "relu1_1,relu2_1",
            "content_layers": "relu2_1",
        }
        self.spec |= KINDS[kind](folder, video)
        self.case = Case(self, "undisturbed")
        if self.case.run() != 0:
            raise SystemExit(f"the undisturbed render failed: {self.case.row.says}")
        self.frames, self.film = hashes(self.case.job), film_hash(self.case.output)
        self.total = len(self.frames)
        self.half = Case(self, "half")
        renderers: list[int] = []

        def cut_off(driver: Driver, watch: Watch) -> bool:
            fell = after(watch, driver, self.total // 2 + 6)
            renderers.extend(pid for pid in descendants(driver.process.pid) if command_of(pid).startswith("ray::pass"))
            return kill_driver(driver, watch, 0) and fell

        self.half.run_and_strike(cut_off)
        # its renderers go on until they notice, and nothing may change while it is copied
        self.half.watch.wait(lambda: not any(command_of(pid).startswith("ray::pass") for pid in renderers))
        if self.half.row.says:
            raise SystemExit(f"the render that was to be cut off half-way: {self.half.row.says}")

    def moment(self, low: float = 0.2, high: float = 0.8) -> int:
        """Draw after how many commits to strike: between these two shares of all frames."""
        return self.random.randint(int(self.total * low), int(self.total * high))


def _with_keys(folder: Path, video: Path) -> dict[str, object]:
    """A film painted from two of its frames, upside down in colour: fields of its spec."""
    keys = []
    with av.open(str(video)) as film:
        for number, frame in enumerate(film.decode(video=0)):
            if number in KEYS:
                Image.fromarray(255 - frame.to_ndarray(format="rgb24")).save(folder / f"key-{number}.png")
                keys.append(f"{number}={folder / f'key-{number}.png'}")
    return {"styles": [], "keys": keys}


KEYS = (5, 16)
"""Frames that are keys, of a film painted from keys."""


def _with_timeline(folder: Path, video: Path) -> dict[str, object]:
    """A film that goes from one style to another, and to the photograph: fields of its spec."""
    style, other = folder / "style.png", folder / "other.png"
    with Image.open(style) as picture:
        Image.fromarray(255 - np.asarray(picture)).save(other)
    points = ((0, str(style)), (FRAMES // 2, str(other)), (FRAMES - 4, "none"))
    return {"timeline": {"points": [{"at": at, "styles": styles} for at, styles in points]}}


def _painted_elsewhere(folder: Path, video: Path) -> dict[str, object]:
    """A painted film that is to be made steady, each frame of another brightness: fields of its spec."""
    painted = folder / "painted"
    painted.mkdir()
    with av.open(str(video)) as film:
        for number, frame in enumerate(film.decode(video=0)):
            picture = frame.to_ndarray(format="rgb24") // 2 + 8 * (number * 5 % 7)
            Image.fromarray(picture.astype(np.uint8)).save(painted / f"{number:06d}.png")
    return {"method": "steady", "painted": str(painted), "styles": []}


KINDS: dict[str, Callable[[Path, Path], dict[str, object]]] = {
    "style": lambda folder, video: {},
    "keys": _with_keys,
    "timeline": _with_timeline,
    "steady": _painted_elsewhere,
}
"""By the name of a kind of render: what makes its fields of a spec, from a folder to write to and the film."""


def hashes(job: Path) -> dict[tuple[str, int], str]:
    """SHA-256 by (task, frame) of every frame of every pass, as ledgers have it; damaged files are left out."""
    directory = JobDirectory(str(job))
    record = directory.load_record()
    sums: dict[tuple[str, int], str] = {}
    for task in plan_tasks(record.plan) if record else ():
        intact = directory.intact_frames(task)
        sums |= {(task.id, n): row.sha256 for n, row in directory.ledger(task.id).items() if n in intact}
    return sums


def film_hash(path: Path) -> str:
    """SHA-256 over the times and the RGB pixels of all frames of a film."""
    digest = hashlib.sha256()
    with av.open(str(path)) as film:
        for frame in film.decode(video=0):
            digest.update(f"{frame.pts}".encode() + frame.to_ndarray(format="rgb24").tobytes())
    return digest.hexdigest()


def after(watch: Watch, driver: Driver, commits: int) -> bool:
    """Wait until so many frames were committed. Returns whether the driver was still at work then."""
    watch.wait(lambda: watch.commits >= commits or driver.process.poll() is not None, COMMAND_SECONDS)
    return driver.process.poll() is None


def kill_driver(driver: Driver, watch: Watch, commits: int, kind: int = signal.SIGKILL) -> bool:
    """Send a signal to the driver alone, after so many commits. Returns whether it was still at work then."""
    fell = after(watch, driver, commits)
    if fell:
        os.kill(driver.process.pid, kind)
    return fell
