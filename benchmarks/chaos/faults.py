"""The faults: what breaks a render, and how it is mended.

FAULTS has a function for each name. It is given the bench and the name, makes a case, breaks it, runs the command
again where that ended, and returns the row.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.chaos.harness import COMMAND_SECONDS, MISSED, Bench, Case, Driver, Row, after, kill_driver
from benchmarks.chaos.watch import Watch
from benchmarks.processes import command_of, send
from farm.job import JobDirectory
from farm.plan import plan_tasks
from farm.plan.reads import reads

START_ATTEMPTS = 3
"""Attempts to start a cluster. Ray waits 30 seconds for its processes: too few on a busy machine."""
WORKER = r"^ray::pass"
"""Command line of a renderer at work: Ray names a process after the call that it is at."""


# workers ---------------------------------------------------------------------------------------------


def killed_worker(bench: Bench, name: str) -> Row:
    """Kill a renderer in the middle of a chunk."""
    case, moment = Case(bench, name), bench.moment()
    case.row.when = f"in the middle of a chunk, after {moment} commits"

    def strike(driver: Driver, watch: Watch) -> bool:
        return after(watch, driver, moment) and send(driver.children(WORKER)[:1])

    case.run_and_strike(strike, loses_worker=True)
    return case.compare()


def killed_while_decoding(bench: Bench, name: str) -> Row:
    """Kill a renderer as soon as it has opened the film. PyAV decodes in the renderer: there is no other process."""
    case = Case(bench, name)
    case.row.when = "as soon as a renderer has opened the film"

    def strike(driver: Driver, watch: Watch) -> bool:
        return bool(watch.wait(lambda: send(_with_open_film(driver, bench)) or driver.process.poll() is not None)) and (
            driver.process.poll() is None
        )

    case.run_and_strike(strike, loses_worker=True)
    return case.compare()


def _with_open_film(driver: Driver, bench: Bench) -> list[int]:
    for pid in driver.children(WORKER, 1.0):
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                if str(Path(entry.path).readlink()) == str(bench.spec["video"]):
                    return [pid]
    return []


def stuck_worker(bench: Bench, name: str) -> Row:
    """Stop all renderers, which then neither work nor die."""
    case, moment = Case(bench, name), bench.moment(0.4, 0.7)
    case.row.when = f"SIGSTOP after {moment} commits"

    def strike(driver: Driver, watch: Watch) -> bool:
        return after(watch, driver, moment) and send(driver.children(WORKER), signal.SIGSTOP)

    case.run_and_strike(strike, loses_worker=True)
    return case.compare()


def lost_node(bench: Bench, name: str) -> Row:
    """Kill all processes of one node at once, in a cluster of a head and two nodes."""
    case, moment = Case(bench, name), bench.moment(0.3, 0.6)
    case.row.when = f"after {moment} commits"
    cluster, nodes = _cluster()
    try:
        case.launch["address"] = cluster.address

        def strike(driver: Driver, watch: Watch) -> bool:
            fell = after(watch, driver, moment)
            cluster.remove_node(nodes[0], allow_graceful=False)
            return fell

        case.run_and_strike(strike, loses_worker=True)
    finally:
        cluster.shutdown()
    return case.compare()


def killed_flow_worker(bench: Bench, name: str) -> Row:
    """Kill the flow worker. It only works ahead: renderers compute the flow that is missing, and nobody waits."""
    case = Case(bench, name)
    case.row.when = "as soon as it is at work"
    case.run_and_strike(lambda driver, _: send(driver.children(r"^ray::flow")))
    return case.compare()


def killed_again_and_again(bench: Bench, name: str) -> Row:
    """Kill renderers until a task has failed as often as it may and the command gives up."""
    case = Case(bench, name)
    kills = 0

    def strike(driver: Driver, watch: Watch) -> bool:
        nonlocal kills
        while driver.process.poll() is None:
            kills += send(driver.children(WORKER))
        return driver.process.wait() == 1

    case.run_and_strike(strike)
    case.row.when = f"as soon as one is at work, {kills} times"
    case.run()
    return case.compare()


def killed_ray(pattern: str) -> Callable[[Bench, str], Row]:
    """Kill the process of Ray whose command line has the pattern."""

    def break_it(bench: Bench, name: str) -> Row:
        case, moment = Case(bench, name), bench.moment()
        case.row.when = f"after {moment} commits"
        if case.run_and_strike(lambda driver, watch: after(watch, driver, moment) and send(driver.children(pattern))):
            case.run()
        return case.compare()

    return break_it


def _cluster() -> tuple[Any, list[Any]]:
    """A cluster of a head without cores and two nodes of one core, and the two nodes."""
    import farm.cluster  # noqa: F401, I001  before ray: it turns token authentication on
    from ray.cluster_utils import Cluster

    for attempt in range(START_ATTEMPTS):
        cluster = Cluster()
        try:
            cluster.add_node(num_cpus=0, include_dashboard=False)
            return cluster, [cluster.add_node(num_cpus=1) for _ in range(2)]
        except Exception:
            cluster.shutdown()
            if attempt == START_ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


# drivers ---------------------------------------------------------------------------------------------


def ended_driver(kind: int) -> Callable[[Bench, str], Row]:
    """End the command by a signal, at any moment."""

    def break_it(bench: Bench, name: str) -> Row:
        case, moment = Case(bench, name), bench.moment()
        case.row.when = f"after {moment} commits"
        case.run_and_strike(lambda driver, watch: kill_driver(driver, watch, moment, kind))
        case.run()
        return case.compare()

    return break_it


def two_drivers(at_once: bool) -> Callable[[Bench, str], Row]:
    """Run the command twice on one job: one of them must refuse.

    Storage is slow for the first, so that it is still at work when the second has begun.
    """

    def break_it(bench: Bench, name: str) -> Row:
        case, moment = Case(bench, name), 0 if at_once else bench.moment(0.1, 0.3)
        case.row.when = "both begin at once" if at_once else f"the second after {moment} commits"
        last_lines: list[str] = []

        def strike(driver: Driver, watch: Watch) -> bool:
            fell = after(watch, driver, moment)
            second = Driver(case)
            case.row.codes.append(second.wait())
            driver.wait()
            last_lines.extend(process.last_line() for process in (driver, second))
            return fell

        case.run_and_strike(strike, "slow")
        refused = sorted(case.row.codes) == [0, 2] and any(
            "is being rendered by process" in line for line in last_lines
        )
        case.row.codes.sort(reverse=True)
        if not refused:
            case.row.says = MISSED
        return case.compare()

    return break_it


# ffmpeg ----------------------------------------------------------------------------------------------


def killed_encoder(bench: Bench, name: str) -> Row:
    """Kill the ffmpeg of a segment. Storage is slow, so that it waits for its frames until it is found."""
    case = Case(bench, name)
    struck: list[str] = []

    def encoded() -> bool:
        return any(case.job.glob(f"segments/*/{struck[-1]}.json"))

    def strike(driver: Driver, watch: Watch) -> bool:
        while pids := driver.children(r"out\.farm/segments/.*/\.\d{5}\."):
            struck.extend(re.findall(r"/\.(\d{5})\.", command_of(pids[0]))[-1:])
            if struck and send(pids[:1]) and not encoded():
                return True
        return False

    case.run_and_strike(strike, "slow", recovered=lambda: bool(struck) and encoded())
    case.row.when = f"as it encodes segment {int(struck[-1]) + 1 if struck else ''}"
    return case.compare()


def killed_joiner(bench: Bench, name: str) -> Row:
    """Kill the ffmpeg that writes the film."""
    case = Case(bench, name)
    case.row.when = "as it writes the film"

    def strike(driver: Driver, watch: Watch) -> bool:
        return send(driver.children(re.escape(f"{case.folder}/.out."))) and not case.output.exists()

    case.run_and_strike(strike, recovered=case.output.exists)
    return case.compare()


def driver_killed_while_encoding(bench: Bench, name: str) -> Row:
    """Kill the driver with a segment half encoded. Storage is slow, so that ffmpeg is found before it is through."""
    case = Case(bench, name)
    case.row.when = "with the second segment half encoded"
    second = r"out\.farm/segments/.*/\.00001\."
    case.run_and_strike(lambda driver, _: bool(driver.children(second)) and send([driver.process.pid]), "slow")
    case.run()
    return case.compare()


def driver_killed_with_its_film(bench: Bench, name: str) -> Row:
    """Kill the driver between film and report. Storage is slow, so that there is time between the two."""
    case = Case(bench, name)
    case.row.when = "as soon as the film is there"

    def strike(driver: Driver, watch: Watch) -> bool:
        watch.wait(lambda: case.output.exists() or driver.process.poll() is not None, COMMAND_SECONDS)
        fell = not (case.job / "report.json").exists()
        return driver.process.poll() is None and send([driver.process.pid]) and fell

    case.run_and_strike(strike, "slow")
    case.run()
    return case.compare()


# memory ----------------------------------------------------------------------------------------------


class Meminfo:
    """A copy of /proc/meminfo that says what a benchmark wants, and the command that shows it to another process.

    Ray's memory monitor reads that file and kills workers where too little is available. So the machine's memory is
    never really used up. `prefix` starts a command for which the copy is in the file's place; it takes root.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = Path("/proc/meminfo").read_text()
        path.write_text(self._text)
        script = 'mount --bind "$0" /proc/meminfo && exec "$@"'
        self.prefix = ("unshare", "-m", "sh", "-c", script, str(path))

    def works(self) -> bool:
        """Whether a command can be started with `prefix` here."""
        is_there = shutil.which("unshare") is not None and shutil.which("mount") is not None
        return is_there and subprocess.run([*self.prefix, "true"], capture_output=True).returncode == 0

    def available(self, share: float | None) -> None:
        """Say that this share of all memory is available; None is what there was when this copy was made.

        The file stays as long as it was and is written by one call, so that nobody reads half of it.
        """
        text = self._text
        if share is not None:
            total = int(re.findall(r"MemTotal: +(\d+)", text)[0])
            for name in ("MemFree", "MemAvailable", "Buffers", "Cached", "SReclaimable"):
                kilobytes = int(total * share) if name in ("MemFree", "MemAvailable") else 0

                def with_value(line: re.Match[str], kilobytes: int = kilobytes) -> str:
                    return line[1] + str(kilobytes).rjust(len(line[2]))

                text = re.sub(rf"^({name}: +)(\d+)", with_value, text, flags=re.MULTILINE)
        with self._path.open("r+") as file:
            file.write(text)


