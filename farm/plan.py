"""A spec and a probed video become a plan of shots, chunks and tasks. Pure: same input, same plan.

A *shot* is a run of frames between cuts; nothing crosses a cut, so shots are independent exactly.
A *chunk* is the part of a shot that one worker renders in sequence. Chunks of one shot run in parallel:

    pass 1    a relay: each chunk goes on where the one before ended, a few optimiser steps a frame; in a long shot two
              relays, from its middle frame to its end and, backwards, from there to its beginning
    pass 2..  most of the steps; each frame tied to both neighbours as the pass before left them, so that frames of one
              pass are independent

Only pass 1 is sequential, and it is an eighth of the work: the chunks of its later passes run beside it. With many
workers the longest shot's relay is what a film waits for, and from the middle it is half as long. No frame depends on
where a chunk begins, so a film has no seams to hide: it is the same, bit for bit, in chunks of any length.

A *task* is one chunk in one pass: what the schedule hands to a worker. Its `needs` are the tasks whose frames it reads.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from farm.errors import UsageError, VideoError
from farm.spec.base import Model
from farm.spec.frames import FrameRange
from farm.spec.paint import SMALLEST_SIZE
from farm.spec.render import Iterations, RenderSpec
from farm.video import VideoProbe

RELAY_SHARE = 1 / 8
"""Of a frame's steps, spent in pass 1 where others follow; these share the rest evenly. A warm-started sequence settles
over many frames, so a few steps each carry the picture along. From there on, steps shake it the less the more passes
they are spread over: each begins with frames drawn to their neighbours.
"""
FEWEST_STEPS = 3
"""Of pass 1, where that many may be spent at all: with fewer, what comes into view is passed on unpainted."""
LONG_SHOT = 480
"""Frames from which on the relay of a shot starts at its middle. Shorter ones are not what a film waits for."""


class Shot(Model):
    """Frames `start..stop` (half-open) between two cuts, in `chunks` chunks from `first_chunk` on.

    `middle` is the frame that the relay goes from both ways, the first of its chunk; None where it goes forwards only.
    """

    index: int
    start: int
    stop: int
    first_chunk: int
    chunks: int
    middle: int | None = None

    @property
    def begin(self) -> int:
        """The frame that the relay begins with."""
        return self.start if self.middle is None else self.middle


class Chunk(Model):
    """Frames `start..stop` (half-open) of a shot. `reach` is where its first pass ends: overlap included."""

    index: int
    shot: int
    start: int
    stop: int
    reach: int
    first_in_shot: bool
    last_in_shot: bool

    @property
    def frames(self) -> FrameRange:
        return FrameRange(self.start, self.stop)


class Task(Model):
    """One chunk in pass `number`; `steps` is an upper bound. `backwards`: pass 1 goes from last frame to first."""

    id: str
    number: int
    chunk: int
    start: int
    stop: int
    needs: tuple[str, ...]
    steps: int
    backwards: bool = False

    @property
    def stage(self) -> str:
        return stage_name(self.number)

    @property
    def frames(self) -> FrameRange:
        return FrameRange(self.start, self.stop)


class PassSteps(Model):
    """Optimiser steps a frame gets: from nothing, in pass 1, in each later pass."""

    first: int
    sequential: int
    refine: int


class RenderPlan(Model):
    """All that is to be done. `width` and `height` are those of the output, pixels.

    `relay`: chunks go on where the one before ended; `look_back` is then how many frames back pass 1 reads: from any
    frame towards the one that its relay began with.
    """

    width: int
    height: int
    start: int
    stop: int
    passes: int
    relay: bool
    look_back: int
    steps: PassSteps
    shots: tuple[Shot, ...]
    chunks: tuple[Chunk, ...]

    @property
    def frames(self) -> FrameRange:
        return FrameRange(self.start, self.stop)

    def chunk_of(self, frame: int) -> Chunk:
        """The chunk whose own frames (overlap not counted) include `frame`."""
        low, high = 0, len(self.chunks)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.chunks[middle].start <= frame else (low, middle)
        return self.chunks[low]

    def shot_chunks(self, shot: int) -> list[Chunk]:
        found = self.shots[shot]
        return list(self.chunks[found.first_chunk : found.first_chunk + found.chunks])


class WorkEstimate(Model):
    """Optimiser steps by purpose, and the longest chain of dependent steps.

    `start_steps` and `overlap_steps` are what cutting into chunks costs: nothing, but where they start from scratch.
    """

    frames: int
    steps: int
    sequential_steps: int
    start_steps: int
    overlap_steps: int
    refine_steps: int
    longest_chain_steps: int

    @property
    def chunking_overhead(self) -> float:
        """Extra work that cutting into chunks costs, as a share of the sequential render."""
        return (self.start_steps + self.overlap_steps) / max(self.sequential_steps, 1)


def plan_render(spec: RenderSpec, probe: VideoProbe, cuts: Sequence[int]) -> RenderPlan:
    """Cut `probe`'s frames into shots at `cuts` (first frames of new shots) and shots into chunks.

    Raises UsageError where the spec asks for frames or a size that the video does not have, VideoError where the
    video is of a kind that the spec refuses.
    """
    _check_kind(spec, probe)
    frames = spec.frames or FrameRange(0, probe.frame_count)
    if frames.stop > probe.frame_count:
        raise UsageError(
            f"frames {frames} are not all there: {probe.path} has {probe.frame_count} (0-{probe.frame_count - 1})"
        )
    width, height = output_size(probe.width, probe.height, spec.size, upscale=spec.upscale)
    edges = [frames.start, *(cut for cut in cuts if frames.start < cut < frames.stop), frames.stop]
    optimised = spec.method == "optimize"
    passes = spec.passes if optimised else 1
    relay = optimised and spec.chunk_start == "relay"
    shots: list[Shot] = []
    chunks: list[Chunk] = []
    for shot_start, shot_stop in itertools.pairwise(edges):
        middle = middle_of(shot_start, shot_stop) if relay and _both_ways(spec) else None
        halves = itertools.pairwise([shot_start, *([] if middle is None else [middle]), shot_stop])
        starts = [start for half in halves for start in split_evenly(*half, spec.chunk_frames)]
        shot = Shot(
            index=len(shots),
            start=shot_start,
            stop=shot_stop,
            first_chunk=len(chunks),
            chunks=len(starts),
            middle=middle,
        )
        shots.append(shot)
        for start, stop in itertools.pairwise([*starts, shot_stop]):
            last = stop == shot_stop
            chunks.append(
                Chunk(
                    index=len(chunks),
                    shot=shot.index,
                    start=start,
                    stop=stop,
                    reach=min(stop + spec.overlap, shot_stop) if optimised and not relay else stop,
                    first_in_shot=start == shot_start,
                    last_in_shot=last,
                )
            )
    return RenderPlan(
        width=width,
        height=height,
        start=frames.start,
        stop=frames.stop,
        passes=passes,
        relay=relay,
        look_back=max((1, *spec.long_term)) if relay else 0,
        steps=pass_steps(spec.iterations, spec.passes) if optimised else NO_STEPS,
        shots=tuple(shots),
        chunks=tuple(chunks),
    )


NO_STEPS = PassSteps(first=0, sequential=0, refine=0)


def middle_of(start: int, stop: int) -> int | None:
    """Where the relay of a shot of frames `start..stop` starts if that is not its first frame: of the shot alone, so
    that a film is the same in chunks of any length.
    """
    return start + (stop - start) // 2 if stop - start >= LONG_SHOT else None


def _both_ways(spec: RenderSpec) -> bool:
    """One pass, and passes that go through the frames in turn, are there as Ruder et al. have them: forwards first."""
    return spec.passes > 1 and spec.sweep == "two-sided"


def pass_steps(iterations: Iterations, passes: int) -> PassSteps:
    """Share a frame's steps out over the passes: all of them in a single one, else RELAY_SHARE and the rest evenly."""
    if passes == 1:
        return PassSteps(first=iterations.first, sequential=iterations.next, refine=0)
    relay = max(round(iterations.next * RELAY_SHARE), min(FEWEST_STEPS, iterations.next))
    return PassSteps(
        first=iterations.first,
        sequential=relay,
        refine=max(math.ceil((iterations.next - relay) / (passes - 1)), min(1, iterations.next)),
    )


