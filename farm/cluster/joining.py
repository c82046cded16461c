"""Joins a running cluster, and gives up where its head is gone, does not answer, or refuses the token.

session = join_cluster("10.0.0.5:6379", lambda: ray.init("10.0.0.5:6379"))

Why not `ray.init` alone: it waits for minutes for a head that is not there, tries a refused token for 20 seconds, and
has its C++ code print a line for each attempt. Here the head is asked once a second whether it is alive (the call
`CheckAlive` of Ray's GCS), and `ray.init` runs meanwhile in a thread that is left alone when the head is lost. A head
that is only slow is waited for.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TypeVar

from farm.cluster.dashboard_http import NO_ACCESS_HELP
from farm.cluster.token import auth_token
from farm.errors import FarmError, RenderError, UsageError

HEAD_SECONDS = 6.0
"""Seconds that a head has for one answer. One that is well takes milliseconds, a busy one up to a second."""
ASK_SECONDS = 1.0
"""Seconds between two questions while this process joins the cluster."""
REFUSED = ("UNAUTHENTICATED", "PERMISSION_DENIED")
"""Status codes of gRPC for a token that is missing or wrong."""

T = TypeVar("T")


def join_cluster(address: str, connect: Callable[[], T]) -> T:
    """What `connect()` returns, which joins the cluster whose head is at `address`: `host:port`, or `auto`.

    Raises RenderError where no head answers there within HEAD_SECONDS, where it stops answering before `connect` has
    returned, and where it refuses the token; UsageError for what is no address; and what `connect` raises.
    """
    place = head_address(address)
    if auth_token() == "":
        raise RenderError("there is no token to show the cluster", NO_ACCESS_HELP)
    shown = place if address == "auto" else address
    with head_question(place, shown) as ask:
        ask()
        with _last_words(f"farm: the cluster at {shown} was lost while this process joined it"), _quiet_stderr():
            return _while_head_lives(connect, ask)


def head_address(address: str) -> str:
    """The `host:port` that Ray itself would connect to. Raises UsageError for another form, RenderError for none."""
    from ray._private import services

    try:
        place = None if "://" in address else services.canonicalize_bootstrap_address(address)
    except ConnectionError:
        place = None  # `auto`, where neither the environment nor this machine names a cluster
    except Exception:  # Ray raises ValueError for the form, and OSError for a name that cannot be looked up
        raise UsageError(f"{address} is no address of a cluster's head", "write it as host:6379") from None
    if place is None and "://" in address:
        raise UsageError(f"{address} is no address of a cluster's head", "write it as host:6379, without ://")
    if place is None:
        raise RenderError("no Ray cluster runs on this machine", "give --address host:6379, or leave --address out")
    return place


def trouble_with_head(code: str, place: str, seconds: float = HEAD_SECONDS) -> FarmError:
    """The error for the gRPC status `code` (`UNAVAILABLE`, ...) that a question to the head at `place` ended with.

    `seconds` is the time that the head had for its answer.
    """
    if code in REFUSED:
        return RenderError(f"the cluster at {place} refused the token", NO_ACCESS_HELP)
    if code == "DEADLINE_EXCEEDED":
        return RenderError(f"the cluster at {place} does not answer within {seconds:g} s", "is its head at work?")
    if code == "UNAVAILABLE":
        return RenderError(f"no Ray cluster answers at {place}", "check --address and that its head runs")
    return RenderError(f"what answers at {place} is no head of a Ray cluster ({code})", "check --address")


@contextlib.contextmanager
def head_question(place: str, shown: str, seconds: float | None = None) -> Iterator[Callable[[], None]]:
    """A function that asks the head at `place` whether it is alive, and raises what `trouble_with_head` returns.

    The head has `seconds` for its answer, HEAD_SECONDS unless they are given. `shown` is the address in errors. Ray
    makes 127.0.0.1 to this machine's own address, which a user has not written.
    """
    import grpc
    from ray._private.gcs_utils import create_gcs_channel
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

    channel = create_gcs_channel(place)  # carries the token, and TLS where Ray is told to use it
    stub = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)

    limit = HEAD_SECONDS if seconds is None else seconds

    def ask() -> None:
        try:
            stub.CheckAlive(gcs_service_pb2.CheckAliveRequest(), timeout=limit)
        except grpc.RpcError as error:
            raise trouble_with_head(error.code().name, shown, limit) from None

    try:
        yield ask
    finally:
        channel.close()


def _while_head_lives(connect: Callable[[], T], ask: Callable[[], None]) -> T:
    """What `connect()` returns or raises, called in a thread. Raises what `ask()` raises, which is called meanwhile.

    Then the thread is left alone: nothing can interrupt Ray's C++ code, and the process is about to end.
    """
    outcome: Future[T] = Future()

    def call() -> None:
        try:
            outcome.set_result(connect())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=call, name="join", daemon=True).start()
    while not wait([outcome], timeout=ASK_SECONDS).done:
        ask()
    return outcome.result()


@contextlib.contextmanager
def _last_words(line: str) -> Iterator[None]:
    """Have `line` printed on stderr if this process ends inside the block.

    Why: Ray's C++ code ends the process where it loses the head while it connects, so that no Python can say anything.
    A shell waits for the end of a pipe instead.
    """
    script = 'read -r word || echo "$0" >&2'
    with subprocess.Popen(["/bin/sh", "-c", script, line], stdin=subprocess.PIPE, start_new_session=True) as shell:
        assert shell.stdin is not None
        try:
            yield
        finally:
            shell.communicate(b"done\n")


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Discard what Ray's C++ code writes to this process' stderr inside the block. FARM_DEBUG=1 shows it."""
    if os.environ.get("FARM_DEBUG") or sys.stderr is None:  # None: this process was started without one
        yield
        return
    sys.stderr.flush()
    before = os.dup(2)
    with Path(os.devnull).open("w") as sink:
        os.dup2(sink.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
