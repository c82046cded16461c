"""How a worker makes a frame: decode, flow, stylise, commit. A plain class, which knows nothing of Ray.

    renderer = ChunkRenderer(job_url)
    for report in renderer.render(task):   # one FrameReport for each frame, committed before it is reported
        ...

Every picture that a frame starts from or is tied to is a committed 8-bit frame, or one whose commit is under way and
before that of the frame at work. So a worker that continues another one's task goes on exactly where, and exactly as,
the first one would have. The optimiser does not wait for storage: what the next frame reads is read while this one is
painted, and what was painted is written while the next one is (farm.render.commits).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from farm.errors import StorageError
from farm.files import local_path
from farm.flow import warp, warp_sharp
from farm.job import FrameRecord, JobDirectory
from farm.paint.color.treatment import ColorTreatment, color_treatment_after
from farm.paint.losses.guided import paste
from farm.paint.losses.ties import TemporalTie
from farm.paint.losses.windows import Steps
from farm.paint.network.network_file import style_picture
from farm.paint.network.painter import InstantPainter
from farm.paint.optimizer.frame import StylizedFrame
from farm.paint.stopwatch import timed
from farm.paint.styler import FrameStyler, ShotStyler, local_runtime
from farm.plan import Chunk, RenderPlan, Runtime, Task
from farm.plan.reads import frames_in_order, neighbours_read, reads, relay_reads
from farm.plan.render_plan import is_two_sided
from farm.render.change import REFRESHED_EVERY, may_change, stands_still, steps_everywhere
from farm.render.commits import CommitsBehind
from farm.render.committed import frame_of_pass, read_committed, single_frame_task
from farm.render.frame_report import FrameReport
from farm.render.held_frames import HeldFrames
from farm.render.keyed_film import KeyedPainter
from farm.render.light import SEARCHED, in_light_of, lit_alike, same_light
from farm.render.moving_paint import (
    MOST_KEPT,
    CarriedPaint,
    carry,
    detail_energy,
    even_strokes,
    keep_detail,
    mean_tie,
)
from farm.render.read_ahead import overlapped
from farm.render.regions.masks import RegionMasks
from farm.render.source_frames import SourceFrames, open_flow_store
from farm.render.steady_frames import SteadyFrames
from farm.render.style_over_time import StyleOverTime
from farm.render.temporal import (
    blended_start,
    looks_alike,
    nearest_visible,
    painted_alike,
    warped_start,
)
from farm.spec import RenderSpec
from farm.spec.frames import evenly

INDEPENDENT_BATCH = 8
"""Frames that are decoded, painted and committed together where no frame reads another."""
AVERAGED_POINTS = 3
"""Last points of the optimiser whose mean is the picture, in a later pass.

Why: the optimiser ends between two jumps, and at other ones in each neighbour, which shows as flicker. Measured: with
the mean of three, warp error falls by a tenth and style loss rises by a fiftieth. Pass 1 has too few steps for it.
"""
PICTURE_BYTES = 1 << 28
"""Bytes of committed pictures that a renderer keeps, those it painted or read last: about 150 frames of 1024x576."""
SLOW_FRAME_SECONDS = 3.0
"""Seconds of a frame above which its commit is waited for, so that it is reported as soon as it is there.

