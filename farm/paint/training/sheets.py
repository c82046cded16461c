"""Pictures that show how a training goes: its learning curve, and held-out pictures painted by the network so far."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.files import write_atomically
from farm.media.contact_sheet import contact_sheet
from farm.media.pictures import cover, write_picture
from farm.paint.training.pictures import Pictures

SHEET_PICTURES = 6
"""Largest number of held-out pictures on a sample sheet."""
SHEET_SIZE = (180, 240)
"""(height, width) of each of them, in pixels."""
TERMS = ("total", "style", "content", "temporal")
"""Terms of the loss that the learning curve shows, where they are not 0."""


def write_sample_sheet(path: Path, pictures: Pictures, paint: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> None:
    """Write a PNG with held-out pictures in one row and what `paint` makes of them below.

    `paint` maps (H, W, 3) uint8 to the same shape. The folder of `path` is made. Raises OSError.
    """
    shown = [picture.frame for picture in pictures.held_out[:SHEET_PICTURES]]
    rows = [
        ("photo", [cover(frame, SHEET_SIZE) for frame in shown]),
        ("painted", [cover(paint(frame), SHEET_SIZE) for frame in shown]),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, contact_sheet(rows, [f"held out {i + 1}" for i in range(len(shown))]))


def write_learning_curve(path: Path, curve: Sequence[Mapping[str, Any]]) -> None:
    """Write a PNG with the terms of the loss by step, on training crops and on held-out pictures.

    `curve` is that of `farm.paint.training.course.Course`. Raises OSError.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5))
    axis = figure.subplots()
    steps = [point["step"] for point in curve]
    for number, term in enumerate(TERMS):
        color = f"C{number}"
        training = [point["training"].get(term, 0.0) for point in curve]
        if any(training):
            axis.plot(steps, training, color=color, alpha=0.45, linewidth=1)
            axis.plot(steps, [point["held_out"][term] for point in curve], color=color, label=term)
    axis.set_yscale("log")
    axis.set_xlabel("step")
    axis.set_ylabel("loss, weighted (pale: training crops, full: held out)")
    axis.grid(alpha=0.2)
    axis.legend()
    figure.tight_layout()
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    write_atomically(path, out.getvalue())
