"""Ray as the farm starts it: closed to the network, and asking for a token."""

import os
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from farm.cluster.session import LONGEST_SOCKET, SOCKET_BYTES, _own_sigterm, folder_for_ray
from farm.cluster.token import auth_token, ensure_token, ensure_token_here
from farm.errors import RenderError

ROOT = Path(__file__).parents[2]
OURS = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"}


LISTENING = """
from pathlib import Path
from farm.cluster.session import ray_session

LOOPBACK = ("0100007F", "0" * 24 + "01000000", "0" * 16 + "FFFF00000100007F")  # as /proc/net has it

def family(pid):
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except FileNotFoundError:  # the thread has ended
            continue
        for child in children:
            yield from family(child)

def links(pid):
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            yield str(entry.readlink())
        except OSError:
            pass

with ray_session(cpus=1) as session:
    from ray._private.authentication.authentication_utils import is_token_auth_enabled

    ours = {link for pid in family("self") for link in links(pid)}
    rows = [row.split() for table in ("tcp", "tcp6") for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    listening = [row[1].split(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in ours]
    token = is_token_auth_enabled()
print(token, len(listening), *(set(listening) - set(LOOPBACK)))
"""


@pytest.mark.cluster
@pytest.mark.slow
def test_ray_is_closed_to_the_network_and_to_other_users(tmp_path):
    """In an environment without what the tests set for themselves: this is what the farm does."""
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    command = [sys.executable, "-c", LISTENING]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**environment, "HOME": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    token, sockets, *open_to_all = done.stdout.split()
    assert token == "True"
    assert int(sockets) > 3
    assert open_to_all == []
    assert stat.S_IMODE((tmp_path / ".ray/auth_token").stat().st_mode) == 0o600


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_token_is_made_once_and_closed_to_others(tmp_path, monkeypatch, elsewhere):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ("mine" if elsewhere else ".ray/auth_token")
    environment = {"RAY_AUTH_MODE": "token", **({"RAY_AUTH_TOKEN_PATH": str(path)} if elsewhere else {})}
    ensure_token(environment)
    made = path.read_text()
    assert len(made) == 64
    path.chmod(0o644)
    ensure_token(environment)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == (made, 0o600)


@pytest.mark.parametrize(
    "environment", [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "x"}]
)
def test_no_token_is_made_where_none_is_needed(tmp_path, monkeypatch, environment):
    monkeypatch.setenv("HOME", str(tmp_path))
    ensure_token(environment)
    assert list(tmp_path.iterdir()) == []


def test_without_a_home_directory_the_token_is_in_the_environment(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for home in ("/proc/nowhere", str(tmp_path / "file")):
        monkeypatch.setenv("HOME", home)
        environment = {"RAY_AUTH_MODE": "token"}
        ensure_token_here(environment)
        assert len(environment["RAY_AUTH_TOKEN"]) == 64
        assert auth_token(environment) == environment["RAY_AUTH_TOKEN"]


def test_where_there_is_a_home_directory_the_token_is_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    environment = {"RAY_AUTH_MODE": "token"}
    ensure_token_here(environment)
    assert environment == {"RAY_AUTH_MODE": "token"}
    assert (tmp_path / ".ray/auth_token").exists()


@pytest.mark.parametrize("code", [signal.SIGTERM, 1])
def test_a_sigterm_while_ray_starts_is_an_interrupt_and_the_handler_is_put_back(code):
    """Ray's handlers exit with the number of the signal, and with 1."""
    before = signal.getsignal(signal.SIGTERM)

    def start() -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(code))
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt), _own_sigterm():
        start()
    assert signal.getsignal(signal.SIGTERM) is before


def test_ray_has_its_own_folder_where_that_is_short_enough(caplog):
    assert folder_for_ray("/tmp/ray", ()) is None
    assert caplog.text == ""


def test_another_folder_is_taken_and_said_where_sockets_would_have_too_long_a_path(tmp_path, caplog):
    usual = str(tmp_path / ("n" * (SOCKET_BYTES - len(LONGEST_SOCKET))))
    short = tmp_path / "s"
    short.mkdir()
    assert folder_for_ray(usual, ("/proc/nowhere", str(short))) == str(short / "ray")
    assert caplog.messages == [f"farm: {usual} is too long a path for Ray's sockets; Ray uses {short}/ray"]
    with pytest.raises(RenderError, match="is too long a path for Ray's sockets; set TMPDIR to another folder"):
        folder_for_ray(usual, ("/proc/nowhere",))