Why: a report could otherwise come a whole frame later. A commit takes a hundredth of that time.
"""
COLOR_SAMPLE = 16
"""Frames of a shot whose colours stand for those of the whole shot."""


@dataclass(frozen=True)
class _Source:
    """What is painted: the picture of a frame (H, W, 3) uint8, and a weight (H, W) float32 0..1 for each region."""

    frame: int
    picture: np.ndarray
    regions: Sequence[np.ndarray]


class ChunkRenderer:
    """Renders the tasks of one job, one after the other. Model, style targets and flows stay loaded.

    `worker` is the name in the ledger. `runtime` is how this worker computes; None is what this machine has. The job's
    precision goes before the worker's. `software` is how this worker's software differs from the job's, which the
    ledger says of each of its frames. Raises StorageError where the job has no record.
    """

    def __init__(self, job_url: str, worker: str = "", runtime: Runtime | None = None) -> None:
        self.worker, self.software = worker, ""
        record = JobDirectory(job_url).load_record()
        if record is None:
            raise StorageError(f"job {job_url} has no job.json", "its storage must be visible from every worker")
        self.job = JobDirectory(job_url, keep_pictures=PICTURE_BYTES if record.spec.in_sequence else 0)
        self.record = record
        self._own_runtime = runtime
        self.spec = record.spec
        self.plan = record.plan
        self.source = SourceFrames(record)
        self.flows = open_flow_store(self.job, record, self.source, behind=True)
        self.masks = RegionMasks(self.job, record, self.source, self.flows)
        self._carries_paint = carries_paint(self.plan, self.spec)
        # Strokes are compared with those of the rest of the picture, which with regions may be of another painting.
        self._evens_strokes = self._carries_paint and not self.spec.regions
        self.held = HeldFrames(self.spec, self.plan)
        self._over_time = StyleOverTime.of(record)
        self._shot_colors: dict[int, ColorTreatment] = {}  # one entry: the shot that a network paints at present

    @cached_property
    def runtime(self) -> Runtime:
        """How this worker computes on this job. A limit of memory in the spec is for any device."""
        job, own = self.record.runtime, self._own_runtime
        runtime = job.on(own or local_runtime(job.precision, threads=None))
        return runtime.model_copy(update={"max_memory": self.spec.max_memory or runtime.max_memory})

    @property
    def _maker(self) -> dict[str, Any]:
        """What the ledger says of who made a frame."""
        return {"worker": self.worker, "software": self.software}

    def styler(self, frame: int) -> ShotStyler:
        """The styler of a frame's shot, and of the frame's look where the style changes over time."""
        shot, look = self.plan.chunk_of(frame).shot, self._over_time.look(frame)
        return self._styler.of_shot(shot) if look is None else self._styler.of_look(shot, look)

    def content_features(self, picture: np.ndarray) -> np.ndarray:
        """`FrameStyler.content_features` by the job's network."""
        return self._styler.content_features(picture)

    @cached_property
    def _styler(self) -> FrameStyler:
        # made at first use, because an identity render loads no network
        size = (self.plan.width, self.plan.height)
        return FrameStyler(self.spec, size, self.runtime, self._color_sample)

    def _color_sample(self, shot: int) -> Iterator[np.ndarray]:
        """Up to COLOR_SAMPLE frames, evenly spaced from the shot's first to its last: the same for every worker."""
        start, stop = self.plan.shots[shot].start, self.plan.shots[shot].stop
        return (self.source(start + offset) for offset in evenly(COLOR_SAMPLE, stop - start))

    def render(self, task: Task, *, wait: bool = False) -> Iterator[FrameReport]:
        """Commit the frames of `task` in order, and report each. Those that are committed already are reused.

        A frame is reported once it is committed, which may be while the next one is painted; with `wait`, and where
        frames take long, before the next one is begun. Raises StorageError where a frame that is read is gone,
        VideoError where the film cannot be decoded, and OptimizationError where a frame comes out wrong from every
        start.
        """
        self.job.forget()
        if not self.spec.in_sequence:
            yield from self._render_independent(task)
            return
        done = self.job.intact_frames(task)
        ledger = dict(self.job.ledger(task.id))
        self._put_edits_aside(task, done)
        chunk = self.plan.chunks[task.chunk]
        order = frames_in_order(self.spec, task)
        self.source.backwards = order[0] > order[-1]
        with CommitsBehind(self.job, task.id) as commits:
            for at, frame in enumerate(order):
                if frame in done:
                    # in order, as the optimiser's own frames are
                    yield from (FrameReport(task.id, record.frame, record) for record in commits.finish())
                    yield FrameReport(task.id, frame, ledger[frame], reused=True)
                    continue
                self._read_ahead(task, [frame, *order[at + 1 : at + 2]], done)
                began = time.perf_counter()
                image, record = self._make(task, chunk, frame)
                seconds = round(time.perf_counter() - began, 4)
                with timed("commit"):
                    commits.add(image, record.model_copy(update={"seconds": seconds, **self._maker}))
                    records = commits.finish() if wait or seconds > SLOW_FRAME_SECONDS else commits.announced()
                yield from (FrameReport(task.id, record.frame, record) for record in records)
            with timed("commit"):
                records = commits.finish()
            yield from (FrameReport(task.id, record.frame, record) for record in records)

    def _put_edits_aside(self, task: Task, done: Collection[int]) -> None:
        """Keep the pictures that a person edited in their place and nobody accepted: they are painted again now."""
        if task.pass_index == self.plan.passes:
            for frame in sorted(self.job.ledger(task.id).keys() & set(task.frames) - set(done)):
                if (data := self.job.edited_picture(task.id, frame)) is not None:
                    self.job.put_aside(frame, data)

    def _read_ahead(self, task: Task, frames: Sequence[int], done: Collection[int]) -> None:
        """Begin to read what `frames` of a task will read, without those of this task that are not painted yet."""
        for frame in frames:
            if frame in done:
                continue
            others = set()
            for name, other in reads(self.plan, self.spec, task, frame):
                others.add(other)
                if name != task.id or other in done:
                    self.job.read_ahead(name, other)
            for other in others - {frame}:
                self.flows.read_ahead(frame, other)

    def single_frame(self, frame: int) -> FrameReport:
        """Paint a frame from nothing and commit it under a task of its own: what a preview shows.

        It is not painted again where it is committed already. Raises as `render` does.
        """
        task = single_frame_task(frame)
        committed = self.job.ledger(task).get(frame)
        if committed is not None and self.job.read_frame(task, frame) is not None:
            return FrameReport(task, frame, committed, reused=True)
        began = time.perf_counter()
        if frame in self.held:
            image, record = self.held(frame), FrameRecord(frame=frame, sha256="")
        elif self.spec.method == "keys":
            image, record = self._from_keys(frame)
        elif self.spec.method == "optimize":
            image, record = self._shown(*self._from_nothing(frame, self.plan.steps.first))
        elif self.spec.method == "steady":
            image, record = self._steady.relayed(frame, []), FrameRecord(frame=frame, sha256="")
        else:
            colors = self._network_colors(self.plan.chunk_of(frame).shot)
            image, record = self._paint_batch(colors, self._read_batch([frame]))[0]
        work = {"seconds": round(time.perf_counter() - began, 4), **self._maker}
        return FrameReport(task, frame, self.job.commit_frame(task, image, record.model_copy(update=work)))

    def _render_independent(self, task: Task) -> Iterator[FrameReport]:
        """Render frames of which none reads another. While a batch is painted, the next is decoded, the last committed.

        The ledger is written once a batch, so at most two batches are painted again after a worker is lost.
        """
        done, ledger = self.job.intact_frames(task), self.job.ledger(task.id)
        self._put_edits_aside(task, done)
        yield from (FrameReport(task.id, frame, ledger[frame], reused=True) for frame in sorted(done))
        left = [frame for frame in task.frames if frame not in done]
        batches = [left[i : i + INDEPENDENT_BATCH] for i in range(0, len(left), INDEPENDENT_BATCH)]
        # Asked for here, while nothing is read ahead yet: the reader of the frames serves one thread at a time.
        colors = self._network_colors(self.plan.chunks[task.chunk].shot) if left else ColorTreatment()
        paint = partial(self._paint_batch, colors)
        # Compressing its pictures would take a sixth of the time of a network.
        commit = partial(self.job.commit_frames, task.id, compress=self.spec.method != "instant")
        for records in overlapped(batches, self._read_batch, paint, commit):
            yield from (FrameReport(task.id, record.frame, record) for record in records)

    def _read_batch(self, batch: Sequence[int]) -> list[_Source]:
        return [_Source(frame, self.source(frame), self.masks.weights(frame)) for frame in batch]

    def _paint_batch(self, colors: ColorTreatment, batch: Sequence[_Source]) -> list[tuple[np.ndarray, FrameRecord]]:
        began = time.perf_counter()
        pictures = [source.picture for source in batch]
        if self.spec.method == "instant":
            painted = self._network.paint([colors.content(picture) for picture in pictures])
            pictures = [
                _with_photograph(colors.finish(image, source.picture), source)
                for image, source in zip(painted, batch, strict=True)
            ]
        seconds = round((time.perf_counter() - began) / len(batch), 4)
        records = [FrameRecord(frame=source.frame, sha256="", seconds=seconds, **self._maker) for source in batch]
        return list(zip(pictures, records, strict=True))

    @cached_property
    def _network(self) -> InstantPainter:
        return InstantPainter(str(local_path(str(self.spec.network))), self.runtime)

    def _network_colors(self, shot: int) -> ColorTreatment:
        """What happens to the colours of a shot's frames with method instant."""
        if self.spec.method != "instant" or self.spec.color == "none":
            return ColorTreatment()
        if shot not in self._shot_colors:
            painting = style_picture(local_path(str(self.spec.network)))
            self._shot_colors = {shot: color_treatment_after(self.spec.color, painting, self._color_sample(shot))}
        return self._shot_colors[shot]

    # the passes ---------------------------------------------------------------------------------

    def _make(self, task: Task, chunk: Chunk, frame: int) -> tuple[np.ndarray, FrameRecord]:
        if frame in self.held:
            return self.held(frame), FrameRecord(frame=frame, sha256="")
        if self.spec.method == "keys":
            (other,) = relay_reads(self.plan, (), chunk, frame)
            return self._from_keys(frame, other, self._of_relay(task, other))
        if self.spec.method == "steady":
            return self._steadied(task, chunk, frame)
        last = task.pass_index == self.plan.passes
        if self._over_time.is_bare(frame):
            return self.source(frame), FrameRecord(frame=frame, sha256="")
        if task.pass_index >= 2 and self._over_time.is_photograph(frame):  # its paint is only carried past it
            image = self.source(frame) if last else self._committed(task.pass_index - 1, frame)
            return image, FrameRecord(frame=frame, sha256="")
        if task.pass_index >= 2:
            refined = self._refine(task, frame)
            return self._shown(*refined) if last else refined
        earlier = self._earlier(task, chunk, frame)
        if not earlier or self._over_time.begins_anew(frame, earlier[0][0]):
            return self._from_nothing(frame, self.plan.steps.first)
        return self._from_earlier(frame, earlier, self.plan.steps.sequential)

    def _from_keys(
        self, frame: int, other: int | None = None, committed: np.ndarray | None = None
    ) -> tuple[np.ndarray, FrameRecord]:
        """Method keys: what a key shows is taken from it, and the paint of the rest from the neighbour `other`."""
        source = _Source(frame, self.source(frame), self.masks.weights(frame))
        painted = self._keyed.paint(frame, other, committed)
        return _with_photograph(painted, source), FrameRecord(frame=frame, sha256="")

    @cached_property
    def _keyed(self) -> KeyedPainter:
        return KeyedPainter(self.plan, self.source, self.flows, self.held)

    def _shown(self, painted: np.ndarray, record: FrameRecord) -> tuple[np.ndarray, FrameRecord]:
        """A painted frame as the film shows it: with the photograph, as far as its look says."""
        frame = record.frame
        return self._over_time.shown(frame, painted, self.source(frame), self.masks.weights(frame)), record

    def _steadied(self, task: Task, chunk: Chunk, frame: int) -> tuple[np.ndarray, FrameRecord]:
        with timed("warp"):
            if task.pass_index == 1:
                image = self._steady.relayed(frame, self._earlier(task, chunk, frame))
            else:
                own = self._committed(task.pass_index - 1, frame)
                neighbours = [
                    (other, self._committed(pass_index, other))
                    for pass_index, other in neighbours_read(self.plan, self.spec, task, frame)
                ]
                image = self._steady.between(frame, own, neighbours)
        return image, FrameRecord(frame=frame, sha256="")

    @cached_property
    def _steady(self) -> SteadyFrames:
        return SteadyFrames(self.record, self.source, self.flows)

    def _from_nothing(self, frame: int, steps: int) -> tuple[np.ndarray, FrameRecord]:
        return _with_record(frame, self.styler(frame).first(self.source(frame), steps, self.masks.weights(frame)))

    def _from_earlier(
        self, frame: int, earlier: Sequence[tuple[int, np.ndarray]], steps: int
    ) -> tuple[np.ndarray, FrameRecord]:
        """Pass 1: start from, and tie to, stylised frames of the same shot: (frame, picture), nearest first.

        After a flash, the paint that is started from is that of a frame before it.
        """
        content, follow = self.source(frame), self.spec.follow_change
        lit = [(other, image) for other, image in earlier if same_light(content, self.source(other))]
        nearest, nearest_painted = (lit or earlier)[0]
        carried = [self.carried(frame, other, image, follow) for other, image in earlier]
        ties = nearest_visible([one.tie for one in carried])
        regions = self.masks.weights(frame)
        with timed("warp"):
            match, source = self.flows.match(frame, nearest), self.source(nearest)
            if self._carries_paint:
                source = in_light_of(content, source, match)
            alike = painted_alike(content, source, nearest_painted, match.flow)
            start = warped_start(alike, ties)
            refreshed = self.passed(frame) % REFRESHED_EVERY == 0
            moving = carried[[other for other, _ in earlier].index(nearest)].moving
            taken = self._where(frame, [nearest], [moving], steps, refreshed)
        painted = self.styler(frame).next(content, start, taken, ties, regions, warm=self._carries_paint)
        return _with_record(frame, painted)

    def _refine(self, task: Task, frame: int) -> tuple[np.ndarray, FrameRecord]:
        """A later pass (Ruder 2016, section 4.4): draw the frame towards its neighbours, and tie it to them."""
        neighbours = neighbours_read(self.plan, self.spec, task, frame)
        # Pass 1 has brought the film's change in. What later passes would add fluctuates with errors of the flow.
        carried = [
            self.carried(frame, other, self._committed(pass_index, other), follow=0) for pass_index, other in neighbours
        ]
        ties = [neighbour.tie for neighbour in carried]
        own = self._committed(task.pass_index - 1, frame)
        content, regions, steps = self.source(frame), self.masks.weights(frame), self.plan.steps.refine
        others, moving = [other for _, other in neighbours], [neighbour.moving for neighbour in carried]
        with timed("warp"):
            if self._carries_paint and ties:
                most_moving = np.max(moving, axis=0)
                ties = [mean_tie(ties, most_moving)]
                start = blended_start(own, ties, self.spec.blend)
                start = keep_detail(start, detail_energy(own), MOST_KEPT, most_moving)
                if self._evens_strokes:
                    start = even_strokes(start, content, most_moving)
            else:
                start = blended_start(own, ties, self.spec.blend)
            taken = self._where(frame, others, moving, steps)
        painted = self.styler(frame).next(
            content, start, taken, ties, regions, average_last=AVERAGED_POINTS, warm=self._carries_paint
        )
        return _with_record(frame, painted)

    def _where(
        self, frame: int, others: Sequence[int], moving: Sequence[np.ndarray], steps: int, refreshed: bool = False
    ) -> Steps:
        """Where the `steps` of `frame` are taken. `moving` is `moving_weight` against each of `others`."""
        if not self._carries_paint or not others or self.spec.repaint == "everywhere" or self._over_time.changes(frame):
            return Steps(steps)
        still = all(
            stands_still(self.flows.match(frame, other), weight) for other, weight in zip(others, moving, strict=True)
        )
        everywhere = steps_everywhere(steps, still=still, refreshed=refreshed)
        return Steps(steps) if everywhere == steps else Steps(steps, may_change(np.max(moving, axis=0)), everywhere)

    def expected_work(self, frame: int) -> tuple[float, float]:
        """The work of `frame` in pass 1, from its neighbour, and in a later pass: steps times the share of the picture.

        It follows from the film alone, and nothing is painted. `frame` must have neighbours in its shot.
        """
        shot = self.plan.shots[self.plan.chunk_of(frame).shot]
        sides = [side for side in (frame - 1, frame + 1) if shot.start <= side < shot.stop]
        moving = [self.carried(frame, side, self.source(side), follow=0).moving for side in sides]
        before = 0 if frame > shot.begin_of(frame) or len(sides) == 1 else 1
        steps = self.plan.steps
        refreshed = self.passed(frame) % REFRESHED_EVERY == 0
        relay = self._where(frame, sides[before : before + 1], moving[before : before + 1], steps.sequential, refreshed)
        later = self._where(frame, sides, moving, steps.refine)
        in_tiles = self._carries_paint and self.styler(frame).in_tiles
        relayed, refined = (float(one.count) if in_tiles and one.windows else one.work for one in (relay, later))
        return relayed, refined

    def passed(self, frame: int) -> int:
        """Frames from that which the relay that reaches `frame` began with, to `frame`."""
        return abs(frame - self.plan.begin_of(frame))

    # what is read -----------------------------------------------------------------------------------

    def _earlier(self, task: Task, chunk: Chunk, frame: int) -> list[tuple[int, np.ndarray]]:
        """(frame, picture) of the frames that pass 1 came through before, nearest first, as pass 1 left them."""
        return [(other, self._of_relay(task, other)) for other in self.frames_before(frame, chunk)]

    def _of_relay(self, task: Task, frame: int) -> np.ndarray:
        """A frame as pass 1 left it, for `task` of pass 1."""
        return self._read(task.id, frame) if frame in task.frames else self._committed(1, frame)

    def frames_before(self, frame: int, chunk: Chunk) -> list[int]:
        """Frames that `frame` of a chunk is made from in pass 1, nearest first.

        They are `relay_reads` and, where the nearest of them is lit otherwise, the nearest one that is lit alike. Given
        flow has no field that leads there.
        """
        others = relay_reads(self.plan, self.spec.long_term, chunk, frame)
        content = self.source(frame)
        if not others or self.spec.flow_dir or same_light(content, self.source(others[0])):
            return others
        # Where storage is spared, frames from farther back than the plan looks may be gone.
        reach = min(SEARCHED, self.plan.look_back) if self.record.save_storage else SEARCHED
        nearby = relay_reads(self.plan, range(2, reach + 1), chunk, frame)
        alike = next((other for other in nearby if same_light(content, self.source(other))), others[0])
        return sorted({*others, alike}, key=lambda other: abs(frame - other))

    def carried(self, frame: int, other: int, image: np.ndarray, follow: float) -> CarriedPaint:
        """The painted `image` of another frame, carried to `frame`. `follow` in 0..1: how far the film is followed.

        The tie to it is as strong as the looks of the two frames are alike.
        """
        carried, alike = self._carried(frame, other, image, follow), self._over_time.likeness(frame, other)
        if alike == 1.0:
            return carried
        weight = (carried.tie.weight * np.float32(alike)).astype(np.float32)
        return replace(carried, tie=replace(carried.tie, weight=weight))

    def _carried(self, frame: int, other: int, image: np.ndarray, follow: float) -> CarriedPaint:
        with timed("flow"):
            match = self.flows.match(frame, other)
            weight = match.weight
            warped = warp(self.source(other), match.flow)
            weight = weight * lit_alike(self.source(frame), warped)
            if abs(frame - other) > 1:
                weight = weight * looks_alike(self.source(frame), warped)
        with timed("warp"):
            if not self._carries_paint:
                return CarriedPaint(TemporalTie(warp_sharp(image, match.flow), weight), np.zeros_like(weight))
            content, source = self.source(frame), in_light_of(self.source(frame), self.source(other), match)
            carried = carry(image, match, weight, content, source, follow)
            if not self._evens_strokes:
                return carried
            even = even_strokes(carried.tie.image, content, carried.moving)
            return replace(carried, tie=replace(carried.tie, image=even))

    def _committed(self, pass_index: int, frame: int) -> np.ndarray:
        return frame_of_pass(self.job, self.record, pass_index, frame)

    def _read(self, task: str, frame: int) -> np.ndarray:
        return read_committed(self.job, task, frame)


def carries_paint(plan: RenderPlan, spec: RenderSpec) -> bool:
    """Whether paint is carried as `farm.render.moving_paint` says: in a relay with two-sided passes after it.

    One pass and alternating passes are as Ruder et al. have them. Chunks that start from scratch are for comparison.
    """
    return plan.relay and is_two_sided(spec)


def _with_photograph(painted: np.ndarray, source: _Source) -> np.ndarray:
    """The painted picture with the photograph in every region: the regions of a network have no style."""
    if not any(weight.any() for weight in source.regions):
        return painted
    return paste(painted, source.picture, np.sum(source.regions, axis=0, dtype=np.float32))


def _with_record(frame: int, stylized: StylizedFrame) -> tuple[np.ndarray, FrameRecord]:
    losses = {name: round(value, 3) for name, value in stylized.losses.items()}
    return stylized.image, FrameRecord(
        frame=frame,
        sha256="",
        steps=stylized.steps,
        work=stylized.work,
        stop=stylized.stop,
        restarts=stylized.restarts,
        notes=stylized.notes,
        losses=losses,
    )
