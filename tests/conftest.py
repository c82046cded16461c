"""What the tests share: tiny films made by the real ffmpeg, a style, and one Ray for the whole session."""

from __future__ import annotations

import atexit
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from farm.cluster.token import ensure_token  # farm.cluster turns tokens on, before anything imports Ray

if TYPE_CHECKING:
    import torch

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_metrics_report_interval_ms", "1000")  # Ray's own default is 10 seconds
os.environ.setdefault("RAY_DASHBOARD_STARTUP_TIMEOUT_S", "240")  # 60 are too few on a machine that is busy
# Ray's own default is nice 15: beside another process of pytest-xdist, a renderer would get a thirtieth of a core
os.environ.setdefault("RAY_worker_niceness", "0")
# Also read at the first import, whichever test comes first: no node of a test listens on more than loopback
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


# a token of the tests' own, for every process that they start: this user's may not exist, and is not theirs to make
_own = tempfile.mkdtemp(prefix="farm-tests-")
atexit.register(shutil.rmtree, _own, ignore_errors=True)
os.environ["RAY_AUTH_TOKEN_PATH"] = f"{_own}/auth_token"
os.environ["FARM_REGISTRY"] = f"{_own}/registry"
os.environ["FARM_FINDINGS"] = f"{_own}/findings"
ensure_token()


MARKED_BY_FIXTURE = {
    "cluster": {"ray_here", "ray_nodes"},
    "media": {"clip", "clips", "film", "hidden_clip", "discs"},
    "process": {"object_storage", "beacon", "server", "running"},
    "slow": {"ray_nodes"},
}
"""Markers that a test gets for what it uses, so that nobody has to think of them."""
STARTS_PROCESSES = {"cluster", "media", "process", "page", "ui", "service", "metrics"}
"""A test with none of these markers starts no process and listens nowhere, or it fails."""
TIMEOUT_SECONDS = {"cluster": 600, "slow": 900, "page": 300, "ui": 900, "service": 900, "metrics": 900}
"""A test may take so long where pyproject.toml's `timeout` is too little for what it does."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what tests use, bound their time, and put first what takes longest: Ray, then files with heavy tests."""
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        for marker, fixtures in MARKED_BY_FIXTURE.items():
            if fixtures & used:
                item.add_marker(marker)
        if {"ray_here", "ray_nodes"} & used:
            unit = "nodes" if "ray_nodes" in used else "cluster"
            assert work_unit(item.nodeid) == unit, f"{item.nodeid} has the Ray of another work unit; see work_unit()"
        longest = max((TIMEOUT_SECONDS.get(marker.name, 0) for marker in item.iter_markers()), default=0)
        if longest and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(longest))
    heavy = {work_unit(item.nodeid) for item in items for name in ("heavy", "slow") if item.get_closest_marker(name)}
    items.sort(key=lambda item: (not item.nodeid.startswith(RAY_TESTS), work_unit(item.nodeid) not in heavy))


RAY_TESTS = ("tests/cluster/", "tests/deploy/")
"""No test elsewhere uses Ray."""
OF_SEVERAL_NODES = {
    f"tests/cluster/test_{name}.py"
    for name in ("elastic", "mixed", "pages", "prometheus", "security", "service", "staging")
}
"""All files that use the cluster of several nodes."""


