"""The way a frame goes: decode, flow, stylise, commit. A plain class; Ray is not known here.

    renderer = ChunkRenderer(job_url)
    for report in renderer.render(task):   # one FrameReport for each frame, committed before it is reported
        ...

Whatever a frame is started from or tied to is read back from committed 8-bit frames, so a task that is
taken up by another worker in the middle goes on exactly where, and exactly as, the first one would have.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from farm.errors import StorageError
from farm.files import local_path
from farm.flow import warp, warp_sharp
from farm.job import FrameRecord, JobDirectory
from farm.paint.color.treatment import ColorTreatment, color_treatment_after
from farm.paint.losses.guided import paste
from farm.paint.losses.objective import TemporalTie
from farm.paint.network.network_file import style_picture
from farm.paint.network.painter import InstantPainter
from farm.paint.optimizer.frame import StylizedFrame
from farm.paint.stopwatch import timed
from farm.paint.styler import FrameStyler, ShotStyler
from farm.plan import Chunk, Task
from farm.plan.reads import frames_in_order, relay_reads, travels_back
from farm.render.committed import frame_of_pass, read_committed
from farm.render.read_ahead import in_stages
from farm.render.regions.masks import RegionMasks
from farm.render.source_frames import SourceFrames, open_flow_store
from farm.render.temporal import blended_start, looks_alike, nearest_visible, painted_alike, warped_start
from farm.spec.frames import evenly

INDEPENDENT_BATCH = 8
"""Frames that are decoded, painted and committed together where none depends on another."""
AVERAGED_POINTS = 3
"""Of the optimiser in a later pass. A frame is handed on between two jumps, its neighbours between two others: with the
mean of three, warp error falls by a tenth and style loss rises by a fiftieth. Pass 1 has too few steps to give one up.
"""
COLOR_SAMPLE = 16
"""Frames of a shot whose colours stand for the whole of it."""


@dataclass(frozen=True)
class FrameReport:
    """One frame of a task is committed. `reused` where it had been before the task was taken up."""

    task: str
    frame: int
    record: FrameRecord
    reused: bool = False


@dataclass(frozen=True)
class _Source:
    """A frame that no other frame is needed for: its picture, and the weights of the spec's regions there."""

    frame: int
    picture: np.ndarray
    regions: Sequence[np.ndarray]


