"""Commands that paint nothing load neither torch nor ray, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from farm.job import JobDirectory
from farm.job.state import JobState, save_state

SCRIPT = """
import sys
from farm.cli.main import main
sys.argv[0] = "farm"
try:
    main()
except SystemExit:
    pass
print("heavy:", *sorted({"torch", "ray", "matplotlib", "aiohttp"} & set(sys.modules)), file=sys.stderr)
"""
NOWHERE = ["--address", "http://127.0.0.1:9"]
COMMANDS = {
    "version": ["--version"],
    "status": ["status", "JOB"],
    "list": ["list", *NOWHERE],
    "logs": ["logs", "JOB"],
    "wait": ["wait", "JOB"],
    "submit": ["submit", "film.mp4", "--style", "style.png", "-o", "out.mp4", *NOWHERE],
    "plan": ["plan", "film.mp4", "--style", "style.png"],
    "cancel": ["cancel", "JOB"],
}


@pytest.mark.process
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_what_a_command_loads(tmp_path, command):
    job = tmp_path / "out.farm"
    save_state(JobDirectory(str(job)), JobState(state="SUCCEEDED"))
    words = [str(job) if word == "JOB" else word for word in command]
    environment = {**os.environ, "FARM_REGISTRY": str(tmp_path / "registry")}
    done = subprocess.run([sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True, env=environment)
    assert done.stderr.splitlines()[-1] == "heavy:", done.stderr
    assert "Traceback" not in done.stderr
