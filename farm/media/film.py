"""The finished film: repainted frames with the source's clock, sound, subtitles and tags.

`join_segments` pipes the packets of encoded segments (see `farm.media.encode`), each with its exact presentation time,
into one ffmpeg that encodes nothing and takes everything else from the source file. The film is written beside its
final name, checked by `verify_film`, flushed to disk and renamed, so that the output path only ever holds a whole film.
`film_command` is the argument list alone; `encode_film` does it all for frames at hand.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import ffmpeg
import numpy as np

from farm.errors import EncodeError, StorageError, UsageError
from farm.files.atomic import move_into_place
from farm.files.names import unfinished
from farm.files.output import check_can_put, check_output_kind
from farm.files.remote import fetch, is_remote
from farm.files.storage import again
from farm.media.encode import SUFFIX, Pipe, encode_segment, packets_in_order, wrong_count
from farm.media.ffmpeg import FfmpegProcess, ffmpeg_binary, reason_of_failure
from farm.media.source import ffmpeg_url, open_source, reading_limits
from farm.media.tracks import audio_tracks, check_video_encoder, container_extension, subtitle_tracks
from farm.media.verify import sounding_streams, verify_film
from farm.plan import VideoProbe
from farm.spec import FrameRange
from farm.spec.render import EncodeSettings

_NO_STREAM = "v:999?"


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
    """The times of `frames`: the picture's own, and the same interval of the streams beside it."""
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
    """Check that a film may be written to `path`, a path or the URL of an object (farm.files.output).

    Raises OutputError for an unknown kind of film, a place that cannot be written to, or a film that is there already.
    """
    check_output_kind(str(path))
    container_extension(str(path))
    check_can_put(str(path), overwrite=overwrite)


