"""Ray for the length of a `with` block: a new one on this machine, or a connection to a running cluster.

with ray_session(address=None, cpus=2) as session:
    print(session.dashboard_url)

A new Ray listens on the loopback interface only, and asks for a token (`farm.cluster.token`).
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.cluster.head_watch import watched_head
from farm.cluster.joining import join_cluster
from farm.cluster.token import ensure_token_here
from farm.errors import FarmError, RenderError, first_line, last_line

START_ATTEMPTS = 3
"""Times that Ray is started before its time-out counts as an error."""
SOCKET_BYTES = 103 if sys.platform == "darwin" else 107
"""Most bytes of the path of a Unix socket."""
LONGEST_SOCKET = "/session_2026-11-30_17-16-01_269609_4194304/sockets/plasma_store.999"
"""What Ray puts behind its folder for the longest path of its sockets: a time, a process id, a name."""
SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  Ray makes a folder of its own there
"""Folders for Ray where the one for temporary files has too long a path for sockets."""


@dataclass(frozen=True)
class RaySession:
    """What Ray has at the beginning of a session.

    `dashboard_url` is the address of its dashboard, empty where there is none. `gpus` and `cpus` are the sums over all
    nodes, and `node_cpus` are the cores of the smallest node that has any.
    """

    dashboard_url: str
    gpus: int
    cpus: int
    node_cpus: int


@contextlib.contextmanager
def ray_session(address: str | None = None, *, cpus: int | None = None, dashboard: bool = True) -> Iterator[RaySession]:
    """Start Ray here with `cpus` cores (None: all of them) and end it afterwards, or join the cluster at `address`.

    Where this process has a session already, that one is used, and goes on after the block. Ray must not be imported
    before the first session. Raises RenderError where Ray cannot be started, no cluster at `address` takes this process
    in, or an error of Ray ends the block; UsageError where that is no address, RuntimeError where ray was imported too
    early; KeyboardInterrupt for a SIGTERM while Ray starts.
    """
    # When a worker is killed, Ray also kills its child processes (ffmpeg, optical flow).
    os.environ.setdefault("RAY_process_group_cleanup_enabled", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray sends no statistics to its makers
    # Ray prints a paragraph for every task that fails and that nobody asks about, such as the bars of workers that the
    # farm ended itself. What fails a job is asked about, and told in one line.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    # Ray leaves CUDA_VISIBLE_DEVICES as it is in processes that have no GPU. It is the default of Ray 2.60.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address is None:
        # Ray uses the loopback address for all its sockets where it may not form a cluster, as on macOS and Windows.
        # Otherwise its ports are open to the network, even those of ray.init() on a laptop. Ray reads this variable
        # when it is imported, so the modules that import it are imported later than this.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    else:
        # Milliseconds between two reports of the driver's counters to Prometheus. With Ray's 10 000 a rate over one
        # minute would be taken over five intervals or over six, as it happens.
        os.environ.setdefault("RAY_metrics_report_interval_ms", "1000")
        # Attempts, a second each, to reach this node's raylet. Only one that is gone does not accept at once.
        os.environ.setdefault("RAY_raylet_client_num_connect_attempts", "5")
    import ray
    from ray._private import ray_constants

    if ray.is_initialized():
        yield _describe(_dashboard_of(ray))
        return
    if address is None and getattr(ray_constants, "ENABLE_RAY_CLUSTER", False):
        raise RuntimeError("ray was imported before ray_session(): its ports would be open to the network")
    try:
        if address is None:
            ensure_token_here()
        with _own_sigterm(), _in_folder(Path(__file__).parents[2] if address is None else Path("/")):
            if address is None:
                session = _describe(_start_here(cpus, dashboard=dashboard).dashboard_url)
            else:
                session = join_cluster(address, functools.partial(_join, address))
    except FarmError:
        raise
    except Exception as error:
        raise RenderError(f"Ray could not be started: {first_line(error)}") from error
    with _without_ray_chatter(), watched_head(address) as end_watch:
        try:
            yield session
            end_watch()  # after an error it goes on, and ends a shutdown that hangs
        except ray.exceptions.RayError as error:  # of a call that nobody makes again: a head that was lost
            raise RenderError(f"Ray has failed: {last_line(error)}", "run the same command again") from error
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep the handler of SIGTERM over a start of Ray inside the block. Raises KeyboardInterrupt for one meanwhile.

    Why: Ray puts its own in its place, which exit with 15 or 1, so the caller could not clean up.
    """
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    """Make `folder` the working directory inside the block.

    Why: Ray puts the driver's working directory first in `sys.path` of every worker. There a file such as ffmpeg.py
    that somebody left in a shared folder would run instead of the module. On this machine the folder of the farm is
    there anyway. On a cluster it is the root folder, which has no modules: a node shall run the farm that it has
    installed, to be compared with the job's, and not what lies where the driver's farm does.
    """
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def folder_for_ray(usual: str, short_folders: Sequence[str] = SHORT_FOLDERS) -> str | None:
    """The folder for Ray's sockets and logs, None for its own choice, which is `usual`.

    Where `usual` is too long for paths of sockets, or cannot be written to, it is `ray` in the first of `short_folders`
    that can, and that is said on stderr. Raises RenderError where none can.
    """
    too_long = len(os.fsencode(usual + LONGEST_SOCKET)) > SOCKET_BYTES
    if not too_long and _can_be_written(Path(usual)):
        return None
    why = "is too long a path for Ray's sockets" if too_long else "cannot be written to"
    for folder in short_folders:
        if _can_be_written(made := Path(folder, "ray")):
            logging.getLogger("farm").warning("farm: %s %s; Ray uses %s", usual, why, made)
            return str(made)
    raise RenderError(f"{usual} {why}", "set TMPDIR to another folder")


