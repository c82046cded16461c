"""What a probe and a scan found in a video: pure data, filled in by `farm.media.probe` and `farm.media.scan`."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from farm.spec import Model


class ColorTags(Model):
    """Colour description in ffmpeg's names (`bt709`, `smpte2084`, `tv`, ...); None where a tag is missing."""

    range: str | None = None
    space: str | None = None
    primaries: str | None = None
    transfer: str | None = None

    @property
    def is_hdr(self) -> bool:
        """Whether the transfer function is HLG's or PQ's. Such values look flat and grey on an ordinary screen."""
        return self.transfer in ("arib-std-b67", "smpte2084")


class StreamInfo(Model):
    """An audio, subtitle or attachment stream. `index` counts all streams of the container, as ffmpeg's `0:index`.

    `layout` and `channels` are those of sound, in ffmpeg's names (`5.1(side)`, `FL`); channels that the file does not
    name are `NONE`. `packets` is how many the stream has, or None where they were not counted.
    """

    index: int
    codec: str
    language: str | None = None
    title: str | None = None
    layout: str = ""
    channels: tuple[str, ...] = ()
    packets: int | None = None


class VideoProbe(Model):
    """One video file as the farm sees it.

    `width`, `height` and `pixel_aspect` are those of the upright picture: stored pixels (what is decoded)
    after `crop`, mirroring and rotation, before the pixel aspect is applied. A stored frame is made upright by
    flipping it left to right where `mirrored`, then turning it clockwise by `rotation` (0, 90, 180 or 270).
    `crop` are the columns and rows of a decoded frame that players do not show: left, top, right, bottom.
    `pts` has the presentation time of every frame that decodes, in units of `time_base` seconds, strictly
    increasing; `last_duration` is that of the last frame, in the same units. `missing_frames` counts frames that
    the container promises and that do not decode.

    `stream_index` is the video stream among all streams. `start_time` is where the container's earliest stream
    begins, in seconds. `keyframes` are the frames at which decoding can start. Where `seekable` is false, the file's
    own time stamps are absent or contradictory, `pts` was made up from `frame_rate`, and a frame can only be found
    by counting from the first. `stamps` are the file's own times, by which a frame is recognised, in units of the
    file's own tick, `tick_ratio` times `time_base`; it is empty where they are those in `pts`. Where recordings were
    joined, `breaks` are the first frames of those with another clock, and `shifts` the seconds that were added to their
    times (see `farm.media.times`). `notes` are lines for the user about what is odd in the file and how it was taken.
    `timecode` is the SMPTE label of the first frame. `content_hash` is the SHA-256 of the file (see
    `farm.media.source.content_hash`).
    """

    path: str
    container: str
    codec: str
    pixel_format: str
    bit_depth: int
    width: int
    height: int
    rotation: int
    mirrored: bool = False
    pixel_aspect: Fraction
    frame_rate: Fraction
    time_base: Fraction
    pts: tuple[int, ...]
    last_duration: int
    interlaced: bool
    has_alpha: bool
    color: ColorTags
    audio: tuple[StreamInfo, ...]
    subtitles: tuple[StreamInfo, ...]
    attachments: tuple[StreamInfo, ...] = ()
    missing_frames: int
    content_hash: str
    stream_index: int = 0
    start_time: Fraction = Fraction(0)
    keyframes: tuple[int, ...] = (0,)
    seekable: bool = True
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    stamps: tuple[int | None, ...] = ()
    tick_ratio: int = 1
    breaks: tuple[int, ...] = ()
    shifts: tuple[Fraction, ...] = ()
    notes: tuple[str, ...] = ()
    language: str | None = None
    title: str | None = None
    timecode: str | None = None

    @property
    def frame_count(self) -> int:
        """Frames that decode."""
        return len(self.pts)

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame's start to the last frame's end."""
        return (self.pts[-1] + self.last_duration - self.pts[0]) * self.time_base

    @property
    def stored_size(self) -> tuple[int, int]:
        """(width, height) as decoded and cropped, before the picture is set upright."""
        return (self.height, self.width) if self.rotation % 180 else (self.width, self.height)

    def presentation_time(self, frame: int) -> Fraction:
        """Seconds on the source's clock at which `frame` appears. One past the last frame is where the film ends."""
        if frame == self.frame_count:
            return (self.pts[-1] + self.last_duration) * self.time_base
        return self.pts[frame] * self.time_base


@dataclass(frozen=True)
class VideoScan:
    """What a video holds, and the first frames of its second and later shots."""

    probe: VideoProbe
    cuts: tuple[int, ...]
