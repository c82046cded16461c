"""The table of faults that benchmarks/chaos.py goes through: a name, and what breaks it and mends it."""

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

from benchmarks.chaos import MISSED, Bench, Case, Driver, Row, Watch, after, hit, kill_driver

WORKER = r"^ray::(relay|pass)"
"""Ray names a process after the call that it is at."""


# workers ---------------------------------------------------------------------------------------------


def killed_worker(bench: Bench, name: str) -> Row:
    case, moment = Case(bench, name), bench.moment()
    case.row.when = f"in the middle of a chunk, after {moment} commits"

    def strike(driver: Driver, watch: Watch) -> bool:
        return after(watch, driver, moment) and hit(driver.children(WORKER)[:1])

    case.run_and_strike(strike)
    return case.compare()


def killed_while_decoding(bench: Bench, name: str) -> Row:
    """PyAV decodes in the renderer itself: there is no other process to kill."""
    case = Case(bench, name)
    case.row.when = "as soon as a renderer has opened the film"

    def strike(driver: Driver, watch: Watch) -> bool:
        return bool(watch.wait(lambda: hit(_with_open_film(driver, bench)) or driver.process.poll() is not None)) and (
            driver.process.poll() is None
        )

    case.run_and_strike(strike)
    return case.compare()


def _with_open_film(driver: Driver, bench: Bench) -> list[int]:
    for pid in driver.children(WORKER, 1.0):
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                if str(Path(entry.path).readlink()) == str(bench.spec["video"]):
                    return [pid]
    return []


def stuck_worker(bench: Bench, name: str) -> Row:
    case, moment = Case(bench, name), bench.moment(0.4, 0.7)
    case.row.when = f"SIGSTOP after {moment} commits"

    def strike(driver: Driver, watch: Watch) -> bool:
        return after(watch, driver, moment) and hit(driver.children(WORKER), signal.SIGSTOP)

    case.run_and_strike(strike)
    return case.compare()


def lost_node(bench: Bench, name: str) -> Row:
    """A cluster of a head and two nodes; one node's processes are all killed at once."""
    case, moment = Case(bench, name), bench.moment(0.3, 0.6)
    case.row.when = f"after {moment} commits"
    import farm.cluster  # noqa: F401, I001  before ray: it turns token authentication on
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        case.launch["address"] = cluster.address

        def strike(driver: Driver, watch: Watch) -> bool:
            fell = after(watch, driver, moment)
            cluster.remove_node(nodes[0], allow_graceful=False)
            return fell

        case.run_and_strike(strike)
    finally:
        cluster.shutdown()
    return case.compare()


# drivers ---------------------------------------------------------------------------------------------


def ended_driver(kind: int) -> Callable[[Bench, str], Row]:
    def break_it(bench: Bench, name: str) -> Row:
        case, moment = Case(bench, name), bench.moment()
        case.row.when = f"after {moment} commits"
        case.run_and_strike(lambda driver, watch: kill_driver(driver, watch, moment, kind))
        struck = case.before
        case.run()
        case.row.twice += _redone(struck, case)
        return case.compare()

    return break_it


def _redone(struck: Watch, case: Case) -> int:
    """Frames that were committed before the driver ended, and again by the next one: at most the one in work."""
    return sum(
        1
        for path, (_, before) in struck._seen.items()
        if Path(path).exists() and Path(path).stat().st_mtime_ns != before
    )


def two_drivers(bench: Bench, name: str) -> Row:
    case, moment = Case(bench, name), bench.moment(0.1, 0.4)
    case.row.when = f"the second after {moment} commits"

    def strike(driver: Driver, watch: Watch) -> bool:
        if not after(watch, driver, moment):
            return False
        second = Driver(case)
        case.row.codes.append(second.wait())
        case.row.says = second.said()
        return case.row.codes[-1] == 2 and "is being rendered by process" in case.row.says

    case.run_and_strike(strike)
    return case.compare()


# ffmpeg ----------------------------------------------------------------------------------------------


def killed_encoder(bench: Bench, name: str) -> Row:
    case = Case(bench, name)
    case.row.when = "as it encodes the first segment"
    case.run_and_strike(lambda driver, _: hit(driver.children("out.farm/segments/")))
    return case.compare()


def killed_joiner(bench: Bench, name: str) -> Row:
    case = Case(bench, name)
    case.row.when = "as it writes the film"
    case.run_and_strike(lambda driver, _: hit(driver.children(re.escape(f"{case.folder}/.out."))))
    return case.compare()


