"""Is the film on disk the film that was meant? Read back from its packets before anyone sees it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av

from farm.errors import EncodeError, VideoError
from farm.media.source import open_source, pick_video_stream


def verify_film(
    path: str | Path, *, pts_seconds: Sequence[Fraction], last_duration: Fraction, audio_streams: int
) -> None:
    """Raises EncodeError unless the film has these streams, and these frames at these times.

    `pts_seconds` are the expected presentation times, one per frame. Counted from the first frame they must
    agree within one tick of the film's own time base (the container's rounding); the first frame itself
    and the duration of the picture must agree within half a frame.
    """
    try:
        times, tick, end, audio = _read_back(str(path))
    except (VideoError, av.FFmpegError) as error:
        raise EncodeError(f"the finished film cannot be read back: {error}") from error
    if audio != audio_streams:
        raise EncodeError(f"the finished film has {audio} audio streams, not {audio_streams}")
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
    expected_duration = pts_seconds[-1] - pts_seconds[0] + last_duration
    if abs(duration - expected_duration) > half_a_frame:
        raise EncodeError(
            f"the picture of the finished film lasts {float(duration):.4f} s, not {float(expected_duration):.4f} s"
        )


def _read_back(path: str) -> tuple[list[Fraction], Fraction, Fraction, int]:
    """(presentation times, tick, end of the last frame, number of audio streams); times in seconds, sorted."""
    with open_source(path) as film:
        stream = pick_video_stream(film, path)
        assert stream.time_base is not None
        tick = stream.time_base
        shown = [p for p in film.demux(stream) if p.size and not p.is_discard and p.pts is not None]
        if not shown:
            raise EncodeError("the finished film has no frames")
        last = max(shown, key=lambda p: p.pts or 0)
        times = sorted((p.pts or 0) * tick for p in shown)
        return times, tick, times[-1] + (last.duration or 0) * tick, len(film.streams.audio)
