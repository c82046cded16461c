"""What no key shows, painted in the manner of the keys: patch synthesis guided by the film. Pure.

    painted = synthesise(content, start, hole, views)

Image analogies (Hertzmann et al. 2001), as StyLit (Fiser et al. 2016) and EbSynth (Jamriska et al. 2019) use them for
keys: each pixel looks for the place in the keys whose surroundings look most like its own, both in the film and in the
paint around it, and takes the paint from there. Each pixel then is the mean of what the patches over it say.

The search goes from coarse to fine. At the coarsest level it is exact, over all places of all keys. At finer levels a
pixel tries the place that the coarser level found, its surroundings, those of its neighbours (Barnes et al. 2009), and
where the keys' maps lead to.

Patches are compared by descriptors: the lowest terms of a cosine transform, rounded to integers of 8 bits. Their dot
products are exact in 32-bit floating point, in whatever order they are added up. So the result is the same for any
number of threads.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from farm.render.keyed.views import Key, KeyView

REACH = 2
"""Pixels of a patch on either side of its centre."""
COARSEST_SIDE = 96
"""Longest side in pixels of the level at which the search is exact."""
GUIDE, PAINT = 1.0, 0.5
"""Weights of the squared distances of the film's patches and of the paint's. Measured: three times the weight of paint
makes what is filled no better."""
ROUNDS = 2
"""Rounds of search and vote at each level."""
STEPS = ((0, -1), (0, 1), (-1, 0), (1, 0))
"""(rows, columns) to the neighbours whose places a pixel tries."""
MEAN_SCALE, SHAPE_SCALE = 1.0, 2.0
"""Factors of the mean of a patch and of the other terms. Those are smaller, and are what shapes differ by."""
BLOCK = 1024
"""Pixels that are compared with all places at a time."""
VOTE = 1.0
"""Standard deviation in pixels of the Gaussian by which a patch counts for the pixels that it covers."""
LEVELS_KEPT = 16
"""Keys, each at one size, whose descriptors are kept for the next frame."""


@dataclass(frozen=True)
class Filled:
    """A frame whose hole has been painted."""

    picture: np.ndarray
    """float32 (H, W, 3), 0..255: each pixel of the hole is a mean over the patches on it."""
    sharp: np.ndarray
    """The same, with each pixel of the hole from one place alone: as detailed as the keys are."""


@dataclass(frozen=True)
class _KeyLevel:
    """A key at one size."""

    sources: np.ndarray
    """Descriptors of the film around each of its places: int8 (places, D)."""
    paints: np.ndarray
    """The same of its paint."""
    picture: np.ndarray
    """float32 (H, W, 3)."""


@dataclass(frozen=True)
class _Level:
    """Everything at one size."""

    content: np.ndarray
    sources: np.ndarray
    """Descriptors of all keys' places: int8 (places, D)."""
    paints: np.ndarray
    """The same of their paint."""
    pictures: np.ndarray
    """Paint of all keys: (keys, H, W, 3) float32."""
    maps: Sequence[np.ndarray]
    """Flows to the keys, in pixels of this level."""


def synthesise(content: np.ndarray, start: np.ndarray, hole: np.ndarray, views: Sequence[KeyView]) -> Filled:
    """`start` with its hole painted in the manner of the keys.

    `content` is the film's frame, uint8 (H, W, 3). `start` is its painting as far as it is known, float32 (H, W, 3).
    `hole` (H, W) bool is what has to be painted. `views` are the keys, one or more, seen from the frame.
    """
    if not hole.any():
        return Filled(start, start)
    painted = start.astype(np.float32)
    count = max(math.ceil(math.log2(max(hole.shape) / COARSEST_SIDE)), 0)
    places: np.ndarray | None = None
    estimate: np.ndarray | None = None
    for halvings in range(count, -1, -1):
        height, width = (max(round(side / 2**halvings), 2 * REACH + 1) for side in hole.shape)
        level = _level(content, views, (height, width))
        empty = hole if not halvings else _resized(hole.astype(np.float32), (height, width)) > 0.01
        known = _resized(painted, (height, width))
        estimate = known if estimate is None else np.where(empty[..., None], _resized(estimate, (height, width)), known)
        rows, columns = np.nonzero(empty)
        places = None if places is None else _finer(places, (height, width))
        for number in range(ROUNDS):
            use_paint = places is not None or number > 0
            places = _search(level, estimate, (rows, columns), places, use_paint)
            estimate = np.where(empty[..., None], _vote(level, places, empty, estimate), known)
    assert estimate is not None
    assert places is not None
    sharp = painted.copy()
    sharp[hole] = level.pictures.reshape(-1, 3)[places[hole]]
    return Filled(np.clip(estimate, 0, 255), sharp)


