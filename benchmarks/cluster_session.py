"""A session on a cluster of this machine: five jobs that queue, a driver that is killed, a head that is killed.

    python -m benchmarks.cluster_session -o session
    python -m benchmarks.cluster_session --memory         only the memory of drivers and of the head, with five jobs

A head without cores and two workers of one core are started as docs/studio.md says, with a token and a queue outside
the head. Five films are submitted with priorities while two drivers may run at once. The memory that each driver, its
supervisor and the head hold for themselves is measured. Then the driver of one is killed by SIGKILL; later everything
of the head is killed, and the head is started again. Every command that a user would give is printed with its answer,
and each line has the seconds since the beginning. In the end the frames of all jobs are compared with those of an
undisturbed render of the same film: they must be the same to the bit.

Prints a table of what had to happen and writes it to session.json. Exit code 1 where something did not. Linux only: the
nodes have loopback addresses of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.processes import command_of, descendants, own_bytes, send
from farm.job import JobDirectory
from farm.job.state import load_state
from farm.render.committed import frame_of_pass

ROOT = Path(__file__).parents[1]
WAIT_SECONDS = 600.0
START_ATTEMPTS = 3
"""Ray gives up a node that does not find its own entry in the GCS in time, which happens on a busy machine."""
RESTART_SECONDS = 30.0
"""Seconds within which a job whose driver was killed has to be at work again."""
PRIORITIES = {"one": 1, "two": 1, "three": 1, "four": 1, "urgent": 10}
"""The films in the order in which they are submitted."""
MOST_DRIVER_MIB = 120
"""Memory of its own that a driver may hold."""
BARE = """
import sys, ray
from benchmarks.processes import own_bytes
ray.init("auto", log_to_driver=False)
ray.cluster_resources()
print(own_bytes(int(open("/proc/self/stat").read().split()[0])))
"""
"""A process that only joins the cluster: what Ray itself takes of a driver."""


class Session:
    """The processes of the cluster, its folder and its clock."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port, self.dashboard = folder, port, port + 4
        self.begin = time.monotonic()
        self.rows: list[dict[str, Any]] = []
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "ray").mkdir()
        os.environ.pop("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", None)  # where it is 0, no second node may join
        os.environ |= {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONSAFEPATH": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_process_group_cleanup_enabled": "1",
            "RAY_raylet_start_wait_time_s": "180",
            "RAY_worker_niceness": "0",
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{self.dashboard}",
            "FARM_REGISTRY": str(folder / "registry"),
            "FARM_QUEUE": str(folder / "queue"),
            "FARM_DRIVERS": "2",
        }
        subprocess.run([sys.executable, "-m", "farm.cluster.token"], check=True, cwd=folder)

    def say(self, text: str) -> None:
        """Print lines with the seconds since the beginning."""
        for line in text.rstrip().splitlines():
            print(f"{time.monotonic() - self.begin:6.0f}  {line}", flush=True)

    def start(self, name: str, *arguments: str) -> None:
        """Start a node of Ray in a process group of its own, and wait until it is up."""
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", *arguments]
        for attempt in range(START_ATTEMPTS):
            path = self.folder / f"{name} {attempt}.log"
            with path.open("wb") as log:
                node = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
            while node.poll() is None and "Ray runtime started" not in path.read_text(errors="replace"):
                time.sleep(0.5)
            if node.poll() is None:
                self.nodes[name] = node
                return
        raise SystemExit(f"the {name} does not start: {path.read_text(errors='replace').splitlines()[-1]}")

    def start_all(self) -> None:
        """Start the head and two workers, and wait until a job could be submitted."""
        ray = str(self.folder / "ray")
        head = ["--head", f"--port={self.port}", "--num-cpus=0", "--node-ip-address=127.0.0.2", f"--temp-dir={ray}"]
        head += ["--dashboard-host=127.0.0.1", f"--dashboard-port={self.dashboard}"]
        self.start("head", *head, f"--dashboard-agent-listen-port={self.port + 1}")
        for number in (1, 2):
            worker = [f"--address=127.0.0.2:{self.port}", f"--node-ip-address=127.0.0.{2 + number}", "--num-cpus=1"]
            self.start(f"worker {number}", *worker, f"--dashboard-agent-listen-port={self.port + 1 + number}")
        self.until(lambda: "no cluster" not in self.farm("list", show=False).stderr, "the cluster answers")

    def farm(self, *arguments: str, show: bool = True) -> subprocess.CompletedProcess[str]:
        """Give a command of the farm."""
        command = [sys.executable, "-m", "farm", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, timeout=WAIT_SECONDS)
        if show:
            self.say(f"$ farm {' '.join(arguments)}")
            self.say(done.stdout + done.stderr + (f"exit {done.returncode}" if done.returncode else ""))
        return done

    def states(self) -> dict[str, dict[str, Any]]:
        """The rows of `farm list`, by the name of the film."""
        done = self.farm("list", "--json", show=False)
        return {Path(row["job"]).stem: row for row in json.loads(done.stdout)} if done.returncode == 0 else {}

    def until(self, happened: Callable[[], object], what: str, seconds: float = WAIT_SECONDS) -> float:
        """Wait, and return for how many seconds. Raises SystemExit where it does not happen."""
        begin = time.monotonic()
        while not happened():
            if time.monotonic() - begin > seconds:
                raise SystemExit(f"{what}: not after {seconds:.0f} s")
            time.sleep(0.5)
        return time.monotonic() - begin

    def check(self, what: str, right: bool, value: str) -> None:
        """Note something that had to happen, and whether it did."""
        self.rows.append({"what": what, "right": right, "value": value})
        self.say(f"{'right' if right else 'WRONG'}: {what}: {value}")

    def state(self, name: str) -> str:
        """What the job's directory says."""
        state = load_state(JobDirectory(str(self.folder / f"{name}.farm")))
        return state.state if state else ""

    def committed(self, name: str) -> int:
        """Frames of all passes that are committed."""
        return sum(1 for _ in (self.folder / f"{name}.farm/frames").rglob("[0-9]*.png"))

    def end(self) -> None:
        """End all processes of the cluster: the nodes, and the drivers, which have no node above them any more."""
        below = [pid for process in self.nodes.values() for pid in (process.pid, *descendants(process.pid))]
        for process in self.nodes.values():
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
        send([*below, *self.drivers()], signal.SIGKILL)

    def drivers(self, name: str = "") -> list[int]:
        """Process ids of the drivers of all jobs here, or of one."""
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        job = f"{self.folder}/{name}"
        return [pid for pid in pids if "jobs.render" in (command := command_of(pid)) and job in command]