def memory_runs_out(bench: Bench, name: str) -> Row:
    """Have Ray's memory monitor kill renderers three times, as it does where another process takes all memory."""
    case = Case(bench, name)
    meminfo = Meminfo(case.folder / "meminfo")
    if not meminfo.works():
        case.row.identical = "left out"
        return case.row
    case.prefix = meminfo.prefix
    case.launch["patience"] = 120.0  # a busy machine is slow here, and nobody is stuck
    moments = sorted(bench.random.sample(range(3, bench.total - 12), 3))
    lines = 0

    def strike(driver: Driver, watch: Watch) -> bool:
        nonlocal lines
        fell = True
        for moment in moments:
            fell = after(watch, driver, moment) and fell
            before = driver.children(WORKER)
            meminfo.available(0.01)
            fell = watch.wait(lambda: not set(before) <= set(driver.children(WORKER, 0.1)), 30) and fell  # noqa: B023
            meminfo.available(None)
        driver.wait()
        lines = driver.lines()
        return fell

    case.run_and_strike(strike, loses_worker=True)
    case.row.when = f"after {', '.join(map(str, moments))} commits; {lines} lines printed"
    return case.compare()


# disks -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Callable[[], None] | None]:
    """A file system of its own at `folder`. Yields what makes it larger, or None where it cannot be made."""
    folder.mkdir(parents=True, exist_ok=True)

    def mount(options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        return shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0

    def enlarge() -> None:
        mount("remount,size=64m")

    if not mount(f"size={kilobytes}k"):
        yield None
        return
    try:
        yield enlarge
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def full_disk(place: str, kilobytes: int, when: str) -> Callable[[Bench, str], Row]:
    """Render on a small disk until it is full, then enlarge it. `place` is where it is, below the case's folder."""

    def break_it(bench: Bench, name: str) -> Row:
        case = Case(bench, name)
        case.row.when = when
        if place == "film":
            case.output = case.folder / "film/out.mp4"
            case.spec["output"] = str(case.output)
        with small_disk(case.folder / place, kilobytes) as enlarge:
            if enlarge is None:
                case.row.identical = "left out"
                return case.row
            if case.run() == 0:
                case.row.says = MISSED
            enlarge()
            case.run()
            return case.compare()

    return break_it


def sabotaged(kind: str, when: str) -> Callable[[Bench, str], Row]:
    """Render with trouble of this kind (sabotage/sitecustomize.py) in all processes."""

    def break_it(bench: Bench, name: str) -> Row:
        case = Case(bench, name)
        case.row.when = when
        case.run(kind)
        case.row.recovery = -1
        return case.compare()

    return break_it


# damage behind its back ------------------------------------------------------------------------------


def truncated(path: Path) -> None:
    """Take away the file's last 20 bytes."""
    path.write_bytes(path.read_bytes()[:-20])


def zeroed(path: Path) -> None:
    """Write zeros over all of the file."""
    path.write_bytes(bytes(path.stat().st_size))


def flipped(path: Path) -> None:
    """Flip one bit in the middle of the file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 8
    path.write_bytes(bytes(data))


def damaged(pattern: str, how: Callable[[Path], None]) -> Callable[[Bench, str], Row]:
    """Damage one file of a copy of the job that was cut off, and run the same command again.

    The file is drawn from those that `pattern` finds. A file of a frame or a ledger is one that the rest of the
    render still reads: what nobody reads again is not made again.
    """

    def break_it(bench: Bench, name: str) -> Row:
        case = Case(bench, name, copy_of=bench.half.job)
        frames = frames_still_read(case.job)
        paths = [path for path in sorted(case.job.glob(pattern)) if is_still_read(path.relative_to(case.job), frames)]
        path = bench.random.choice(paths)
        case.row.when = f"half-way: {path.relative_to(case.job)}"[:42]
        how(path)
        case.watch.overlook()
        case.run()
        return case.compare()

    return break_it


def frames_still_read(job: Path) -> set[str]:
    """Committed frames of a job that frames which are not committed yet are made from, as `task/number`."""
    directory = JobDirectory(str(job))
    record = directory.load_record()
    assert record is not None
    tasks = plan_tasks(record.plan)
    committed = {task.id: set(directory.ledger(task.id)) for task in tasks}
    return {
        f"{name}/{other:06d}"
        for task in tasks
        for frame in task.frames
        if frame not in committed[task.id]
        for name, other in reads(record.plan, record.spec, task, frame)
        if other in committed[name]
    }


def is_still_read(path: Path, frames: set[str]) -> bool:
    """Whether the rest of a render reads this file, given by its path in the job, where it reads those `frames`."""
    folder, name = path.parts[0], "/".join(path.with_suffix("").parts[1:])
    if folder == "frames":
        return name in frames
    return folder != "ledger" or any(frame.startswith(f"{name}/") for frame in frames)


def damaged_segment(bench: Bench, name: str) -> Row:
    """Kill the driver as soon as a segment is encoded, and flip a bit of that segment."""
    case = Case(bench, name)
    case.row.when = "as soon as it is encoded; driver killed"

    def strike(driver: Driver, watch: Watch) -> bool:
        encoded: list[Path] = []

        def is_encoded() -> bool:
            encoded.extend(case.job.glob("segments/*/*.json"))
            return bool(encoded) or driver.process.poll() == 0

        watch.wait(is_encoded)
        send([driver.process.pid])
        time.sleep(0.5)
        for path in encoded[:1]:
            flipped(path.with_suffix(".mkv"))
        return bool(encoded)

    case.run_and_strike(strike)
    case.run()
    return case.compare()


FRAME = "frames/pass-1/*/*.png"
"""Pattern of the files of frames, of the first pass."""

FAULTS: dict[str, Callable[[Bench, str], Row]] = {
    "SIGKILL of a renderer": killed_worker,
    "SIGKILL of a renderer while it decodes": killed_while_decoding,
    "SIGKILL of renderers, again and again": killed_again_and_again,
    "stuck renderers": stuck_worker,
    "memory runs out three times": memory_runs_out,
    "SIGKILL of the flow worker": killed_flow_worker,
    "SIGKILL of Ray's raylet": killed_ray("/raylet/raylet "),
    "SIGKILL of Ray's GCS": killed_ray("/gcs/gcs_server "),
    "SIGKILL of the driver": ended_driver(signal.SIGKILL),
    "SIGTERM to the driver": ended_driver(signal.SIGTERM),
    "Ctrl-C": ended_driver(signal.SIGINT),
    "Ctrl-C at another moment": ended_driver(signal.SIGINT),
    "two drivers": two_drivers(at_once=False),
    "two drivers at once": two_drivers(at_once=True),
    "SIGKILL of ffmpeg, a segment": killed_encoder,
    "SIGKILL of ffmpeg, the film": killed_joiner,
    "SIGKILL of the driver while it encodes": driver_killed_while_encoding,
    "SIGKILL of the driver with its film": driver_killed_with_its_film,
    "full disk, frames": full_disk("out.farm/frames", 260, "after some frames of all passes"),
    "full disk, segments": full_disk("out.farm/segments", 12, "in the first or second segment"),
    "full disk, the film": full_disk("film", 24, "while the film is written"),
    "a frame truncated": damaged(FRAME, truncated),
    "a frame zeroed": damaged(FRAME, zeroed),
    "a bit of a frame flipped": damaged(FRAME, flipped),
    "a frame deleted": damaged(FRAME, Path.unlink),
    "a bit of a flow field flipped": damaged("flow/*/*/*.png", flipped),
    "a ledger torn": damaged("ledger/pass-1/*.json", truncated),
    "a bit of a ledger flipped": damaged("ledger/pass-1/*.json", flipped),
    "a ledger deleted": damaged("ledger/pass-1/*.json", Path.unlink),
    "job.json torn": damaged("job.json", truncated),
    "a bit of a segment flipped": damaged_segment,
    "clock jumps": sabotaged("clock", "by up to a day, every second"),
    "slow storage": sabotaged("slow", "0.1 s for every file written"),
    "storage that fails every tenth call": sabotaged("flaky", "EIO, in driver and renderers"),
    "SIGKILL of a node": lost_node,
}
"""What breaks a render and mends it, by the name of its row."""