def driver_killed_while_encoding(bench: Bench, name: str) -> Row:
    case = Case(bench, name)
    case.row.when = "with the second segment half encoded"

    def strike(driver: Driver, watch: Watch) -> bool:
        return bool(driver.children("out.farm/segments/") and driver.children(r"/\.00001\.")) and hit(
            [driver.process.pid]
        )

    case.run_and_strike(strike)
    case.run()
    return case.compare()


# disks -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Callable[[], None] | None]:
    """A file system of its own; gives what makes it larger, or None where it cannot be made."""
    folder.mkdir(parents=True, exist_ok=True)

    def mount(options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        return shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0

    if not mount(f"size={kilobytes}k"):
        yield None
        return
    try:
        yield lambda: mount("remount,size=64m") and None
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def full_disk(place: str, kilobytes: int, when: str) -> Callable[[Bench, str], Row]:
    """`place` is where the small disk is, below the case's folder."""

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


def storage(kind: str, when: str) -> Callable[[Bench, str], Row]:
    def break_it(bench: Bench, name: str) -> Row:
        case = Case(bench, name)
        case.row.when = when
        case.run(kind)
        case.row.recovery = -1
        return case.compare()

    return break_it


# damage behind its back ------------------------------------------------------------------------------


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 8
    path.write_bytes(bytes(data))


def damaged(pattern: str, how: Callable[[Path], None]) -> Callable[[Bench, str], Row]:
    """A copy of the job that was cut off, one file of it damaged, and the same command again."""

    def break_it(bench: Bench, name: str) -> Row:
        case = Case(bench, name, copy_of=bench.half.job)
        path = bench.random.choice(sorted(case.job.glob(pattern)))
        case.row.when = f"half-way: {path.relative_to(case.job)}"[:42]
        how(path)
        case.run()
        return case.compare()

    return break_it


def damaged_segment(bench: Bench, name: str) -> Row:
    case = Case(bench, name)
    case.row.when = "as soon as it is encoded; driver killed"

    def strike(driver: Driver, watch: Watch) -> bool:
        made: list[Path] = []
        watch.wait(lambda: made.extend(case.job.glob("segments/*/*.json")) or bool(made) or driver.process.poll() == 0)
        hit([driver.process.pid])
        time.sleep(0.5)
        for path in made[:1]:
            flipped(path.with_suffix(".mkv"))
        return bool(made)

    case.run_and_strike(strike)
    case.run()
    return case.compare()


FRAME = "frames/pass-1/*/*.png"

FAULTS: dict[str, Callable[[Bench, str], Row]] = {
    "SIGKILL of a renderer": killed_worker,
    "SIGKILL of a renderer while it decodes": killed_while_decoding,
    "stuck renderers": stuck_worker,
    "SIGKILL of the driver": ended_driver(signal.SIGKILL),
    "SIGTERM to the driver": ended_driver(signal.SIGTERM),
    "Ctrl-C": ended_driver(signal.SIGINT),
    "Ctrl-C at another moment": ended_driver(signal.SIGINT),
    "two drivers": two_drivers,
    "SIGKILL of ffmpeg, a segment": killed_encoder,
    "SIGKILL of ffmpeg, the film": killed_joiner,
    "SIGKILL of the driver while it encodes": driver_killed_while_encoding,
    "full disk, frames": full_disk("out.farm/frames", 260, "after some frames of all stages"),
    "full disk, segments": full_disk("out.farm/segments", 24, "in the first or second segment"),
    "full disk, the film": full_disk("film", 24, "while the film is written"),
    "a frame truncated": damaged(FRAME, truncated),
    "a frame zeroed": damaged(FRAME, zeroed),
    "a bit of a frame flipped": damaged(FRAME, flipped),
    "a frame deleted": damaged(FRAME, Path.unlink),
    "a bit of a flow field flipped": damaged("flow/*/*.png", flipped),
    "a ledger torn": damaged("ledger/pass-1/*.json", truncated),
    "a bit of a ledger flipped": damaged("ledger/pass-1/*.json", flipped),
    "a ledger deleted": damaged("ledger/pass-1/*.json", Path.unlink),
    "job.json torn": damaged("job.json", truncated),
    "a bit of a segment flipped": damaged_segment,
    "clock jumps": storage("clock", "by up to a day, every second"),
    "slow storage": storage("slow", "0.1 s for every file written"),
    "storage that fails every tenth call": storage("flaky", "EIO, in driver and renderers"),
    "SIGKILL of a node": lost_node,
}