def make_film(path: Path, frames: int, seed: int) -> None:
    """A disc that crosses a background of noise, without loss."""
    background = cv2.GaussianBlur(np.random.default_rng(seed).integers(0, 255, (96, 128, 3), np.uint8), (0, 0), 3)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 12, (128, 96))
    for frame in range(frames):
        picture = background.copy()
        cv2.circle(picture, (10 + 108 * frame // frames, 48), 14, (40, 90, 220), -1)
        writer.write(picture)
    writer.release()


def options(session: Session, name: str) -> list[str]:
    """What a film is rendered with."""
    film = [f"{name}.avi", "--style", "style.png", "-o", f"{name}.mkv"]
    return [*film, "--size", "128", "--iterations", "20,10", "--passes", "3", "--chunk-frames", "6"]


def submit_five(session: Session) -> None:
    """Five jobs while two may run: the queue and its order."""
    for name, priority in PRIORITIES.items():
        session.farm("submit", *options(session, name), "--workers", "1", "--priority", str(priority), "--json")
    session.until(lambda: [row["state"] for row in session.states().values()].count("QUEUED") >= 3, "three jobs wait")
    session.until(lambda: "number 1 of 3" in session.states()["urgent"]["reason"], "the urgent job is the first")
    session.farm("list")
    order = {name: row["reason"].split(" in ")[0] for name, row in session.states().items() if row["reason"]}
    first = order.get("urgent") == "number 1 of 3"
    session.check("the latest job with the highest priority waits as the first", first, json.dumps(order))


def memory_of_head(session: Session) -> dict[str, list[int]]:
    """MiB that each process of the head holds for itself, by what it is: driver, supervisor of a driver, or other."""
    kinds: dict[str, list[int]] = {"driver": [], "supervisor": [], "other": []}
    for pid in descendants(session.nodes["head"].pid):
        command = command_of(pid)
        is_driver = "jobs.render" in command and not command.startswith(("/bin/", "sh ", "bash "))
        is_supervisor = "JobSupervisor" in command or "_ray_internal_job_actor" in command
        kind = "driver" if is_driver else "supervisor" if is_supervisor else "other"
        kinds[kind].append(own_bytes(pid) >> 20)
    return kinds


def measure_memory(session: Session, before: dict[str, list[int]]) -> None:
    """The memory of drivers and of the head while two jobs run and three wait. `before` is the head's without jobs."""
    session.until(lambda: any(session.committed(name) for name in PRIORITIES), "a frame of any job")
    at_work = [name for name in PRIORITIES if session.state(name) == "RUNNING"]
    now = memory_of_head(session)
    bare = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, cwd=session.folder, check=True)
    table = {
        "a driver": now["driver"],
        "of which Ray takes": int(bare.stdout) >> 20,
        "the supervisor of a driver": now["supervisor"],
        "the head without jobs": sum(before["other"]),
        "the head besides, with five jobs": sum(now["other"]),
        "jobs at work": at_work,
    }
    session.say(f"MiB of memory of their own: {json.dumps(table)}")
    right = bool(now["driver"]) and max(now["driver"]) < MOST_DRIVER_MIB
    session.check(f"a driver holds less than {MOST_DRIVER_MIB} MiB of its own", right, json.dumps(table))


def kill_a_driver(session: Session) -> None:
    """SIGKILL to the driver of a job at work."""
    session.until(lambda: session.committed("one") >= 6, "six frames of the first job")
    before = session.committed("one")
    session.say(f"SIGKILL to the driver of the first job, which has committed {before} frames")
    send(session.drivers("one.farm"), signal.SIGKILL)
    began = time.monotonic()
    session.until(lambda: session.states().get("one", {}).get("state") == "QUEUED", "the queue has seen it", 60)
    session.farm("status", "one.farm")
    session.until(lambda: session.state("one") == "RUNNING", "a driver runs again")
    running = time.monotonic() - began
    session.until(lambda: session.committed("one") > before, "the next frame")
    seconds = time.monotonic() - began
    right = running <= RESTART_SECONDS
    value = f"at work after {running:.0f} s, next frame after {seconds:.0f} s"
    session.check(f"a job whose driver was killed goes on by itself within {RESTART_SECONDS:.0f} s", right, value)


def kill_the_head(session: Session) -> None:
    """SIGKILL to all processes of the head; what the commands say meanwhile; the head started again."""

    def at_work() -> list[str]:
        return [name for name in PRIORITIES if session.state(name) == "RUNNING" and session.committed(name) >= 12]

    session.until(lambda: "SUCCEEDED" in map(session.state, PRIORITIES) and at_work(), "one job is done, one at work")
    unfinished = at_work()[0]
    head = session.nodes.pop("head")
    session.say("SIGKILL to the head and all its processes")
    send([head.pid, *descendants(head.pid)], signal.SIGKILL)
    head.wait()
    listed = session.farm("list")
    session.check("list answers without a head", listed.returncode == 0 and "SUCCEEDED" in listed.stdout, "exit 0")
    session.farm("status", f"{unfinished}.farm")
    logs = session.farm("logs", f"{unfinished}.farm", show=False)
    session.check("logs are there without a head", "begins" in logs.stdout, f"{len(logs.stdout.splitlines())} lines")
    waited = session.farm("wait", f"{unfinished}.farm", "--timeout", "20")
    session.check(
        "wait ends in time, with 4 for its timeout or 1 for a lost job",
        waited.returncode in (1, 4),
        f"exit {waited.returncode}",
    )
    for name in list(session.nodes):  # Ray's workers end by themselves once they have noticed
        session.nodes[name].terminate()
        session.nodes.pop(name).wait(60)
    session.start_all()
    began = time.monotonic()
    session.say("the head is up again")
    session.farm("resume", f"{unfinished}.farm")
    session.farm("list")
    for name in PRIORITIES:
        session.until(lambda name=name: session.state(name) in ("SUCCEEDED", "FAILED"), f"the end of {name}")  # type: ignore[misc]
    session.farm("list")
    states = {name: session.state(name) for name in PRIORITIES}
    done = set(states.values()) == {"SUCCEEDED"}
    session.check("every job ends well after the head's restart", done, f"{time.monotonic() - began:.0f} s")


def compare(session: Session) -> None:
    """Render one film undisturbed in this shell, and compare the frames of all passes."""
    for name in ("one", "urgent"):
        alone = [*options(session, name), "--job", f"alone-{name}.farm", "--overwrite", "--workers", "1"]
        alone[alone.index(f"{name}.mkv")] = f"alone-{name}.mkv"
        environment = {key: value for key, value in os.environ.items() if key != "RAY_API_SERVER_ADDRESS"}
        command = [sys.executable, "-m", "farm", "render", *alone]
        subprocess.run(command, check=True, cwd=session.folder, env=environment, capture_output=True)
        pictures = []
        for folder in (f"{name}.farm", f"alone-{name}.farm"):
            job = JobDirectory(str(session.folder / folder))
            record = job.load_record()
            assert record is not None
            pictures.append([frame_of_pass(job, record, record.plan.passes, frame) for frame in record.plan.frames])
        same = sum(np.array_equal(a, b) for a, b in zip(*pictures, strict=True))
        whole = f"{same} of {len(pictures[0])} frames"
        session.check(f"{name}: the frames are those of an undisturbed render", same == len(pictures[0]), whole)


def main() -> int:
    """Run the session, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--port", type=int, default=26379, help="this one and the four after it are used")
    parser.add_argument("--memory", action="store_true", help="end once the memory of drivers and head is measured")
    parser.add_argument("--output", "-o", type=Path, default=Path("session"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="farm-s-", dir="/tmp") as name:  # short: Ray's sockets are in it
        session = Session(Path(name), given.port)
        for seed, film in enumerate(PRIORITIES):
            make_film(session.folder / f"{film}.avi", given.frames, seed)
        strokes = np.random.default_rng(9).integers(0, 255, (24, 24, 3), np.uint8)
        cv2.imwrite(str(session.folder / "style.png"), cv2.resize(strokes, (96, 96), interpolation=cv2.INTER_CUBIC))
        try:
            session.start_all()
            session.say("the cluster is up: a head without cores, two workers of one core, two drivers at once")
            before = memory_of_head(session)
            submit_five(session)
            measure_memory(session, before)
            if not given.memory:
                kill_a_driver(session)
                kill_the_head(session)
                compare(session)
        finally:
            session.end()
        given.output.mkdir(parents=True, exist_ok=True)
        (given.output / "session.json").write_text(json.dumps(session.rows, indent=1))
    print()
    for row in session.rows:
        print(f"{'right' if row['right'] else 'WRONG':<6} {row['what']}: {row['value']}")
    return 0 if all(row["right"] for row in session.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
