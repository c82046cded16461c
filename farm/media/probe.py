"""What a video holds, found by decoding all of it once.

Containers promise frame counts, rates and durations that their streams do not keep, so the only times
recorded are those of frames that really came out of the decoder, in the order ffmpeg would show them.
`walk_video` is that one pass; whoever needs the pictures as well hands in a `FrameVisitor`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol, TypeVar

import av
from av.container import InputContainer
from av.format import Flags
from av.packet import Packet
from av.sidedata.sidedata import Type as SideData
from av.stream import Stream
from av.video.stream import VideoStream

from farm.errors import VideoError
from farm.media.color import color_tags, with_known_tags
from farm.media.foreign import reading
from farm.media.header import PictureHeader, is_scrambled, is_whole_riff, read_header
from farm.media.orientation import Orientation, orientation_of_matrix
from farm.media.packets import decode, demux, is_flush, repeats_a_picture
from farm.media.source import container_name, content_hash, display_name, encrypted, open_source, pick_video_stream
from farm.media.times import Clock, FrameTimes, settle_times
from farm.plan import VideoProbe
from farm.plan.video import StreamInfo

DEFAULT_RATE = Fraction(25)
"""Frames per second where neither the container nor the time stamps tell."""

_SHORTFALL_SECONDS = Fraction(1, 2)
"""How much earlier than its header says a Matroska or FLV file may end before it counts as cut short."""

_IPT = 15
"""H.273's code point of the IPT colours of Dolby Vision."""
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
    if (walk.encrypted and (walk.damaged or not walk.pts)) or (not walk.pts and is_scrambled(path)):
        raise encrypted(path)
    if not walk.pts:
        raise VideoError(f"no frame of {display_name(path)} decodes", "copy or download the file again")
    if walk.damaged and not allow_truncated:
        raise VideoError(
            f"{display_name(path)} is cut short or damaged: {len(walk.pts)} frames decode, about {missing} do not",
            "copy the file again, or use what is there with --allow-truncated",
        )
    assert walk.probe is not None
    times, fields = _times(walk, walk.probe)
    probe = walk.probe.model_copy(
        update={
            **fields,
            "keyframes": tuple(walk.keyframes) if walk.keyframes[:1] == [0] else (0, *walk.keyframes),
            "interlaced": walk.interlaced,
            "missing_frames": missing,
            "content_hash": content_hash(path),
            "notes": (*walk.probe.notes, *_notes(walk, times, walk.probe)),
            "audio": tuple(_with_packets(stream, walk.beside) for stream in walk.probe.audio),
            "subtitles": tuple(_with_packets(stream, walk.beside) for stream in walk.probe.subtitles),
        }
    )
    return probe, visitor


def _times(walk: _Walk, probe: VideoProbe) -> tuple[FrameTimes, dict[str, Any]]:
    """The times of all frames, and the fields of a probe that say when its frames are shown."""
    stamps = walk.pts
    decoding_times = [dts for dts in walk.dts if dts is not None]
    if all(stamp is None for stamp in stamps) and decoding_times:
        # AVI has no other times. A frame comes out of the decoder later than it goes in, by the same for all frames.
        delay = decoding_times[0] - min(walk.first_dts, decoding_times[0])
        stamps = [None if dts is None else dts - delay for dts in walk.dts]
    tick = probe.time_base
    frame = max(1 / (probe.frame_rate * tick), Fraction(1))
    times = settle_times(stamps, Clock(frame, 1 / tick, walk.joinable))
    return times, {
        "pts": times.pts,
        "time_base": tick / times.finer,
        "last_duration": _last_duration(walk, probe) * times.finer,
        "seekable": any(stamp is not None for stamp in walk.pts),
        "stamps": () if list(times.pts) == walk.pts else tuple(walk.pts),
        "tick_ratio": times.finer,
        "breaks": times.breaks,
        "shifts": tuple(shift * tick for shift in times.shifts),
    }


def _notes(walk: _Walk, times: FrameTimes, probe: VideoProbe) -> Iterator[str]:
    """Lines for the user on what is odd in a film and how it was taken."""
    if times.untimed == len(times.pts):
        rate = f"{float(probe.frame_rate):.6g}"
        yield f"the file gives its frames no times, so {rate} of them are shown a second"
    elif times.untimed:
        yield f"{_frames(times.untimed)} no usable time in the file, so their neighbours' times decide"
    if times.moved:
        yield f"the times of {times.moved} frames repeat or go back, so these frames are shown between their neighbours"
    if times.breaks:
        at = ", ".join(map(str, times.breaks[:5])) + (", ..." if len(times.breaks) > 5 else "")
        yield f"the file's clock jumps at frame {at}, so the parts are put end to end"
    if walk.concealed:
        yield f"{_frames(walk.concealed)} errors that the decoder has painted over"


