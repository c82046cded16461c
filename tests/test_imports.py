"""Imports point one way, and planning needs neither torch nor ray."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import farm

ROOT = Path(farm.__file__).parent
LAYERS = [
    {"errors"},
    {"frames", "video", "choices", "outputs", "bytesize", "durations", "fetch", "interruption", "pipeline"}
    | {"sealed", "wholepng"},
    {"stopwatch"},
    {"paintspec"},
    {"inputs"},
    {"spec", "trainspec", "flow", "style", "painting", "contactsheet", "shares"},
    {"plan", "storage", "ties", "variants"},
    {"schedule", "job", "media", "flowstore", "planview", "dependents", "losttime", "watchdog", "lease", "forecast"}
    | {"segments", "storageplan", "revealed"},
    {"styler", "jobstate", "history", "request", "regions"},
    {"instant"},
    {"jobstatus", "monitoring"},
    {"render", "prepare"},
    {"stitch", "filmmaker", "verification", "progress", "still", "doctor", "steadiness", "sampling"},
    {"page"},
    {"live"},
    {"cluster"},
    {"demo", "options", "bench"},
    {"previewing"},
    {"cli_service", "cli_train", "cli_see", "cli_live"},
    {"cli", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
HEAVY_FREE = ["errors", "frames", "video", "paintspec", "spec", "plan", "schedule", "planview", "options", "cli"]


def modules():
    return sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Names of farm modules and of outside packages that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    here = room(path)
    assert here in LEVEL, f"say in LAYERS where {here} belongs"
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "farm" and len(parts) > 1 and parts[1] != here:
            assert LEVEL[parts[1]] <= LEVEL[here], f"{here} may not import {parts[1]}"
        if parts[0] == "ray":
            assert here in ("cluster", "doctor"), "only farm.cluster imports ray"
        if parts[0] in ("av", "ffmpeg"):
            assert here == "media", "only farm.media knows PyAV and ffmpeg"


@pytest.mark.parametrize("name", HEAVY_FREE)
def test_the_front_of_the_house_is_light(name):
    script = f"import sys, farm.{name}; print(*{{'torch', 'ray', 'cv2'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