def test_another_folder_is_taken_where_the_usual_one_cannot_be_made(tmp_path, caplog):
    assert folder_for_ray("/proc/nowhere/ray", (str(tmp_path),)) == str(tmp_path / "ray")
    assert "farm: /proc/nowhere/ray cannot be written to; Ray uses" in caplog.text


@pytest.mark.cluster
@pytest.mark.parametrize(("dashboard", "starts"), [(True, [True, False]), (False, [False])])
def test_ray_starts_without_a_dashboard_that_does_not_come_up(monkeypatch, caplog, dashboard, starts):
    import ray

    from farm.cluster import session

    asked = []

    def start(**options):
        asked.append(options["include_dashboard"])
        if options["include_dashboard"] or not dashboard:
            raise RuntimeError("The last 20 lines of /x/dashboard.log (it contains the error of the dashboard):")
        return "context"

    monkeypatch.setattr(ray, "init", start)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    if dashboard:
        assert session._start_here(1, dashboard=True) == "context"
        assert "farm: Ray's dashboard does not come up: there is none this time" in caplog.text
    else:
        with pytest.raises(RenderError, match="Ray could not be started: The last 20 lines"):
            session._start_here(1, dashboard=False)
    assert asked == starts


@pytest.mark.cluster
@pytest.mark.slow
def test_nothing_that_ray_prints_reaches_stdout_and_no_other_ray_is_joined():
    """A worker that dies makes Ray print paragraphs; a command's stdout is one JSON object and nothing else.

    RAY_ADDRESS, like a cluster that somebody started on this machine, is not for a render without --address.
    """
    script = """
import os, ray, sys, time
from farm.cluster.session import ray_session

with ray_session(cpus=1, dashboard=False):

    @ray.remote
    class Mortal:
        def die(self):
            os.kill(os.getpid(), 9)

    try:
        ray.get(Mortal.remote().die.remote())
    except ray.exceptions.RayActorError:
        time.sleep(2)
print("answer")
"""
    command, elsewhere = [sys.executable, "-c", script], {**os.environ, "RAY_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=elsewhere)
    assert done.stdout == "answer\n"


@pytest.mark.process
@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 ignores PYTHONSAFEPATH")
def test_a_driver_runs_nothing_from_the_folder_that_it_is_started_in(tmp_path):
    """`python -m` looks there first, and it is the folder that `ray start` was given in."""
    from farm.cluster.service import DRIVER_COMMAND

    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/__init__.py").touch()  # a folder without it would not go before the farm's own
    (tmp_path / "jobs/render.py").write_text("print('a file of somebody else')")
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        shell = ["sh", "-c", shlex.join(command)]
        return subprocess.run(shell, capture_output=True, text=True, cwd=tmp_path, env=environment)

    assert "missing 2 required positional arguments: 'job_url' and 'submission'" in run(DRIVER_COMMAND).stderr
    unsafe = [word for word in DRIVER_COMMAND if not word.startswith("PYTHONSAFEPATH")]
    assert run(unsafe).stdout == "a file of somebody else\n", "else this test shows nothing"


PATH_OF_A_WORKER = """
import sys
from farm.cluster.session import ray_session

with ray_session(cpus=1, dashboard=False):
    import ray

    path = ray.get(ray.remote(lambda: sys.path).remote())
print(*path, sep="\\n")  # what is printed in a session is discarded
"""


@pytest.mark.cluster
@pytest.mark.slow
def test_a_worker_imports_nothing_from_the_folder_that_its_driver_was_started_in(tmp_path):
    """Ray puts that folder into the path of every worker."""
    folder = tmp_path / "shared"
    folder.mkdir()
    (tmp_path / "driver.py").write_text(PATH_OF_A_WORKER)
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(tmp_path / "driver.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    path = done.stdout.splitlines()
    assert str(ROOT) in path
    assert str(folder) not in path