class ChunkRenderer:
    """Renders the tasks of one job, one after the other; model, style targets and flows stay loaded."""

    def __init__(self, job_url: str, flow_sources: Sequence[str] = (), worker: str = "") -> None:
        self.job = JobDirectory(job_url)
        self.worker = worker
        record = self.job.load_record()
        if record is None:
            raise StorageError(f"job {job_url} has no job.json", "its storage must be visible from every worker")
        self.record = record
        self.spec = record.spec
        self.plan = record.plan
        self.source = SourceFrames(record)
        self.flows = open_flow_store(self.job, record, self.source, flow_sources)
        self.masks = RegionMasks(self.job, record, self.source, self.flows)
        self._styler: FrameStyler | None = None
        self._shot_colors: dict[int, ColorTreatment] = {}  # of the shot that a network paints at present

    def styler(self, frame: int) -> ShotStyler:
        """What paints the frames of this frame's shot. Made at first use: an identity render loads no network."""
        if self._styler is None:
            size = (self.plan.width, self.plan.height)
            self._styler = FrameStyler(self.spec, size, self.record.runtime, self._color_sample)
        return self._styler.of_shot(self.plan.chunk_of(frame).shot)

    def _color_sample(self, shot: int) -> Iterator[np.ndarray]:
        """Up to COLOR_SAMPLE frames, evenly spaced from the shot's first to its last: the same for every worker."""
        found = self.plan.shots[shot]
        return (self.source(found.start + offset) for offset in evenly(COLOR_SAMPLE, found.stop - found.start))

    def render(self, task: Task) -> Iterator[FrameReport]:
        """Commit every frame of `task` in order, those that are committed already excepted."""
        self.job.forget()
        if self.spec.method != "optimize":
            yield from self._render_independent(task)
            return
        done = self.job.intact_frames(task)
        ledger = self.job.ledger(task.id)
        chunk = self.plan.chunks[task.chunk]
        order = frames_in_order(self.spec, task)
        self.source.backwards = order[0] > order[-1]
        for frame in order:
            if frame in done:
                yield FrameReport(task.id, frame, ledger[frame], reused=True)
                continue
            began = time.perf_counter()
            image, record = self._make(task, chunk, frame)
            seconds = time.perf_counter() - began
            facts = {"seconds": round(seconds, 4), "worker": self.worker}
            with timed("commit"):
                record = self.job.commit_frame(task.id, image, record.model_copy(update=facts))
            yield FrameReport(task.id, frame, record)

    def still(self, frame: int) -> FrameReport:
        """A frame by itself, started from nothing and committed under a task of its own: what a preview shows."""
        task = still_task(frame)
        kept = self.job.ledger(task).get(frame)
        if kept is not None and self.job.read_frame(task, frame) is not None:
            return FrameReport(task, frame, kept, reused=True)
        began = time.perf_counter()
        if self.spec.method == "optimize":
            image, record = self._from_nothing(frame, self.plan.steps.first)
        else:
            colors = self._network_colors(self.plan.chunk_of(frame).shot)
            image, record = self._paint_batch(colors, self._read_batch([frame]))[0]
        facts = {"seconds": round(time.perf_counter() - began, 4), "worker": self.worker}
        return FrameReport(task, frame, self.job.commit_frame(task, image, record.model_copy(update=facts)))

    def _render_independent(self, task: Task) -> Iterator[FrameReport]:
        """Frames of which none reads another: some are decoded ahead and some committed behind, while some are painted.

        The ledger is written once a batch, so at most two batches are painted again after a loss.
        """
        done, ledger = self.job.intact_frames(task), self.job.ledger(task.id)
        yield from (FrameReport(task.id, frame, ledger[frame], reused=True) for frame in sorted(done))
        left = [frame for frame in task.frames if frame not in done]
        batches = [left[i : i + INDEPENDENT_BATCH] for i in range(0, len(left), INDEPENDENT_BATCH)]
        # Here, while nothing is read ahead yet: the reader of the frames serves one thread at a time.
        colors = self._network_colors(self.plan.chunks[task.chunk].shot) if left else ColorTreatment()
        paint = partial(self._paint_batch, colors)
        # beside a network, compressing its pictures would take a sixth of the time
        commit = partial(self.job.commit_frames, task.id, compress=self.spec.method != "instant")
        for records in in_stages(batches, self._read_batch, paint, commit):
            yield from (FrameReport(task.id, record.frame, record) for record in records)

    def _read_batch(self, batch: Sequence[int]) -> list[_Source]:
        return [_Source(frame, self.source(frame), self.masks.weights(frame)) for frame in batch]

    def _paint_batch(self, colors: ColorTreatment, batch: Sequence[_Source]) -> list[tuple[np.ndarray, FrameRecord]]:
        began = time.perf_counter()
        pictures = [one.picture for one in batch]
        if self.spec.method == "instant":
            painted = self._network.paint([colors.content(picture) for picture in pictures])
            pictures = [
                _kept(colors.finish(image, one.picture), one) for image, one in zip(painted, batch, strict=True)
            ]
        seconds = round((time.perf_counter() - began) / len(batch), 4)
        records = [FrameRecord(frame=one.frame, sha256="", seconds=seconds, worker=self.worker) for one in batch]
        return list(zip(pictures, records, strict=True))

    @cached_property
    def _network(self) -> InstantPainter:
        return InstantPainter(str(local_path(str(self.spec.network))), self.record.runtime)

    def _network_colors(self, shot: int) -> ColorTreatment:
        """Of method instant: whose colours the frames of that shot have."""
        if self.spec.method != "instant" or self.spec.color == "none":
            return ColorTreatment()
        if shot not in self._shot_colors:
            painting = style_picture(local_path(str(self.spec.network)))
            self._shot_colors = {shot: color_treatment_after(self.spec.color, painting, self._color_sample(shot))}
        return self._shot_colors[shot]

    # the kinds of stage ----------------------------------------------------------------------------

    def _make(self, task: Task, chunk: Chunk, frame: int) -> tuple[np.ndarray, FrameRecord]:
        if task.pass_index >= 2:
            return self._refine(task, frame)
        earlier = self._earlier(task, chunk, frame)
        if not earlier:
            return self._from_nothing(frame, self.plan.steps.first)
        return self._from_earlier(frame, earlier, self.plan.steps.sequential)

    def _from_nothing(self, frame: int, steps: int) -> tuple[np.ndarray, FrameRecord]:
        return _with_record(frame, self.styler(frame).first(self.source(frame), steps, self.masks.weights(frame)))

    def _from_earlier(
        self, frame: int, earlier: Sequence[tuple[int, np.ndarray]], steps: int
    ) -> tuple[np.ndarray, FrameRecord]:
        """Start from, and tie to, stylised frames of the same shot, given nearest first."""
        ties = nearest_visible([self._warped(frame, other, image) for other, image in earlier])
        content, regions = self.source(frame), self.masks.weights(frame)
        near, painted = earlier[0]
        with timed("warp"):
            alike = painted_alike(content, self.source(near), painted, self.flows.match(frame, near).flow)
            start = warped_start(alike, ties)
        return _with_record(frame, self.styler(frame).next(content, start, steps, ties, regions))

    def _refine(self, task: Task, frame: int) -> tuple[np.ndarray, FrameRecord]:
        """A later pass (Ruder 2016, section 4.4): the frame drawn towards its neighbours, and tied to them.

        Two-sided: both neighbours as the previous pass left them, so every frame is independent. Alternating: only
        the neighbour that the sweep comes from, as this pass left it; at the edge of a chunk, the previous pass.
        """
        shot = self.plan.shots[self.plan.chunk_of(frame).shot]
        if self.spec.sweep == "two-sided":
            sides = [(task.pass_index - 1, frame - 1), (task.pass_index - 1, frame + 1)]
        else:
            side = frame + 1 if travels_back(task.pass_index) else frame - 1
            sides = [(task.pass_index if side in task.frames else task.pass_index - 1, side)]
        sides = [(number, other) for number, other in sides if shot.start <= other < shot.stop]
        ties = [self._warped(frame, other, self._committed(number, other)) for number, other in sides]
        start = blended_start(self._committed(task.pass_index - 1, frame), ties, self.spec.blend)
        content, regions, steps = self.source(frame), self.masks.weights(frame), self.plan.steps.refine
        painted = self.styler(frame).next(content, start, steps, ties, regions, average_last=AVERAGED_POINTS)
        return _with_record(frame, painted)

    # what is read -----------------------------------------------------------------------------------

    def _earlier(self, task: Task, chunk: Chunk, frame: int) -> list[tuple[int, np.ndarray]]:
        """Frames that the sequence came through before, nearest first, as pass 1 left them."""
        return [
            (number, self._read(task.id, number) if number in task.frames else self._committed(1, number))
            for number in relay_reads(self.plan, self.spec.long_term, chunk, frame)
        ]

    def _warped(self, frame: int, other: int, image: np.ndarray) -> TemporalTie:
        with timed("flow"):
            match = self.flows.match(frame, other)
            weight = match.weight
            if abs(frame - other) > 1:
                weight = weight * looks_alike(self.source(frame), warp(self.source(other), match.flow))
        with timed("warp"):
            return TemporalTie(warp_sharp(image, match.flow), weight)

    def _committed(self, number: int, frame: int) -> np.ndarray:
        return frame_of_pass(self.job, self.record, number, frame)

    def _read(self, task: str, frame: int) -> np.ndarray:
        return read_committed(self.job, task, frame)


def still_task(frame: int) -> str:
    """Under which a still is kept: each has a ledger of its own, so that workers do not meet."""
    return f"still/{frame:06d}"


def _kept(painted: np.ndarray, source: _Source) -> np.ndarray:
    """The photograph over the painted picture in every region: those of a network have no style."""
    if not any(weight.any() for weight in source.regions):
        return painted
    return paste(painted, source.picture, np.sum(source.regions, axis=0, dtype=np.float32))


def _with_record(frame: int, made: StylizedFrame) -> tuple[np.ndarray, FrameRecord]:
    losses = {name: round(value, 3) for name, value in made.losses.items()}
    return made.image, FrameRecord(
        frame=frame,
        sha256="",
        steps=made.steps,
        stop=made.stop,
        restarts=made.restarts,
        notes=made.notes,
        losses=losses,
    )
