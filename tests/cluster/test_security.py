"""What a job may touch and what may be seen of it, on a cluster of several nodes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from farm.cluster.jobs_api import Cluster
from tests.cluster.commands import farm, farm_alone, submit, until


def readable_bytes(folder: Path) -> bytes:
    """All files below a folder, sockets and the like left out."""
    found = []
    for path in sorted(folder.rglob("*")):
        with contextlib.suppress(OSError):
            if path.is_file():
                found.append(path.read_bytes())
    return b"\n".join(found)


def command_lines() -> bytes:
    """What `ps` shows of every process of the machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes())
    return b"\n".join(found)


@pytest.mark.service
def test_a_job_writes_inside_its_directory_and_its_output_only(ray_nodes, film, style, tmp_path):
    for name in ("inputs", "made"):
        (tmp_path / name).mkdir()
    job, output = tmp_path / "job", tmp_path / "made/out.mp4"
    begin = ray_nodes.audit.stat().st_size
    told = json.loads(submit(film, style, output, "--job", str(job)).stdout)
    assert farm("wait", told["id"]).returncode == 0
    with ray_nodes.audit.open() as log:
        log.seek(begin)
        rows = [json.loads(line) for line in log]
    changed = {path for _, event, *paths in rows if event != "subprocess.Popen" for path in paths}
    assert str(job / "job.json") in changed, "the watch sees what is written"
    assert str(output) in changed
    temporary = tempfile.gettempdir()
    allowed = (f"{job}/", f"{output.parent}/.out.", f"{ray_nodes.folder}/", f"{temporary}/farm-inputs-")
    allowed += ("/dev/", "/proc/", f"{temporary}/farm-tracks-", f"{temporary}/farm-rehearsal-")
    beyond = {path for path in changed if not path.startswith(allowed)} - {str(output), str(job), str(output.parent)}
    # A process that Ray starts for a task makes sure of its folders, and Python tries the temporary one with a file.
    beyond -= {temporary, str(ray_nodes.folder)}
    beyond = {path for path in beyond if not re.fullmatch(rf"{re.escape(temporary)}/[a-z0-9_]{{8}}", path)}
    assert beyond == set()
    assert [path.name for path in output.parent.iterdir()] == ["out.mp4"]
    commands = [command for _, event, *command in rows if event == "subprocess.Popen"]
    assert any("ffmpeg" in command[0] and command[-2:] for command in commands)
    assert not any(command[:2] in (["sh", "-c"], ["/bin/sh", "-c"]) and "ffmpeg" in command[-1] for command in commands)


@pytest.mark.service
def test_no_secret_is_seen_in_files_logs_commands_or_metadata(ray_nodes, film, style, tmp_path):
    token = Path(os.environ["RAY_AUTH_TOKEN_PATH"]).read_text().strip()
    secrets = [token.encode(), os.environ["AWS_SECRET_ACCESS_KEY"].encode()]
    told = json.loads(submit(film, style, tmp_path / "out.mp4", "--iterations", "6,4").stdout)
    until(lambda: (tmp_path / "out.farm/ledger").exists(), "the first commit", told["job"])
    running = command_lines()
    assert told["id"].encode() in running, "the driver is among them"
    assert farm("wait", told["id"]).returncode == 0
    request = urllib.request.Request(f"{told['dashboard']}/api/jobs/", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        listed = answer.read()
    assert told["id"].encode() in listed
    logs = readable_bytes(ray_nodes.folder / "session_latest/logs")
    assert told["id"].encode() in logs
    for secret in secrets:
        for where, text in {
            "ps": running,
            "the dashboard's answer": listed,
            "the job's files": readable_bytes(tmp_path / "out.farm"),
            "Ray's logs": logs,
            "farm logs": farm("logs", told["id"]).stdout.encode(),
            "farm status": farm("status", told["id"], "--json").stdout.encode(),
        }.items():
            assert secret not in text, f"a secret stands in {where}"


@pytest.mark.service
@pytest.mark.parametrize("option", ["--job", "-o", "VIDEO", "--style"])
def test_an_address_with_a_secret_is_not_even_submitted(ray_nodes, film, style, tmp_path, option):
    before = len(Cluster().jobs())
    signed = "https://host/film.mp4?X-Amz-Credential=me&X-Amz-Signature=hush"
    given = {"VIDEO": str(film), "--style": str(style), "-o": str(tmp_path / "out.mp4"), option: signed}
    if option == "--job":
        given[option] = "s3://me:hush@bucket/out.farm"
    options = [word for name, value in given.items() if name != "VIDEO" for word in (name, value)]
    done = farm("submit", given["VIDEO"], *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert "hush" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert len(Cluster().jobs()) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("token", "says"), [("", "no token"), ("0123456789abcdef0123456789abcdef", "refused the token")]
)
@pytest.mark.parametrize(
    "command",
    [["list"], pytest.param(["submit", "a.mp4", "--style", "b.png", "-o", "c.mp4"], marks=pytest.mark.service)],
)
def test_without_the_token_it_is_refused_in_one_line(ray_nodes, tmp_path, command, token, says):
    environment = {"RAY_AUTH_TOKEN": token} if token else {"HOME": str(tmp_path), "RAY_AUTH_TOKEN_PATH": ""}
    done = farm_alone(*command, **environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.service
@pytest.mark.parametrize("path", ["/api/jobs/", "/api/v0/actors", "/logical/actors"])
def test_the_dashboard_itself_asks_for_the_token(ray_nodes, path):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{os.environ['RAY_API_SERVER_ADDRESS']}{path}", timeout=30)
    assert refused.value.code in (401, 403)
