"""The finished film: repainted frames with the source's clock, sound, subtitles and tags.

`join_segments` pipes the packets of encoded segments (see `farm.media.encode`), each with its exact presentation time,
into one ffmpeg that encodes nothing and takes everything else from the source file. The film is written beside its
final name, checked by `verify_film`, flushed to disk and renamed, so that the output path only ever holds a whole film.
`film_command` is the argument list alone; `encode_film` does it all for frames at hand.
"""

from __future__ import annotations

import itertools
import math
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import ffmpeg
import numpy as np

from farm.errors import EncodeError, StorageError, UsageError
from farm.files.atomic import move_into_place
from farm.files.names import unfinished
from farm.files.output import check_can_put, check_output_kind
from farm.files.remote import local_path
from farm.files.storage import again
from farm.media.color import code_points, coded_tags
from farm.media.encode import SUFFIX, Pipe, encode_segment, packets_in_order, shown_in_order, wrong_count
from farm.media.ffmpeg import FfmpegProcess, ffmpeg_binary, reason_of_failure
from farm.media.film_times import FilmTimes, film_times, seconds, source_options
from farm.media.one_clock import write_on_one_clock
from farm.media.settle import settle_tracks, track_notes
from farm.media.source import ffmpeg_url, open_source, reading_limits, stand_in
from farm.media.timecode import later_timecode
from farm.media.tracks import Track, check_video_encoder, container_extension
from farm.media.verify import sounding_streams, verify_film
from farm.plan import VideoProbe
from farm.spec import FrameRange
from farm.spec.render import EncodeSettings

_NO_STREAM = "v:999?"
_MOST_TICKS = 2**31 - 1
"""Ticks between two frames above which the MP4 muxer drops a time."""
_SCALES = (1_000_000, 90_000, 48_000, 30_000, 10_000, 1_000, 600, 100, 10, 1)
"""Ticks a second of MP4 and MOV to choose from where the source's own are too fine."""


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
        fitting = "yuv422p10le" if settings.codec == "prores_ks" else "yuv420p"
        raise UsageError(
            f"{settings.codec} does not take pixel format {settings.pixel_format}", f"try --pixel-format {fitting}"
        )
    if done.returncode != 0:
        raise UsageError(f"this ffmpeg cannot encode with {settings.codec}: {reason_of_failure(done.stderr)}")


def encode_film(
    frames: Iterator[np.ndarray],
    probe: VideoProbe,
    frame_range: FrameRange,
    output: str | Path,
    settings: EncodeSettings,
    progress: Callable[[int], None] | None = None,
    tracks: Sequence[Track] | None = None,
) -> tuple[str, ...]:
    """Encode frames, uint8 RGB (H, W, 3), all of one size, and write the film: `encode_segment`, then `join_segments`.

    `progress` gets the number of frames handed to the encoder. An earlier film at `output` stays until the end. Returns
    notes on what could not be kept. Raises as `encode_segment` and `join_segments` do.
    """
    output = Path(output)
    check_video_encoder(settings.codec, container_extension(str(output)))
    if tracks is None:
        tracks = settle_tracks(probe, frame_range, container_extension(str(output)), settings)
    segment = unfinished(output, SUFFIX)
    try:
        encode_segment(frames, probe, frame_range, segment, settings, progress)
        return join_segments([segment], probe, frame_range, output, settings, tracks)
    finally:
        segment.unlink(missing_ok=True)


