"""A spec and a probed video become a plan of shots, chunks and tasks. Pure: same input, same plan.

A *shot* is a run of frames between cuts; nothing crosses a cut, so shots are independent exactly.
A *chunk* is the part of a shot that one worker renders in sequence. Chunks of one shot run in parallel:

    pass 1    is a relay: each chunk goes on where the one before ended, with a few optimiser steps a frame. A long shot
              has two relays, from its middle frame to its end and, backwards, from there to its beginning. A shot with
              painted keyframes has relays from each of them, both ways; between two of them they meet half-way, or,
              with method keys, where the later one is.
    pass 2..  has most of the steps. Each frame is tied to both neighbours as the pass before left them, so that the
              frames of one pass are independent.

Only pass 1 is sequential, and it is an eighth of the work: the later passes of chunks that it has finished run beside
it. With many workers a film waits for the relay of its longest shot, which from the middle is half as long. No frame
depends on where a chunk begins, so a film has no seams to hide: it is the same, bit for bit, in chunks of any length.

A *task* is one chunk in one pass: what the schedule hands to a worker. Its `needs` are the tasks whose frames it reads.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from typing import Any

from pydantic import model_validator

from farm.errors import UsageError, VideoError
from farm.plan.chunk_length import chunk_length
from farm.plan.video import VideoProbe
from farm.spec import FrameRange, Model, RenderSpec
from farm.spec.paint import SMALLEST_SIZE
from farm.spec.render import FIXED_CHUNK, Iterations

RELAY_SHARE = 1 / 8
"""Share of a frame's optimiser steps that pass 1 gets where other passes follow. These share the rest evenly.

Why: a warm-started sequence settles over many frames, so a few steps each carry the picture along. Later steps shake
the picture less the more passes they are spread over, because each pass begins with frames drawn to their neighbours.
"""
FEWEST_STEPS = 3
"""Optimiser steps a frame that pass 1 gets at least, where a frame has that many.

Why: with fewer, pixels that come into view are passed on unpainted.
"""
MOST_NAMED = 8
"""Shots that a message names."""
LONG_SHOT = 480
"""Length in frames from which on the relay of a shot starts at its middle. A film does not wait for shorter shots."""


class Shot(Model):
    """Frames `start..stop` (half-open) between two cuts, in `chunks` chunks from chunk `first_chunk` on.

    `begins` are the frames from which relays go both ways, ascending, each the first of its chunk: the middle of a long
    shot, or its painted keyframes. Without any, there is one relay, from the first frame to the last. Between two of
    them the relays meet half-way; where they go `onward`, that of the earlier one goes on to the later.
    """

    index: int
    start: int
    stop: int
    first_chunk: int
    chunks: int
    begins: tuple[int, ...] = ()
    onward: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_middle(cls, value: Any) -> Any:
        """Plans that were kept before a shot could have several relays have a `middle`."""
        if not isinstance(value, dict) or "middle" not in value:
            return value
        rest = {name: given for name, given in value.items() if name != "middle"}
        return rest if value["middle"] is None else {**rest, "begins": (value["middle"],)}

    @property
    def begin(self) -> int:
        """The frame that its first relay begins with."""
        return self.begins[0] if self.begins else self.start

    def begin_of(self, frame: int) -> int:
        """The frame that the relay begins with which reaches `frame`: the nearest, the earlier one of two as near.

        Of relays that go `onward` it is the last one before it, and for frames before the first one the first one.
        """
        if not self.begins:
            return self.start
        if self.onward:
            return self.begins[max(bisect.bisect_right(self.begins, frame) - 1, 0)]
        after = bisect.bisect_left(self.begins, frame)
        around = self.begins[max(after - 1, 0) : after + 1]
        return min(around, key=lambda begin: abs(begin - frame))


class Chunk(Model):
    """Frames `start..stop` (half-open) of a shot. In pass 1 it goes on to `reach`: the overlap with the next chunk."""

    index: int
    shot: int
    start: int
    stop: int
    reach: int
    first_in_shot: bool
    last_in_shot: bool

    @property
    def frames(self) -> FrameRange:
        """Its own frames, without the overlap."""
        return FrameRange(self.start, self.stop)


class PassSteps(Model):
    """Optimiser steps that a frame gets: `first` from nothing, `sequential` in pass 1, `refine` in each later pass."""

    first: int
    sequential: int
    refine: int


class RenderPlan(Model):
    """All that is to be done to frames `start..stop` (half-open). `width` and `height` are those of the output, pixels.

    With `relay`, each chunk goes on where the one before ended, and `look_back` is how many frames back pass 1 reads,
    from any frame towards the one that its relay began with. Without it, chunks start from scratch and overlap. `keys`
    are the frames among them whose picture is given, ascending.
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
    keys: tuple[int, ...] = ()

    @property
    def frames(self) -> FrameRange:
        """The frames that are rendered."""
        return FrameRange(self.start, self.stop)

    def chunk_of(self, frame: int) -> Chunk:
        """The chunk whose own frames, the overlap not counted, include `frame`. O(log chunks)."""
        low, high = 0, len(self.chunks)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.chunks[middle].start <= frame else (low, middle)
        return self.chunks[low]

    def begin_of(self, frame: int) -> int:
        """The frame that the relay begins with which reaches `frame`."""
        return self.shots[self.chunk_of(frame).shot].begin_of(frame)

    def shot_chunks(self, index: int) -> list[Chunk]:
        """The chunks of a shot, in order."""
        shot = self.shots[index]
        return list(self.chunks[shot.first_chunk : shot.first_chunk + shot.chunks])