def work_unit(nodeid: str) -> str:
    """The name of the tests that one process of pytest-xdist runs together.

    Tests stay together by file, so that what a module prepares is prepared once. Those with Ray share one process,
    hence one Ray; those of the cluster of several nodes have another.
    """
    file = nodeid.partition("::")[0]
    if not file.startswith(RAY_TESTS):
        return file
    return "nodes" if file in OF_SEVERAL_NODES else "cluster"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal out work units in the order of the tests.

    Not by `--dist loadgroup`: pytest-xdist 3.8 tells groups by a private attribute of a test, which pytest 9.2 has not.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByWorkUnit(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return work_unit(nodeid)

    config.option.loadscopereorder = False  # it would put first the files with the most tests, which are the quickest
    return ByWorkUnit(config, log)


started: list[str] = []
"""What this process has started, or where it listens, since a test began."""


def note_processes(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("subprocess.Popen", "os.posix_spawn", "os.fork", "socket.bind"):
        what = f"{event} {arguments[0] if arguments else ''}"[:200]
        # the first import of torch looks for libraries by these, in whichever test comes first
        if not any(tool in what for tool in ("ldconfig", "/gcc", "/cc", "/ld", "objdump")):
            started.append(what)


sys.addaudithook(note_processes)


@pytest.fixture(autouse=True)
def no_process_unless_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keeps `make unit` what it says that it is."""
    started.clear()
    yield
    if not STARTS_PROCESSES & {marker.name for marker in request.node.iter_markers()}:
        assert not started, "mark this test with media, process or cluster, or start nothing"


@pytest.fixture(autouse=True)
def environment_as_before() -> Iterator[None]:
    """What a test sets in the environment is gone after it: `hide_gpus` in one once kept another from its GPU.

    Ray's own variables stay, because they are read once by a process, and pytest's.
    """
    before = dict(os.environ)
    yield
    for name in {*before, *os.environ} - {"PYTEST_CURRENT_TEST"}:
        if name.startswith("RAY_") or os.environ.get(name) == before.get(name):
            continue
        if name in before:
            os.environ[name] = before[name]
        else:
            del os.environ[name]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


S3_PORT = free_port()
"""Of the object storage in tests. Ray's workers inherit the environment of the process that starts Ray."""
os.environ |= {
    "AWS_ENDPOINT_URL": f"http://127.0.0.1:{S3_PORT}",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "not-to-be-seen-anywhere",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def make_clip(path: Path, *, frames: int = 12, size: str = "96x64", rate: str = "12", audio: bool = True) -> Path:
    """A moving test picture with a tone, H.264 with B-frames and one key frame."""
    from farm.media.ffmpeg import ffmpeg_binary

    sound = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"] if audio else []
    command = [
        *(ffmpeg_binary(), "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}", *sound),
        *("-frames:v", str(frames), "-c:v", "libx264", "-g", "250", "-bf", "2", "-pix_fmt", "yuv420p"),
        *(["-c:a", "aac", "-shortest"] if audio else []),
        str(path),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture(scope="session")
def style(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coloured waves and grain: something with a Gram matrix of its own."""
    path = tmp_path_factory.mktemp("style") / "style.png"
    y, x = np.mgrid[:64, :96]
    rng = np.random.default_rng(3)
    waves = np.stack([np.sin(x / 5 + y / 9), np.sin(x / 7 - y / 4), np.cos(y / 6)], axis=-1)
    picture = np.clip(128 + 90 * waves + rng.normal(0, 20, waves.shape), 0, 255)
    Image.fromarray(picture.astype(np.uint8)).save(path)
    return path


def small_vgg(prefix: str = "features.") -> dict[str, torch.Tensor]:
    """The state dict of a VGG-11 with random weights, in half precision: 18 MB."""
    import torch

    generator = torch.Generator().manual_seed(5)
    stored, before = {}, 3
    for at, after in ((0, 64), (3, 128), (6, 256), (8, 256), (11, 512), (13, 512), (16, 512), (18, 512)):
        deviation = (2 / (9 * before)) ** 0.5
        weight = torch.randn((after, before, 3, 3), generator=generator) * deviation
        stored[f"{prefix}{at}.weight"] = weight.half()
        stored[f"{prefix}{at}.bias"] = torch.zeros(after).half()
        before = after
    return stored


@pytest.fixture(scope="session")
def ray_here() -> Iterator[None]:
    """One Ray for all tests that need it: loopback, token, no dashboard."""
    from farm.cluster.session import ray_session

    with ray_session(cpus=2, dashboard=False):
        yield


class Requests(logging.Handler):
    """The request lines that a server logs: `PUT /farm/out.farm/job.json`."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        found = re.search(r'"([A-Z]+ \S+) HTTP', record.getMessage())
        if found:
            self.lines.append(found[1])


@pytest.fixture(scope="session")
def object_storage() -> Iterator[list[str]]:
    """A real S3-compatible server with the bucket `farm`; gives the request lines that it has seen."""
    import fsspec

    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    seen = Requests()
    log = logging.getLogger("werkzeug")
    log.setLevel(logging.INFO)
    log.addHandler(seen)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=S3_PORT, verbose=True)
    server.start()
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("farm")
    yield seen.lines
    server.stop()
    log.removeHandler(seen)