def join_segments(
    segments: Iterable[Path],
    probe: VideoProbe,
    frame_range: FrameRange,
    output: str | Path,
    settings: EncodeSettings,
    tracks: Sequence[Track],
    progress: Callable[[int], None] | None = None,
    before_it_is_there: Callable[[Path], None] = lambda _: None,
) -> tuple[str, ...]:
    """Write the film and return notes on what could not be kept. `segments`, in order, are all of `frame_range`; each
    is asked for when the one before is through, and no two are open at the same time. `tracks` are those of
    `farm.media.settle`.

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
    joined = unfinished(output, ".nut")
    try:
        # The ffmpeg program cannot read object storage. A web address would show a signature in `ps`, unchecked.
        beside = probe.model_copy(update={"path": str(local_path(probe.path))})
        if probe.breaks:
            beside = write_on_one_clock(beside, joined)
        elif (readable := stand_in(beside.path)) is not None:
            joined.write_bytes(readable)
            beside = beside.model_copy(update={"path": str(joined)})
        in_order, segments = _looked_at(iter(segments), frame_range)
        command = film_command(ffmpeg_binary(), beside, frame_range, temporary, settings, tracks, in_order=in_order)
        _pipe_packets(command, segments, probe, frame_range, times, settings, progress)
        sound = {track.stream.index for track in tracks if track.kind == "sound" and track.kept}
        sounding = sounding_streams(beside, times.cut_from, times.cut_length) & sound if sound else set()
        verify_film(
            temporary,
            pts_seconds=[times.first_frame + offset * probe.time_base for offset in times.offsets],
            last_duration=times.last_duration * probe.time_base,
            audio_streams=range(len(sounding), len(sound) + 1),
        )
        before_it_is_there(temporary)
        _move_into_place(temporary, output)
    finally:
        for path in (temporary, joined):
            path.unlink(missing_ok=True)
    return track_notes(tracks)


def _looked_at(segments: Iterator[Path], frame_range: FrameRange) -> tuple[bool, Iterator[Path]]:
    """(whether the frames of the first segment are shown in the order in which they are decoded, all segments)."""
    first = next(segments, None)
    if first is None:
        raise wrong_count(0, frame_range)
    return shown_in_order(first), itertools.chain([first], segments)


def film_command(
    binary: str,
    probe: VideoProbe,
    frame_range: FrameRange,
    output: Path,
    settings: EncodeSettings,
    tracks: Sequence[Track],
    *,
    in_order: bool = True,
) -> list[str]:
    """The argument list of the ffmpeg that reads encoded pictures from its stdin. Raises OutputError.

    `in_order` tells whether pictures are decoded in the order in which they are shown. Those of every encoder here are,
    but not those of HEVC films of older versions of the farm, to which other sound can be joined.
    """
    extension = container_extension(str(output))
    times = film_times(probe, frame_range)
    picture = ffmpeg.input("pipe:0", format=_pipe_format(settings)[0], **_picture_input_options(times))
    source = ffmpeg.input(ffmpeg_url(probe.path), **reading_limits(probe.container), **source_options(times))
    # The last map matches nothing. It makes ffmpeg-python list the source, whose metadata is wanted in any case.
    streams = [picture["v:0"], source[_NO_STREAM]]
    options = {"c:v": "copy", **_clock_options(probe, times, extension, in_order=in_order)}
    # Where the pipe does not carry the tags of the colours, the container would not have them either.
    options |= code_points(coded_tags(probe.color, probe.stored_size[1], settings.codec, settings.pixel_format))
    if settings.codec in ("libx265", "hevc_nvenc") and extension in (".mp4", ".mov"):
        options["tag:v"] = "hvc1"  # QuickTime plays no other
    places: Counter[str] = Counter()
    for track in tracks:
        if track.kept:
            streams.append(source[str(track.stream.index)])
            options |= track.options(places[track.kind])
            places[track.kind] += 1
    if times.cut_from is not None and places["sound"]:
        # Packets between the key frame that a seek lands on and the cut are dropped, not hidden.
        options["copypriorss:a"] = 0
    whole = len(times.offsets) == probe.frame_count
    options["map_metadata"] = 1
    options["map_chapters"] = 1 if whole else -1
    # Two spellings of the same stream, because an option can be given only once here.
    for option, key, value in (
        ("metadata:s:v:0", "language", probe.language),
        ("metadata:s:v", "title", probe.title),
    ):
        if value:
            options[option] = f"{key}={value}"
    options |= _timecode_options(probe, frame_range)
    node = ffmpeg.output(*streams, ffmpeg_url(str(output)), **options)
    node = node.global_args("-hide_banner", "-nostats", "-loglevel", "error")
    return ffmpeg.compile(node, cmd=binary, overwrite_output=True)


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
        if container == "mov":
            options = options | {"video_track_timescale": str(track_timescale(times, probe.time_base))}
        with av.open(pipe, "w", format=container, options=options) as piped:
            stream: Any = None
            before = None
            for path in segments:
                coding = b""
                with open_source(str(path)) as segment:
                    coded = segment.streams.video[0]
                    coding = bytes(coded.codec_context.extradata or b"")
                    if stream is None:
                        # opaque: PyAV would look for an encoder by the name of the decoder, which AV1's has not
                        stream = piped.add_stream_from_template(coded, opaque=True)
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
    return {"itsoffset": seconds(times.first_frame)} if times.first_frame else {}


def _timecode_options(probe: VideoProbe, frames: FrameRange) -> dict[str, Any]:
    """The timecode of the first frame, if the source has one. MP4 and MOV need the rate that it counts in."""
    passed = round((probe.pts[frames.start] - probe.pts[0]) * probe.time_base * probe.frame_rate)
    label = later_timecode(probe.timecode, probe.frame_rate, passed) if probe.timecode else None
    if label is None:
        return {}
    rate = probe.frame_rate
    # The container's own would be that of the source's first frame.
    return {
        "metadata": "timecode=",
        "metadata:s:0": f"timecode={label}",
        "r:v": f"{rate.numerator}/{rate.denominator}",
    }


def _clock_options(probe: VideoProbe, times: FilmTimes, extension: str, *, in_order: bool) -> dict[str, Any]:
    """Every frame at its own time, in the source's time base, the last one as long as in the source."""
    options: dict[str, Any] = {"bsf:v": _times_filter(times, probe.time_base, in_order=in_order)}
    if extension in (".mp4", ".mov"):
        options |= {"video_track_timescale": track_timescale(times, probe.time_base), "movflags": "+faststart"}
    return options


