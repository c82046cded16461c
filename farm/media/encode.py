"""The finished film: repainted frames with the source's clock, sound, subtitles and tags.

`encode_film` pipes raw frames, each with its exact presentation time, into one ffmpeg that encodes them and
takes everything else from the source file. The film is written beside its final name, checked by
`verify_film`, flushed to disk and renamed, so that the output path only ever holds a whole film.
`encode_command` is the argument list alone.
"""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, NamedTuple

import av
import ffmpeg
import numpy as np

from farm.errors import EncodeError, StorageError, UsageError
from farm.fetch import fetch
from farm.frames import FrameRange
from farm.media.color import YuvCoding, output_tags, yuv_coding
from farm.media.ffmpeg import FfmpegProcess, ffmpeg_binary, reason_of_failure
from farm.media.source import ffmpeg_url, is_object, reading_limits
from farm.media.tracks import audio_tracks, check_video_encoder, container_extension, subtitle_tracks
from farm.media.verify import sounding_streams, verify_film
from farm.outputs import check_can_write
from farm.spec import EncodeSettings
from farm.video import VideoProbe

_ANY_SIZE = frozenset({"libvpx", "libvpx-vp9", "libaom-av1", "ffv1"})
"""Encoders that take odd sizes with subsampled chroma; for the others the last row or column is doubled."""

_NO_STREAM = "v:999?"

_RGB_FORMATS = ("rgb", "bgr", "gbr")


class FilmTimes(NamedTuple):
    """Where a range of frames lies on the output's clock and in the source; all exact.

    The output's zero is the container's start for a range from frame 0, as in any transcode, so that sound
    that begins before or after the picture keeps its distance; otherwise it is the first frame of the range.
    """

    offsets: tuple[int, ...]
    """Presentation times relative to the first frame, in ticks of the source's time base."""
    last_duration: int
    first_frame: Fraction
    """Seconds at which the first frame appears in the output."""
    cut_from: Fraction | None
    """Seconds after the container's start at which the other streams are entered; None from their beginning."""
    cut_length: Fraction | None
    """Seconds of the other streams that are taken; None to their end."""


def film_times(probe: VideoProbe, frames: FrameRange) -> FilmTimes:
    """Place `frames` in time: the picture's own times, and the same interval of the streams beside it."""
    first = probe.pts[frames.start]
    begin = probe.presentation_time(frames.start) - probe.start_time
    end = probe.presentation_time(frames.stop) - probe.start_time
    whole_beginning, whole_end = frames.start == 0, frames.stop == probe.frame_count
    entered = Fraction(0) if whole_beginning else begin
    return FilmTimes(
        offsets=tuple(pts - first for pts in probe.pts[frames.start : frames.stop]),
        last_duration=probe.last_duration if whole_end else probe.pts[frames.stop] - probe.pts[frames.stop - 1],
        first_frame=max(begin, Fraction(0)) if whole_beginning else Fraction(0),
        cut_from=None if whole_beginning else begin,
        cut_length=None if whole_end else end - entered,
    )


def check_output_writable(path: str | Path, overwrite: bool) -> None:
    """Raises OutputError for an unknown kind of film, a missing or read-only directory, or a film that is there."""
    container_extension(str(path))
    check_can_write(path, overwrite=overwrite)


