"""What a network is trained on: photographs from a folder, pairs of frames of a film, and crops of them.

pictures = load_pictures(spec)
crop = pictures.sample(seed=0, number=12, side=160)   # depends on these numbers alone
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from farm.errors import PictureError
from farm.media.decode import FrameReader
from farm.media.pictures import read_picture, resize
from farm.media.scan import scan_video
from farm.plan.video import VideoScan
from farm.spec import FrameRange, TrainSpec
from farm.spec.frames import evenly
from farm.spec.paint import PICTURE_SUFFIXES

Frame = NDArray[np.uint8]
"""(H, W, 3) RGB."""

MOST_PHOTOS = 1000
"""Largest number of photographs that are read from a folder, because memory holds them all."""
MOST_PAIRS = 75
"""Largest number of pairs of frames that are read from a film. More would look alike, and memory holds them all."""
SMALLEST_CROP = 32
"""Least side of a picture, in pixels. A narrower one is enlarged."""
LARGEST_CROP = 2.0
"""Largest side of what is cut out, as a multiple of the crop's side. It is then resized to the crop's side."""
MAGNIFIED = 1.5
"""Side of a picture in memory, as a multiple of that at which it will be painted, where the file has so many pixels.

Why: otherwise crops are nearly whole pictures, which are too few. A network that sees these often paints them twice as
well as others.
"""
FLAT = 4.0
"""Standard deviation in grey levels below which there is nothing to paint in a crop (black frames, sky). Another is
drawn then.
"""
DRAWS = 6
"""Largest number of draws for one crop; the last is taken even if it is flat."""
EXPOSURE = 1.6
"""Largest power that a crop's grey levels, as 0..1, are raised to; the least is its reciprocal. Why: films are darker
and lighter than a few pictures.
"""
HELD_OUT_EVERY = 10
"""Of so many pictures one is held out."""
MOST_HELD_OUT = 8
"""Largest number of pictures that are held out."""


@dataclass(frozen=True)
class Picture:
    """A photograph, or two neighbouring frames of a film."""

    frame: Frame
    following: Frame | None = None
    """The next frame of the film, of the same size; None for a photograph."""

    @property
    def frames(self) -> list[Frame]:
        """The one or two frames, in order."""
        return [self.frame] if self.following is None else [self.frame, self.following]


@dataclass(frozen=True)
class Pictures:
    """The pictures of a training."""

    training: Sequence[Picture]
    held_out: Sequence[Picture]
    """Pictures that only judge. They are never trained on, unless there is only one picture."""

    def sample(self, seed: int, number: int, side: int) -> Picture:
        """Crop `number`: a random part of a random picture, lighter or darker, mirrored half of the time.

        It has the shape of `crop_shape`. The same numbers always give the same crop. Of a pair of frames the same part
        is cut, in order or reversed.
        """
        random = np.random.default_rng((seed, number))
        for _ in range(DRAWS):
            crop = self._draw(random, side)
            if crop.frame.std() >= FLAT:
                break
        return crop

    def _draw(self, random: np.random.Generator, side: int) -> Picture:
        picture = self.training[int(random.integers(len(self.training)))]
        shape = crop_shape(picture.frame.shape, side)
        room = min(have / want for have, want in zip(picture.frame.shape, shape, strict=False))
        zoom = random.uniform(1, max(1, min(LARGEST_CROP, room)))
        cut = [min(round(want * zoom), have) for have, want in zip(picture.frame.shape, shape, strict=False)]
        top, left = (
            int(random.integers(have - part + 1)) for have, part in zip(picture.frame.shape, cut, strict=False)
        )
        mirrored = bool(random.integers(2))
        backwards = bool(random.integers(2))

        exposure = EXPOSURE ** random.uniform(-1, 1)
        grey_levels = (255 * (np.arange(256) / 255) ** exposure).round().astype(np.uint8)

        def crop(frame: Frame) -> Frame:
            frame = grey_levels[frame[top : top + cut[0], left : left + cut[1]]]
            part = resize(frame, shape)
            return np.ascontiguousarray(part[:, ::-1]) if mirrored else part

        return Picture(*(crop(frame) for frame in picture.frames[:: -1 if backwards else 1]))


def crop_shape(shape: Sequence[int], side: int) -> tuple[int, int]:
    """(height, width) of a crop of a picture of `shape` (H, W, ...): side x side pixels, where the picture has so many.

    Where the picture is lower or narrower than `side`, the crop is longer by as much as it can be.

    >>> crop_shape((300, 400), 288)
    (288, 288)
    >>> crop_shape((216, 384), 288)
    (216, 384)
    >>> crop_shape((144, 256), 288)
    (144, 256)
    """
    height, width = shape[:2]
    if height > width:
        across, along = crop_shape((width, height), side)
        return along, across
    low = min(side, height)
    return low, min(width, side * side // low)


def load_pictures(spec: TrainSpec, scan: VideoScan | None = None) -> Pictures:
    """Read the photographs and frames that the spec names. Held-out pictures have the size at which they will be
    painted.

    Raises PictureError, VideoError. `scan` is that of the spec's film where the caller has it; None scans the film
    here.
    """
    assert spec.size is not None
    everything: list[Picture] = []
    if spec.photos:
        everything += [Picture(_magnified(read_picture(path), spec)) for path in photo_files(spec.photos)]
    if spec.video:
        everything += film_pictures(scan or scan_video(spec.video), spec)
    pictures = split(everything)
    held_out = [Picture(*(_at_size(frame, spec) for frame in picture.frames)) for picture in pictures.held_out]
    return Pictures(pictures.training, held_out)


def split(pictures: Sequence[Picture]) -> Pictures:
    """The pictures, of which one in HELD_OUT_EVERY, and at most MOST_HELD_OUT, are held out, evenly spaced.

    A single picture is both trained on and held out.
    """
    if len(pictures) < 2:
        return Pictures(pictures, pictures)
    count = min(max(len(pictures) // HELD_OUT_EVERY, 1), MOST_HELD_OUT)
    chosen = {(2 * i + 1) * len(pictures) // (2 * count) for i in range(count)}
    return Pictures(
        [picture for i, picture in enumerate(pictures) if i not in chosen],
        [picture for i, picture in enumerate(pictures) if i in chosen],
    )


def photo_files(folder: str) -> list[Path]:
    """The picture files in a folder and below it, sorted by path: MOST_PHOTOS of them at most, evenly spaced.

    Raises PictureError where there is none.
    """
    if not Path(folder).is_dir():
        raise PictureError(f"there is no folder {folder}", "give the folder of your photographs with --photos")
    paths = sorted(
        path for path in Path(folder).rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()
    )
    if not paths:
        raise PictureError(f"there is no picture in {folder}", f"it needs {', '.join(PICTURE_SUFFIXES)} files")
    return [paths[i] for i in evenly(MOST_PHOTOS, len(paths))]


def film_pictures(scan: VideoScan, spec: TrainSpec) -> list[Picture]:
    """Pairs of neighbouring frames, evenly spaced over the film, none across a cut. Raises VideoError.

    Where the spec gives the temporal loss no weight they are single frames. A film without two frames of one shot gives
    its first frame alone.
    """
    probe = scan.probe
    height, width = _magnified_shape((probe.height, probe.width), spec)
    cuts = set(scan.cuts)
    firsts = [frame for frame in range(probe.frame_count - 1) if frame + 1 not in cuts]
    with FrameReader(probe, (width, height)) as reader:
        if not firsts:
            return [Picture(next(iter(reader.read(FrameRange(0, 1)))))]
        chosen = [firsts[i] for i in evenly(MOST_PAIRS, len(firsts))]
        reach = 2 if spec.weights.temporal else 1
        return [Picture(*reader.read(FrameRange(frame, frame + reach))) for frame in chosen]


def painted_shape(shape: Sequence[int], spec: TrainSpec) -> tuple[int, int]:
    """(height, width) at which a picture of `shape` (H, W, ...) will be painted. No side is below SMALLEST_CROP
    pixels.
    """
    height, width = shape[:2]
    scale = max((spec.size or 0) / max(height, width), SMALLEST_CROP / min(height, width))
    return round(height * scale), round(width * scale)


def _magnified_shape(shape: Sequence[int], spec: TrainSpec) -> tuple[int, int]:
    height, width = painted_shape(shape, spec)
    scale = min(max(shape[0] / height, 1), MAGNIFIED)
    return round(height * scale), round(width * scale)


def _magnified(picture: Frame, spec: TrainSpec) -> Frame:
    return resize(picture, _magnified_shape(picture.shape, spec))


def _at_size(picture: Frame, spec: TrainSpec) -> Frame:
    return resize(picture, painted_shape(picture.shape, spec))
