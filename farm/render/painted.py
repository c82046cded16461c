"""A film that another program painted, or a folder of its frames, beside the film that it was painted from.

    film = look_at_painted("painted.mp4")              # how many frames, of which size; or of a folder of PNGs
    check_painted(film, scan.probe)                    # refuses other numbers and shapes of frames
    check_shows_film(painted, source, frames, names)   # refuses what is no painting of this film
    picture = PaintedFrames(path, film.probe, (1280, 720))(120)

A folder's pictures are its frames in the order of the numbers that end their names; where these begin, and whether any
is left out, does not matter.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from farm.errors import UsageError, VideoError
from farm.files.numbered import numbered_pictures
from farm.media.decode import FrameReader
from farm.media.pictures import read_picture, resize
from farm.media.probe import probe_video
from farm.plan import VideoProbe
from farm.render.detail import can_be_source
from farm.spec import FrameRange
from farm.spec.frames import evenly

COMPARED = 8
"""Frames, evenly spaced, of which a painting is compared with the film."""
ROUNDED = 0.025
"""Share of its height by which a painted film may be higher or lower than the film's shape says."""
BLOCK = 16
"""Frames that are decoded together."""
KEPT_BYTES = 1 << 27
"""Bytes of pictures that are kept, those asked for last."""


@dataclass(frozen=True)
class PaintedFilm:
    """What was found out about a painted film: `probe` is None for a folder, whose pictures are counted only.

    `width` and `height` are those of the upright pictures, in pixels. `content_hash` is the film's, or that of a
    folder's listing (names, sizes and times), because its files may be many gigabytes.
    """

    path: str
    count: int
    width: int
    height: int
    content_hash: str
    probe: VideoProbe | None


def look_at_painted(path: str) -> PaintedFilm:
    """Probe a painted film, or count the pictures of a folder. Raises VideoError, PictureError or UsageError."""
    if not Path(path).is_dir():
        probe = probe_video(path)
        return PaintedFilm(path, probe.frame_count, probe.width, probe.height, probe.content_hash, probe)
    files = list(numbered_pictures(path).values())
    height, width = read_picture(files[0]).shape[:2]
    rows = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return PaintedFilm(path, len(files), width, height, hashlib.sha256(repr(rows).encode()).hexdigest(), None)


class PaintedFrames:
    """Single frames of a painted film by number. The last ones are kept. For one thread at a time."""

    def __init__(self, path: str, probe: VideoProbe | None, size: tuple[int, int]) -> None:
        """`probe` is that of `path`, None for a folder. `size` is (width, height) of the frames that are given."""
        self._size = size
        self._reader = None if probe is None else FrameReader(probe, size)
        self._files = list(numbered_pictures(path).values()) if probe is None else []
        self._count = len(self._files) if probe is None else probe.frame_count
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._fit = max(KEPT_BYTES // (3 * size[0] * size[1]), 4)

    def __call__(self, frame: int) -> np.ndarray:
        """The frame, (H, W, 3) uint8. Raises VideoError or PictureError where it cannot be decoded."""
        if frame not in self._kept:
            # a block, because a relay may go backwards, and a decoder only goes forwards
            length = min(BLOCK, self._fit)
            start = frame - frame % length
            block = FrameRange(start, min(start + length, self._count))
            for number, picture in zip(block, self.read(block), strict=True):
                self._kept[number] = picture
                self._kept.move_to_end(number)
            while len(self._kept) > self._fit:
                self._kept.popitem(last=False)
        self._kept.move_to_end(frame)
        return self._kept[frame]

    def read(self, frames: FrameRange) -> Iterator[np.ndarray]:
        """Yield `frames` one by one, and keep none of them. Raises as a call does."""
        if self._reader is not None:
            yield from self._reader.read(frames)
            return
        width, height = self._size
        for frame in frames:
            picture = read_picture(self._files[frame])
            yield picture if picture.shape[:2] == (height, width) else resize(picture, (height, width))


def check_painted(painted: PaintedFilm, probe: VideoProbe) -> None:
    """Compare number and shape of the frames with those of the film. Raises UsageError where they differ."""
    if painted.count != probe.frame_count:
        raise UsageError(
            f"{painted.path} has {painted.count} frames and {probe.path} has {probe.frame_count}",
            "give the film that it was painted from, from the same first to the same last frame",
        )
    # a program that scales may round either side to even numbers, or to multiples of 16
    tall = painted.width * probe.height / probe.width
    if abs(tall - painted.height) > max(2.0, ROUNDED * painted.height):
        raise UsageError(
            f"{painted.path} is {painted.width}x{painted.height} and {probe.path} is {probe.width}x{probe.height}: "
            "they have not the same shape",
            "give the film that it was painted from",
        )


def check_shows_film(
    painted: Callable[[int], np.ndarray],
    source: Callable[[int], np.ndarray],
    frames: FrameRange,
    names: tuple[str, str],
) -> None:
    """Raise VideoError where `painted` is no painting of `source`, by up to COMPARED of its `frames`.

    `names` are those of both films, for the message.
    """
    chosen = [frames.start + offset for offset in evenly(COMPARED, len(frames))]
    if not can_be_source((source(frame), painted(frame)) for frame in chosen):
        raise VideoError(
            f"{names[0]} does not look like a painting of {names[1]}: their edges have next to nothing in common",
            "give the film that it was painted from",
        )
