"""The plan and the forecast of `farm plan`, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from farm.media.tracks import Track
from farm.plan import RenderPlan, VideoProbe
from farm.plan.estimates import StorageEstimate, WorkEstimate
from farm.plan.key_reach import FAR, far_from_keys, shots_without_key
from farm.spec import FrameRange
from farm.spec.units import format_seconds

SHOTS_LISTED = 20
"""Most shots that are listed one by one."""
RANGES_NAMED = 8
"""Most ranges of frames that a line names."""


def plan_lines(plan: RenderPlan, work: WorkEstimate, storage: StorageEstimate, probe: VideoProbe) -> Iterator[str]:
    """Shots and chunks, the work in optimiser steps, and the storage of a job directory."""
    rate = float(probe.frame_rate)
    yield f"{probe.path}: {len(plan.frames)} frames at {rate:.3f}/s, rendered at {plan.width}x{plan.height}"
    for note in probe.notes:
        yield f"note     {note}"
    yield f"{len(plan.shots)} shots, {len(plan.chunks)} chunks, {plan.passes} passes"
    for shot in plan.shots[:SHOTS_LISTED]:
        count = sum(chunk.shot == shot.index for chunk in plan.chunks)
        chunks = f"{count} chunk{'s' if count > 1 else ''}"
        keys = ", ".join(str(key) for key in plan.keys if shot.start <= key < shot.stop)
        with_keys = f"  key{'s' if ',' in keys else ''} {keys}" if keys else "  no key" if plan.keys else ""
        yield f"  shot {shot.index + 1:>4}  frames {shot.start}-{shot.stop - 1}  {chunks}{with_keys}"
    if len(plan.shots) > SHOTS_LISTED:
        yield f"  ... and {len(plan.shots) - SHOTS_LISTED} more"
    yield from key_lines(plan)
    if work.sequential_steps:
        yield (
            f"work     {work.steps} optimiser steps at most, {work.steps / work.sequential_steps:.2f} times a "
            f"sequential render"
        )
        yield (
            f"         cutting into chunks costs {work.chunking_overhead:.1%} "
            f"(starts {work.start_steps}, overlap {work.overlap_steps} steps)"
        )
        yield f"         longest chain {work.longest_chain_steps} steps: more than "
        yield f"         {max(1, round(work.steps / work.longest_chain_steps))} workers are no faster"
    yield (
        f"storage  about {_mib(storage.total)} in the job directory: frames {_mib(storage.frames)}, "
        f"flow {_mib(storage.flow)}, film {_mib(storage.film)} twice"
    )
    yield (
        f"         with --save-storage about {_mib(storage.at_once)} at any time: {storage.workers} worker(s) begin "
        f"{storage.segments_at_once} of {storage.segments} segments at once, whose frames are given up for the film"
    )
    if storage.frames_ahead:
        yield f"         and, of a long shot, pass 1 of {storage.frames_ahead} frames beyond them, as far as its middle"


def key_lines(plan: RenderPlan) -> Iterator[str]:
    """A warning where keys leave frames far from any of them, or shots without any."""
    if not plan.keys:
        return
    if without := shots_without_key(plan):
        shots = [plan.shots[index] for index in without]
        named = _some([FrameRange(shot.start, shot.stop) for shot in shots])
        yield f"keys     {len(without)} of {len(plan.shots)} shots have none and are painted in the style: {named}"
    if far := far_from_keys(plan):
        yield f"warning  frames {_some(far)} are more than {FAR} frames from the nearest key: give one there"


def _some(ranges: Sequence[FrameRange]) -> str:
    """The first few of some ranges of frames."""
    more = ", ..." if len(ranges) > RANGES_NAMED else ""
    return ", ".join(str(part) for part in ranges[:RANGES_NAMED]) + more


def track_lines(tracks: Sequence[Track]) -> Iterator[str]:
    """What becomes of each sound and subtitle track of the source."""
    begin = ""
    for track in tracks:
        stream = track.stream
        named = ", ".join(part for part in (stream.language, stream.codec, stream.layout, stream.title) if part)
        yield f"{track.kind if track.kind != begin else '':<10}track {track.number} ({named}): {track.outcome}"
        begin = track.kind


def track_facts(track: Track) -> dict[str, Any]:
    """A track and what becomes of it, as data."""
    return {
        "kind": track.kind,
        "number": track.number,
        **track.stream.model_dump(include={"index", "codec", "layout", "language", "title"}),
        "goes_in_as": track.codec or None,
        "encoded_layout": track.mix.layout if track.mix else None,
        "outcome": track.outcome,
        "why": track.why,
    }


def forecast_lines(forecast: dict[str, Any]) -> Iterator[str]:
    """Seconds a frame, time and money by the number of workers, and storage, of what `farm.cluster.measure` returns."""
    costs, count = forecast["costs"], forecast["measured_workers"]
    yield f"measured on {count} worker{'s' if count > 1 else ''} here, seconds a frame:"
    first, following, later = (costs[name] for name in ("first", "sequential", "refine"))
    if first == following == later:
        yield f"         {following:.2f}"
    else:
        yield f"         from nothing {first:.2f}, next ones {following:.2f}, later passes {later:.2f}"
    for row in forecast["rows"]:
        money = "" if row["money"] is None else f"  {row['money']:>10.2f}"
        workers = f"{row['workers']} worker{'s' if row['workers'] > 1 else ''}"
        yield f"time     {workers:<12}{format_seconds(row['seconds']):>12}{money}"
    yield f"         {format_seconds(forecast['floor_seconds'])} with any number: the longest chain of chunks"
    yield f"storage  about {forecast['storage_bytes'] / 2**20:.0f} MiB of frames and flow, by those that were rendered"


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB" if size < 10 * 2**30 else f"{size / 2**30:.0f} GiB"
