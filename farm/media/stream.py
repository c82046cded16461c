"""A film that is read once, from its beginning, without being probed; and one that is written as its pictures come.

film = LiveFilm("film.mp4", longest=640)
for seconds, frame in film.frames():
    picture = film.picture(frame)
with LiveWriter("out.mp4") as writer:
    writer.write(picture, seconds)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.filter import Graph
from av.video.stream import VideoStream

from farm.errors import EncodeError, UsageError, VideoError
from farm.files.names import unfinished
from farm.media.color import with_known_tags
from farm.media.decode import FrameReader, pull_all
from farm.media.foreign import reading
from farm.media.packets import decode, demux
from farm.media.probe import describe
from farm.media.source import display_name, open_source, pick_video_stream

TICKS = Fraction(1, 90_000)
"""Time base of a written film, in seconds."""
_EVEN = 2


class LiveFilm:
    """A film's frames with the second at which each is due, counted from the first. For one pass, and one thread.

    Colours, orientation and HDR are as in a render; interlaced frames are shown as they are. Frames that do not decode
    are left out. `longest` is the longest side of the pictures, in pixels, never above the source's. `rate` is in
    frames a second. Raises VideoError where no frame decodes.
    """

    def __init__(self, path: str, longest: int | None = None) -> None:
        self._path = path
        self._container = open_source(path)
        self._stream = pick_video_stream(self._container, path)
        self._stream.thread_type = "AUTO"
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise VideoError(f"nothing in {display_name(path)} can be decoded", "is the file whole?")
        self._first: av.VideoFrame | None = first
        with reading(display_name(path)):
            probe = describe(first, self._container, self._stream, path)
        scale = min(1.0, (longest or max(probe.width, probe.height)) / max(probe.width, probe.height))
        size = (max(16, round(probe.width * scale)), max(16, round(probe.height * scale)))
        self._reader = FrameReader(probe, size, as_stored=("interlaced",))
        self._graph: Graph | None = None
        self.rate = float(probe.frame_rate)
        self._tick = 1 / self.rate

    def frames(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """(seconds, frame) of all frames. They are not converted yet, so a dropped frame costs its decoding alone."""
        began: float | None = None
        due = -self._tick
        first, self._first = self._first, None
        for frame in itertools.chain([first] if first else [], self._decoded):
            shown = float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base else None
            began = shown if began is None else began
            due = shown - began if shown is not None and began is not None else due + self._tick
            yield due, frame

    def picture(self, frame: av.VideoFrame) -> np.ndarray:
        """A frame as a picture, (H, W, 3) uint8 RGB, upright."""
        self._graph = self._graph or self._reader.picture_graph(frame)
        self._graph.push(frame)
        return self._reader.finish(next(iter(pull_all(self._graph))))

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _decode(self) -> Iterator[av.VideoFrame]:
        for packet in demux(self._container, display_name(self._path), self._stream):
            yield from (with_known_tags(frame) for frame in decode(packet) or [])


class LiveWriter:
    """Writes an H.264 film in which every picture has the time at which it was shown. A context manager.

    The film is there at the end, whole or not at all. Raises EncodeError, and UsageError for a kind of file that cannot
    hold it.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._temporary = unfinished(self._path)
        self._stream: VideoStream | None = None
        self._last = -1
        try:
            self._container = av.open(str(self._temporary), "w")
        except (av.FFmpegError, ValueError, OSError) as error:
            self._temporary.unlink(missing_ok=True)
            raise UsageError(
                f"{self._path.name} cannot be written ({error})", "give a path that ends in .mp4"
            ) from None

    def __enter__(self) -> LiveWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """A stop by the user ends the film there; any other error leaves none."""
        try:
            keep = self._stream is not None and (kind is None or issubclass(kind, KeyboardInterrupt))
            if keep and self._stream is not None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
            if keep:
                self._temporary.replace(self._path)
        except (av.FFmpegError, OSError) as problem:
            raise EncodeError(f"{self._path} could not be finished ({problem})") from problem
        finally:
            self._temporary.unlink(missing_ok=True)

    def write(self, picture: np.ndarray, seconds: float) -> None:
        """Add a picture, (H, W, 3) uint8 RGB, that is shown at `seconds`. Raises EncodeError.

        An odd side loses its last row or column, which H.264 cannot hold.
        """
        height, width = (side - side % _EVEN for side in picture.shape[:2])
        try:
            if self._stream is None:
                self._stream = self._container.add_stream("libx264", options={"preset": "veryfast", "crf": "18"})
                self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
                self._stream.codec_context.time_base = TICKS
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
            self._last = max(self._last + 1, round(seconds / TICKS))
            frame.pts, frame.time_base = self._last, TICKS
            self._container.mux(self._stream.encode(frame))
        except (av.FFmpegError, OSError) as problem:
            raise EncodeError(f"{self._path} cannot be encoded ({problem})") from problem
