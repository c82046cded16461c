"""What a video holds, found by decoding all of it once.

Containers promise frame counts, rates and durations that their streams do not keep, so the only times
recorded are those of frames that really came out of the decoder, in the order ffmpeg would show them.
`walk_video` is that one pass; whoever needs the pictures as well hands in a `FrameVisitor`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol, TypeVar

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideData
from av.stream import Stream
from av.video.stream import VideoStream

from farm.errors import VideoError
from farm.media.color import color_tags
from farm.media.orientation import Orientation, orientation_of_matrix
from farm.media.source import content_hash, display_name, open_source, pick_video_stream
from farm.plan import VideoProbe
from farm.plan.video import StreamInfo

DEFAULT_RATE = Fraction(25)
"""Frames per second where neither the container nor the time stamps tell."""

_SHORTFALL_SECONDS = Fraction(1, 2)
"""How much earlier than its header says a Matroska or FLV file may end before it counts as cut short."""

Progress = Callable[[int], None]
"""Called with the number of frames done so far."""


class FrameVisitor(Protocol):
    """Sees every frame of a film while it is probed."""

    def visit(self, frame: av.VideoFrame) -> None:
        """Look at a decoded frame. Frames come in presentation order, and may not be kept."""


Visitor = TypeVar("Visitor", bound=FrameVisitor)


def probe_video(path: str, *, allow_truncated: bool = False, progress: Progress | None = None) -> VideoProbe:
    """Probe a local file or an http(s) URL. Raises VideoError, also for a damaged file unless `allow_truncated`.

    `missing_frames` is exact where the container lists its samples (MP4, MOV) or counts them (AVI), and an
    estimate from the header's duration for Matroska and FLV. Formats without any promise (MPEG-TS) report
    only frames whose data was there and did not decode.
    """
    return walk_video(path, _Nobody, allow_truncated=allow_truncated, progress=progress)[0]


def walk_video(
    path: str, new_visitor: Callable[[], Visitor], *, allow_truncated: bool, progress: Progress | None
) -> tuple[VideoProbe, Visitor]:
    """(probe, visitor) of a film that is decoded once, as `probe_video` does. Raises VideoError.

    The visitor has seen exactly the frames in `pts`. A damaged film is decoded a second time, with another visitor.
    """
    visitor = new_visitor()
    walk = _walk(path, visitor, threaded=True, progress=progress)
    if walk.damaged:
        # Threaded decoding loses good frames beside a bad one, how many depends on the number of threads.
        visitor = new_visitor()
        walk = _walk(path, visitor, threaded=False, progress=progress)
    missing = walk.missing_frames
    if not walk.pts:
        raise VideoError(f"no frame of {display_name(path)} decodes", "copy or download the file again")
    if walk.damaged and not allow_truncated:
        raise VideoError(
            f"{display_name(path)} is cut short or damaged: {len(walk.pts)} frames decode, about {missing} do not",
            "copy the file again, or use what is there with --allow-truncated",
        )
    assert walk.probe is not None
    pts, seekable = repair_pts(walk.pts, walk.probe.frame_rate, walk.probe.time_base)
    probe = walk.probe.model_copy(
        update={
            "pts": pts,
            "seekable": seekable,
            "keyframes": tuple(walk.keyframes) if walk.keyframes[:1] == [0] else (0, *walk.keyframes),
            "last_duration": _last_duration(walk, walk.probe),
            "interlaced": walk.interlaced,
            "missing_frames": missing,
            "content_hash": content_hash(path),
            "audio": tuple(_with_packets(stream, walk.beside) for stream in walk.probe.audio),
            "subtitles": tuple(_with_packets(stream, walk.beside) for stream in walk.probe.subtitles),
        }
    )
    return probe, visitor


def repair_pts(decoded: list[int | None], frame_rate: Fraction, time_base: Fraction) -> tuple[tuple[int, ...], bool]:
    """(strictly increasing pts, whether they are the file's own).

    Decoders hand frames out in presentation order. Where the time stamps contradict that, or are absent (AVI), the
    order is kept, and times are made up at the frame rate, counted from the earliest time stamp there is.
    """
    stamps = [pts for pts in decoded if pts is not None]
    if len(stamps) == len(decoded) and all(b > a for a, b in itertools.pairwise(stamps)):
        return tuple(stamps), True
    first = min(stamps, default=0)
    step = max(1 / (frame_rate * time_base), Fraction(1))
    return tuple(first + round(i * step) for i in range(len(decoded))), False


@dataclass
class _Walk:
    """What one pass saw."""

    probe: VideoProbe | None = None
    pts: list[int | None] = field(default_factory=list)
    keyframes: list[int] = field(default_factory=list)
    last_duration: int = 0
    interlaced: bool = False
    promised: int = 0
    packets: int = 0
    bad_packets: int = 0
    estimated_shortfall: int = 0
    beside: Counter[int] = field(default_factory=Counter)
    """Packets of the other streams, by the stream's index."""

    @property
    def damaged(self) -> bool:
        return bool(self.bad_packets or self.estimated_shortfall or self.packets < self.promised)

    @property
    def missing_frames(self) -> int:
        if not self.damaged:
            return 0
        if self.promised:
            return max(self.promised - len(self.pts), 0)
        return self.bad_packets + self.estimated_shortfall


class _Nobody:
    def visit(self, frame: av.VideoFrame) -> None:
        pass


def _walk(path: str, visitor: FrameVisitor, *, threaded: bool, progress: Progress | None) -> _Walk:
    walk = _Walk()
    with open_source(path) as container:
        stream = pick_video_stream(container, path)
        stream.thread_type = "AUTO" if threaded else "NONE"
        walk.promised = _promised_frames(container, stream)
        furthest = Fraction(0)
        try:
            for packet in container.demux():
                if packet.pts is not None and packet.time_base:
                    furthest = max(furthest, (packet.pts + (packet.duration or 0)) * packet.time_base)
                if packet.stream.index != stream.index:
                    walk.beside[packet.stream.index] += packet.size > 0
                    continue
                flush = packet.size == 0 and packet.dts is None
                walk.packets += not flush and not packet.is_discard
                walk.bad_packets += packet.is_corrupt
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    # Before the first picture these are references to what was never in the file
                    # (a broadcast joined midway), which ffmpeg does not show either.
                    walk.bad_packets += bool(walk.pts) and not packet.is_corrupt
                    continue
                for frame in frames:
                    _note_frame(walk, frame, container, stream, path)  # type: ignore[arg-type]
                    visitor.visit(frame)  # type: ignore[arg-type]
                    if progress:
                        progress(len(walk.pts))
        except av.FFmpegError as error:
            if not walk.pts:
                raise VideoError(f"{display_name(path)} cannot be read: {error.strerror}") from error
            walk.bad_packets += 1
        if walk.probe:
            walk.estimated_shortfall = _estimated_shortfall(container, walk.probe, furthest)
    return walk


def _note_frame(walk: _Walk, frame: av.VideoFrame, container: InputContainer, stream: VideoStream, path: str) -> None:
    if walk.probe is None:
        walk.probe = describe(frame, container, stream, path)
    width, height = walk.probe.stored_size
    if (frame.width, frame.height) != (width, height):
        raise VideoError(
            f"{display_name(path)} changes size at frame {len(walk.pts)}, "
            f"from {width}x{height} to {frame.width}x{frame.height}",
            "cut it where the size changes and render the pieces",
        )
    if frame.format.name != walk.probe.pixel_format:
        raise VideoError(
            f"{display_name(path)} changes its pixel format at frame {len(walk.pts)}, "
            f"from {walk.probe.pixel_format} to {frame.format.name}",
            "cut it where the format changes and render the pieces",
        )
    if frame.key_frame:
        walk.keyframes.append(len(walk.pts))
    walk.pts.append(frame.pts)
    walk.last_duration = frame.duration or 0
    walk.interlaced = walk.interlaced or bool(frame.interlaced_frame)


def describe(frame: av.VideoFrame, container: InputContainer, stream: VideoStream, path: str) -> VideoProbe:
    """A probe with what the header and the first frame tell. The rest is filled in once all frames were decoded."""
    matrix = frame.side_data.get(SideData.DISPLAYMATRIX)  # type: ignore[call-overload]
    turn = orientation_of_matrix(bytes(matrix)) if matrix is not None else Orientation()
    aspect = stream.sample_aspect_ratio or Fraction(1)
    sideways = turn.rotation % 180 != 0
    components = frame.format.components
    assert stream.time_base is not None
    return VideoProbe(
        path=path,
        container=container.format.name,
        codec=stream.codec_context.codec.canonical_name,
        pixel_format=frame.format.name,
        bit_depth=max(component.bits for component in components),
        width=frame.height if sideways else frame.width,
        height=frame.width if sideways else frame.height,
        rotation=turn.rotation,
        mirrored=turn.mirrored,
        pixel_aspect=1 / aspect if sideways else aspect,
        frame_rate=Fraction(stream.guessed_rate or stream.average_rate or DEFAULT_RATE),
        time_base=stream.time_base,
        pts=(0,),
        last_duration=0,
        interlaced=False,
        has_alpha=any(c.is_alpha for c in components) or stream.metadata.get("alpha_mode") == "1",
        color=color_tags(
            frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc, frame.format.name
        ),
        audio=tuple(_stream_info(s) for s in container.streams.audio),
        subtitles=tuple(_stream_info(s) for s in container.streams.subtitles),
        attachments=tuple(_stream_info(s) for s in container.streams.attachments),
        missing_frames=0,
        content_hash="",
        stream_index=stream.index,
        start_time=Fraction(container.start_time or 0, av.time_base),
        language=_tag(stream, "language"),
        title=_tag(stream, "title"),
        timecode=_timecode(stream.metadata) or _timecode(container.metadata),
    )


def _stream_info(stream: Stream) -> StreamInfo:
    # A codec that this libavcodec does not know has no context; it can still be named by none, never copied blindly.
    context = stream.codec_context
    codec = context.codec.canonical_name if context is not None else "unknown"
    layout = getattr(context, "layout", None)
    channels = tuple(channel.name for channel in layout.channels) if layout is not None else ()
    return StreamInfo(
        index=stream.index,
        codec=codec,
        language=_tag(stream, "language"),
        title=_tag(stream, "title") or _tag(stream, "filename"),
        layout=layout.name if channels and layout is not None else "",
        channels=channels,
    )


def _with_packets(stream: StreamInfo, packets: Mapping[int, int]) -> StreamInfo:
    return stream.model_copy(update={"packets": packets.get(stream.index, 0)})


def _tag(stream: Stream, key: str) -> str | None:
    value = stream.metadata.get(key)
    return value if value and value != "und" else None


def _timecode(metadata: Mapping[str, str]) -> str | None:
    """MOV and MXF call it `timecode`, Matroska `TIMECODE`."""
    return metadata.get("timecode") or metadata.get("TIMECODE")


def _promised_frames(container: InputContainer, stream: VideoStream) -> int:
    """How many samples the container lists, without those that an edit list hides; 0 where it lists none."""
    name = container.format.name
    if "mp4" in name:
        return sum(not entry.is_discard for entry in stream.index_entries)
    return stream.frames if name == "avi" else 0


def _estimated_shortfall(container: InputContainer, probe: VideoProbe, furthest: Fraction) -> int:
    """Frames that would fill the time between the last packet of any stream and the end that the header gives."""
    if not container.duration or not any(kind in container.format.name for kind in ("matroska", "flv")):
        return 0
    gap = Fraction(container.duration, av.time_base) - furthest
    return round(gap * probe.frame_rate) if gap > max(_SHORTFALL_SECONDS, 2 / probe.frame_rate) else 0


def _last_duration(walk: _Walk, probe: VideoProbe) -> int:
    """Ticks for which the last frame is shown: as the file says, otherwise one frame at the frame rate."""
    one_frame = max(round(1 / (probe.frame_rate * probe.time_base)), 1)
    # A picture coded as two fields in two packets carries the duration of one of them.
    single_field = walk.interlaced and 2 * walk.last_duration == one_frame
    return one_frame if single_field else walk.last_duration or one_frame
