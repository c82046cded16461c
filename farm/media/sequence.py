"""A film as its frames, whether it is a video or a folder of pictures.

    with open_frames("painted.mp4") as film, open_frames("source/", size=film.size) as source:
        for picture in film.read(FrameRange(0, film.frame_count)):
            ...                                     # uint8 RGB (H, W, 3)

The pictures of a folder are taken in the order of the last number in their names, so that `9.png` comes before
`10.png`. One picture at a time is in memory. Frames are shrunk by the mean of an area and not by the decoder's Lanczos
filter, whose sharper edges change the flow: the warp error of one film came out 3 % lower.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np

from farm.errors import PictureError
from farm.files.numbered import numbered_pictures
from farm.media.decode import FrameReader
from farm.media.pictures import read_picture, resize
from farm.media.probe import probe_video
from farm.media.scan import SceneMeter, scan_video
from farm.media.shots import find_cuts
from farm.plan.video import VideoProbe
from farm.spec import FrameRange

LONGEST_FLASH = 6
"""Frames of a flash in a folder of pictures, which has no rate: a quarter of a second at 24 frames a second."""


class Frames:
    """The frames of a film at one size. A context manager, for one thread; made by `open_frames`.

    `size` is (width, height), `frame_count` how many there are. `cuts` are the first frames of later shots; None where
    they were not looked for.
    """

    def __init__(
        self,
        size: tuple[int, int],
        frame_count: int,
        own_size: tuple[int, int],
        cuts: tuple[int, ...] | None,
    ) -> None:
        self.size, self.frame_count, self.own_size, self.cuts = size, frame_count, own_size, cuts

    def __enter__(self) -> Frames:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open. Nothing is in a folder of pictures."""

    def read(self, frames: FrameRange) -> Iterator[np.ndarray]:
        """Yield `frames` one by one, (H, W, 3) uint8 RGB. Raises VideoError or PictureError."""
        raise NotImplementedError

    def one(self, frame: int) -> np.ndarray:
        """One frame. Raises as `read` does."""
        return next(iter(list(self.read(FrameRange(frame, frame + 1)))))


class _Video(Frames):
    def __init__(self, probe: VideoProbe, size: tuple[int, int] | None, cuts: tuple[int, ...] | None) -> None:
        own = (probe.width, probe.height)
        super().__init__(size or own, probe.frame_count, own, cuts)
        self._reader = FrameReader(probe)

    def close(self) -> None:
        self._reader.close()

    def read(self, frames: FrameRange) -> Iterator[np.ndarray]:
        for picture in self._reader.read(frames):
            yield resize(picture, (self.size[1], self.size[0]))


class _Folder(Frames):
    def __init__(self, paths: list[Path], size: tuple[int, int] | None, *, find_shots: bool) -> None:
        height, width = read_picture(paths[0]).shape[:2]
        super().__init__(size or (width, height), len(paths), (width, height), None)
        self._paths = paths
        if find_shots:
            self.cuts = self._find_cuts()

    def read(self, frames: FrameRange) -> Iterator[np.ndarray]:
        for frame in frames:
            yield resize(self._read(frame), (self.size[1], self.size[0]))

    def _read(self, frame: int) -> np.ndarray:
        picture = read_picture(self._paths[frame])
        if (picture.shape[1], picture.shape[0]) != self.own_size:
            raise PictureError(
                f"{self._paths[frame]} has {picture.shape[1]}x{picture.shape[0]} pixels, and "
                f"{self._paths[0].name} {self.own_size[0]}x{self.own_size[1]}",
                "give a folder that holds the frames of one film",
            )
        return picture

    def _find_cuts(self) -> tuple[int, ...]:
        with contextlib.closing(SceneMeter()) as meter:
            for frame in range(self.frame_count):
                picture = self._read(frame)
                even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
                shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), "rgb24")
                shown.pts, shown.time_base = frame, Fraction(1, 24)
                meter.visit(shown)
            return find_cuts(meter.scores, meter.thumbnails, longest_flash=LONGEST_FLASH)


def open_frames(path: str, size: tuple[int, int] | None = None, *, find_shots: bool = False) -> Frames:
    """The frames of a video (path or URL) or of a folder of pictures, resized to `size` (width, height) if given.

    `find_shots` looks for cuts, too. Every frame is decoded once here, unless it is a folder without `find_shots`.
    Raises VideoError, PictureError, and UsageError for a folder without numbered pictures.
    """
    if "://" not in path and Path(path).is_dir():
        return _Folder(list(numbered_pictures(path).values()), size, find_shots=find_shots)
    if find_shots:
        scan = scan_video(path)
        return _Video(scan.probe, size, scan.cuts)
    return _Video(probe_video(path), size, None)
