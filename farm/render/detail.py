"""How much is painted, and how much of the film's shape is left: in what moves, and in what rests. Pure.

    moving = moving_area(source_frames, 24)
    reference = StillReference(source, still, moving, features)
    detail = reference.compare(painted)             # FrameDetail: 1 is as good as the still
    level = mean_within(fine_detail(painted), moving)    # grey levels, without a still

A warp error alone cannot tell steady paint from a blur, which has the least warp error. What moves is where paint is
lost: it is warped and resampled from frame to frame, and it comes into view again and again. So every figure is taken
there and in the rest apart, and is set against a still: the same frame painted by itself, which knows of no other
frame.

    fine      mean |x - G(1.5) x|, over the still's: strokes of one to four pixels
    middle    mean |G(1.5) x - G(5) x|, over the still's: strokes and shapes of four to fifteen pixels
    shape     correlation of the edges of the picture and of the source, over the still's
    content   mean squared difference of the features relu4_2 to the source's, over the still's: lower is nearer to the
              film

G(s) is a Gaussian of s pixels. Pictures are RGB uint8 (H, W, 3) of one size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median

import cv2
import numpy as np
import numpy.typing as npt

from farm.flow import create_smooth_search, disoccluded
from farm.render.detail_figures import Area, AreaDetail, FrameDetail

FRAMES_BEFORE = 6
"""Frames before a frame against which something moves."""
MOVES = 1.0
"""Pixels by which a flow differs from its median over the frame, from which on something moves."""
LEAST_SHARE = 0.005
"""Least share of a frame that an area has, to be judged."""
FINE, COARSE = 1.5, 5.0
"""Standard deviations in pixels of the Gaussians that part fine detail from middle, and middle from the rest."""
LEAST_CORRELATION = 1e-3
"""Least correlation of a still's edges with its source's, to be compared with: below it the still has no shape."""

LOOKED_AT = 256
"""Longest side in pixels at which a film is compared with what may be its source."""
SURELY_ALIKE, BETTER_THAN_MIRRORED = 0.2, 0.05
"""Correlation of edges from which on a film shows its source, and how much more than with the mirror image suffices."""
FLAT = 2.0
"""Standard deviation in grey levels below which a picture shows nothing."""

Picture = npt.NDArray[np.uint8]
"""(H, W, 3) RGB."""
FloatArray = npt.NDArray[np.float32]
"""float32 of any shape."""
Mask = npt.NDArray[np.bool_]
"""(H, W)."""
Features = Callable[[Picture], FloatArray]
"""Gives the features (C, H', W') of a picture, such as `FrameStyler.content_features`."""


def moving_area(frames: Sequence[Picture], index: int) -> Mask:
    """Where `frames[index]`, a frame of the source, moves against any of the six frames before it: (H, W) bool.

    Something moves where the flow to the earlier frame (DIS, OpenCV's medium preset) differs by more than MOVES from
    its median over the frame, by which a pan of the camera is left out, or where it does not lead back (Ruder et al.
    2016, eq. 5). One pixel around it counts too. `frames` are of one shot: across a cut everything would move. Nothing
    moves in the first frame. Raises ValueError where sizes differ.
    """
    search = create_smooth_search()
    current = frames[index]
    area = np.zeros(current.shape[:2], np.bool_)
    for before in frames[max(index - FRAMES_BEFORE, 0) : index]:
        there, back = search.estimate(current, before), search.estimate(before, current)
        relative = there - np.median(there, axis=(0, 1))
        area |= disoccluded(there, back) | (np.hypot(relative[..., 0], relative[..., 1]) > MOVES)
    return cv2.dilate(area.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def fine_detail(picture: Picture) -> FloatArray:
    """|x - G(1.5) x| in grey levels, the mean of the channels: (H, W) float32."""
    return painted_bands(picture)[0]


def mean_within(values: FloatArray, area: Mask) -> float | None:
    """Mean of `values` (H, W) in an area; None where it covers less than LEAST_SHARE of the frame."""
    return float(values[area].mean()) if area.mean() >= LEAST_SHARE else None


class StillReference:
    """A frame of the source painted by itself, as a measure for other paintings of that frame."""

    def __init__(self, source: Picture, still: Picture, moving: Mask, features: Features) -> None:
        """`moving` is the frame's `moving_area`. `features` gives relu4_2."""
        self._features = features
        self._areas: dict[Area, Mask] = {"moving": moving, "resting": ~moving}
        self._bands = painted_bands(still)
        self._source_edges, self._source_features = _edges(source), features(source)
        self._still_edges, self._still_features = _edges(still), features(still)

    def compare(self, painted: Picture) -> FrameDetail:
        """The figures of another painting of the frame over those of the still."""
        bands, edges, features = painted_bands(painted), _edges(painted), self._features(painted)

        def of_area(area: Area) -> AreaDetail | None:
            where = self._areas[area]
            if where.mean() < LEAST_SHARE:
                return None
            fine, middle = (
                _ratio(float(mine[where].mean()), float(still[where].mean()))
                for mine, still in zip(bands, self._bands, strict=True)
            )
            shape, still_shape = (
                _correlation(one[where], self._source_edges[where]) for one in (edges, self._still_edges)
            )
            far, still_far = (_distance(one, self._source_features, where) for one in (features, self._still_features))
            return AreaDetail(fine, middle, _ratio(shape, still_shape, LEAST_CORRELATION), _ratio(far, still_far))

        return FrameDetail(float(self._areas["moving"].mean()), of_area("moving"), of_area("resting"))


def compare_with_source(source: Picture, painted: Picture, moving: Mask) -> FrameDetail:
    """The figures of a painting where there is no still: `fine` and `middle` over those of the source frame itself.

    `shape` is the correlation with the source's edges as it is, -1..1. `content` is None: a distance to the source has
    nothing to be set against. `moving` is the frame's `moving_area`.
    """
    bands, of_source = painted_bands(painted), painted_bands(source)
    edges, source_edges = _edges(painted), _edges(source)

    def of_area(where: Mask) -> AreaDetail | None:
        if where.mean() < LEAST_SHARE:
            return None
        fine, middle = (
            _ratio(float(mine[where].mean()), float(theirs[where].mean()))
            for mine, theirs in zip(bands, of_source, strict=True)
        )
        return AreaDetail(fine, middle, _correlation(edges[where], source_edges[where]), None)

    return FrameDetail(float(moving.mean()), of_area(moving), of_area(~moving))


def edge_correlation(source: Picture, painted: Picture) -> float:
    """Correlation of the edges of two pictures of one size, -1..1: near 0 where they show different things.

    They are compared at LOOKED_AT pixels at most, because at a large size most edges of a painting are strokes.
    """
    return _correlation(*(_edges(_shrunk(picture)) for picture in (painted, source)))


def can_be_source(pairs: Iterable[tuple[Picture, Picture]]) -> bool:
    """Whether some of a film's frames can be paintings of these source frames: pairs (source, painted) of one size.

    They cannot where edges correlate little, and no better with the source than with its mirror image, in the median of
    the pairs. Measured on four films painted by the farm: .56 to .71 with the own source, at most .11 with another
    one, of which the mirror image has .07. Pairs with a picture of one colour say nothing; without others it is True.
    """
    own, mirrored = [], []
    for source, painted in pairs:
        if min(float(picture.std()) for picture in (source, painted)) >= FLAT:
            own.append(edge_correlation(source, painted))
            mirrored.append(edge_correlation(np.ascontiguousarray(source[:, ::-1]), painted))
    return not own or median(own) >= SURELY_ALIKE or median(own) >= median(mirrored) + BETTER_THAN_MIRRORED


def _shrunk(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    scale = LOOKED_AT / max(height, width)
    if scale >= 1:
        return picture
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _ratio(value: float, of: float, least: float = 1e-6) -> float | None:
    return value / of if of > least else None


def painted_bands(picture: Picture) -> tuple[FloatArray, FloatArray]:
    """|x - G(1.5) x| and |G(1.5) x - G(5) x| in grey levels, means of the channels: (H, W) each."""
    exact = picture.astype(np.float32)
    near, far = (cv2.GaussianBlur(exact, (0, 0), sigma) for sigma in (FINE, COARSE))
    return np.abs(exact - near).mean(axis=2), np.abs(near - far).mean(axis=2)


def _edges(picture: Picture) -> FloatArray:
    """Length of the gradient (Sobel) of the luminance, which is blurred first: (H, W)."""
    luminance = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = cv2.GaussianBlur(luminance, (0, 0), FINE)
    return np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))


def _correlation(a: FloatArray, b: FloatArray) -> float:
    """Pearson's correlation of two arrays of one shape; 0 where one of them is constant."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 1e-9 else 0.0


def _distance(features: FloatArray, source: FloatArray, where: Mask) -> float:
    """Mean squared difference of two feature maps (C, H', W') in an area (H, W), whose border counts in part."""
    weight = cv2.resize(where.astype(np.float32), source.shape[:0:-1], interpolation=cv2.INTER_AREA)
    return float((((features - source) ** 2).mean(axis=0) * weight).sum() / weight.sum())
