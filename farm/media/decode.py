"""Frames out of a video, exactly those asked for.

`FrameReader.read(range)` yields uint8 RGB (H, W, 3), upright and in presentation order. Every frame is
identified by its presentation time in the probe, never by counting from where a seek happened to land. So two readers
on two machines cannot disagree on which picture is frame 1234.
"""

from __future__ import annotations

import bisect
import collections
from collections.abc import Collection, Iterator
from types import TracebackType

import av
import numpy as np
from av.container import InputContainer
from av.filter import Graph
from av.video.stream import VideoStream

from farm.errors import VideoError
from farm.media.color import with_known_tags, yuv_coding
from farm.media.foreign import reading
from farm.media.orientation import Orientation, set_upright
from farm.media.packets import decode, demux
from farm.media.source import display_name, open_source
from farm.media.tonemap import tone_map
from farm.plan import VideoProbe
from farm.spec import FrameRange

_SEEK_ATTEMPTS = 3
"""Key frames tried, each earlier than the one before, until decoding starts over at the first frame."""

_ON_WHITE = ("gif", "apng", "webp")
"""Containers of pictures for pages, which have a white ground."""


class FrameReader:
    """Decodes ranges of frames of a probed video; a context manager, for one thread.

    `size` is (width, height) of the upright frames; the source's own by default. Colours are converted with
    the stream's own matrix and range (see `farm.media.color`), scaling is Lanczos, deeper samples become
    8 bit. Interlaced frames are deinterlaced (bwdif, one picture per frame). A picture with an alpha
    channel is put on black, that of a GIF, an APNG or a WebP on white as a still is; the separate alpha layer of VP8
    and VP9 is ignored. HLG and PQ become BT.709 (see `farm.media.tonemap`). The pixel aspect is not applied.
    `as_stored` may name what is left out of this: "interlaced" frames stay as they are, "hdr" pictures keep their
    transfer function.

    Memory holds a few decoded frames, whatever the range. Reading on where the last range ended costs no seek.
    """

    def __init__(self, probe: VideoProbe, size: tuple[int, int] | None = None, as_stored: Collection[str] = ()) -> None:
        self._probe = probe
        self._deinterlaced = probe.interlaced and "interlaced" not in as_stored
        self._tone_mapped = probe.color.is_hdr and "hdr" not in as_stored
        self._size = size or (probe.width, probe.height)
        self._orientation = Orientation(probe.rotation, probe.mirrored)
        self._container: InputContainer | None = None
        self._pictures: Iterator[np.ndarray] = iter(())
        self._next = -1
        self._stamps = probe.stamps or probe.pts
        """The times of all frames in the file, as the decoder gives them."""
        repeated = {stamp for stamp, count in collections.Counter(self._stamps).items() if count > 1}
        self._index_of = {
            stamp: index for index, stamp in enumerate(self._stamps) if stamp is not None and stamp not in repeated
        }
        self._anchors = [k for k in probe.keyframes if probe.seekable and self._stamps[k] in self._index_of]
        """Key frames that can be told by their time."""

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. The reader can still be used, and then opens it again."""
        self._pictures, self._next = iter(()), -1
        if self._container is not None:
            self._container.close()
            self._container = None

    def read(self, frames: FrameRange) -> Iterator[np.ndarray]:
        """Yield `frames` one by one, (H, W, 3) uint8 RGB, upright.

        Raises VideoError for frames that the film does not have, or where the file is not the one that was probed.
        """
        if frames.stop > self._probe.frame_count:
            raise VideoError(
                f"{display_name(self._probe.path)} has {self._probe.frame_count} frames, not {frames.stop}",
                f"ask for frames up to {self._probe.frame_count - 1}",
            )
        self._go_to(frames.start)
        for _ in frames:
            # Out of step until the picture is there, so that an error is not continued from.
            expected, self._next = self._next, -1
            picture = next(self._pictures)
            self._next = expected + 1
            yield picture

    def _go_to(self, frame: int) -> None:
        ahead = 0 <= self._next <= frame
        if not ahead or (frame > self._next and self._keyframe_before(frame) > self._next):
            self._pictures, self._next = self._decode_pictures(frame), frame
        while self._next < frame:
            next(self._pictures)
            self._next += 1

    def _decode_pictures(self, start: int) -> Iterator[np.ndarray]:
        """RGB pictures from `start` on. The deinterlacer looks one frame back and one ahead."""
        first = max(start - 1, 0) if self._deinterlaced else start
        skip = start - first
        graph: Graph | None = None
        with reading(display_name(self._probe.path)):
            for frame in self._decode_frames(first):
                if graph is None:
                    graph = self.picture_graph(frame)
                graph.push(frame)
                for picture in pull_all(graph):
                    if skip:
                        skip -= 1
                    else:
                        yield self.finish(picture)
            if graph is not None:
                graph.push(None)
                for picture in pull_all(graph):
                    yield self.finish(picture)

    def _decode_frames(self, start: int) -> Iterator[av.VideoFrame]:
        """Decoded frames from `start` to the end, each one's time checked; a failed seek is retried earlier."""
        wanted = start
        for keyframe in self._starting_points(start):
            for index, frame in self._decode_from(keyframe):
                if index > wanted:
                    break
                if index == wanted:
                    yield frame
                    wanted += 1
            if wanted == self._probe.frame_count:
                return
        raise VideoError(
            f"{display_name(self._probe.path)} does not decode to the frames it had when it was probed "
            f"(frame {wanted} is missing)",
            "has the file changed? start the job anew",
        )

    def _starting_points(self, start: int) -> Iterator[int | None]:
        """Key frames to seek to, nearest first; None stands for the beginning of the file, without a seek."""
        if self._probe.seekable:
            known = self._anchors
            end = bisect.bisect_right(known, start)
            yield from (k for k in reversed(known[max(end - _SEEK_ATTEMPTS, 0) : end]) if k > 0)
        yield None

    def _decode_from(self, keyframe: int | None) -> Iterator[tuple[int, av.VideoFrame]]:
        """(index, frame) in presentation order, from a key frame at or before `keyframe` on."""
        container, stream = self._rewind() if keyframe is None else self._seek(keyframe)
        frames = _decode_tolerantly(container, stream, self._probe.path)
        if not self._probe.seekable:
            yield from enumerate(frames)
            return
        # Until a key frame, what comes out after a seek may be built on references that were never decoded.
        anchored = keyframe is None
        following = 0 if keyframe is None else -1
        for frame in frames:
            index = self._index_of.get(frame.pts) if frame.pts is not None else None
            if 0 <= following < len(self._stamps) and frame.pts == self._stamps[following]:
                index = following  # also where the time is missing, or another frame has the same
            anchored = anchored or (frame.key_frame and index is not None)
            if anchored and index is not None:
                yield index, frame
                following = index + 1

    def _rewind(self) -> tuple[InputContainer, VideoStream]:
        if self._container is not None:
            self._container.close()
        self._container = open_source(self._probe.path)
        stream = self._container.streams[self._probe.stream_index]
        assert isinstance(stream, VideoStream)
        # A damaged file is decoded as the probe did it: threads lose good frames beside a bad one.
        stream.thread_type = "NONE" if self._probe.missing_frames else "AUTO"
        return self._container, stream

    def _seek(self, keyframe: int) -> tuple[InputContainer, VideoStream]:
        if self._container is None:
            self._rewind()
        container = self._container
        assert container is not None
        stream = container.streams[self._probe.stream_index]
        assert isinstance(stream, VideoStream)
        try:
            container.seek(self._stamps[keyframe] or 0, stream=stream, backward=True)
        except av.FFmpegError:
            return self._rewind()
        return container, stream

    def _keyframe_before(self, frame: int) -> int:
        before = bisect.bisect_right(self._anchors, frame)
        return self._anchors[before - 1] if before else 0

    def picture_graph(self, frame: av.VideoFrame) -> Graph:
        """A filter graph for frames like `frame`: deinterlace, convert, scale.

        It is one graph, so that samples are resampled and rounded once.
        """
        width, height = self._size[::-1] if self._probe.rotation % 180 else self._size
        coding = yuv_coding(self._probe.color, self._probe.stored_size[1])
        decoding = "" if frame.format.is_rgb else f":in_color_matrix={coding.matrix}:in_range={coding.range}"
        graph = Graph()
        nodes = [
            graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
        ]
        if self._deinterlaced:
            nodes.append(graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced"))
        if any(self._probe.crop):
            left, top, right, bottom = self._probe.crop
            shown = (frame.width - left - right, frame.height - top - bottom)
            nodes.append(graph.add("crop", f"{shown[0]}:{shown[1]}:{left}:{top}:exact=1"))
        nodes += [
            graph.add(
                "scale",
                f"{width}:{height}:flags=lanczos+accurate_rnd+full_chroma_int+full_chroma_inp:out_range=pc{decoding}",
            ),
            graph.add("format", _picture_format(frame, deep=self._tone_mapped)),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        return graph

    def finish(self, picture: av.VideoFrame) -> np.ndarray:
        """A picture that came out of `picture_graph`, as (H, W, 3) uint8 RGB, upright."""
        pixels = picture.to_ndarray()
        if self._tone_mapped:
            pixels = tone_map(pixels, self._probe.color)
        elif pixels.shape[2] == 4:
            alpha = pixels[:, :, 3:].astype(np.uint16)
            behind = 255 if self._probe.container in _ON_WHITE else 0
            pixels = ((pixels[:, :, :3] * alpha + behind * (255 - alpha) + 127) // 255).astype(np.uint8)
        return set_upright(pixels, self._orientation)


def _decode_tolerantly(container: InputContainer, stream: VideoStream, path: str) -> Iterator[av.VideoFrame]:
    """All frames that decode. The caller checks whether the ones it needs are among them."""
    for packet in demux(container, display_name(path), stream):
        yield from (with_known_tags(frame) for frame in decode(packet) or [])


def pull_all(graph: Graph) -> Iterator[av.VideoFrame]:
    """The pictures that a filter graph can give without another frame."""
    while True:
        try:
            picture = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(picture, av.VideoFrame)
        yield picture


def _picture_format(frame: av.VideoFrame, *, deep: bool) -> str:
    if deep:
        return "rgb48le"
    return "rgba" if any(component.is_alpha for component in frame.format.components) else "rgb24"