def descriptors(picture: np.ndarray) -> np.ndarray:
    """The patch around each pixel in a few integers: int8 (H, W, 18), from -127 to 127.

    `picture` is (H, W, 3), 0..255. They are the six lowest terms of a two-dimensional cosine transform of each channel,
    over 2 REACH + 1 pixels.
    """
    size = 2 * REACH + 1
    at = (np.arange(size) + 0.5) * np.pi / size
    waves = [np.cos(k * at) * np.sqrt((2 if k else 1) / size) for k in range(3)]
    terms = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0)]
    exact = picture.astype(np.float32) - 127.5
    planes = [
        cv2.sepFilter2D(exact, cv2.CV_32F, waves[across], waves[down], borderType=cv2.BORDER_REFLECT_101) / size
        for down, across in terms
    ]
    scaled = [plane * (SHAPE_SCALE if number else MEAN_SCALE) for number, plane in enumerate(planes)]
    return np.clip(np.rint(np.concatenate(scaled, axis=2)), -127, 127).astype(np.int8)


def _level(content: np.ndarray, views: Sequence[KeyView], shape: tuple[int, int]) -> _Level:
    height, width = views[0].there.shape[:2]
    scale = np.array([shape[1] / width, shape[0] / height], np.float32)
    keys = [_of_key(view.key, shape) for view in views]
    return _Level(
        descriptors(_resized(content.astype(np.float32), shape)),
        np.concatenate([key.sources for key in keys]),
        np.concatenate([key.paints for key in keys]),
        np.stack([key.picture for key in keys]),
        [_resized(view.there, shape) * scale for view in views],
    )


@functools.lru_cache(maxsize=LEVELS_KEPT)
def _of_key(key: Key, shape: tuple[int, int]) -> _KeyLevel:
    source, picture = (_resized(one.astype(np.float32), shape) for one in (key.source, key.picture))
    of_source, of_paint = (descriptors(one).reshape(shape[0] * shape[1], -1) for one in (source, picture))
    return _KeyLevel(of_source, of_paint, picture)


def _search(
    level: _Level,
    estimate: np.ndarray,
    at: tuple[np.ndarray, np.ndarray],
    places: np.ndarray | None,
    use_paint: bool,
) -> np.ndarray:
    """The best place for each pixel: int64 (H, W), key * H * W + row * W + column; -1 where nothing was looked for."""
    height, width = estimate.shape[:2]
    guide = level.content[at]
    paint = descriptors(estimate)[at] if use_paint else None
    if places is None:
        chosen = _exact(level, guide, paint)
    else:
        candidates = _candidates(level, places, at)
        costs = np.stack([_cost(level, guide, paint, one) for one in candidates])
        chosen = np.take_along_axis(candidates, costs.argmin(axis=0)[None], axis=0)[0]
    result = np.full((height, width), -1, np.int64)
    result[at] = chosen
    return result


def _exact(level: _Level, guide: np.ndarray, paint: np.ndarray | None) -> np.ndarray:
    pairs = [(GUIDE, guide, level.sources)]
    if paint is not None:
        pairs.append((PAINT, paint, level.paints))
    exact = [(weight, one.astype(np.float32), places.astype(np.float32)) for weight, one, places in pairs]
    lengths = np.zeros(len(level.sources), np.float32)
    for weight, _, places in exact:
        lengths += weight * (places**2).sum(axis=1)
    best = np.empty(len(guide), np.int64)
    for begin in range(0, len(guide), BLOCK):
        block = slice(begin, begin + BLOCK)
        distance = np.broadcast_to(lengths, (len(guide[block]), len(lengths))).copy()
        for weight, one, places in exact:
            distance -= 2 * weight * (one[block] @ places.T)
        best[block] = distance.argmin(axis=1)
    return best


