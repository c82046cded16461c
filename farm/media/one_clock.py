"""The sound and subtitles of recordings that were joined byte by byte, on the clock of the film.

Each of the recordings has its own clock. `write_on_one_clock` copies what is beside the picture, without encoding it,
and moves it by as much as the probe moved the picture, so that sound keeps its distance to the picture after a joint.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av

from farm.errors import EncodeError, first_line
from farm.media.packets import demux, is_flush
from farm.media.source import display_name, open_source
from farm.media.times import Clock, find_breaks, settle_times
from farm.plan import VideoProbe


class _Sent(NamedTuple):
    """A packet of a stream: its place among all packets of the file, and when it is decoded and for how long."""

    place: int
    dts: int
    duration: int


def write_on_one_clock(probe: VideoProbe, path: Path) -> VideoProbe:
    """Write sound and subtitles of a film with `breaks` to `path`, a NUT file. Returns the probe with them in it.

    Streams keep their indices: in the place of those that are not copied are empty ones. Raises EncodeError where a
    stream cannot be copied, and VideoError.
    """
    name = display_name(probe.path)
    order = [probe.stream_index, *(s.index for s in (*probe.audio, *probe.subtitles))]
    times = _times(probe, order)
    done: dict[int, int] = defaultdict(int)
    with open_source(probe.path) as source, av.open(str(path), "w", format="nut") as written:
        try:
            for index in range(max(order) + 1):
                if index in order:
                    written.add_stream_from_template(source.streams[index])
                else:
                    written.add_stream("pcm_s16le", rate=8000)
            for packet in demux(source, name, *(source.streams[index] for index in order)):
                if is_flush(packet) or packet.dts is None:
                    continue
                index = packet.stream.index
                dts = times[index][done[index]]
                done[index] += 1
                # One picture is enough to give the file the beginning that the source has.
                if dts is None or (index == probe.stream_index and done[index] > 1):
                    continue
                packet.pts, packet.dts = dts + max((packet.pts or packet.dts) - packet.dts, 0), dts
                packet.stream = written.streams[index]
                written.mux(packet)
        except (av.FFmpegError, ValueError) as error:
            raise EncodeError(f"the sound of {name} cannot be copied: {first_line(error)}") from error
    return probe.model_copy(update={"path": str(path)})


def _times(probe: VideoProbe, order: list[int]) -> dict[int, list[int | None]]:
    """The decoding times of all packets of these streams on the film's clock, None for those that are left out."""
    sent: dict[int, list[_Sent]] = defaultdict(list)
    with open_source(probe.path) as source:
        joinable = bool(source.format.flags & av.format.Flags.ts_discont.value)
        ticks = {index: source.streams[index].time_base or Fraction(1) for index in order}
        packets = demux(source, display_name(probe.path), *(source.streams[index] for index in order))
        for place, packet in enumerate(packets):
            if packet.dts is not None:
                sent[packet.stream.index].append(_Sent(place, packet.dts, packet.duration or 0))
    picture = sent[probe.stream_index]
    clock = Clock(1 / (probe.frame_rate * ticks[probe.stream_index]), 1 / ticks[probe.stream_index], joinable)
    joints = [picture[packet].place for packet in find_breaks([one.dts for one in picture], clock)[0]]
    times: dict[int, list[int | None]] = {probe.stream_index: [one.dts for one in picture]}
    for stream in probe.audio:
        times[stream.index] = _sound_times(sent[stream.index], ticks[stream.index], joinable, probe.shifts)
    for stream in probe.subtitles:
        times[stream.index] = _subtitle_times(sent[stream.index], ticks[stream.index], joints, probe.shifts)
    return times


def _sound_times(sent: list[_Sent], tick: Fraction, joinable: bool, shifts: tuple[Fraction, ...]) -> list[int | None]:
    """Times of a stream without pauses: its own breaks are found, and it is moved there as the picture is."""
    if not sent:
        return []
    settled = settle_times([one.dts for one in sent], Clock(Fraction(max(sent[0].duration, 1)), 1 / tick, joinable))
    moves = [0] * (len(settled.breaks) + 1)
    if len(settled.breaks) == len(shifts):  # otherwise its parts are not those of the picture, and are put end to end
        moves[1:] = [round(to / tick) - by for to, by in zip(shifts, settled.shifts, strict=True)]
    times: list[int | None] = []
    end = None
    for number, (one, pts) in enumerate(zip(sent, settled.pts, strict=True)):
        dts = pts // settled.finer + moves[bisect.bisect_right(settled.breaks, number)]
        # What lies before a joint is not played over what lies behind it.
        if end is not None and dts < end - one.duration // 2 - 1:
            times.append(None)
            continue
        times.append(dts if end is None else max(dts, end - one.duration // 2 - 1))
        end = dts + one.duration
    return times


def _subtitle_times(
    sent: list[_Sent], tick: Fraction, joints: list[int], shifts: tuple[Fraction, ...]
) -> list[int | None]:
    """Times of a stream with pauses: it is moved by where its packets are in the file."""
    moves = (Fraction(0), *shifts)
    return [one.dts + round(moves[min(bisect.bisect_right(joints, one.place), len(moves) - 1)] / tick) for one in sent]
