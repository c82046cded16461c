"""Imports point one way through the house, and what paints nothing loads neither torch nor ray."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import farm

ROOT = Path(farm.__file__).parent
FLOORS = [
    ["errors", "interruption"],
    ["files"],
    ["spec"],
    ["flow", "plan"],
    ["job", "media"],
    ["paint"],
    ["render"],
    ["cluster", "pages"],
    ["commands"],
    ["cli"],
    ["__main__"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
ONLY_IN = {"ray": {"cluster"}, "av": {"media"}, "ffmpeg": {"media"}}
"""Packages that one room alone may import."""
LIGHT = [
    "errors",
    "files",
    "spec",
    "flow",
    "plan",
    "plan.schedule",
    "job",
    "job.status",
    "cluster.driver",
    "cluster.queued",
    "cluster.handles",
    "cluster.listing",
    "cluster.service",
    "cli.main",
]
DRIVER = [
    *("cluster.render_job", "cluster.pool", "cluster.broker", "cluster.metrics", "cluster.flow_ahead"),
    *("cluster.phase_bars", "cluster.driver_tasks", "cluster.queue", "cli.progress"),
]
"""What a driver on a cluster imports, or the queue on its head. They paint nothing, and there are many of them."""
TOP_ENTRIES = 16


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_names(path: Path) -> set[str]:
    """The names of all modules that a file imports, at its top or inside its functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def test_imports_point_one_way():
    breaches = []
    for path in modules():
        room = room_of(path)
        for name in imported_names(path):
            package, _, rest = name.partition(".")
            other = rest.partition(".")[0] if package == "farm" and rest else room
            if other != room and FLOOR[other] >= FLOOR[room]:
                breaches.append(f"{path.relative_to(ROOT)} may not import {name}")
            if room not in ONLY_IN.get(package, {room}):
                breaches.append(f"{path.relative_to(ROOT)} may not import {package}")
    assert not breaches, "\n".join(breaches)


def test_no_two_modules_import_each_other():
    """A circle of imports, inside a folder or between folders, is found by taking away what imports nothing."""
    named = {
        ".".join(("farm", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in modules()
    }
    needs = {name: imported_names(path) & named.keys() - {name} for name, path in named.items()}
    while free := {name for name, others in needs.items() if not others}:
        needs = {name: others - free for name, others in needs.items() if name not in free}
    assert not needs


def test_a_module_imports_its_own_room_by_full_path():
    """The face of a room is for other rooms: it imports the modules, so none of them can wait for it."""
    assert not [path for path in modules() if f"farm.{room_of(path)}" in imported_names(path)]


def test_the_top_of_the_house_has_few_entries():
    entries = [path.name for path in ROOT.iterdir() if path.name not in ("__pycache__", "py.typed")]
    assert len(entries) <= TOP_ENTRIES, sorted(entries)


@pytest.mark.process
def test_the_front_of_the_house_is_light():
    """One new process imports all of them, and says after each of them what is heavy and was not there before."""
    script = """if True:
        import importlib, sys
        for name in sys.argv[1:]:
            before = set(sys.modules)
            importlib.import_module(f"farm.{name}")
            for heavy in {"torch", "ray"} & (set(sys.modules) - before):
                print(f"farm.{name} imports {heavy}")
    """
    done = subprocess.run([sys.executable, "-c", script, *LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout == ""


@pytest.mark.process
def test_a_driver_loads_no_torch_even_when_it_reads_the_reports_of_its_workers():
    script = """if True:
        import importlib, pickle, sys
        for name in sys.argv[1:]:
            importlib.import_module(f"farm.{name}")
        from farm.job import FrameRecord
        from farm.render.frame_report import FrameReport
        report = FrameReport("pass-1/00000", 3, FrameRecord(frame=3, sha256=""))
        assert pickle.loads(pickle.dumps(report)) == report
        print(sorted({"torch", "torchvision"} & set(sys.modules)), FrameReport.__module__)
    """
    done = subprocess.run([sys.executable, "-c", script, *DRIVER], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] farm.render.frame_report"