def _can_be_written(folder: Path) -> bool:
    """Whether files can be made in a folder, which is made where it is missing, as Ray would."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _start_here(cpus: int | None, *, dashboard: bool) -> Any:
    """Start Ray and return its context. Raises RenderError.

    On a busy machine Ray gives up after 30 seconds, and then it is tried again. Where its dashboard does not come up,
    it goes on without one, and that is said on stderr.
    """
    import ray
    from ray._common.utils import get_default_ray_temp_dir

    usual = get_default_ray_temp_dir()
    folder = folder_for_ray(usual)
    logging.getLogger("ray._private.services").setLevel(logging.CRITICAL)  # it prints what is said in one line here
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            return ray.init(
                address="local",  # without it, Ray joins the cluster that was last started on this machine
                num_cpus=cpus,
                include_dashboard=dashboard,
                dashboard_host="127.0.0.1",
                log_to_driver=False,
                logging_level="ERROR",
                configure_logging=True,
                _temp_dir=folder,
            )
        except Exception as error:
            without_dashboard = dashboard and "dashboard" in str(error)
            if attempt == START_ATTEMPTS or not (without_dashboard or "timed out" in str(error)):
                logs = Path(folder or usual, "session_latest/logs")
                remedy = f"its logs are in {logs}" if logs.is_dir() else ""
                raise RenderError(f"Ray could not be started: {first_line(error)}", remedy) from error
            ray.shutdown()
            if without_dashboard:
                dashboard = False
                logging.getLogger("farm").warning("farm: Ray's dashboard does not come up: there is none this time")
    raise AssertionError("the last attempt returns or raises")


def _join(address: str) -> RaySession:
    import ray

    return _describe(ray.init(address=address, log_to_driver=False, logging_level="ERROR").dashboard_url)


@contextlib.contextmanager
def _without_ray_chatter() -> Iterator[None]:
    """Discard what is printed to stdout inside the block. Why: a command's stdout is its own answer, often JSON.

    Ray's threads print paragraphs there about every worker that has ended, even on purpose. FARM_DEBUG=1 sends them to
    stderr. Ray's session directory has them in any case.
    """
    with contextlib.ExitStack() as stack:
        sink = sys.stderr if os.environ.get("FARM_DEBUG") else stack.enter_context(Path(os.devnull).open("w"))
        stack.enter_context(contextlib.redirect_stdout(sink))
        yield


def _dashboard_of(ray: object) -> str:
    """`host:port` of the dashboard of the Ray that this process is connected to, or an empty string."""
    return str(getattr(ray, "_private").worker.get_dashboard_url() or "")  # noqa: B009


def _describe(dashboard: str | None) -> RaySession:
    import ray

    total = ray.cluster_resources()
    url = f"http://{dashboard}" if dashboard else ""
    cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    return RaySession(
        dashboard_url=url,
        gpus=int(total.get("GPU", 0)),
        cpus=int(total.get("CPU", 0)),
        node_cpus=min((count for count in cores if count > 0), default=1),
    )


def ray_version() -> str:
    """The version of the installed Ray. Raises ImportError where it is not installed."""
    import ray

    return str(ray.__version__)