def _candidates(level: _Level, places: np.ndarray, at: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Places that each pixel tries: int64 (candidates, pixels)."""
    height, width = level.pictures.shape[1:3]
    rows, columns = at
    own = places[at]
    found = [own]
    key, row, column = _parts(own, height, width)
    for down, across in [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]:
        found.append(_place(key, row + down, column + across, height, width))
    for down, across in STEPS:
        beside = places[np.clip(rows + down, 0, height - 1), np.clip(columns + across, 0, width - 1)]
        key, row, column = _parts(np.where(beside < 0, own, beside), height, width)
        shift = np.where(beside < 0, 0, 1)
        found.append(_place(key, row - down * shift, column - across * shift, height, width))
    for number, flow in enumerate(level.maps):
        row = np.rint(rows + flow[..., 1][at]).astype(np.int64)
        column = np.rint(columns + flow[..., 0][at]).astype(np.int64)
        found.append(_place(np.full(len(rows), number), row, column, height, width))
    return np.stack(found)


def _cost(level: _Level, guide: np.ndarray, paint: np.ndarray | None, places: np.ndarray) -> np.ndarray:
    cost = GUIDE * ((guide.astype(np.float32) - level.sources[places]) ** 2).sum(axis=1)
    if paint is not None:
        cost += PAINT * ((paint.astype(np.float32) - level.paints[places]) ** 2).sum(axis=1)
    return cost


def _vote(level: _Level, places: np.ndarray, empty: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """Each pixel of the hole as the mean of what the patches that overlap it show there."""
    height, width = level.pictures.shape[1:3]
    flat = level.pictures.reshape(-1, 3)
    rows, columns = np.nonzero(empty)
    total = np.zeros((len(rows), 3), np.float32)
    count = np.zeros(len(rows), np.float32)
    for down in range(-REACH, REACH + 1):
        for across in range(-REACH, REACH + 1):
            y, x = rows + down, columns + across
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            of = np.where(inside, places[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)], -1)
            key, row, column = _parts(np.maximum(of, 0), height, width)
            weight = np.where(of >= 0, np.exp(-(down**2 + across**2) / (2 * VOTE**2)), 0).astype(np.float32)
            total += weight[:, None] * flat[_place(key, row - down, column - across, height, width)]
            count += weight
    result = estimate.copy()
    result[rows, columns] = total / count[:, None]
    return result


def _finer(places: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Places of the next finer level: each pixel takes its parent's place, and its own corner of it."""
    (coarse_height, coarse_width), (height, width) = places.shape, shape
    rows, columns = np.arange(height)[:, None], np.arange(width)[None]
    up, left = (
        np.minimum(rows * coarse_height // height, coarse_height - 1),
        np.minimum(columns * coarse_width // width, coarse_width - 1),
    )
    parent = places[up, left]
    key, row, column = _parts(np.maximum(parent, 0), coarse_height, coarse_width)
    fine_row = (row - up) * height // coarse_height + rows
    fine_column = (column - left) * width // coarse_width + columns
    fine = _place(key, fine_row, fine_column, height, width)
    here = np.broadcast_to(rows * width + columns, shape)
    return np.where(parent < 0, here, fine)


def _parts(places: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    key, rest = np.divmod(places, height * width)
    row, column = np.divmod(rest, width)
    return key, row, column


def _place(key: np.ndarray, row: np.ndarray, column: np.ndarray, height: int, width: int) -> np.ndarray:
    return (key * height + np.clip(row, 0, height - 1)) * width + np.clip(column, 0, width - 1)


def _resized(picture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if picture.shape[:2] == shape:
        return picture
    smaller = shape[0] < picture.shape[0]
    size = (shape[1], shape[0])
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
