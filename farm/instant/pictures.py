"""What a network is trained on: photographs from a folder, pairs of frames of a film, and crops of them.

pictures = load_pictures(spec)
crop = pictures.sample(seed=0, number=12, side=160)   # a function of these numbers alone
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from farm.errors import PictureError
from farm.frames import FrameRange, evenly
from farm.media.decode import FrameReader
from farm.media.scan import scan_video
from farm.paintspec import PICTURE_SUFFIXES
from farm.style.picture import read_picture, resize
from farm.trainspec import TrainSpec

Frame = NDArray[np.uint8]

MOST_PHOTOS = 2000
MOST_PAIRS = 75
"""Of a film: neighbours and more of them look alike, and memory holds them all."""
LARGEST_CROP = 2.0
"""Of the training crop's side: what is cut out may be this much larger, and is then made smaller."""
FLAT = 4.0
"""Grey levels of deviation below which there is nothing to paint in a crop (black frames, sky): another is drawn..."""
DRAWS = 6
"""... but no more than so often."""
HELD_OUT_EVERY = 10
MOST_HELD_OUT = 8


@dataclass(frozen=True)
class Picture:
    """(H, W, 3) uint8; `following` is the next frame of the film, where it is one."""

    frame: Frame
    following: Frame | None = None

    @property
    def frames(self) -> list[Frame]:
        return [self.frame] if self.following is None else [self.frame, self.following]


@dataclass(frozen=True)
class Pictures:
    """Those trained on, and those that only judge: never trained on, unless there is but one picture."""

    training: Sequence[Picture]
    held_out: Sequence[Picture]

    def sample(self, seed: int, number: int, side: int) -> Picture:
        """Crop `number`: any part of any picture, mirrored half of the time, (side, side, 3)."""
        random = np.random.default_rng((seed, number))
        for _ in range(DRAWS):
            found = self._draw(random, side)
            if found.frame.std() >= FLAT:
                break
        return found

    def _draw(self, random: np.random.Generator, side: int) -> Picture:
        picture = self.training[int(random.integers(len(self.training)))]
        height, width = picture.frame.shape[:2]
        cut = min(round(side * random.uniform(1, LARGEST_CROP)), height, width)
        top, left = int(random.integers(height - cut + 1)), int(random.integers(width - cut + 1))
        mirrored = bool(random.integers(2))
        backwards = bool(random.integers(2))

        def crop(frame: Frame) -> Frame:
            part = resize(np.ascontiguousarray(frame[top : top + cut, left : left + cut]), (side, side))
            return np.ascontiguousarray(part[:, ::-1]) if mirrored else part

        return Picture(*(crop(frame) for frame in picture.frames[:: -1 if backwards else 1]))


def load_pictures(spec: TrainSpec) -> Pictures:
    """Read everything that the spec names, at its size. Raises PictureError, VideoError."""
    assert spec.size is not None
    found: list[Picture] = []
    if spec.photos:
        found += [Picture(_fitted(read_picture(path), spec)) for path in photo_files(spec.photos)]
    if spec.video:
        found += film_pictures(spec.video, spec)
    return split(found)


def split(found: Sequence[Picture]) -> Pictures:
    """Every tenth picture, up to MOST_HELD_OUT of them, is held out."""
    if len(found) < 2:
        return Pictures(found, found)
    count = min(max(len(found) // HELD_OUT_EVERY, 1), MOST_HELD_OUT)
    chosen = {(2 * i + 1) * len(found) // (2 * count) for i in range(count)}
    return Pictures(
        [picture for i, picture in enumerate(found) if i not in chosen],
        [picture for i, picture in enumerate(found) if i in chosen],
    )


def photo_files(folder: str) -> list[Path]:
    """The pictures below a folder, in order of their names. Raises PictureError where there is none."""
    if not Path(folder).is_dir():
        raise PictureError(f"there is no folder {folder}", "give the folder of your photographs with --photos")
    paths = (path for path in Path(folder).rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
    found = sorted(paths)
    if not found:
        raise PictureError(f"there is no picture in {folder}", f"it needs {', '.join(PICTURE_SUFFIXES)} files")
    return [found[i] for i in evenly(MOST_PHOTOS, len(found))]


def film_pictures(path: str, spec: TrainSpec) -> list[Picture]:
    """Pairs of neighbours, evenly spaced over the film, none across a cut; single frames where nothing ties a pair."""
    scan = scan_video(path)
    probe = scan.probe
    scale = (spec.size or 0) / max(probe.width, probe.height)
    size = (max(round(probe.width * scale), spec.crop), max(round(probe.height * scale), spec.crop))
    cuts = set(scan.cuts)
    firsts = [frame for frame in range(probe.frame_count - 1) if frame + 1 not in cuts]
    with FrameReader(probe, size) as reader:
        if not firsts:
            return [Picture(next(iter(reader.read(FrameRange(0, 1)))))]
        chosen = [firsts[i] for i in evenly(MOST_PAIRS, len(firsts))]
        reach = 2 if spec.weights.temporal else 1
        return [Picture(*reader.read(FrameRange(frame, frame + reach))) for frame in chosen]


def _fitted(picture: Frame, spec: TrainSpec) -> Frame:
    """At the size that is to be painted; enlarged where it is too small to cut from."""
    height, width = picture.shape[:2]
    scale = max((spec.size or 0) / max(height, width), spec.crop / min(height, width))
    return resize(picture, (max(round(height * scale), spec.crop), max(round(width * scale), spec.crop)))
