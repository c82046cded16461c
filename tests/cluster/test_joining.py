"""Joining a cluster: a head that is gone, hangs, refuses the token, or is lost on the way. No Ray is started."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farm.cluster import joining
from farm.cluster.joining import head_address, join_cluster, trouble_with_head
from farm.errors import RenderError, UsageError

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
CHECK_ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(joining, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(joining, "ASK_SECONDS", 0.05)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 64)


@contextlib.contextmanager
def head(answer: Callable[[object], None]) -> Iterator[str]:
    """A gRPC server that calls `answer(context)` for each question whether it is alive. Yields `host:port`."""
    import grpc
    from ray.core.generated import gcs_service_pb2

    def check_alive(_request: object, context: object) -> object:
        answer(context)
        return gcs_service_pb2.CheckAliveReply()

    handler = grpc.unary_unary_rpc_method_handler(
        check_alive,
        request_deserializer=gcs_service_pb2.CheckAliveRequest.FromString,
        response_serializer=gcs_service_pb2.CheckAliveReply.SerializeToString,
    )
    service, method = CHECK_ALIVE.strip("/").split("/")
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("0.0.0.0:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_what_connect_returns_is_returned():
    with head(lambda _: None) as address:
        assert join_cluster(address, lambda: "connected") == "connected"


def test_a_head_that_is_slow_to_let_it_in_is_waited_for():
    asked = threading.Semaphore(0)

    def connect() -> str:
        for _ in range(4):
            assert asked.acquire(timeout=10)
        return "connected"

    with head(lambda _: asked.release()) as address:
        assert join_cluster(address, connect) == "connected"


def test_an_error_of_ray_comes_through():
    def connect() -> None:
        raise RuntimeError("Version mismatch")

    with head(lambda _: None) as address, pytest.raises(RuntimeError, match="Version mismatch"):
        join_cluster(address, connect)


def test_nothing_listens():
    with pytest.raises(RenderError, match=r"no Ray cluster answers at 127\.0\.0\.1:\d+; check --address"):
        join_cluster(f"127.0.0.1:{closed_port()}", pytest.fail)


def test_a_wrong_token_is_refused_at_the_first_question():
    import grpc

    questions = []

    def refuse(context: grpc.ServicerContext) -> None:
        questions.append(dict(context.invocation_metadata())["authorization"])
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")

    with head(refuse) as address, pytest.raises(RenderError, match="refused the token; give the cluster's token in"):
        join_cluster(address, pytest.fail)
    # Ray reads the token once in a process, so it is this test's only where no other test was before it.
    assert [question.split()[0] for question in questions] == ["Bearer"]


def test_without_a_token_nothing_is_asked(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(RenderError, match="there is no token to show the cluster"):
        join_cluster("127.0.0.1:1", pytest.fail)


def test_a_head_that_hangs():
    with head(lambda _: time.sleep(1)) as address, pytest.raises(RenderError, match=r"does not answer within 0\.3 s"):
        join_cluster(address, pytest.fail)


@pytest.mark.parametrize("how", ["hangs", "is gone"])
def test_a_head_that_is_lost_while_ray_connects(how):
    """Ray's own waits go on for minutes then, in C++ code that nothing can interrupt."""
    struck = threading.Event()
    says = {"hangs": "does not answer within", "is gone": "no Ray cluster answers"}[how]

    def answer(context: object) -> None:
        if struck.is_set() and how == "hangs":
            time.sleep(1)
        elif struck.is_set():
            import grpc

            context.abort(grpc.StatusCode.UNAVAILABLE, "what a closed connection gives")

    with head(answer) as address, pytest.raises(RenderError, match=says):
        join_cluster(address, lambda: struck.set() or time.sleep(2))


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("UNAUTHENTICATED", "refused the token"),
        ("PERMISSION_DENIED", "refused the token"),
        ("DEADLINE_EXCEEDED", "does not answer within"),
        ("UNAVAILABLE", "no Ray cluster answers"),
        ("UNIMPLEMENTED", "is no head of a Ray cluster (UNIMPLEMENTED)"),
    ],
)
def test_each_answer_of_trouble_is_one_line_with_exit_code_1(code, says):
    error = trouble_with_head(code, "head:6379")
    assert says in error.problem
    assert "head:6379" in error.problem
    assert error.remedy
    assert error.exit_code == 1


@pytest.mark.parametrize("address", ["http://head:8265", "ray://head:10001", "justhost", "head:port:6379:"])
def test_what_is_no_address_of_a_head(address):
    with pytest.raises(UsageError, match="is no address of a cluster's head; write it as host:6379"):
        head_address(address)


def test_a_host_and_port_stay_as_they_are():
    assert head_address("192.0.2.9:6379") == "192.0.2.9:6379"


def test_a_process_that_ray_ends_while_it_connects_leaves_a_line():
    script = "import os; from farm.cluster.joining import _last_words\nwith _last_words('lost; farm'): os._exit(%s)"
    done = [
        subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, cwd=ROOT)
        for text in (script % 1, script.replace("os._exit(%s)", "pass"))
    ]
    assert [(run.returncode, run.stderr) for run in done] == [(1, "lost; farm\n"), (0, "")]


def test_the_command_ends_with_one_line(tmp_path, clip):
    """`ray.init` alone takes minutes, and writes a line of Ray's every few seconds."""
    address = f"127.0.0.1:{closed_port()}"
    options = ["--style", "style.png", "--method", "identity", "-o", str(tmp_path / "out.mp4"), "--address", address]
    command = [sys.executable, "-m", "farm", "render", str(clip), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=ROOT, env=dict(os.environ))
    assert done.stderr == f"farm: no Ray cluster answers at {address}; check --address and that its head runs\n"
    assert done.returncode == 1
