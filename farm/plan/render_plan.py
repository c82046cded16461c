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
from collections.abc import Sequence

from farm.errors import UsageError, VideoError
from farm.plan.video import VideoProbe
from farm.spec import FrameRange, Model, RenderSpec
from farm.spec.paint import SMALLEST_SIZE
from farm.spec.render import Iterations

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
