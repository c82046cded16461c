"""Does the paint come back after a flash? A clip is lit anew in eight ways, rendered, and compared with itself in calm.

    python -m benchmarks.light VIDEO --style IMG [--frames 0-27] [--size 128] [--only flash,fade] [-o light/]

`VIDEO` is one shot under even light. From its frames these films are made:

    flash          two frames of three times the light, clipped to white: a photographer's flash
    first          the same in the first two frames
    lightning      light of uneven strength in a part of the picture, in four of eight frames
    strobe         two frames dark, two frames lit, five times
    fade           to white and back again
    fade in        from black
    adapting       light that jumps, and a camera that adapts to it in ten frames
    dissolve       a cross-fade to the mirrored film

The same frames without any change are rendered beside them. For every film, mean and contrast (standard deviation) of
the paint are taken in grey levels before, during and after the event, as well as the content loss, and those after it
are compared with the calm film's: `after` is from the third frame after the event on. A film is right where the means
differ by at most MEAN_OFF levels, and contrast and content loss by the factors CONTRAST_OFF and CONTENT_OFF.

Writes light.json, light.png (curves) and sheet.png (source above paint, around the event), and prints a row for each
film. Exits with 1 where a film is not right.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.quality import render_variant
from farm.job import JobRecord
from farm.media import contact_sheet as sheets
from farm.media.pictures import write_picture
from farm.paint.styler import FrameStyler, local_runtime
from farm.render.source_frames import SourceFrames
from farm.spec import build_spec
from farm.spec.frames import evenly

RATE = 25
FIRST = 12
"""Frame in which an event begins, but for those that begin the film."""
BACK = 3
"""Frames after an event within which the paint is to be what it was."""
MEAN_OFF, CONTRAST_OFF, CONTENT_OFF = 6.0, 1.12, 1.2
"""Grey levels, and factors, that a render after an event may differ by from the calm one."""
SHEET_FRAMES = 8

Light = Callable[[int, np.ndarray], np.ndarray]
"""A frame, (H, W, 3) float32 0..255, under another light, from its number and itself. Values may leave the range."""


@dataclass(frozen=True)
class Event:
    """A change of light in frames `start..stop` (half-open)."""

    start: int
    stop: int
    light: Light


@dataclass
class Row:
    """One film, in grey levels (mean and contrast), before, during and after the event, and over the calm film's."""

    film: str
    before: tuple[float, float]
    during: tuple[float, float]
    after: tuple[float, float]
    calm_after: tuple[float, float]
    content: float
    """Content loss after the event over that of the calm film."""
    verdict: str = "right"


def _lit(gains: dict[int, float]) -> Light:
    return lambda frame, picture: picture * gains.get(frame, 1.0)


def _towards(color: float, shares: dict[int, float]) -> Light:
    return lambda frame, picture: picture + shares.get(frame, 0.0) * (color - picture)


def _lightning(frame: int, picture: np.ndarray) -> np.ndarray:
    """The light of a bolt, strongest in the upper left corner of the picture."""
    gain = {FIRST: 1.5, FIRST + 2: 0.8, FIRST + 5: 2.0, FIRST + 6: 0.6}.get(frame, 0.0)
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    reach = np.exp(-((x / width) ** 2 + (y / height) ** 2) / 0.3)[..., None]
    lit: np.ndarray = picture * (1 + gain * reach) + 60 * gain * reach
    return lit


def _dissolve(frame: int, picture: np.ndarray) -> np.ndarray:
    share = float(np.clip((frame - FIRST + 1) / 9, 0, 1))
    mixed: np.ndarray = (1 - share) * picture + share * picture[:, ::-1]
    return mixed


EVENTS = {
    "flash": Event(FIRST, FIRST + 2, _lit({FIRST: 3.0, FIRST + 1: 3.0})),
    "first": Event(0, 2, _lit({0: 3.0, 1: 3.0})),
    "lightning": Event(FIRST, FIRST + 7, _lightning),
    "strobe": Event(FIRST - 4, FIRST + 6, _lit(dict.fromkeys([8, 9, 12, 13, 16, 17], 0.15))),
    "fade": Event(FIRST - 5, FIRST + 6, _towards(255, {FIRST + i: 1 - abs(i) / 6 for i in range(-5, 6)})),
    "fade in": Event(0, 10, _lit({i: (i + 0.5) / 10 for i in range(10)})),
    "adapting": Event(FIRST, FIRST + 10, _lit({FIRST + i: 2.4 - 1.4 * i / 10 for i in range(10)})),
    "dissolve": Event(FIRST, FIRST + 8, _dissolve),
}


def make_film(pictures: list[np.ndarray], light: Light | None, path: Path) -> None:
    """Write the lit frames as a film without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(RATE))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for frame, picture in enumerate(pictures):
            lit = light(frame, picture.astype(np.float32)) if light else picture
            shown = np.rint(np.clip(lit, 0, 255)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24").reformat(format="bgr0")))
        container.mux(stream.encode())


def statistics(pictures: list[np.ndarray], start: int, stop: int) -> tuple[float, float]:
    """Mean and contrast in grey levels of the frames `start..stop`. NaN where there are none."""
    if start >= stop:
        return float("nan"), float("nan")
    shown = pictures[start:stop]
    return float(np.mean([one.mean() for one in shown])), float(np.mean([one.std() for one in shown]))


def compare(name: str, event: Event, painted: list[np.ndarray], calm: list[np.ndarray], content: float) -> Row:
    """The row of a film whose frames, before encoding, are `painted`, beside the calm film's."""
    back = event.stop + BACK - 1
    row = Row(
        name,
        before=statistics(painted, 0, event.start),
        during=statistics(painted, event.start, event.stop),
        after=statistics(painted, back, len(painted)),
        calm_after=statistics(calm, back, len(calm)),
        content=content,
    )
    worst_mean = max(abs(float(a.mean()) - float(b.mean())) for a, b in zip(painted[back:], calm[back:], strict=True))
    contrast = row.after[1] / row.calm_after[1]
    faults = []
    if worst_mean > MEAN_OFF:
        faults.append(f"mean is up to {worst_mean:.0f} levels off")
    if max(contrast, 1 / contrast) > CONTRAST_OFF:
        faults.append(f"contrast is {contrast:.2f} of the calm film's")
    if content > CONTENT_OFF:
        faults.append("content loss")
    row.verdict = ", ".join(faults) or "right"
    return row