def check_encoding(output: str | Path, settings: EncodeSettings) -> None:
    """Encode one small frame to nothing, so that a wrong codec or format is found before days of rendering.

    Raises UsageError, OutputError for an ending that is no film's.
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
    """Encode frames, uint8 RGB (H, W, 3), all of one size, and write the film: `encode_segment`, then `join_segments`.

    `progress` gets the number of frames handed to the encoder. An earlier film at `output` stays until the end. Returns
    notes on what could not be kept. Raises as `encode_segment` and `join_segments` do.
    """
    output = Path(output)
    check_video_encoder(settings.codec, container_extension(str(output)))
    segment = unfinished(output, SUFFIX)
    try:
        encode_segment(frames, probe, frame_range, segment, settings, progress)
        return join_segments([segment], probe, frame_range, output, settings)
    finally:
        segment.unlink(missing_ok=True)


def join_segments(
    segments: Iterable[Path],
    probe: VideoProbe,
    frame_range: FrameRange,
    output: str | Path,
    settings: EncodeSettings,
    progress: Callable[[int], None] | None = None,
    before_it_is_there: Callable[[Path], None] = lambda _: None,
) -> tuple[str, ...]:
    """Write the film and return notes on what could not be kept. `segments`, in order, are all of `frame_range`; each
    is asked for when the one before is through, and no two are open at the same time.

    Frame count and presentation times are those of `frame_range` in the source, audio is cut to the same
    interval, the picture is upright without a rotation tag. Times keep the source's time base in MP4 and MOV;
    Matroska and WebM round them to milliseconds. `progress` gets the number of frames joined, `before_it_is_there` the
    whole film under another name.

    Raises UsageError (codec does not fit the container), OutputError (unknown extension), EncodeError
    (ffmpeg fails, wrong number of frames, finished film differs from what was meant), StorageError (the film
    cannot be renamed into place), and whatever `segments` raises. An earlier film at `output` then stays as it was.
    """
    output = Path(output)
    extension = container_extension(str(output))
    check_video_encoder(settings.codec, extension)
    times = film_times(probe, frame_range)
    temporary = unfinished(output, extension)
    # The ffmpeg program cannot read object storage. A web address would show a signature in `ps`, and is not checked.
    source = unfinished(output, ".source") if is_remote(probe.path) else None
    try:
        if source is not None:
            fetch(probe.path, source)
        beside = probe if source is None else probe.model_copy(update={"path": str(source)})
        command, notes = film_command(ffmpeg_binary(), beside, frame_range, temporary, settings)
        _pipe_packets(command, segments, probe, frame_range, times, settings, progress)
        copied = {s.index for s in probe.audio} if settings.audio == "copy" else set()
        sounding = sounding_streams(probe, times.cut_from, times.cut_length) & copied
        notes += tuple(f"audio stream {i} has no sound in this part of the film" for i in sorted(copied - sounding))
        verify_film(
            temporary,
            pts_seconds=[times.first_frame + offset * probe.time_base for offset in times.offsets],
            last_duration=times.last_duration * probe.time_base,
            audio_streams=range(len(sounding), len(copied) + 1),
        )
        before_it_is_there(temporary)
        _move_into_place(temporary, output)
    finally:
        temporary.unlink(missing_ok=True)
        if source is not None:
            source.unlink(missing_ok=True)
    return notes


def film_command(
    binary: str,
    probe: VideoProbe,
    frame_range: FrameRange,
    output: Path,
    settings: EncodeSettings,
) -> tuple[list[str], tuple[str, ...]]:
    """(argument list, notes) of the ffmpeg that reads encoded pictures from its stdin. Raises OutputError."""
    extension = container_extension(str(output))
    times = film_times(probe, frame_range)
    picture = ffmpeg.input("pipe:0", format=_pipe_format(settings)[0], **_picture_input_options(times))
    source = ffmpeg.input(ffmpeg_url(probe.path), **reading_limits(), **_source_input_options(times))
    # The last map matches nothing. It makes ffmpeg-python list the source, whose metadata is wanted in any case.
    streams = [picture["v:0"], source[_NO_STREAM]]
    options = {"c:v": "copy", **_clock_options(probe, times, extension)}
    if settings.codec in ("libx265", "hevc_nvenc") and extension in (".mp4", ".mov"):
        options["tag:v"] = "hvc1"  # QuickTime plays no other
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


def _pipe_packets(
    command: list[str],
    segments: Iterable[Path],
    probe: VideoProbe,
    frame_range: FrameRange,
    times: FilmTimes,
    settings: EncodeSettings,
    progress: Callable[[int], None] | None,
) -> None:
    """Run ffmpeg on the packets of all segments, each at the time of its frame. Raises EncodeError."""
    done = 0
    coded_as: bytes | None = None
    with FfmpegProcess(command) as process:
        pipe = Pipe(process.stdin)
        container, options = _pipe_format(settings)
        with av.open(pipe, "w", format=container, options=options) as piped:
            stream: Any = None
            before = None
            for path in segments:
                coding = b""
                with open_source(str(path)) as segment:
                    coded = segment.streams.video[0]
                    coding = bytes(coded.codec_context.extradata or b"")
                    if stream is None:
                        stream = piped.add_stream_from_template(coded)
                        stream.time_base = probe.time_base
                        coded_as = coding
                if coding != coded_as:
                    raise EncodeError(f"{path.name} was encoded by another encoder than the segments before it")
                first = done
                for frame, delay, packet in packets_in_order(path):
                    number = first + frame
                    if number >= len(times.offsets):
                        raise wrong_count(number + 1, frame_range)
                    shown = times.offsets[number]
                    decoded = _decoding_time(times.offsets, done - delay)
                    if before is not None:
                        decoded = min(max(decoded, before + 1), shown)
                    packet.stream, packet.time_base = stream, probe.time_base
                    packet.pts, packet.dts, packet.duration = shown, decoded, 0
                    piped.mux(packet)
                    before, done = decoded, done + 1
                    if pipe.broken:
                        raise process.failure()
                    if progress:
                        progress(done)
            if done != len(times.offsets):
                raise wrong_count(done, frame_range)
        process.finish()


def _pipe_format(settings: EncodeSettings) -> tuple[str, dict[str, str]]:
    """(name, options) of what the packets go to ffmpeg in: times are exact, and nothing has to be sought in it."""
    if settings.codec == "prores_ks":  # NUT has no name for it
        return "mov", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    return "nut", {"write_index": "0"}


def _decoding_time(offsets: Sequence[int], number: int) -> int:
    """Time of frame `number`, in ticks. Before frame 0, frames are taken to go on at the pace of the first two."""
    if number >= 0:
        return offsets[number]
    step = offsets[1] - offsets[0] if len(offsets) > 1 else 1
    return offsets[0] + number * step


def _picture_input_options(times: FilmTimes) -> dict[str, Any]:
    return {"itsoffset": _seconds(times.first_frame)} if times.first_frame else {}


def _source_input_options(times: FilmTimes) -> dict[str, Any]:
    options = {}
    if times.cut_from is not None:
        options["ss"] = _seconds(times.cut_from)
    if times.cut_length is not None:
        options["t"] = _seconds(times.cut_length)
    return options


def _clock_options(probe: VideoProbe, times: FilmTimes, extension: str) -> dict[str, Any]:
    """Every frame at its own time, in the source's time base, the last one as long as in the source."""
    tick = probe.time_base
    options: dict[str, Any] = {"bsf:v": _last_duration_filter(times, tick)}
    if extension in (".mp4", ".mov"):
        options |= {"video_track_timescale": tick.denominator, "movflags": "+faststart"}
    return options


def _last_duration_filter(times: FilmTimes, tick: Fraction) -> str:
    """A bitstream filter: the pipe carries no durations, so the last frame's would be guessed.

    In seconds, because the pipe's clock may be a multiple of the source's; half-way to the frame before, because a
    delayed start is rounded to microseconds on its way.
    """
    gap = times.offsets[-1] - times.offsets[-2] if len(times.offsets) > 1 else 2
    threshold = float(times.first_frame + (times.offsets[-1] - Fraction(gap, 2)) * tick)
    lasts = times.last_duration * tick
    duration = f"round({lasts.numerator}/{lasts.denominator}/TB)"
    return rf"setts=pts=PTS:dts=DTS:duration=if(gte(PTS*TB\,{threshold:.9f})\,{duration}\,DURATION)"


def _seconds(time: Fraction) -> str:
    """Decimal seconds to the microsecond, which is ffmpeg's own resolution."""
    whole, micro = divmod(round(time * 1_000_000), 1_000_000)
    return f"{whole}.{micro:06d}"


def _move_into_place(temporary: Path, output: Path) -> None:
    try:
        again(lambda: move_into_place(temporary, output) if temporary.exists() else None)
    except OSError as error:
        raise StorageError(
            f"the film cannot be put at {output}: {error.strerror}", "free the path or give another"
        ) from error
