"""Ray on this machine, or a connection to a cluster: loopback and token authentication unless asked otherwise.

with ray_session(address=None, cpus=2) as session:
    print(session.dashboard_url)
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.cluster.token import ensure_token
from farm.errors import RenderError, UsageError, first_line

START_ATTEMPTS = 3


@dataclass(frozen=True)
class RaySession:
    """A connection to Ray. `dashboard_url` is empty where there is none; `node_cpus` are those of the smallest node."""

    dashboard_url: str
    gpus: int
    cpus: int
    node_cpus: int


@contextlib.contextmanager
def ray_session(address: str | None = None, *, cpus: int | None = None, dashboard: bool = True) -> Iterator[RaySession]:
    """Start Ray here, or join the cluster at `address`; leave it, or end it, afterwards.

    Raises UsageError where no cluster answers at `address`, RenderError where Ray cannot be started.
    """
    # a worker that is killed takes its ffmpeg and flow processes with it
    os.environ.setdefault("RAY_process_group_cleanup_enabled", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address is None:
        # Ray takes the loopback address for all its sockets where it may not form a cluster, as on macOS and
        # Windows; without this its ports are open to the network even for ray.init() on a laptop. It is read when
        # ray is imported: farm.cluster.driver and .actors come after this
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    else:
        # the driver's counters: Ray's own 10 s make a rate over a minute one of five steps or of six
        os.environ.setdefault("RAY_metrics_report_interval_ms", "1000")
    import ray
    from ray._private import ray_constants

    if ray.is_initialized():
        yield _describe(_dashboard_of(ray))
        return
    if address is None and getattr(ray_constants, "ENABLE_RAY_CLUSTER", False):
        raise RuntimeError("ray was imported before ray_session(): its ports would be open to the network")
    on_termination = signal.getsignal(signal.SIGTERM)
    try:
        if address is None:
            ensure_token()
            context = _start_here(cpus, dashboard=dashboard)
        else:
            context = ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except ConnectionError as error:
        raise UsageError(f"no Ray cluster answers at {address}: {first_line(error)}", "check --address") from None
    except Exception as error:
        raise RenderError(f"Ray could not be started: {first_line(error)}", "farm doctor tells more") from error
    # Ray puts its own handler there, which dumps the stack instead of letting the caller clean up
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_termination)
    with _without_ray_chatter():
        try:
            yield _describe(context.dashboard_url or "")
        finally:
            ray.shutdown()


def _start_here(cpus: int | None, *, dashboard: bool) -> Any:
    """A Ray of our own. On a machine that is too busy, Ray waits 30 seconds for its own processes and gives up."""
    import ray

    for attempt in range(START_ATTEMPTS):
        try:
            return ray.init(
                address="local",  # else Ray joins whatever cluster was last started on this machine
                num_cpus=cpus,
                include_dashboard=dashboard,
                dashboard_host="127.0.0.1",
                log_to_driver=False,
                logging_level="ERROR",
                configure_logging=True,
            )
        except Exception as error:
            if attempt == START_ATTEMPTS - 1 or "timed out" not in str(error):
                raise
            ray.shutdown()
    raise AssertionError("the last attempt returns or raises")


@contextlib.contextmanager
def _without_ray_chatter() -> Iterator[None]:
    """Keep what Ray prints of its workers off stdout, which belongs to the command's own answer.

    Ray's threads write paragraphs there even about workers that were ended on purpose. FARM_DEBUG=1 shows them
    on stderr; Ray's session directory has them in any case.
    """
    with contextlib.ExitStack() as stack:
        sink = sys.stderr if os.environ.get("FARM_DEBUG") else stack.enter_context(Path(os.devnull).open("w"))
        stack.enter_context(contextlib.redirect_stdout(sink))
        yield


def _dashboard_of(ray: object) -> str:
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
    """The version of the Ray that this Python imports. Raises ImportError where there is none."""
    import ray

    return str(ray.__version__)