def track_timescale(times: FilmTimes, tick: Fraction) -> int:
    """Ticks a second of an MP4 track with these times: the source's own, `1 / tick`, or coarser ones.

    The muxer drops every time after a pause of 2^31 ticks: 2.1 s of nanoseconds. Then the coarsest ticks that keep all
    times exactly are taken, and where those are still too fine, the finest of `_SCALES` that is not.
    """
    gaps = [after - before for before, after in itertools.pairwise(times.offsets)] + [times.last_duration]
    longest: Fraction = max(Fraction(max(gaps)) * tick, times.first_frame)
    if max(longest, Fraction(1)) * tick.denominator <= _MOST_TICKS:
        return tick.denominator
    exact = 1 / (max(math.gcd(*times.offsets, times.last_duration), 1) * tick)
    scales = [exact.denominator * exact, *map(Fraction, _SCALES)]
    return int(next(scale for scale in scales if scale * max(longest, Fraction(1)) <= _MOST_TICKS))


def _times_filter(times: FilmTimes, tick: Fraction, *, in_order: bool) -> str:
    """A bitstream filter: the pipe carries no durations, so the last frame's would be guessed.

    It carries no decoding times either. Where packets are `in_order` they are the times of presentation. Otherwise they
    are guessed as well, which for H.264 is wrong in a film of seven frames.

    In seconds, because the pipe's clock may be a multiple of the source's; half-way to the frame before, because a
    delayed start is rounded to microseconds on its way.
    """
    gap = times.offsets[-1] - times.offsets[-2] if len(times.offsets) > 1 else 2
    threshold = float(times.first_frame + (times.offsets[-1] - Fraction(gap, 2)) * tick)
    lasts = times.last_duration * tick
    duration = f"round({lasts.numerator}/{lasts.denominator}/TB)"
    decoding = "PTS" if in_order else "DTS"
    return rf"setts=pts=PTS:dts={decoding}:duration=if(gte(PTS*TB\,{threshold:.9f})\,{duration}\,DURATION)"


def _move_into_place(temporary: Path, output: Path) -> None:
    try:
        again(lambda: move_into_place(temporary, output) if temporary.exists() else None)
    except OSError as error:
        raise StorageError(
            f"the film cannot be put at {output}: {error.strerror}", "free the path or give another"
        ) from error