def _frames(count: int) -> str:
    return "1 frame has" if count == 1 else f"{count} frames have"


@dataclass
class _Walk:
    """What one pass saw."""

    probe: VideoProbe | None = None
    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    """Of the packets with which the frames came out of the decoder."""
    first_dts: int = 0
    joinable: bool = False
    """Whether recordings in this format may be joined byte by byte, each with its own clock."""
    keyframes: list[int] = field(default_factory=list)
    last_duration: int = 0
    repeated_until: int | None = None
    """End of the last empty packet, in ticks, where such are the last ones: the last picture is shown until then."""
    interlaced: bool = False
    concealed: int = 0
    """Frames that the decoder says have errors in them."""
    promised: int = 0
    packets: int = 0
    encrypted: bool = False
    undecoded: int = 0
    """Packets of which nothing came out of the decoder."""
    doubtful: list[int | None] = field(default_factory=list)
    """Times of packets that the container says are damaged. Most of them decode."""
    estimated_shortfall: int = 0
    beside: Counter[int] = field(default_factory=Counter)
    """Packets of the other streams, by the stream's index."""

    @property
    def lost(self) -> int:
        """Packets whose frame is lost."""
        shown = set(self.pts)
        return self.undecoded + sum(pts is None or pts not in shown for pts in self.doubtful)

    @property
    def damaged(self) -> bool:
        return bool(self.lost or self.estimated_shortfall or self.packets < self.promised)

    @property
    def missing_frames(self) -> int:
        if not self.damaged:
            return 0
        if self.promised:
            return max(self.promised - len(self.pts), 0)
        return self.lost + self.estimated_shortfall


class _Nobody:
    def visit(self, frame: av.VideoFrame) -> None:
        pass


def _walk(path: str, visitor: FrameVisitor, *, threaded: bool, progress: Progress | None) -> _Walk:
    walk = _Walk()
    name = display_name(path)
    with open_source(path) as container:
        stream = pick_video_stream(container, path)
        stream.thread_type = "AUTO" if threaded else "NONE"
        walk.joinable = bool(container.format.flags & Flags.ts_discont.value)
        walk.promised = _promised_frames(container, stream, path)
        furthest = Fraction(0)
        packets = demux(container, name)
        while True:
            try:
                packet = next(packets, None)
            except VideoError:
                if not walk.pts:
                    raise
                walk.undecoded += 1
                break
            if packet is None:
                break
            if packet.pts is not None and packet.time_base:
                furthest = max(furthest, (packet.pts + (packet.duration or 0)) * packet.time_base)
            if packet.stream.index != stream.index:
                walk.beside[packet.stream.index] += packet.size > 0
                continue
            for frame in _note_packet(walk, packet):
                _note_frame(walk, frame, container, stream, path)
                with reading(name):
                    visitor.visit(frame)
                if progress:
                    progress(len(walk.pts))
        if walk.probe:
            walk.estimated_shortfall = _estimated_shortfall(container, walk, furthest)
            if container.format.name == "avi" and walk.promised:
                walk.repeated_until = max(stream.frames, walk.repeated_until or 0)
    return walk


def _note_packet(walk: _Walk, packet: Packet) -> list[av.VideoFrame]:
    """Count a packet of the picture, and return the frames that came out of the decoder with it."""
    if walk.packets == 0:
        walk.first_dts = packet.dts or 0
    frames = decode(packet)
    known = [with_known_tags(frame) for frame in frames or []]
    if is_flush(packet):
        return known
    walk.packets += not packet.is_discard
    walk.encrypted = walk.encrypted or packet.has_sidedata("encryption_info")
    if repeats_a_picture(packet):
        walk.repeated_until = None if packet.pts is None else packet.pts + (packet.duration or 0)
    else:
        walk.repeated_until = None
    # Before the first picture these are references to what was never in the file (a broadcast joined midway), which
    # ffmpeg does not show either.
    if walk.pts and packet.is_corrupt:
        walk.doubtful.append(packet.pts)
    elif walk.pts and frames is None:
        walk.undecoded += 1
    return known