def plan_tasks(plan: RenderPlan) -> list[Task]:
    """Every task, each after those it needs."""
    return list(_tasks(plan))


def travels_back(number: int) -> bool:
    """Whether pass `number` of an alternating sweep goes from the last frame to the first; pass 1 went forward."""
    return number % 2 == 0


def frames_in_order(spec: RenderSpec, task: Task) -> list[int]:
    """The frames of a task in the order in which they are rendered."""
    back = task.number >= 2 and spec.sweep == "alternating" and travels_back(task.number)
    return list(task.frames)[:: -1 if back or task.backwards else 1]


def relay_reads(plan: RenderPlan, long_term: Sequence[int], chunk: Chunk, frame: int) -> list[int]:
    """The frames that `frame` of a chunk is made from in pass 1, nearest first: the set J of Ruder 2016.

    They lie towards the frame that the sequence began with; for that one itself there are none.
    """
    begin = plan.shots[chunk.shot].begin if plan.relay else chunk.start
    towards = -1 if frame > begin else 1
    return [frame + towards * distance for distance in (1, *long_term) if distance <= abs(frame - begin)]


def estimate_work(plan: RenderPlan, iterations: Iterations) -> WorkEstimate:
    """Count optimiser steps; seconds come from measuring, not from here."""
    tasks = plan_tasks(plan)
    finish: dict[str, int] = {}
    for task in tasks:
        finish[task.id] = task.steps + max((finish[need] for need in task.needs), default=0)
    optimised = plan.steps != NO_STEPS
    extra_starts = 0 if plan.relay or not optimised else len(plan.chunks) - len(plan.shots)
    overlap_frames = sum(max(chunk.reach - chunk.stop, 0) for chunk in plan.chunks)
    count = len(plan.frames)
    return WorkEstimate(
        frames=count,
        steps=sum(task.steps for task in tasks),
        sequential_steps=len(plan.shots) * iterations.first + (count - len(plan.shots)) * iterations.next
        if optimised
        else 0,
        start_steps=extra_starts * (plan.steps.first - plan.steps.sequential),
        overlap_steps=overlap_frames * plan.steps.sequential,
        refine_steps=count * plan.steps.refine * (plan.passes - 1),
        longest_chain_steps=max(finish.values(), default=0),
    )


