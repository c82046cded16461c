"""Makes the pictures of the README from material that may be shown: `make gallery`.

    python docs/gallery.py WORK DOCS

Paints the demo (Big Buck Bunny, (c) Blender Foundation, CC BY 3.0, in the style of a picture that the farm paints
itself) in WORK, or takes what is painted there. Writes into DOCS the contact sheet, the film beside its source as an
animation, a grid of settings, and the report as Chromium shows it. The picture of the report is left as it is where
there is no Chromium or no playwright.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from farm.cli.preview import PreviewOptions, preview_film
from farm.cli.progress import JobProgress
from farm.commands.demo.run import demo_clip, demo_spec, run_demo
from farm.media.decode import FrameReader
from farm.media.scan import scan_video
from farm.pages.report import write_report
from farm.spec import FrameRange

FRAME = 24
"""Frame that the grid shows."""
ANIMATION_MS = 42
"""Milliseconds of a frame: the film's own speed."""
REPORT_SIZE = (1200, 1500)
"""Width and height of the browser's window, pixels."""


def animation(work: Path, target: Path) -> None:
    """Write the film as an animation: source left, painted right, at the film's own speed."""
    spec = demo_spec(work)
    painted, source = scan_video(spec.output).probe, scan_video(spec.video).probe
    size = (painted.width, painted.height)
    with FrameReader(source, size) as left, FrameReader(painted, size) as right:
        count = FrameRange(0, painted.frame_count)
        frames = [np.hstack(pair) for pair in zip(left.read(count), right.read(count), strict=True)]
    pictures = [Image.fromarray(frame) for frame in frames]
    options = {"duration": ANIMATION_MS, "loop": 0, "quality": 72, "method": 6}
    pictures[0].save(target, save_all=True, append_images=pictures[1:], **options)


def grid(work: Path, target: Path, progress: JobProgress) -> None:
    """Write a grid of one frame: the demo's own settings, and others around them."""
    settings = {
        "video": str(demo_clip()),
        "style": [str(work / "style.png")],
        "content_weight": 10.0,
        "frames": str(FRAME),
    }
    preview_options = PreviewOptions(
        vary=["style-weight=25,100,400", "style-scale=0.5,0.8,1.2"],
        folder=work / "grid.preview",
        size=160,
        steps=50,
        shots=1,
        moving=False,
        workers=None,
        threads=None,
    )
    preview = preview_film(settings, preview_options, progress)
    shutil.copyfile(preview["sheet"], target)


def report(work: Path, target: Path) -> None:
    """Write the report as Chromium shows it, where there is one."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        print(f"{target} is left as it is: no Chromium or no playwright here", file=sys.stderr)
        return
    page = write_report(str(work / "bunny.farm"), str(work / "report.html"), lambda *_: None, overwrite=True)
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": REPORT_SIZE[0], "height": REPORT_SIZE[1]})
        tab.goto(Path(page["report"]).as_uri())
        tab.add_style_tag(content=".from, .done { visibility: hidden }")  # paths of the machine it was made on
        tab.screenshot(path=str(target))
        browser.close()
    Image.open(target).convert("RGB").quantize(128).save(target, optimize=True)


def main() -> None:
    """Make every picture. The arguments of the command line are the folder to work in and the folder of the pictures.

    The film in the first is made only where it is not there yet, which takes the most time.
    """
    work, docs = (Path(name).absolute() for name in sys.argv[1:3])
    with JobProgress() as progress:
        if not (work / "bunny.mp4").exists():
            run_demo(work, None, progress)
        grid(work, docs / "grid.png", progress)
    shutil.copyfile(work / "contact_sheet.png", docs / "demo.png")
    animation(work, docs / "demo.webp")
    report(work, docs / "report.png")
    for name in ("demo.png", "demo.webp", "grid.png", "report.png"):
        print(docs / name, (docs / name).stat().st_size)


if __name__ == "__main__":
    main()