def _note_frame(walk: _Walk, frame: av.VideoFrame, container: InputContainer, stream: VideoStream, path: str) -> None:
    if walk.probe is None:
        with reading(display_name(path)):
            walk.probe = describe(frame, container, stream, path)
    width, height = walk.probe.stored_size
    left, top, right, bottom = walk.probe.crop
    now = (frame.width - left - right, frame.height - top - bottom)
    if now != (width, height):
        raise VideoError(
            f"{display_name(path)} changes size at frame {len(walk.pts)}, from {width}x{height} to {now[0]}x{now[1]}",
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
    walk.dts.append(frame.dts)
    walk.concealed += frame.is_corrupt
    walk.last_duration = frame.duration or 0
    walk.interlaced = walk.interlaced or bool(frame.interlaced_frame)


def describe(frame: av.VideoFrame, container: InputContainer, stream: VideoStream, path: str) -> VideoProbe:
    """A probe with what the header and the first frame tell. The rest is filled in once all frames were decoded."""
    turn = _orientation(frame)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    sideways = turn.rotation % 180 != 0
    components = frame.format.components
    header = _shown(frame, container, stream, path)
    left, top, right, bottom = header.crop
    width, height = frame.width - left - right, frame.height - top - bottom
    assert stream.time_base is not None
    return VideoProbe(
        path=path,
        container=container_name(container, path),
        codec=stream.codec_context.codec.canonical_name,
        pixel_format=frame.format.name,
        bit_depth=max(component.bits for component in components),
        width=height if sideways else width,
        height=width if sideways else height,
        crop=header.crop,
        notes=("it holds a picture for each eye, and the first one is used",) if header.stereo else (),
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


def _shown(frame: av.VideoFrame, container: InputContainer, stream: VideoStream, path: str) -> PictureHeader:
    """What the header says about the picture. Raises VideoError where its colours cannot be converted."""
    number = [s.index for s in container.streams.video].index(stream.index)
    header = read_header(path, stream.id, number)
    if header.dolby_profile == 5 or int(frame.colorspace) == _IPT:
        raise VideoError(
            f"{display_name(path)} is Dolby Vision of profile 5, whose colours no library here can convert",
            "convert it to HDR10 or SDR first, for example with ffmpeg's filter libplacebo on a GPU",
        )
    left, top, right, bottom = header.crop
    if left + right >= frame.width or top + bottom >= frame.height:
        return PictureHeader(dolby_profile=header.dolby_profile, stereo=header.stereo)
    return header


def _orientation(frame: av.VideoFrame) -> Orientation:
    try:
        matrix = frame.side_data.get(SideData.DISPLAYMATRIX)  # type: ignore[call-overload]
    except ValueError:
        # Beside the matrix is something that PyAV has no name for. What it still tells is the turn, anticlockwise.
        return Orientation(-round(frame.rotation / 90) * 90 % 360)
    return orientation_of_matrix(bytes(matrix)) if matrix is not None else Orientation()


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


def _promised_frames(container: InputContainer, stream: VideoStream, path: str) -> int:
    """How many samples the container lists, without those that an edit list hides; 0 where it lists none.

    The index of an AVI does not list empty chunks, which repeat a picture. The number in its header counts them.
    """
    name = container.format.name
    if "mp4" in name:
        return sum(not entry.is_discard for entry in stream.index_entries)
    return len(stream.index_entries) if name == "avi" and is_whole_riff(path) else 0


def _estimated_shortfall(container: InputContainer, walk: _Walk, furthest: Fraction) -> int:
    """Frames that would fill the time between the last packet of any stream and the end that the header gives."""
    name, probe = container.format.name, walk.probe
    assert probe is not None
    if name == "avi" and not walk.promised:
        # Its index, at the end, is cut off. A tick is a frame.
        reached = max((dts for dts in walk.dts if dts is not None), default=len(walk.pts) - 1) + 1
        return max(container.streams[probe.stream_index].frames - max(reached, len(walk.pts)), 0)
    if not container.duration or not any(kind in name for kind in ("matroska", "flv")):
        return 0
    gap = Fraction(container.duration, av.time_base) - furthest
    return round(gap * probe.frame_rate) if gap > max(_SHORTFALL_SECONDS, 2 / probe.frame_rate) else 0


def _last_duration(walk: _Walk, probe: VideoProbe) -> int:
    """Ticks for which the last frame is shown: as the file says, otherwise one frame at the frame rate."""
    one_frame = max(round(1 / (probe.frame_rate * probe.time_base)), 1)
    if walk.repeated_until is not None and walk.pts[-1] is not None:
        return max(walk.repeated_until - walk.pts[-1], one_frame)
    # A picture coded as two fields in two packets carries the duration of one of them.
    single_field = walk.interlaced and 2 * walk.last_duration == one_frame
    return one_frame if single_field else walk.last_duration or one_frame
