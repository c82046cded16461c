"""The frames of method steady: what farm.render.steadied needs of a job, and nothing of how it is stored.

    frames = SteadyFrames(record, source, flows)
    image = frames.relayed(120, [(119, picture), (110, picture)])      pass 1
    image = frames.between(120, own, [(119, picture), (121, picture)]) later passes

A frame is made from the film, the painted film, flows and committed frames only, so it is the same whoever makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from farm.flow import warp
from farm.flow.store import FlowStore
from farm.job import JobRecord
from farm.media.decode import FrameReader
from farm.paint.losses.ties import TemporalTie
from farm.render.light import in_light_of, lit_alike
from farm.render.moving_paint import CarriedPaint
from farm.render.painted import PaintedFrames
from farm.render.steadied import (
    FIRST_READS,
    FOLLOWED,
    JOIN_REACH,
    between_neighbours,
    carried_look,
    first_steadied,
    steadied,
    strokes_pace,
    tone,
    tone_correction,
    tone_frames,
)
from farm.render.temporal import color_change, looks_alike
from farm.spec import FrameRange
from farm.spec.frames import evenly

TONES_AT_ONCE = 32
"""Frames whose tones are found together. Why: a relay may go backwards, and a decoder only goes forwards."""
CHANGE_SAMPLE = 16
"""Frames of a shot from which it is learned what a colour of the film is in paint."""


class SteadyFrames:
    """Makes the frames of one job. `source` gives frames of the film, (H, W, 3) uint8 of the output's size."""

    def __init__(self, record: JobRecord, source: Callable[[int], np.ndarray], flows: FlowStore) -> None:
        self._plan, self._strength = record.plan, record.spec.strength
        self._source, self._flows = source, flows
        size = (record.plan.width, record.plan.height)
        self._painted = PaintedFrames(str(record.spec.painted), record.painted, size)
        # Read apart from the others: tones are needed far ahead, and would push what is at work out of memory.
        self._film_ahead = FrameReader(record.probe, size, record.spec.as_stored)
        self._painted_ahead = PaintedFrames(str(record.spec.painted), record.painted, size)
        self._tones: dict[int, np.ndarray] = {}
        self._steps: dict[int, float] = {}
        self._changes: dict[int, np.ndarray] = {}

    def relayed(self, frame: int, earlier: Sequence[tuple[int, np.ndarray]]) -> np.ndarray:
        """Pass 1: the frame from (frame, picture) of steadied frames, nearest first; from none where a relay begins.

        (H, W, 3) uint8.
        """
        painted = self._toned(frame)
        if not earlier:
            return first_steadied(painted, [self._seen(frame, other) for other in self._after(frame)], self._strength)
        carried = [self._carried(frame, other, image, FOLLOWED) for other, image in earlier]
        return steadied(painted, carried, self._strength, frame, self._pace(frame))

    def between(self, frame: int, own: np.ndarray, neighbours: Sequence[tuple[int, np.ndarray]]) -> np.ndarray:
        """A later pass: the frame from `own`, as the pass before left it, and (frame, picture) of its neighbours."""
        # Pass 1 has brought the film's change in. What later passes would add fluctuates with errors of the flow.
        carried = [self._carried(frame, other, image, 0.0) for other, image in neighbours]
        return between_neighbours(own, carried, self._strength)

    def _carried(self, frame: int, other: int, image: np.ndarray, follow: float) -> CarriedPaint:
        content, source, match = self._source(frame), self._source(other), self._flows.match(frame, other)
        warped = warp(source, match.flow)
        weight = match.weight * lit_alike(content, warped)
        if abs(frame - other) > 1:
            weight = weight * looks_alike(content, warped)
        carried = carried_look(image, match, weight, content, in_light_of(content, source, match), follow)
        # Without this, carried colours would be those of some frames ago wherever the tone changes.
        image = np.clip(carried.tie.image + (self._steady_tone(frame) - self._steady_tone(other)), 0, 255)
        return replace(carried, tie=replace(carried.tie, image=image.astype(np.float32)))

    def _seen(self, frame: int, other: int) -> TemporalTie:
        """The painted frame `other`, with its tone made steady, as `frame` would show it."""
        match = self._flows.match(frame, other)
        alike = looks_alike(self._source(frame), warp(self._source(other), match.flow))
        return TemporalTie(warp(self._toned(other), match.flow), match.weight * alike)

    def _after(self, frame: int) -> list[int]:
        """The frames that follow the first one of a relay, up to FIRST_READS."""
        shot = self._plan.shots[self._plan.chunk_of(frame).shot]
        return list(range(frame + 1, min(frame + 1 + FIRST_READS, shot.stop)))

    def _toned(self, frame: int) -> np.ndarray:
        """The painted frame with the tone of the frames around it: (H, W, 3) float32, 0..255."""
        return np.clip(self._painted(frame) + self._correction(frame), 0, 255)

    def _steady_tone(self, frame: int) -> np.ndarray:
        """The tone of a frame as it becomes: (3,) float32."""
        shot = self._plan.chunk_of(frame).shot
        return (self._tone(frame, shot) + self._correction(frame)).astype(np.float32)

    def _correction(self, frame: int) -> np.ndarray:
        shot = self._plan.shots[self._plan.chunk_of(frame).shot]
        tones = np.stack([self._tone(other, shot.index) for other in tone_frames(frame, shot.start, shot.stop)])
        return tone_correction(tones, self._strength)

    def _pace(self, frame: int) -> float:
        """How fast strokes are drawn in this frame: see `strokes_pace`."""
        shot = self._plan.shots[self._plan.chunk_of(frame).shot]
        around = range(max(frame - JOIN_REACH, shot.start + 1), min(frame + JOIN_REACH + 1, shot.stop))
        return strokes_pace(
            [self._change_before(other, shot.start, shot.stop) for other in around], frame - around.start
        )

    def _change_before(self, frame: int, start: int, stop: int) -> float:
        """Root mean square, in levels, of what a painted frame of the shot `start..stop` differs by from the last."""
        if frame not in self._steps:
            first = frame - (frame - start - 1) % TONES_AT_ONCE
            block = FrameRange(first - 1, min(first + TONES_AT_ONCE, stop))
            pictures = self._painted_ahead.read(block)
            before = next(pictures)
            for number, picture in zip(range(first, block.stop), pictures, strict=True):
                match = self._flows.match(number, number - 1)
                off = ((picture - warp(before, match.flow)) ** 2).mean(axis=2, dtype=np.float64) * match.weight
                self._steps[number] = float(np.sqrt(off.sum() / max(float(match.weight.sum()), 1.0)))
                before = picture
        return self._steps[frame]

    def _tone(self, frame: int, shot: int) -> np.ndarray:
        if frame not in self._tones:
            start, stop = self._plan.shots[shot].start, self._plan.shots[shot].stop
            first = frame - (frame - start) % TONES_AT_ONCE
            block, change = FrameRange(first, min(first + TONES_AT_ONCE, stop)), self._change(shot)
            for number, (content, painted) in zip(block, self._both(block), strict=True):
                self._tones[number] = tone(_mean(content), _mean(painted), change)
        return self._tones[frame]

    def _both(self, frames: FrameRange) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Frames of the film and of the painted film."""
        return zip(self._film_ahead.read(frames), self._painted_ahead.read(frames), strict=True)

    def _change(self, index: int) -> np.ndarray:
        """What a colour of a shot is in paint, the mean of `color_change` over frames of it."""
        if index not in self._changes:
            shot = self._plan.shots[index]
            sample = [shot.start + offset for offset in evenly(CHANGE_SAMPLE, shot.stop - shot.start)]
            pairs = (next(self._both(FrameRange(frame, frame + 1))) for frame in sample)
            changes = [color_change(content, painted) for content, painted in pairs]
            self._changes = {index: np.mean(changes, axis=0)}
        return self._changes[index]


def _mean(picture: np.ndarray) -> np.ndarray:
    """Mean colour of a picture (H, W, 3) uint8: (3,) float64. Of integers, so that no order of adding shows."""
    mean: np.ndarray = picture.reshape(-1, 3).sum(axis=0, dtype=np.int64) / (picture.size // 3)
    return mean
