"""Commands that paint nothing load neither torch nor ray, each in a process of its own.

Of those that look at a job or plan, none loads a library of pictures or of remote storage either, so that each takes a
third of a second of a core.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from typer.main import get_command

from farm.cli.main import app
from farm.job.state import JobState
from farm.media.pictures import write_picture
from tests.conftest import make_clip
from tests.pages.conftest import make_job

SCRIPT = """
import sys
from farm.cli.main import main
sys.argv[0] = "farm"
try:
    main()
except SystemExit as stop:
    print("code:", stop.code, file=sys.stderr)
print("loaded:", *sorted({HEAVY} & set(sys.modules)), file=sys.stderr)
"""
HEAVY = {"torch", "torchvision", "ray"}
SLOW = {"numpy", "cv2", "av", "PIL", "matplotlib", "aiohttp", "fsspec", "yaml", "tenacity", "asyncio"}
"""Each takes 10 to 100 milliseconds of a core."""
NOWHERE = ["--address", "http://127.0.0.1:9"]
FILM = ["FILM", "--style", "STYLE"]
COMMANDS = {
    "version": (["--version"], 0, SLOW),
    "help": (["--help"], 0, SLOW),
    "help of render": (["render", "--help"], 0, SLOW),
    "schema": (["schema"], 0, SLOW),
    "status": (["status", "JOB"], 0, SLOW),
    "status --json": (["status", "JOB", "--json"], 0, SLOW),
    "status --verify": (["status", "JOB", "--verify"], 0, set()),
    "list": (["list", *NOWHERE], 2, SLOW),
    "logs": (["logs", "JOB"], 2, SLOW),
    "wait": (["wait", "JOB"], 0, SLOW),
    "wait for a failed job": (["wait", "FAILED"], 1, SLOW),
    "cancel": (["cancel", "JOB"], 2, SLOW),
    "retry of frames that are not there": (["retry", "JOB", "--frames", "500-600"], 2, set()),
    "accept": (["accept", "JOB", "--frames", "2-4", "--from", "PICTURES"], 0, {"matplotlib"}),
    "accept --propagate": (["accept", "JOB", "--frames", "2-4", "--propagate"], 0, {"matplotlib"}),
    "accept of frames that are not there": (["accept", "JOB", "--frames", "500-600"], 2, {"matplotlib"}),
    "versions": (["versions", "JOB"], 0, SLOW),
    "restore": (["restore", "JOB", "--frame", "3"], 0, {"matplotlib"}),
    "report": (["report", "JOB", "--no-measure"], 0, set()),
    "submit": (["submit", *FILM, "-o", "OUT", *NOWHERE], 2, {"matplotlib"}),
    "submit --copy-inputs": (["submit", *FILM, "-o", "OUT", "--copy-inputs", *NOWHERE], 2, {"matplotlib"}),
    "plan of no film": (["plan", "nothing.mp4", "--style", "STYLE"], 2, {"matplotlib"}),
    "plan": (["plan", *FILM], 0, {"matplotlib", "aiohttp"}),
    "the same plan": (["plan", *FILM], 0, SLOW),
    "a plan in other chunks": (["plan", *FILM, "--chunk-frames", "7"], 0, SLOW),
    "a plan with keys": (["plan", "FILM", "--key", "KEY", "--resize-keys"], 0, {"matplotlib", "aiohttp"}),
    "keys suggest": (["keys", "suggest", "FILM", "--count", "1", "-o", "KEYS"], 0, {"matplotlib", "aiohttp"}),
    "measure": (["measure", "FILM", "--source", "FILM", "--no-page"], 0, {"matplotlib", "aiohttp"}),
    "an unknown command": (["paint"], 2, SLOW),
}
"""By name: the words, the exit code, and what the command does not load beside HEAVY. In this order, in one folder."""
PAINT_OR_ASK = {
    "steady",
    *("render", "preview", "stylize", "bench", "demo", "live", "train", "doctor", "resume"),
    *("watch", "flow estimate", "flow check"),
}
"""Commands that paint, that say what torch finds on this machine, or that are tested elsewhere."""


@pytest.fixture(scope="module")
def place(tmp_path_factory, style):
    """A folder with a finished job, a failed one, and a film that was written a while ago."""
    folder = tmp_path_factory.mktemp("commands")
    film = make_clip(folder / "film.mp4", frames=30)
    done = make_job(film, style, folder)
    failed = make_job(film, style, folder / "failed", state=JobState(state="FAILED", reason="no room"))
    (folder / "by hand").mkdir()
    write_picture(folder / "by hand" / "000003.png", np.full((64, 96, 3), 99, np.uint8))
    words = {
        "JOB": done.url,
        "FAILED": failed.url,
        "FILM": str(film),
        "STYLE": str(style),
        "PICTURES": str(folder / "by hand"),
        "OUT": str(folder / "o.mp4"),
        "KEY": f"3={style}",
        "KEYS": str(folder / "keys"),
    }
    return folder, words


@pytest.mark.media
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "report" else []) for name in COMMANDS]
)
def test_what_a_command_loads(place, name):
    folder, words = place
    command, code, slow = COMMANDS[name]
    environment = {**os.environ, "FARM_REGISTRY": str(folder / "registry"), "FARM_FINDINGS": str(folder / "findings")}
    script = SCRIPT.replace("HEAVY", ", ".join(map(repr, sorted(HEAVY | slow))))
    arguments = [sys.executable, "-c", script, *(words.get(word, word) for word in command)]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, cwd=folder)
    lines = done.stderr.splitlines()
    assert "Traceback" not in done.stderr
    assert lines[-1] == "loaded:", done.stderr
    assert (f"code: {code}" in lines) == bool(code), done.stderr


def test_every_command_is_in_a_table():
    """A new command is put into one of the two tables by whoever adds it."""

    def names(command, words=()):
        for name, inner in getattr(command, "commands", {}).items():
            yield from names(inner, (*words, name))
        if not hasattr(command, "commands"):
            yield " ".join(words)

    tested = {" ".join(words[:count]) for words, _, _ in COMMANDS.values() for count in (1, 2)}
    assert set(names(get_command(app))) - tested - PAINT_OR_ASK == set()
