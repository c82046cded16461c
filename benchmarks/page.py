"""How large is the report of a long film, and how soon is it open?

    python -m benchmarks.page --frames 5000 -o page/

Makes a job of that many frames (seeded, as hard to compress as paint; nothing is rendered), writes its report, and
opens it in the system's Chromium if playwright is installed. Prints the size of the report in MB, and the seconds of
writing and of opening it three times. Writes page.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from farm.files.checked_json import seal
from farm.files.png import decode_png, encode_png
from farm.job import FrameRecord, JobDirectory, JobRecord
from farm.job.directory import frame_name, ledger_name
from farm.job.state import JobState, save_state
from farm.media.ffmpeg import ffmpeg_binary
from farm.media.scan import scan_video
from farm.pages.report import write_report
from farm.plan import JobRuntime, plan_render, plan_tasks
from farm.spec import build_spec

SHOT = 90
"""Frames of a shot."""
PICTURES = 12
"""Number of different pictures. Frames are hard links to them."""


def make_film(path: Path, frames: int, size: tuple[int, int]) -> None:
    """Make a film of moving test pictures of (width, height)."""
    source = f"testsrc2=size={size[0]}x{size[1]}:rate=25"
    command = [ffmpeg_binary(), "-v", "error", "-y", "-f", "lavfi", "-i", source, "-frames:v", str(frames)]
    subprocess.run([*command, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)], check=True)


def paint(seed: int, size: tuple[int, int]) -> np.ndarray:
    """A picture with strokes of every size, which is noise smoothed at three scales: uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    shape = (size[1], size[0], 3)
    total = sum(cv2.GaussianBlur(rng.normal(0, 1, shape), (0, 0), scale) * scale * 60 for scale in (1, 3, 9))
    return np.clip(128 + total, 0, 255).astype(np.uint8)


def make_job(folder: Path, frames: int, size: tuple[int, int]) -> JobDirectory:
    """A job that is done: two passes, shots of SHOT frames, two workers. Pictures repeat, the ledger does not."""
    video = folder / "film.mp4"
    make_film(video, frames, size)
    style = folder / "style.png"
    style.write_bytes(encode_png(paint(0, (64, 64))))
    spec = build_spec(
        {"video": str(video), "styles": [str(style)], "output": str(folder / "long.mp4"), "passes": 2, "size": size[0]}
    )
    scan = scan_video(spec.video)
    cuts = tuple(range(SHOT, frames, SHOT))
    job = JobDirectory(str(folder / "long.farm"))
    plan = plan_render(spec, scan.probe, cuts)
    runtime = JobRuntime(precision="fp32")
    fields = {"spec": spec, "probe": scan.probe, "cuts": cuts, "plan": plan, "runtime": runtime}
    job.save_record(JobRecord.model_validate({**fields, "input_hashes": {}, "versions": {"farm": ""}}))
    pictures = [paint(seed, size) for seed in range(PICTURES)]
    assert (decode_png(encode_png(pictures[0])) == pictures[0]).all()
    files = [encode_png(picture) for picture in pictures]
    originals = folder / "pictures"
    originals.mkdir(exist_ok=True)
    for number, data in enumerate(files):
        (originals / f"{number}.png").write_bytes(data)
    hashes = [hashlib.sha256(data).hexdigest() for data in files]
    rng = np.random.default_rng(1)
    clock = time.time()
    measures = {}
    for number, task in enumerate(plan_tasks(plan)):
        rows: dict[int, FrameRecord] = {}
        for frame in task.frames:
            which = frame % PICTURES
            target = Path(job.url) / frame_name(task.id, frame)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.hardlink_to(originals / f"{which}.png")
            clock += 0.4
            losses = {"style": float(rng.lognormal(14, 0.2)), "content": float(rng.lognormal(13, 0.1)), "total": 1.0}
            rows[frame] = FrameRecord(
                frame=frame, sha256=hashes[which], steps=20, losses=losses, seconds=0.7, bytes=len(files[which]),
                worker=f"worker-{1 + number % 2}", committed=clock,
            )  # fmt: skip
            key = hashes[(frame - 1) % PICTURES][:12] + hashes[which][:12]
            measures[str(frame)] = [key, float(rng.lognormal(-8, 0.5))]
        ledger = [row.model_dump(mode="json") for row in rows.values()]
        job.storage.write(ledger_name(task.id), seal({"frames": ledger}))
    job.storage.write("measures.json", json.dumps(measures).encode())
    job.save_report({"seconds": frames * 0.4, "workers": 2, "output": spec.output})
    save_state(job, JobState(state="SUCCEEDED"))
    return job


def opening_seconds(page: Path) -> list[float]:
    """Seconds until the page is shown, in three fresh browsers; empty where there is no Chromium or no playwright."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return []
    if chromium is None:
        return []
    seconds = []
    with sync_playwright() as running:
        for _ in range(3):
            browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            tab = browser.new_page(viewport={"width": 1400, "height": 900})
            began = time.perf_counter()
            tab.goto(page.as_uri(), wait_until="load")
            tab.evaluate("new Promise((shown) => requestAnimationFrame(() => requestAnimationFrame(shown)))")
            seconds.append(time.perf_counter() - began)
            browser.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 360), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("-o", "--output", type=Path, default=Path("page"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    job = make_job(options.output.absolute(), options.frames, tuple(options.size))
    began = time.perf_counter()
    written = write_report(job.url, None, lambda *_: None, overwrite=True)
    writing = time.perf_counter() - began
    opening = opening_seconds(Path(written["report"]))
    result: dict[str, Any] = {
        "frames": options.frames,
        "bytes": written["bytes"],
        "writing_seconds": round(writing, 2),
        "opening_seconds": [round(seconds, 2) for seconds in opening],
    }
    (options.output / "page.json").write_text(json.dumps(result, indent=1))
    shown = ", ".join(f"{seconds:.2f} s" for seconds in opening) or "not measured: no browser"
    print(f"{options.frames} frames: {written['bytes'] / 1e6:.1f} MB, written in {writing:.1f} s, open after {shown}")


if __name__ == "__main__":
    main()