def plan_render(
    spec: RenderSpec,
    probe: VideoProbe,
    cuts: Sequence[int],
    *,
    workers: int | None = None,
    frame_seconds: float | None = None,
    size: tuple[int, int] | None = None,
) -> RenderPlan:
    """Cut `probe`'s frames into shots at `cuts` (first frames of new shots) and shots into chunks.

    `size` (width, height) is that of frames where the spec asks for none; None is the video's own.
    Where the spec gives no length of chunks, it is chosen for so many `workers` and the seconds of a frame in a later
    pass, None where one of these is not known (`farm.plan.chunk_length`). The film is the same.
    Raises UsageError where the spec asks for frames or a size that the video does not have, VideoError where the
    spec refuses videos of this kind.
    """
    _check_kind(spec, probe)
    frames = spec.frames or FrameRange(0, probe.frame_count)
    if frames.stop > probe.frame_count:
        raise UsageError(
            f"frames {frames} are not all there: {probe.path} has {probe.frame_count} (0-{probe.frame_count - 1})"
        )
    if size is not None and spec.size is None:
        width, height = output_size(*size, None)
    else:
        width, height = output_size(probe.width, probe.height, spec.size, upscale=spec.upscale)
    edges = [frames.start, *(cut for cut in cuts if frames.start < cut < frames.stop), frames.stop]
    optimised, in_sequence = spec.method == "optimize", spec.in_sequence
    steadied = spec.method == "steady"
    passes = spec.passes if optimised or steadied else 1
    relay = steadied or (in_sequence and spec.chunk_start == "relay")
    keys = _keys_in(spec, frames, probe)
    _each_shot_has_a_key(spec, edges, keys)
    two_sided = relay and (optimised or steadied) and is_two_sided(spec)
    onward = spec.method == "keys"
    begins = [_begins(*edge, keys, two_sided) for edge in itertools.pairwise(edges)]
    longest = spec.chunk_frames or FIXED_CHUNK
    if spec.chunk_frames is None and (not in_sequence or (relay and spec.sweep == "two-sided")):
        shots_runs = zip(itertools.pairwise(edges), begins, strict=True)
        runs = [stop - start for edge, from_these in shots_runs for start, stop in _runs(*edge, from_these, onward)]
        longest = chunk_length(runs, workers, frame_seconds)
    shots, chunks = _cut(
        edges, begins, longest, onward=onward, overlap=spec.overlap if in_sequence and not relay else 0
    )
    return RenderPlan(
        width=width,
        height=height,
        start=frames.start,
        stop=frames.stop,
        passes=passes,
        relay=relay,
        look_back=max((1, *spec.long_term)) if relay and spec.method != "keys" else int(relay),
        steps=pass_steps(spec.iterations, spec.passes) if optimised else STEADY_STEPS if steadied else NO_STEPS,
        shots=tuple(shots),
        chunks=tuple(chunks),
        keys=keys,
    )


def _keys_in(spec: RenderSpec, frames: FrameRange, probe: VideoProbe) -> tuple[int, ...]:
    """The frames of the spec's keys that are among `frames`, ascending. Raises UsageError for one beyond the film."""
    beyond = [key.frame for key in spec.keys if key.frame >= probe.frame_count]
    if beyond:
        raise UsageError(
            f"key {beyond[0]} is no frame of {probe.path}, which has {probe.frame_count} (0-{probe.frame_count - 1})",
            "number keys by the film's frames, counted from 0",
        )
    return tuple(key.frame for key in spec.keys if key.frame in frames)