def _check_kind(spec: RenderSpec, probe: VideoProbe) -> None:
    if probe.color.is_hdr and spec.hdr == "refuse":
        raise VideoError(
            f"{probe.path} is HDR ({probe.color.transfer}) and --hdr refuse is set", "use --hdr tonemap or keep"
        )
    if probe.interlaced and spec.interlaced == "refuse":
        raise VideoError(
            f"{probe.path} is interlaced and --interlaced refuse is set", "use --interlaced deinterlace or keep"
        )


def output_size(width: int, height: int, longest: int | None, *, upscale: bool = False) -> tuple[int, int]:
    """(width, height) with `longest` as the longest side and the aspect kept. Raises UsageError when too small."""
    if longest is None or (longest >= max(width, height) and not upscale):
        longest = max(width, height)
    scale = longest / max(width, height)
    scaled = (max(1, round(width * scale)), max(1, round(height * scale)))
    if min(scaled) < SMALLEST_SIZE:
        raise UsageError(
            f"frames of {scaled[0]}x{scaled[1]} are too small: each side needs {SMALLEST_SIZE} pixels or more",
            "give a larger --size" if min(width, height) >= SMALLEST_SIZE else "give a larger video",
        )
    return scaled


def split_evenly(start: int, stop: int, longest: int) -> list[int]:
    """First frames of the fewest runs of at most `longest` frames, their lengths differing by one at most."""
    count = math.ceil((stop - start) / longest)
    return [start + (stop - start) * i // count for i in range(count)]


def stage_name(number: int) -> str:
    return f"pass {number}"


def task_id(number: int, chunk: int) -> str:
    return f"{stage_name(number).replace(' ', '-')}/{chunk:05d}"


def _tasks(plan: RenderPlan) -> Iterator[Task]:
    steps = plan.steps
    for shot in plan.shots:
        chunks = plan.shot_chunks(shot.index)
        before = sum(chunk.start < shot.begin for chunk in chunks)
        for at in (*range(before, len(chunks)), *reversed(range(before))):
            chunk = chunks[at]
            read = _relay_needs(chunks, at, before, plan.look_back) if plan.relay else []
            from_nothing = at == before or not plan.relay
            following = chunk.reach - chunk.start - from_nothing
            yield Task(
                id=task_id(1, chunk.index),
                number=1,
                chunk=chunk.index,
                start=chunk.start,
                stop=chunk.reach,
                needs=tuple(task_id(1, other.index) for other in read),
                steps=from_nothing * steps.first + following * steps.sequential,
                backwards=at < before,
            )
        for number in range(2, plan.passes + 1):
            for at, chunk in enumerate(chunks):
                near = chunks[max(at - 1, 0) : at + 2]
                yield Task(
                    id=task_id(number, chunk.index),
                    number=number,
                    chunk=chunk.index,
                    start=chunk.start,
                    stop=chunk.stop,
                    needs=tuple(task_id(number - 1, other.index) for other in near),
                    steps=len(chunk.frames) * steps.refine,
                )


def _relay_needs(chunks: Sequence[Chunk], at: int, begin: int, look_back: int) -> list[Chunk]:
    """Of a shot's chunks, in order, those that chunk `at` reads in pass 1; the relay began with chunk `begin`."""
    chunk = chunks[at]
    if at < begin:
        return list(itertools.takewhile(lambda one: one.start < chunk.stop + look_back, chunks[at + 1 : begin + 1]))
    back = itertools.takewhile(lambda one: one.stop > chunk.start - look_back, reversed(chunks[begin:at]))
    return list(back)[::-1]
