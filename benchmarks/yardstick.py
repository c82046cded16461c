"""One measure for all renders of a clip: loss, warp error, and how much is painted, over stills.

yardstick = Yardstick(record, still_every=12, still_iterations=200, folder=Path("stills"))
measured = yardstick.measure(frames, steps, seconds)
errors = yardstick.moving_errors(frames)

The flow of each pair is estimated once, on the source, by OpenCV's DIS at its medium preset and not by the finer one
that the frames were painted with: no render is measured by its own ruler. Stills are painted once.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from farm.commands.stylize import WINDOW
from farm.job import JobRecord
from farm.media.pictures import read_picture, write_picture
from farm.paint.styler import FrameStyler, local_runtime
from farm.render.chunk import COLOR_SAMPLE
from farm.render.detail import FRAMES_BEFORE, StillReference, mean_within, moving_area
from farm.render.detail_figures import FrameDetail
from farm.render.film_meter import SourcePair
from farm.render.source_frames import SourceFrames
from farm.render.steadiness import CERTAIN
from farm.spec.frames import evenly


@dataclass
class Measured:
    """One way of rendering, measured: lists have a figure for each frame or each pair of frames, in order."""

    steps: int
    seconds: float
    warp_error: list[float | None] = field(default_factory=list)
    style_loss: list[float] = field(default_factory=list)
    content_loss: list[float] = field(default_factory=list)
    luminance: list[float] = field(default_factory=list)
    contrast: list[float] = field(default_factory=list)
    details: dict[int, FrameDetail] = field(default_factory=dict)
    """By frame: how much is painted, over a still."""

    def median_error(self) -> float:
        """Median warp error of the pairs that can be judged; NaN where there is none."""
        return float(np.median([error for error in self.warp_error if error is not None]))

    def drift(self, source: Measured) -> dict[str, float]:
        """Last quarter over first quarter, luminance and contrast over the source's own change; 1 is none."""
        return {
            "luminance": change(self.luminance) / change(source.luminance),
            "contrast": change(self.contrast) / change(source.contrast),
            "style": change(self.style_loss),
        }


def change(values: list[float]) -> float:
    """Mean of the last quarter over that of the first."""
    quarter = max(len(values) // 4, 1)
    return float(np.mean(values[-quarter:]) / np.mean(values[:quarter]))


def frames_with_stills(frames: Sequence[int], every: int) -> list[int]:
    """The frames that are painted by themselves: every so many, the last one of a shorter range.

    The first frame is none of them, as nothing moves in it.
    """
    return list(frames[every::every]) or list(frames[-1:])


class Yardstick:
    """Measures renders of one range of frames: the flow of its pairs is estimated once, and stills are painted once."""

    def __init__(
        self, record: JobRecord, still_every: int, still_iterations: int, folder: Path, *, reuse: bool = False
    ) -> None:
        """Paint the stills, and write them to `folder`. With `reuse`, those that it holds are taken as they are."""
        plan = record.plan
        self._plan = plan
        self.source = SourceFrames(record)
        self.frames = list(plan.frames)
        self._pictures = pictures = [self.source(frame) for frame in self.frames]
        self.pairs = [SourcePair(before, after) for before, after in itertools.pairwise(pictures)]
        sample = [pictures[i] for i in evenly(COLOR_SAMPLE, len(pictures))]
        runtime = record.runtime.on(local_runtime(record.runtime.precision, None))
        styler = FrameStyler(record.spec, (plan.width, plan.height), runtime, lambda _: sample)
        self.styler = styler.of_shot(0)
        painter = FrameStyler(record.spec, (plan.width, plan.height), runtime, lambda _: sample, window=WINDOW)
        self.stills: dict[int, StillReference] = {}
        for frame in frames_with_stills(self.frames, still_every):
            source, path = self.source(frame), folder / f"{frame:06d}.png"
            if not (reuse and path.exists()):
                write_picture(path, painter.of_shot(0).first(source, still_iterations).image)
            still = read_picture(path)
            self.stills[frame] = StillReference(source, still, self._moving_area(frame), painter.content_features)

    def measure(self, painted: list[np.ndarray], steps: int, seconds: float) -> Measured:
        """Measure the frames of a render, uint8 (H, W, 3) each, that took so many steps and seconds."""
        measured = Measured(steps, seconds)
        for pair, before, after in zip(self.pairs, painted[:-1], painted[1:], strict=True):
            measured.warp_error.append(pair.warp_error(before, after))
        for frame, picture in zip(self.frames, painted, strict=True):
            losses = self.styler.losses(self.source(frame), picture)
            measured.style_loss.append(losses["style"])
            measured.content_loss.append(losses["content"])
            measured.luminance.append(float(picture.mean()))
            measured.contrast.append(float(picture.std()))
            if frame in self.stills:
                measured.details[frame] = self.stills[frame].compare(picture)
        return measured

    def moving_errors(self, painted: list[np.ndarray]) -> list[float | None]:
        """The warp error of each pair in what moves in its second frame, and can be followed.

        None where that is too small to be judged.
        """
        errors = []
        for pair, moving, before, after in zip(self.pairs, self.moving[1:], painted[:-1], painted[1:], strict=True):
            errors.append(mean_within(pair.difference(before, after), moving & (pair.weight > CERTAIN)))
        return errors

    @cached_property
    def moving(self) -> list[np.ndarray]:
        """What moves in each frame, (H, W) bool."""
        return [self._moving_area(frame) for frame in self.frames]

    def _moving_area(self, frame: int) -> np.ndarray:
        plan = self._plan
        first = max(plan.shots[plan.chunk_of(frame).shot].start, plan.start, frame - FRAMES_BEFORE)
        before = self._pictures[first - plan.start : frame - plan.start + 1]
        return moving_area(before, len(before) - 1)