def _each_shot_has_a_key(spec: RenderSpec, edges: Sequence[int], keys: Sequence[int]) -> None:
    """Raises UsageError where method keys has a shot, from one of `edges` to the next, without any key."""
    if spec.method != "keys":
        return
    without = [
        f"{start}-{stop - 1}"
        for start, stop in itertools.pairwise(edges)
        if not any(start <= key < stop for key in keys)
    ]
    if without:
        shown = ", ".join(without[:MOST_NAMED]) + (", ..." if len(without) > MOST_NAMED else "")
        shots = "shot of frames" if len(without) == 1 else f"{len(without)} shots of frames"
        raise UsageError(
            f"no key is in the {shots} {shown}, and no style is given",
            "give each shot a --key, or --style for those without, or --frames",
        )


def _cut(
    edges: Sequence[int], begins: Sequence[tuple[int, ...]], longest: int, *, onward: bool, overlap: int
) -> tuple[list[Shot], list[Chunk]]:
    """The shots between successive `edges`, and their chunks of at most `longest` frames.

    `begins` are the frames of each shot that relays go from both ways, and `onward` says where these meet (`Shot`). In
    pass 1 a chunk goes on for `overlap` frames.
    """
    shots: list[Shot] = []
    chunks: list[Chunk] = []
    for (shot_start, shot_stop), from_these in zip(itertools.pairwise(edges), begins, strict=True):
        runs = _runs(shot_start, shot_stop, from_these, onward)
        starts = [start for run in runs for start in split_evenly(*run, longest)]
        shot = Shot(
            index=len(shots),
            start=shot_start,
            stop=shot_stop,
            first_chunk=len(chunks),
            chunks=len(starts),
            begins=from_these,
            onward=onward and bool(from_these),
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
                    reach=min(stop + overlap, shot_stop),
                    first_in_shot=start == shot_start,
                    last_in_shot=last,
                )
            )
    return shots, chunks


NO_STEPS = PassSteps(first=0, sequential=0, refine=0)
"""Steps of a plan without an optimiser: of methods instant and identity."""


STEADY_STEPS = PassSteps(first=1, sequential=1, refine=1)
"""Steps of a plan of method steady, which has no optimiser: each pass makes a frame once."""


def middle_of(start: int, stop: int) -> int | None:
    """Frame at which the relay of a shot of frames `start..stop` starts. None where that is the first frame.

    It depends on the shot alone, so that a film is the same in chunks of any length.
    """
    return start + (stop - start) // 2 if stop - start >= LONG_SHOT else None


def _begins(start: int, stop: int, keys: Sequence[int], two_sided: bool) -> tuple[int, ...]:
    """The frames that relays of the shot of frames `start..stop` go from both ways; none where one goes forwards."""
    in_shot = tuple(key for key in keys if start <= key < stop)
    middle = middle_of(start, stop) if two_sided else None
    return in_shot or (() if middle is None else (middle,))


def _runs(start: int, stop: int, begins: Sequence[int], onward: bool) -> list[tuple[int, int]]:
    """The parts of a shot of frames `start..stop` (half-open) that relays go through in one direction, in order.

    >>> _runs(0, 100, (20, 60), onward=False), _runs(0, 100, (20, 60), onward=True)
    ([(0, 20), (20, 41), (41, 60), (60, 100)], [(0, 20), (20, 60), (60, 100)])
    """
    meetings = [] if onward else [(left + right) // 2 + 1 for left, right in itertools.pairwise(begins)]
    edges = sorted({start, *begins, *meetings, stop})
    return list(itertools.pairwise(edges))


def is_two_sided(spec: RenderSpec) -> bool:
    """Whether later passes tie a frame to both neighbours. Only then may a relay go backwards: Ruder et al. have one
    pass, and alternating ones, begin at the first frame.
    """
    return spec.passes > 1 and spec.sweep == "two-sided"


def pass_steps(iterations: Iterations, passes: int) -> PassSteps:
    """Share a frame's steps out over the passes: all to a single one, else RELAY_SHARE to pass 1 and the rest evenly.

    >>> pass_steps(Iterations(first=200, next=50), passes=5)
    PassSteps(first=200, sequential=6, refine=11)
    """
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
    """(width, height) in pixels, with `longest` as the longest side and the aspect kept. Only `upscale` enlarges.

    Raises UsageError where a side would be smaller than SMALLEST_SIZE.

    >>> output_size(1920, 1080, 512)
    (512, 288)
    """
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
    """First frames of the fewest runs of at most `longest` frames. Their lengths differ by one at most.

    >>> split_evenly(0, 100, 48)
    [0, 33, 66]
    """
    count = math.ceil((stop - start) / longest)
    return [start + (stop - start) * i // count for i in range(count)]