def check_encoding(output: str | Path, settings: EncodeSettings) -> None:
    """Encode one small frame to nothing, so that a wrong codec or format is found before days of rendering.

    Raises UsageError.
    """
    check_video_encoder(settings.codec, container_extension(str(output)))
    trial = ffmpeg.input("color=size=64x64:rate=1", f="lavfi").output(
        "-", vframes=1, format="null", **{"c:v": settings.codec, "pix_fmt": settings.pixel_format}
    )
    done = subprocess.run(
        [ffmpeg_binary(), "-v", "warning", "-nostdin", *trial.get_args()],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if "ncompatible pixel format" in done.stderr or "Unknown pixel format" in done.stderr:
        raise UsageError(f"{settings.codec} does not take pixel format {settings.pixel_format}", "try yuv420p")
    if done.returncode != 0:
        raise UsageError(f"this ffmpeg cannot encode with {settings.codec}: {reason_of_failure(done.stderr)}")


def encode_film(
    frames: Iterator[np.ndarray],
    probe: VideoProbe,
    frame_range: FrameRange,
    output: str | Path,
    settings: EncodeSettings,
    progress: Callable[[int], None] | None = None,
) -> tuple[str, ...]:
    """Write the film and return notes on what could not be kept. `frames` are uint8 RGB (H, W, 3), all of one size.

    Frame count and presentation times are those of `frame_range` in the source, audio is cut to the same
    interval, the picture is upright without a rotation tag, and an odd size is made even where
    the codec needs it by doubling the last row or column. Times keep the source's time base in MP4 and MOV;
    Matroska and WebM round them to milliseconds. `progress` gets the number of frames handed to ffmpeg.

    Raises UsageError (codec does not fit the container), OutputError (unknown extension), EncodeError
    (ffmpeg fails, wrong number of frames, finished film differs from what was meant), StorageError (the film
    cannot be renamed into place), and whatever `frames` raises. An earlier film at `output` then stays as it was.
    """
    output = Path(output)
    extension = container_extension(str(output))
    check_video_encoder(settings.codec, extension)
    times = film_times(probe, frame_range)
    temporary = output.with_name(f".{output.stem}.{uuid.uuid4().hex[:12]}{extension}")
    # the ffmpeg program cannot read object storage, and an address that it could read would show a signature in `ps`
    source = output.with_name(f".{output.stem}.{uuid.uuid4().hex[:12]}.source") if is_object(probe.path) else None
    try:
        if source is not None:
            fetch(probe.path, source)
        beside = probe if source is None else probe.model_copy(update={"path": str(source)})
        notes = _encode(frames, beside, frame_range, temporary, settings, progress)
        copied = {s.index for s in probe.audio} if settings.audio == "copy" else set()
        sounding = sounding_streams(probe, times.cut_from, times.cut_length) & copied
        notes += tuple(f"audio stream {i} has no sound in this part of the film" for i in sorted(copied - sounding))
        verify_film(
            temporary,
            pts_seconds=[times.first_frame + offset * probe.time_base for offset in times.offsets],
            last_duration=times.last_duration * probe.time_base,
            audio_streams=range(len(sounding), len(copied) + 1),
        )
        _move_into_place(temporary, output)
    finally:
        temporary.unlink(missing_ok=True)
        if source is not None:
            source.unlink(missing_ok=True)
    return notes


def encode_command(
    binary: str,
    probe: VideoProbe,
    frame_range: FrameRange,
    size: tuple[int, int],
    output: Path,
    settings: EncodeSettings,
) -> tuple[list[str], tuple[str, ...]]:
    """(argument list, notes) of the ffmpeg that reads frames of `size` (width, height) as NUT from its stdin."""
    extension = container_extension(str(output))
    times = film_times(probe, frame_range)
    picture = ffmpeg.input("pipe:0", format="nut", **_picture_input_options(times))
    source = ffmpeg.input(ffmpeg_url(probe.path), **reading_limits(probe.path), **_source_input_options(times))
    # The last map matches nothing. It makes ffmpeg-python list the source, whose metadata is wanted in any case.
    streams = [picture["v:0"], source[_NO_STREAM]]
    options = _video_options(probe, size, settings, extension) | _clock_options(probe, times, extension)
    notes: list[str] = []
    if settings.audio == "copy":
        for number, track in enumerate(audio_tracks(probe.audio, extension)):
            streams.append(source[str(track.stream.index)])
            options[f"c:a:{number}"] = track.codec
            if track.codec != "copy":
                notes.append(
                    f"audio stream {track.stream.index} ({track.stream.codec}) does not fit into {extension}, "
                    f"encoded as {track.codec}"
                )
        if times.cut_from is not None and probe.audio:
            # Packets between the key frame that a seek lands on and the cut are dropped, not hidden.
            options["copypriorss:a"] = 0
    whole = len(times.offsets) == probe.frame_count
    if whole:
        subtitles, dropped = subtitle_tracks(probe.subtitles, extension)
        notes += dropped
        for number, track in enumerate(subtitles):
            streams.append(source[str(track.stream.index)])
            options[f"c:s:{number}"] = track.codec
    elif probe.subtitles:
        # ffmpeg does not cut a subtitle that is being shown where the range begins, it moves the film instead.
        notes.append("subtitles are left out of a part of a film")
    options["map_metadata"] = 1
    options["map_chapters"] = 1 if whole else -1
    # Two spellings of the same stream, because an option can be given only once here.
    for option, key, value in (
        ("metadata:s:v:0", "language", probe.language),
        ("metadata:s:v", "title", probe.title),
    ):
        if value:
            options[option] = f"{key}={value}"
    node = ffmpeg.output(*streams, ffmpeg_url(str(output)), **options)
    node = node.global_args("-hide_banner", "-nostats", "-loglevel", "error")
    return ffmpeg.compile(node, cmd=binary, overwrite_output=True), tuple(notes)


def output_pixel_aspect(probe: VideoProbe, size: tuple[int, int]) -> Fraction:
    """Pixel aspect that keeps the display aspect at `size`; the source's own if only rounding of the size differs."""
    width, height = size
    distortion = Fraction(probe.width * height, probe.height * width)
    if abs(distortion - 1) <= Fraction(1, min(width, height)):
        return probe.pixel_aspect
    return probe.pixel_aspect * distortion


def _encode(
    frames: Iterator[np.ndarray],
    probe: VideoProbe,
    frame_range: FrameRange,
    output: Path,
    settings: EncodeSettings,
    progress: Callable[[int], None] | None,
) -> tuple[str, ...]:
    # ffmpeg is started with the first frame: it decides the size, and if there is none nothing has to be undone.
    first = next(frames, None)
    if first is None:
        raise _wrong_count(0, frame_range)
    height, width = first.shape[:2]
    command, notes = encode_command(ffmpeg_binary(), probe, frame_range, (width, height), output, settings)
    offsets = film_times(probe, frame_range).offsets
    pad = _even_padding(width, height, settings)
    with FfmpegProcess(command) as process:
        pipe = _Pipe(process.stdin)
        with av.open(pipe, "w", format="nut", options={"write_index": "0"}) as nut:
            stream = nut.add_stream("rawvideo", rate=probe.frame_rate)
            stream.width, stream.height, stream.pix_fmt = width + pad[1][1], height + pad[0][1], "rgb24"
            stream.time_base = stream.codec_context.time_base = probe.time_base
            frame: np.ndarray | None = first
            for done, offset in enumerate(offsets, start=1):
                if frame is None:
                    raise _wrong_count(done - 1, frame_range)
                if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
                    raise EncodeError(
                        f"frame {frame_range.start + done - 1} is {frame.dtype} of shape {frame.shape}, "
                        f"not uint8 of shape {(height, width, 3)}"
                    )
                packet = av.Packet(np.pad(frame, pad, mode="edge").tobytes())
                packet.stream, packet.time_base = stream, probe.time_base
                packet.pts = packet.dts = offset
                nut.mux(packet)
                if pipe.broken:
                    raise process.failure()
                if progress:
                    progress(done)
                frame = next(frames, None)
            if frame is not None:
                raise _wrong_count(len(offsets) + 1, frame_range)
        process.finish()
    return notes


def _wrong_count(got: int, frame_range: FrameRange) -> EncodeError:
    more = "at least " if got > len(frame_range) else ""
    return EncodeError(f"the film needs {len(frame_range)} frames and was given {more}{got}")


class _Pipe:
    """ffmpeg's standard input as PyAV needs it: without seek, and never raising inside libavformat."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self.broken = False
        """Whether ffmpeg has gone; what is written from then on is discarded."""

    def write(self, data: bytes) -> int:
        if not self.broken:
            try:
                return self._pipe.write(data)
            except BrokenPipeError:
                self.broken = True
        return len(data)


def _even_padding(width: int, height: int, settings: EncodeSettings) -> tuple[tuple[int, int], ...]:
    """Rows and columns to add so that chroma subsampling divides the size; for np.pad of (H, W, 3)."""
    if settings.codec in _ANY_SIZE:
        return ((0, 0), (0, 0), (0, 0))
    try:
        subsampled = av.VideoFormat(settings.pixel_format, 16, 16)
    except ValueError:
        raise EncodeError(
            f"there is no pixel format {settings.pixel_format!r}", "use yuv420p, or yuv420p10le for 10 bit"
        ) from None
    x, y = 16 // subsampled.chroma_width(16), 16 // subsampled.chroma_height(16)
    return ((0, -height % y), (0, -width % x), (0, 0))


def _picture_input_options(times: FilmTimes) -> dict[str, Any]:
    return {"itsoffset": _seconds(times.first_frame)} if times.first_frame else {}


def _source_input_options(times: FilmTimes) -> dict[str, Any]:
    options = {}
    if times.cut_from is not None:
        options["ss"] = _seconds(times.cut_from)
    if times.cut_length is not None:
        options["t"] = _seconds(times.cut_length)
    return options


def _video_options(
    probe: VideoProbe, size: tuple[int, int], settings: EncodeSettings, extension: str
) -> dict[str, Any]:
    options: dict[str, Any] = {"c:v": settings.codec, "pix_fmt": settings.pixel_format}
    match settings.codec:
        case "libx264" | "libx265":
            options |= {"crf": settings.crf, "preset": settings.preset or "medium"}
            if settings.codec == "libx264":
                # Every frame as good as the next. B-frames and macroblock trees save a third of the bits by making
                # some frames coarser, which over paint is flicker: it was most of a finished film's.
                options |= {"bf": 0, "x264-params": "mbtree=0"}
        case "h264_nvenc" | "hevc_nvenc" | "av1_nvenc":
            options |= {"rc": "vbr", "cq": settings.crf, "b:v": 0}
        case "libvpx-vp9":
            options |= {"crf": settings.crf, "b:v": 0, "row-mt": 1}
        case "libvpx":
            options |= {"crf": settings.crf, "b:v": "50M"}  # VP8 reads crf as a floor below a bit rate
        case "libsvtav1" | "libaom-av1":
            options |= {"crf": settings.crf}
    if settings.codec in ("libx265", "hevc_nvenc") and extension in (".mp4", ".mov"):
        options["tag:v"] = "hvc1"  # QuickTime plays no other
    options["vf"] = _video_filters(probe, size, settings.pixel_format)
    return options


def _video_filters(probe: VideoProbe, size: tuple[int, int], pixel_format: str) -> str:
    """RGB to the matrix and range that the tags will name, then the tags and the pixel aspect themselves."""
    aspect = output_pixel_aspect(probe, size)
    filters = []
    if not pixel_format.startswith(_RGB_FORMATS):
        coding: YuvCoding = yuv_coding(probe.color, probe.stored_size[1])
        tags = output_tags(probe.color, coding)
        filters += [
            f"scale=flags=lanczos+accurate_rnd+full_chroma_inp:in_range=pc"
            f":out_color_matrix={coding.matrix}:out_range={coding.range}",
            f"format={pixel_format}",
            f"setparams=range={tags.range}:colorspace={tags.space}"
            f":color_primaries={tags.primaries or 'unknown'}:color_trc={tags.transfer or 'unknown'}",
        ]
    filters.append(f"setsar=sar={aspect.numerator}/{aspect.denominator}:max={2**24}")
    return ",".join(filters)


def _clock_options(probe: VideoProbe, times: FilmTimes, extension: str) -> dict[str, Any]:
    """Every frame once, at its own time, in the source's time base, the last one as long as in the source."""
    tick = probe.time_base
    options: dict[str, Any] = {
        "fps_mode": "passthrough",
        "enc_time_base": f"{tick.numerator}:{tick.denominator}",
        "bsf:v": _last_duration_filter(times, tick),
    }
    if extension in (".mp4", ".mov"):
        options |= {"video_track_timescale": tick.denominator, "movflags": "+faststart"}
    return options


def _last_duration_filter(times: FilmTimes, tick: Fraction) -> str:
    """A bitstream filter: the pipe carries no durations, so the last frame's would be guessed."""
    last = times.offsets[-1] + round(times.first_frame / tick)
    # Half-way to the frame before, because a delayed start is rounded to microseconds on its way.
    gap = times.offsets[-1] - times.offsets[-2] if len(times.offsets) > 1 else 2
    threshold = last - max(gap // 2, 1) + 1 if gap > 1 else last
    return rf"setts=pts=PTS:dts=DTS:duration=if(gte(PTS\,{threshold})\,{times.last_duration}\,DURATION)"


def _seconds(time: Fraction) -> str:
    """Decimal seconds to the microsecond, which is ffmpeg's own resolution."""
    whole, micro = divmod(round(time * 1_000_000), 1_000_000)
    return f"{whole}.{micro:06d}"


def _move_into_place(temporary: Path, output: Path) -> None:
    try:
        with temporary.open("rb") as film:
            os.fsync(film.fileno())
        temporary.replace(output)
        directory = os.open(output.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise StorageError(
            f"the film cannot be put at {output}: {error.strerror}", "free the path or give another"
        ) from error