def content_losses(record: JobRecord, source: list[np.ndarray], painted: list[np.ndarray]) -> list[float]:
    """Content loss of every frame."""
    sample = [source[i] for i in evenly(16, len(source))]
    runtime = record.runtime.on(local_runtime(record.runtime.precision, None))
    styler = FrameStyler(record.spec, (record.plan.width, record.plan.height), runtime, lambda _: sample).of_shot(0)
    return [styler.losses(frame, picture)["content"] for frame, picture in zip(source, painted, strict=True)]


def sheet_of(event: Event, source: list[np.ndarray], painted: list[np.ndarray], calm: list[np.ndarray]) -> np.ndarray:
    """Film, its paint and the calm film's paint, in the frames around the end of the event."""
    first = min(max(event.stop - SHEET_FRAMES + 4, 0), len(source) - SHEET_FRAMES)
    shown = range(first, first + SHEET_FRAMES)
    rows = [
        (name, [frames[i] for i in shown]) for name, frames in (("film", source), ("paint", painted), ("calm", calm))
    ]
    return sheets.contact_sheet(rows, [str(i) for i in shown])


def plot(curves: dict[str, list[list[float]]], path: Path) -> None:
    """Mean and contrast of film, paint and calm paint by frame, a column for each film."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(curves), figsize=(3.2 * len(curves), 5), sharey="row", squeeze=False)
    for column, (name, lines) in enumerate(curves.items()):
        axes[0, column].set_title(name)
        axes[0, column].axvspan(EVENTS[name].start - 0.5, EVENTS[name].stop - 0.5, color="0.9")
        axes[1, column].axvspan(EVENTS[name].start - 0.5, EVENTS[name].stop - 0.5, color="0.9")
        for index, label in enumerate(("film", "paint", "calm paint")):
            axes[0, column].plot(lines[2 * index], label=label)
            axes[1, column].plot(lines[2 * index + 1], label=label)
    axes[0, 0].set_ylabel("mean")
    axes[1, 0].set_ylabel("contrast")
    axes[0, 0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def table(rows: list[Row]) -> str:
    """The figures, as they are printed."""
    lines = [f"{'film':<11}{'before':>12}{'during':>12}{'after':>12}{'calm':>12}{'content':>9}  verdict"]
    for row in rows:
        cells = (
            f"{mean:>7.0f} /{contrast:>3.0f}" for mean, contrast in (row.before, row.during, row.after, row.calm_after)
        )
        lines.append(f"{row.film:<11}" + "".join(cells) + f"{row.content:>9.2f}  {row.verdict}")
    return "\n".join(lines)


def main() -> None:
    """Render, compare, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("--style", action="append", required=True)
    parser.add_argument("--frames", default="0-27")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--iterations", default="200,50")
    parser.add_argument("--only", default=",".join(EVENTS))
    parser.add_argument("--workers", type=int)
    parser.add_argument("-o", "--output", type=Path, default=Path("light"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)

    def render(name: str, video: Path, frames: str | None) -> tuple[list[np.ndarray], JobRecord, list[np.ndarray]]:
        fields: dict[str, Any] = {
            "video": str(video.absolute()),
            "styles": [str(Path(style).absolute()) for style in options.style],
            "output": str(options.output / "unused.mp4"),
            "frames": frames,
            "size": options.size,
            "iterations": options.iterations,
        }
        painted, _, record = render_variant(name, build_spec(fields), {}, options.output, options.workers)
        source = SourceFrames(record)
        return painted, record, [source(frame) for frame in record.plan.frames]

    calm, record, pictures = render("calm", Path(options.video), options.frames)
    calm_losses = content_losses(record, pictures, calm)
    rows, shown, curves = [], [], {}
    for name in options.only.split(","):
        event = EVENTS[name]
        film = options.output / f"{name.replace(' ', '-')}-source.mkv"
        make_film(pictures, event.light, film)
        painted, record, source = render(name, film, None)
        back = event.stop + BACK - 1
        losses = content_losses(record, source, painted)
        rows.append(compare(name, event, painted, calm, float(np.mean(losses[back:]) / np.mean(calm_losses[back:]))))
        shown.append(sheet_of(event, source, painted, calm))
        curves[name] = [
            [float(figure(one)) for one in frames] for frames in (source, painted, calm) for figure in (np.mean, np.std)
        ]
        write_picture(options.output / "sheet.png", sheets.stacked(shown))
        plot(curves, options.output / "light.png")
        (options.output / "light.json").write_text(json.dumps([asdict(row) for row in rows], indent=1))
    print(table(rows))
    sys.exit(any(row.verdict != "right" for row in rows))


if __name__ == "__main__":
    main()
