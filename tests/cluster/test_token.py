"""The cluster's token goes to the configured address and nowhere else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from farm.cluster.dashboard_http import request, same_dashboard
from farm.cluster.token import auth_token, ensure_token
from farm.errors import NoAnswerError, UsageError
from farm.job import JobDirectory
from farm.job.request import JobRequest, save_request
from farm.job.state import JobState, save_state
from farm.spec import RenderSpec
from farm.spec.paint import StyleImage
from tests.cluster.commands import farm
from tests.cluster.dashboards import dashboard, listed

TOKEN = "0123456789abcdef" * 4


@pytest.fixture
def with_token(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("FARM_REGISTRY", str(tmp_path / "registry"))


def submitted_job(folder: Path, address: str, state: str = "RUNNING") -> str:
    """A job directory as `farm submit` leaves it, which says that it was submitted to `address`."""
    job = JobDirectory(str(folder))
    spec = RenderSpec(video="/film.mp4", output="/out.mp4", styles=(StyleImage(path="/style.png"),))
    save_request(job, JobRequest(spec=spec, dashboard=address, submissions=("farm-film-1",)))
    save_state(job, JobState(state=state, submission="farm-film-1"))
    return job.url


COMMANDS = {
    "wait": ["wait", "JOB", "--timeout", "1"],
    "logs": ["logs", "JOB"],
    "logs -f": ["logs", "JOB", "-f"],
    "cancel": ["cancel", "JOB"],
    "resume": ["resume", "JOB"],
    "retry": ["retry", "JOB", "--failed"],
    "retry --frames": ["retry", "JOB", "--frames", "0"],
}


@pytest.mark.process
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_an_address_in_a_job_directory_is_compared_and_never_followed(with_token, monkeypatch, tmp_path, command):
    with dashboard() as stranger, dashboard() as own:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", own.address)
        job = submitted_job(tmp_path / "out.farm", stranger.address)
        done = farm(*(job if word == "JOB" else word for word in command))
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert stranger.address in done.stderr
        assert f"give --address {own.address}" in done.stderr
        assert stranger.seen == []
        assert own.seen == []


@pytest.mark.process
def test_status_tells_what_the_directory_tells(with_token, monkeypatch, tmp_path):
    with dashboard() as stranger, dashboard() as own:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", own.address)
        job = submitted_job(tmp_path / "out.farm", stranger.address)
        assert "RUNNING" in farm("status", job).stdout
        assert stranger.seen == own.seen == []


@pytest.mark.process
def test_list_asks_the_configured_cluster_only(with_token, monkeypatch, tmp_path):
    from farm.job.registry import note_submission

    with dashboard() as stranger, dashboard() as own:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", own.address)
        job = submitted_job(tmp_path / "out.farm", stranger.address)
        note_submission(job, "farm-film-1", {"FARM_REGISTRY": str(tmp_path / "registry")})
        done = farm("list")
        assert "farm-film-1" in done.stdout
        assert stranger.seen == []
        assert own.seen == [("/api/jobs/", f"Bearer {TOKEN}")]


@pytest.mark.process
@pytest.mark.timeout(600)  # the page's modules load torch
def test_watch_does_not_ask_the_address_in_the_directory(with_token, monkeypatch, tmp_path):
    from farm.cluster.handles import ask_cluster
    from farm.pages.facts import JobReader

    with dashboard() as stranger, dashboard() as own:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", own.address)
        job = submitted_job(tmp_path / "out.farm", stranger.address)
        assert JobReader(job, ask_cluster(None)).read().doing == "RUNNING"
        assert stranger.seen == own.seen == []


@pytest.mark.process
def test_an_address_on_the_command_line_is_the_one_that_is_asked(with_token, monkeypatch, tmp_path):
    job = tmp_path / "out.farm"
    with dashboard() as stranger, dashboard([listed("farm-film-1", str(job))]) as own:
        submitted_job(job, stranger.address)
        done = farm("cancel", str(job), "--address", own.address)
        assert (done.returncode, done.stdout.strip()) == (0, f"{job}: CANCELLED")
        assert {header for _, header in own.seen} == {f"Bearer {TOKEN}"}
        assert stranger.seen == []


@pytest.mark.process
def test_a_directory_cannot_have_the_job_of_another_one_cancelled(with_token, tmp_path):
    with dashboard([listed("farm-film-1", "/jobs/of-somebody-else.farm")]) as own:
        job = submitted_job(tmp_path / "out.farm", own.address)
        done = farm("cancel", job, "--address", own.address)
        assert done.returncode == 2
        assert "of-somebody-else" in done.stderr
        assert not [path for path, _ in own.seen if path.endswith("/stop")]


@pytest.mark.process
def test_a_redirection_does_not_carry_the_token_elsewhere(with_token):
    with dashboard() as stranger, dashboard(redirects_to=stranger.address) as own:
        with pytest.raises(UsageError, match="sends its callers elsewhere"):
            request(own.address, "GET", "/api/jobs/")
        assert stranger.seen == []


@pytest.mark.process
def test_a_proxy_of_the_environment_does_not_see_the_token(with_token, monkeypatch):
    with dashboard() as proxy, dashboard() as own:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.address)
        assert request(own.address, "GET", "/api/jobs/").status == 200
        assert proxy.seen == []


@pytest.mark.process
def test_a_dashboard_that_hangs_is_given_up(with_token):
    with dashboard(hangs=True) as own:
        began = time.monotonic()
        with pytest.raises(NoAnswerError, match="does not answer within"):
            request(own.address, "GET", "/api/jobs/", seconds=0.3)
        assert time.monotonic() - began < 30, "the server lets go after 60 seconds"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://head:8265", "http://HEAD:8265/", True),
        ("head", "http://head:80", True),
        ("https://head", "https://head:443", True),
        ("http://head:8265", "https://head:8265", False),
        ("http://head:8265", "http://head:8266", False),
        ("http://head/one", "http://head/two", False),
        ("http://head:8265@stranger:8265", "http://head:8265", False),
    ],
)
def test_which_addresses_are_the_same(one, other, same):
    assert same_dashboard(one, other) is same


def test_a_token_comes_from_where_ray_takes_it(tmp_path):
    path = tmp_path / "token"
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(path)}
    assert auth_token({}) is None
    assert auth_token(environment) == ""
    ensure_token(environment)
    assert auth_token(environment) == path.read_text()
    assert len(path.read_text()) == 64
    assert auth_token({**environment, "RAY_AUTH_TOKEN": " abc\n"}) == "abc"
    with pytest.raises(UsageError, match="one line"):
        auth_token({**environment, "RAY_AUTH_TOKEN": "abc\r\nHost: elsewhere"})


def test_a_token_that_others_can_read_is_warned_of_once(tmp_path, caplog):
    path = tmp_path / "token"
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(path)}
    path.write_text("abc")
    path.chmod(0o644)
    assert [auth_token(environment), auth_token(environment)] == ["abc", "abc"]
    assert [record.getMessage().endswith(f"run: chmod 600 {path}") for record in caplog.records] == [True]
    caplog.clear()
    private = tmp_path / "private"
    private.write_text("abc")
    private.chmod(0o600)
    auth_token({**environment, "RAY_AUTH_TOKEN_PATH": str(private)})
    assert not caplog.records


def test_only_one_module_sends_the_token():
    root = Path(__file__).parents[2] / "farm"
    senders = [path.name for path in root.rglob("*.py") if "Authorization" in path.read_text()]
    assert senders == ["dashboard_http.py"]
    users = {path.name for path in root.rglob("*.py") if "JobSubmissionClient" in path.read_text()}
    assert users == set()
