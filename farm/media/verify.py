"""Whether a finished film is the one that was meant, read back from its packets before it is put in its place."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av

from farm.errors import EncodeError, VideoError
from farm.media.source import open_source, pick_video_stream
from farm.plan import VideoProbe


def verify_film(
    path: str | Path, *, pts_seconds: Sequence[Fraction], last_duration: Fraction, audio_streams: range
) -> None:
    """Check that the film has these streams, and these frames at these times. Raises EncodeError where it has not.

    `pts_seconds` are the expected presentation times, one per frame. Counted from the first frame they must
    agree within one tick of the film's own time base (the container's rounding); the first frame itself
    and the duration of the picture must agree within half a frame. `audio_streams` are the numbers of audio
    streams that are right: a part of a film may have lost those that are silent in it (see `sounding_streams`).
    """
    try:
        times, tick, end, audio, header = _read_back(str(path))
    except (VideoError, av.FFmpegError) as error:
        raise EncodeError(f"the finished film cannot be read back: {error}") from error
    if audio not in audio_streams:
        right = " or ".join(map(str, audio_streams))
        raise EncodeError(f"the finished film has {audio} audio streams, not {right}")
    if len(times) != len(pts_seconds):
        raise EncodeError(f"the finished film has {len(times)} frames, not {len(pts_seconds)}")
    for frame, (is_at, expected) in enumerate(zip(times, pts_seconds, strict=True)):
        if abs(is_at - times[0] - (expected - pts_seconds[0])) > tick:
            raise EncodeError(
                f"frame {frame} of the finished film appears at {float(is_at - times[0]):.6f} s, "
                f"not {float(expected - pts_seconds[0]):.6f} s"
            )
    half_a_frame = max(last_duration / 2, tick)
    if abs(times[0] - pts_seconds[0]) > half_a_frame:
        raise EncodeError(
            f"the picture of the finished film begins at {float(times[0]):.4f} s, not {float(pts_seconds[0]):.4f} s"
        )
    duration = end - times[0]
    if header is not None and abs(header - end) > half_a_frame and abs(header - duration) > half_a_frame:
        raise EncodeError(f"the header of the finished film says {float(header):.4f} s, not {float(duration):.4f} s")
    expected_duration = pts_seconds[-1] - pts_seconds[0] + last_duration
    if abs(duration - expected_duration) > half_a_frame:
        raise EncodeError(
            f"the picture of the finished film lasts {float(duration):.4f} s, not {float(expected_duration):.4f} s"
        )


def sounding_streams(probe: VideoProbe, begin: Fraction | None, length: Fraction | None) -> set[int]:
    """Indices of the source's audio streams with a whole packet in the interval, in seconds after its start.

    MP4 and MOV leave out a track that never gets a packet: sound that ends before a part of the film begins.
    """
    silent = {s.index for s in probe.audio}
    wanted = set(silent)
    start = probe.start_time + (begin or 0)
    with open_source(probe.path) as source:
        if begin is not None:
            source.seek(int(start * av.time_base), backward=True)
        streams = [s for s in source.streams.audio if s.index in wanted]
        passed: set[int] = set()
        for packet in source.demux(streams) if streams else ():
            if packet.pts is None or not packet.time_base or not packet.size:
                continue
            time = packet.pts * packet.time_base
            ends_inside = length is None or time + (packet.duration or 0) * packet.time_base <= start + length
            if ends_inside and (begin is None or time >= start):
                silent.discard(packet.stream.index)
            elif not ends_inside:
                passed.add(packet.stream.index)
            if silent <= passed:
                break
    return wanted - silent


def _read_back(path: str) -> tuple[list[Fraction], Fraction, Fraction, int, Fraction | None]:
    """(presentation times, tick, end of the last frame, number of audio streams, duration of the track by its header).

    Times are in seconds, and sorted. Only MP4 and MOV have a duration for each track.
    """
    with open_source(path) as film:
        stream = pick_video_stream(film, path)
        assert stream.time_base is not None
        tick = stream.time_base
        # Only numbers are kept: the packets together are as large as the film.
        shown = sorted(
            (p.pts, p.duration or 0, p.dts == p.pts)
            for p in film.demux(stream)
            if p.size and not p.is_discard and p.pts is not None
        )
        if not shown:
            raise EncodeError("the finished film has no frames")
        end = sum(shown[-1][:2]) * tick
        # The track's is the sum of decoding times, which end early where frames are reordered before a pause.
        in_order = all(same for _, _, same in shown)
        header = stream.duration * tick if in_order and stream.duration is not None else None
        return [pts * tick for pts, _, _ in shown], tick, end, len(film.streams.audio), header
