"""A run of frames as an encoded stream without a clock of its own: the segments that a film is joined from.

`encode_segment` pipes raw frames into one ffmpeg, which encodes them from a key frame on. `packets_in_order` reads the
packets back, each with the number of the frame that it shows. They get the film's times when they are joined, exactly,
whatever the segment's container rounds them to.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import av
import ffmpeg
import numpy as np

from farm.errors import EncodeError
from farm.media.color import RGB_FORMATS, coded_tags, film_coding
from farm.media.ffmpeg import FfmpegProcess, ffmpeg_binary
from farm.media.source import ffmpeg_url, open_source
from farm.plan import VideoProbe
from farm.spec import FrameRange
from farm.spec.render import EncodeSettings

SUFFIX = ".mkv"
"""Ending of a segment's file. Matroska holds what every encoder here makes."""

_FINEST_TICK = Fraction(1, 1_000_000)
"""Seconds. libaom refuses a pause of seconds on a finer clock; the exact times are those of the join."""
_ANY_SIZE = frozenset({"libvpx", "libvpx-vp9", "libaom-av1", "ffv1"})
"""Encoders that take odd sizes with subsampled chroma; for the others the last row or column is doubled."""


def encode_segment(
    frames: Iterator[np.ndarray],
    probe: VideoProbe,
    frame_range: FrameRange,
    path: Path,
    settings: EncodeSettings,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Encode `frame_range` of the film to `path`. `frames` are uint8 RGB (H, W, 3), all of one size.

    Where the codec needs an even size, the last row or column is doubled. `progress` gets the number of frames handed
    to ffmpeg. Raises EncodeError where ffmpeg fails or the number of frames is wrong, and whatever `frames` raises; the
    file at `path` is not whole then.
    """
    # ffmpeg is started with the first frame: it decides the size, and if there is none nothing has to be undone.
    first = next(frames, None)
    if first is None:
        raise wrong_count(0, frame_range)
    height, width = first.shape[:2]
    command = segment_command(ffmpeg_binary(), probe, (width, height), path, settings)
    pad = _even_padding(width, height, settings)
    began, tick, shown = probe.pts[frame_range.start], _encoder_tick(probe), -1
    with FfmpegProcess(command) as process:
        pipe = Pipe(process.stdin)
        with av.open(pipe, "w", format="nut", options={"write_index": "0"}) as nut:
            stream = nut.add_stream("rawvideo", rate=probe.frame_rate)
            stream.width, stream.height, stream.pix_fmt = width + pad[1][1], height + pad[0][1], "rgb24"
            stream.time_base = stream.codec_context.time_base = tick
            frame: np.ndarray | None = first
            for done, number in enumerate(frame_range, start=1):
                if frame is None:
                    raise wrong_count(done - 1, frame_range)
                if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
                    raise EncodeError(
                        f"frame {number} is {frame.dtype} of shape {frame.shape}, "
                        f"not uint8 of shape {(height, width, 3)}"
                    )
                packet = av.Packet(np.pad(frame, pad, mode="edge").tobytes())
                shown = max(round((probe.pts[number] - began) * probe.time_base / tick), shown + 1)
                packet.stream, packet.time_base = stream, tick
                packet.pts = packet.dts = shown
                nut.mux(packet)
                if pipe.broken:
                    raise process.failure()
                if progress:
                    progress(done)
                frame = next(frames, None)
            if frame is not None:
                raise wrong_count(len(frame_range) + 1, frame_range)
        process.finish()


def segment_command(
    binary: str, probe: VideoProbe, size: tuple[int, int], path: Path, settings: EncodeSettings
) -> list[str]:
    """The argument list of the ffmpeg that reads frames of `size` (width, height) as NUT from its stdin."""
    tick = _encoder_tick(probe)
    clock = {"fps_mode": "passthrough", "enc_time_base": f"{tick.numerator}:{tick.denominator}"}
    picture = ffmpeg.input("pipe:0", format="nut")
    options = _video_options(probe, size, settings) | clock
    node = ffmpeg.output(picture["v:0"], ffmpeg_url(str(path)), format="matroska", **options)
    node = node.global_args("-hide_banner", "-nostats", "-loglevel", "error")
    return ffmpeg.compile(node, cmd=binary, overwrite_output=True)


def _encoder_tick(probe: VideoProbe) -> Fraction:
    return max(probe.time_base, _FINEST_TICK)


def packets_in_order(path: Path) -> Iterator[tuple[int, int, av.Packet]]:
    """(frame, delay, packet) of a segment in decoding order. `frame` counts from 0 in presentation order.

    `delay` is how many frames the decoder is ahead at the most. The file is read twice, and one packet is kept at a
    time. Raises VideoError where it cannot be read.
    """
    with open_source(str(path)) as segment:
        times = [int(packet.pts or 0) for packet in _packets(segment)]
    order = sorted(range(len(times)), key=lambda at: times[at])
    ranks = [0] * len(times)
    for rank, at in enumerate(order):
        ranks[at] = rank
    delay = max((at - rank for at, rank in enumerate(ranks)), default=0)
    with open_source(str(path)) as segment:
        for rank, packet in zip(ranks, _packets(segment), strict=True):
            yield rank, delay, packet


def shown_in_order(path: Path) -> bool:
    """Whether a segment's frames are decoded in the order in which they are shown. Raises VideoError."""
    with open_source(str(path)) as segment:
        return all(before < after for before, after in itertools.pairwise(int(p.pts or 0) for p in _packets(segment)))


def _packets(container: Any) -> Iterator[av.Packet]:
    return (packet for packet in container.demux(video=0) if packet.size and packet.pts is not None)


def wrong_count(got: int, frame_range: FrameRange) -> EncodeError:
    """The error for `got` frames in place of those of `frame_range`."""
    more = "at least " if got > len(frame_range) else ""
    return EncodeError(f"the film needs {len(frame_range)} frames and was given {more}{got}")


def output_pixel_aspect(probe: VideoProbe, size: tuple[int, int]) -> Fraction:
    """Pixel aspect that keeps the display aspect at `size`, (width, height).

    It is the source's own where the size differs by rounding only.
    """
    width, height = size
    distortion = Fraction(probe.width * height, probe.height * width)
    if abs(distortion - 1) <= Fraction(1, min(width, height)):
        return probe.pixel_aspect
    return probe.pixel_aspect * distortion


class Pipe:
    """ffmpeg's standard input as PyAV needs it: without seek, and never raising inside libavformat."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self.broken = False
        """Whether ffmpeg has gone. What is written from then on is discarded."""

    def write(self, data: bytes) -> int:
        """Write to ffmpeg; returns the number of bytes, also of those that are discarded."""
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


def _video_options(probe: VideoProbe, size: tuple[int, int], settings: EncodeSettings) -> dict[str, Any]:
    options: dict[str, Any] = {"c:v": settings.codec, "pix_fmt": settings.pixel_format}
    match settings.codec:
        case "libx264" | "libx265":
            options |= {"crf": settings.crf, "preset": settings.preset or "medium"}
            if settings.codec == "libx264":
                # Every frame as good as the next. B-frames and macroblock trees save a third of the bits by making
                # some frames coarser, which over paint is flicker: it was most of a finished film's.
                options |= {"bf": 0, "x264-params": "mbtree=0"}
            else:
                # MP4 and MOV add up decoding times, which end before a pause that follows the last reordered frame.
                options |= {"bf": 0}
        case "h264_nvenc" | "hevc_nvenc" | "av1_nvenc":
            options |= {"rc": "vbr", "cq": settings.crf, "b:v": 0}
            if settings.codec != "av1_nvenc":
                options |= {"bf": 0}
        case "libvpx-vp9":
            options |= {"crf": settings.crf, "b:v": 0, "row-mt": 1}
        case "libvpx":
            options |= {"crf": settings.crf, "b:v": "50M"}  # VP8 reads crf as a floor below a bit rate
        case "libsvtav1" | "libaom-av1":
            options |= {"crf": settings.crf}
    options["vf"] = _video_filters(probe, size, settings)
    return options


def _video_filters(probe: VideoProbe, size: tuple[int, int], settings: EncodeSettings) -> str:
    """RGB to the matrix and range that the tags will name, then the tags and the pixel aspect themselves."""
    aspect = output_pixel_aspect(probe, size)
    height, pixel_format = probe.stored_size[1], settings.pixel_format
    tags = coded_tags(probe.color, height, settings.codec, pixel_format)
    filters = []
    if not pixel_format.startswith(RGB_FORMATS):
        coding = film_coding(probe.color, height, settings.codec)
        filters += [
            f"scale=flags=lanczos+accurate_rnd+full_chroma_inp:in_range=pc"
            f":out_color_matrix={coding.matrix}:out_range={coding.range}",
        ]
    filters += [
        f"format={pixel_format}",
        f"setparams=range={tags.range}:colorspace={tags.space}"
        f":color_primaries={tags.primaries or 'unknown'}:color_trc={tags.transfer or 'unknown'}",
    ]
    filters.append(f"setsar=sar={aspect.numerator}/{aspect.denominator}:max={2**24}")
    return ",".join(filters)
