"""What shows how a training goes: its learning curve, and held-out pictures painted by the network as it is."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.files.atomic import write_atomically
from farm.media.contact_sheet import contact_sheet
from farm.media.pictures import cover, write_picture
from farm.paint.training.pictures import Pictures

SHEET_PICTURES = 6
SHEET_SIZE = (180, 240)
TERMS = ("total", "style", "content", "temporal")


def write_sample_sheet(path: Path, pictures: Pictures, paint: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> None:
    """Held-out pictures above what the network makes of them, PNG."""
    shown = [picture.frame for picture in pictures.held_out[:SHEET_PICTURES]]
    rows = [
        ("photo", [cover(frame, SHEET_SIZE) for frame in shown]),
        ("painted", [cover(paint(frame), SHEET_SIZE) for frame in shown]),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, contact_sheet(rows, [f"held out {i + 1}" for i in range(len(shown))]))


def write_learning_curve(path: Path, curve: Sequence[Mapping[str, Any]]) -> None:
    """Loss terms by step on training crops and held-out pictures, PNG. `curve` as in `farm.paint.training.course`."""
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
