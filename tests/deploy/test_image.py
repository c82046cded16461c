"""The image's recipe, the versions that it locks, and the units for machines of one's own."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

DEPLOY = Path(__file__).parents[2] / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
STEPS = [
    (line.split(None, 1)[0], line.split(None, 1)[1])
    for line in re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    if line.strip()
]
EXTRAS = re.findall(r"requirements\.py pyproject\.toml ([a-z0-9 ]+) >", DOCKERFILE)[0].split()
LOCKED = {
    requirement.name.replace("_", "-").lower(): requirement
    for line in (DEPLOY / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
    for requirement in [Requirement(line)]
}


@pytest.fixture(scope="module")
def wanted() -> list[Requirement]:
    """What the image installs beside the farm."""
    pytest.importorskip("tomllib")  # from Python 3.11 on
    command = [sys.executable, str(DEPLOY / "requirements.py"), str(DEPLOY.parent / "pyproject.toml"), *EXTRAS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [Requirement(line) for line in done.stdout.splitlines()]


def position(name: str, part: str) -> int:
    (index,) = (index for index, (step, text) in enumerate(STEPS) if step == name and part in text)
    return index


def test_the_image_runs_as_a_user_with_token_authentication():
    assert [text for name, text in STEPS if name == "USER"] == ["farm"]
    (environment,) = (text for name, text in STEPS if name == "ENV")
    assert "RAY_AUTH_MODE=token" in environment
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for name in [word for step, text in STEPS if step == "COPY" for word in text.split()[:-1]]:
        assert (DEPLOY.parent / name).exists()
        assert f"!{name}" in ignored


def test_a_change_of_code_installs_no_dependency_again():
    code, farm = position("COPY", "farm ./farm"), position("RUN", "--no-build-isolation .")
    assert code < farm
    assert "--no-deps" in STEPS[farm][1]
    installs = [index for index, (step, text) in enumerate(STEPS) if step == "RUN" and "pip install" in text]
    assert [index for index in installs if index > code] == [farm]
    assert all("--constraint constraints.txt" in STEPS[index][1] for index in installs if index != farm)


def test_the_image_is_built_without_cuda_unless_asked():
    assert ("ARG", "ACCELERATOR=cpu") in STEPS
    assert '"${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}"' in STEPS[position("RUN", "torchvision")][1]


def test_nothing_is_imported_from_a_folder_that_machines_share():
    mounts = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["head"]["volumes"]
    folders = [text for name, text in STEPS if name == "WORKDIR"]
    assert folders[-1] not in {mount.rpartition(":")[2] for mount in mounts}
    (environment,) = (text for name, text in STEPS if name == "ENV")
    assert "PYTHONSAFEPATH=1" in environment


@pytest.mark.process
@pytest.mark.parametrize(("user", "refused"), [("1000", False), ("0", True), ("00", True), ("root", True), ("", True)])
def test_the_image_is_not_built_for_root(user, refused):
    (check,) = re.findall(r'case "\$\{USER_ID\}" in.*?esac', STEPS[position("RUN", "useradd")][1])
    done = subprocess.run(["sh", "-c", check], env={"USER_ID": user}, capture_output=True, text=True)
    assert (done.returncode != 0) == refused
    assert ("USER_ID" in done.stderr) == refused


@pytest.mark.process
def test_every_requirement_has_a_version_that_it_allows(wanted):
    assert {"ray", "torch", "s3fs", "boto3", "setuptools"} <= {requirement.name for requirement in wanted}
    for requirement in wanted:
        (pin,) = LOCKED[requirement.name].specifier
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), requirement


def test_the_image_has_what_every_command_needs_and_the_lock_is_made_for_it():
    assert {"s3", "aws", "train"} <= set(EXTRAS)
    assert f"pyproject.toml {' '.join(EXTRAS)} >" in (DEPLOY / "lock.sh").read_text()
    assert {"pandas", "pyarrow", "tensorboardx"} <= LOCKED.keys(), "Ray Train, for farm train --workers"


@pytest.mark.parametrize("kind", ["head", "worker"])
def test_a_unit_starts_ray_with_its_ports_and_comes_back(kind):
    text = (DEPLOY / f"systemd/farm-{kind}.service").read_text().replace("\\\n", " ")
    settings = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    assert (settings["Restart"], settings["StartLimitIntervalSec"], settings["User"]) == ("always", "0", "farm")
    command = shlex.split(settings["ExecStart"])
    assert command[1:3] == ["start", "--block"]
    assert {"--dashboard-agent-listen-port", "--metrics-export-port", "--temp-dir"} <= set(command)
    assert ("--dashboard-port" in command) == (kind == "head")
    asked = set(re.findall(r"\$\{(\w+)\}", settings["ExecStart"]))
    given = {line.split("=")[0] for line in (DEPLOY / "systemd/farm.env").read_text().splitlines() if line[:1] != "#"}
    assert asked <= given
    assert {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_raylet_start_wait_time_s", "PYTHONSAFEPATH"} <= given


@pytest.mark.process
def test_systemd_takes_the_units(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here: apt-get install systemd")

    def verified(*changes: tuple[str, str]) -> str:
        """What systemd says of the units, whose program and user are put where this machine has some."""
        for unit in (DEPLOY / "systemd").glob("*.service"):
            text = unit.read_text()
            for before, after in (("/opt/farm/bin/ray", sys.executable), ("User=farm", "User=root"), *changes):
                assert before in text
                text = text.replace(before, after)
            (tmp_path / unit.name).write_text(text)
        command = [analyze, "verify", "--man=no", *map(str, sorted(tmp_path.glob("*.service")))]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.stdout + done.stderr

    assert verified() == ""
    assert "Restrat" in verified(("Restart=always", "Restrat=always"))
