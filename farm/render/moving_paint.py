"""Paint that is carried to where the film moves: it keeps its strokes and takes on the film's shapes. Pure.

    carried = carry(painted, match, match.weight, content, source, follow=1.0)
    even = even_strokes(carried.tie.image, content, carried.moving)
    tie = mean_tie([left, right], moving)             # of both neighbours, in later passes

Four things take the paint, or the shape, from what moves. Each has its remedy here, and none takes a step of the
optimiser:

- *Resampling.* Forty warps and averages in a row are a low-pass. `keep_detail` gives detail most of the energy back
  that it had before.
- *Old shapes.* A warp moves what the neighbour shows. What turns, opens or is lit anew is not in it, and the temporal
  loss then holds the old shape. `follow_change` adds the difference between the film's frame and its warped neighbour,
  as it would look in paint, so that both the start and the tie have the new shape. ReCoNet (Gao et al. 2018, section
  3.3) has the same thought in its loss, for luminance.
- *Old colours.* What such differences add up to drifts, and what came out of the shade stays dark. `toward_colors`
  draws the colours of what moves, a little in each frame, to those that the film's frame has in paint.
- *One Gram matrix for the whole picture.* It hardly notices when a tenth of the picture loses its strokes.
  `even_strokes` brings them up to what the resting part of the picture has where the film is as detailed.

Pictures are RGB (H, W, 3) in 0..255; the results are float32 and clipped to that range.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from farm.flow import Match, warp, warp_sharp
from farm.paint.losses.ties import TemporalTie
from farm.render.temporal import color_change

BANDS = (1.2, 4.0)
"""Standard deviations in pixels of the Gaussians that part a picture into bands of detail: what the first takes away is
fine detail, and what the second takes away beyond it is middle detail."""
ENERGY_REACH = (4.0, 8.0)
"""Standard deviation in pixels of the Gaussian that the energy of each band is averaged with."""
KEPT_SHARE = 0.75
"""Share of the lost energy, as a power of the ratio before to after, that `keep_detail` gives back to what moves. What
rests gets all of it back.

Why not all of it: the optimiser paints some strokes anew, and those that were carried flicker with each error of the
flow. Measured on a clip of 160 pixels: with half of it, warp error is a twentieth lower than with all.
"""
MOST_KEPT = 1.5
"""Largest factor by which `keep_detail` raises detail. Why: where the flow is wrong, there is none to keep."""
MOST_MIXED = 2.0
"""The same for a mean of two neighbours, which can halve it."""
MOST_EVENED = 1.1
"""Largest factor by which `even_strokes` raises detail, in one warp. It adds up from frame to frame."""
EVENED_TO = 0.88
"""Share of the resting part's detail that `even_strokes` brings what moves to.

Why not all of it: detail that moves shows each error of the flow as flicker, and that grows with its square.
"""
RESTS, MOVES = 0.5, 1.5
"""Pixels by which a flow differs from the camera's, up to which something rests, and from which on it moves."""
CHANGED_LITTLE, CHANGED = 4.0, 14.0
"""Difference in grey levels, over 3 pixels, between a frame and its warped neighbour, up to which a pixel counts as
resting, and from which on as moving, whatever the flow says."""
FINE_FOLLOWED = 0.3
"""Share of the film's fine change that is followed, where its soft change is followed whole.

Why less: fine change is mostly what the flow got wrong by a pixel. It draws a ripple beside each edge that moves, in
every frame at another place.
"""
SOFT_CHANGE = 2.0
"""Standard deviation in pixels of the Gaussian that soft change is what remains of."""
COLORS_FOLLOWED = 0.15
"""Share of what the colours of moving paint are off by that is mended in each frame: most of it in ten frames."""
COLOR_REACH = 5.0
"""Standard deviation in pixels of the Gaussian that colours are compared by."""
LEAST_AROUND = 0.05
"""Weight around a pixel below which its colours are drawn less."""
SOFT_EDGE = 2.0
"""Standard deviation in pixels of the soft edge of what moves."""
CAMERA_POINTS, FEWEST_POINTS = 4096, 16
"""Points of the flow, on a grid, that the camera's motion is fitted to, and the fewest that are enough."""
CAMERA_ROUNDS = 8
"""Rounds of that fit. Its weights have settled by then."""
CAMERA_MISFIT = 0.25
"""Pixels of misfit at which a point of the flow counts half. Flow is about as exact as that where it is trusted."""
TRUSTED = 0.5
"""Weight of a match from which on a point of its flow is fitted to."""
RESTING_FLOOR = 0.02
"""Weight that moving pixels have among the resting ones, so that there is a mean where all of the picture moves."""


@dataclass(frozen=True)
class CarriedPaint:
    """A painted frame, carried to another one."""

    tie: TemporalTie
    """The paint there, and how far the flow is trusted."""
    moving: np.ndarray
    """`moving_weight` of the frame that it was carried to, against the one that it came from: (H, W) float32."""


def moving_weight(match: Match, content: np.ndarray, warped_source: np.ndarray) -> np.ndarray:
    """How far each pixel of the frame `content` moves by itself or changes: (H, W) float32, 0..1.

    `match` leads to another frame, and `warped_source` (H, W, 3) float32 is that frame of the film, warped along it. A
    pixel moves where its flow differs from the camera's (`camera_flow`), where the flow cannot be trusted, or where the
    two pictures differ.
    """
    relative = np.nan_to_num(match.flow - camera_flow(match), nan=np.inf)
    moves = _ramp(np.hypot(relative[..., 0], relative[..., 1]), RESTS, MOVES)
    changes = _ramp(_difference(content, warped_source), CHANGED_LITTLE, CHANGED)
    here = np.maximum(np.maximum(moves, changes), 1 - match.weight)
    return cv2.GaussianBlur(here.astype(np.float32), (0, 0), SOFT_EDGE)


def camera_flow(match: Match) -> np.ndarray:
    """The flow that the camera's motion makes: (H, W, 2) float32, an affine map of the position.

    An affine map covers pans, zooms and rolls. It is fitted to trusted flow on a grid, by least squares in which what
    does not fit counts less and less (weights `1 / (1 + (r / c)^2)` for r pixels, c = CAMERA_MISFIT; Holland and Welsch
    1977), so that what moves by itself has no say unless it fills half of the frame. 0 where nothing is trusted.
    """
    height, width = match.weight.shape
    step = max(int(np.sqrt(height * width / CAMERA_POINTS)), 1)
    x = np.arange(width, dtype=np.float32)[None, :, None] / width - 0.5
    y = np.arange(height, dtype=np.float32)[:, None, None] / height - 0.5
    at = np.stack(np.broadcast_arrays(1.0, x, y), axis=-1)[::step, ::step, 0].reshape(-1, 3).astype(np.float64)
    flow = match.flow[::step, ::step].reshape(-1, 2).astype(np.float64)
    known = (match.weight[::step, ::step].ravel() > TRUSTED) & np.isfinite(flow).all(axis=1)
    at, flow = at[known], flow[known]
    if len(flow) < FEWEST_POINTS:
        return np.zeros_like(match.flow)
    affine = np.zeros((3, 2))
    affine[0] = np.median(flow, axis=0)
    for _ in range(CAMERA_ROUNDS):
        misfit = flow - (at[:, :, None] * affine).sum(axis=1)
        share = (1 / (1 + (misfit**2).sum(axis=1) / CAMERA_MISFIT**2))[:, None, None]
        # Plain sums, not a matrix product, whose last bits depend on the number of threads.
        within = (share * at[:, :, None] * at[:, None, :]).sum(axis=0)
        across = (share * at[:, :, None] * flow[:, None, :]).sum(axis=0)
        affine = np.linalg.solve(within + 1e-9 * np.trace(within) * np.eye(3), across)
    pan, along_x, along_y = affine.astype(np.float32)
    return pan + x * along_x + y * along_y


def carry(
    painted: np.ndarray,
    match: Match,
    weight: np.ndarray,
    content: np.ndarray,
    source: np.ndarray,
    follow: float,
) -> CarriedPaint:
    """The painted frame `painted`, carried to the frame `content`, with the film's change and the strokes that it had.

    `source` is the film's frame that `painted` was painted from, both uint8, and `match` leads there from `content`.
    `weight` (H, W) becomes the tie's. `follow` in 0..1 says how far the film's change and colours are followed.
    """
    warped_source = warp_sharp(source, match.flow)
    moving = moving_weight(match, content, warped_source)
    energy = warp(detail_energy(painted), match.flow)
    carried = keep_detail(warp_sharp(painted, match.flow), energy, MOST_KEPT, moving)
    if follow:
        change = color_change(source, painted)
        carried = follow_change(carried, content, warped_source, change, follow * moving)
        carried = toward_colors(carried, painted_colors(content, source, painted, change), follow * moving)
    return CarriedPaint(TemporalTie(carried, weight), moving)


def mean_tie(ties: Sequence[TemporalTie], moving: np.ndarray) -> TemporalTie:
    """Several ties as one, whose image is their weighted mean with most of the detail that they have.

    The optimiser is drawn to the mean of its ties, in which strokes that do not lie on one another cancel out. `moving`
    is that of `keep_detail`. The weight is the sum; where it is 0 the image is the plain mean. The part of the temporal
    loss by which the ties differ from each other is left out, so that a loss is lower than that of the ties apart.
    """
    weight = np.sum(np.stack([tie.weight for tie in ties]), axis=0)
    images = [np.nan_to_num(tie.image.astype(np.float32), nan=128.0) for tie in ties]
    shares = [np.where(weight > 0, tie.weight / np.maximum(weight, 1e-6), 1 / len(ties)) for tie in ties]
    mean = np.sum([share[..., None] * image for share, image in zip(shares, images, strict=True)], axis=0)
    # Where a tie weighs nothing it may show anything, also an edge: its detail must not count around there either.
    shown = [np.where(tie.weight[..., None] > 0, image, mean) for tie, image in zip(ties, images, strict=True)]
    energy = np.sum(
        [share[..., None] * detail_energy(image) for share, image in zip(shares, shown, strict=True)], axis=0
    )
    return TemporalTie(keep_detail(mean.astype(np.float32), energy.astype(np.float32), MOST_MIXED, moving), weight)


def detail_energy(picture: np.ndarray) -> np.ndarray:
    """Mean square of each band of detail around each pixel, in grey levels squared: (H, W, bands) float32."""
    return _energy(_bands(picture.astype(np.float32)))


def keep_detail(picture: np.ndarray, energy: np.ndarray, most: float, moving: np.ndarray) -> np.ndarray:
    """`picture` with each band of its detail raised to `energy` (H, W, bands): all of it where the picture rests.

    Where it moves, `moving` (H, W) in 0..1, as far as KEPT_SHARE says. What was lost counts as a factor of 1 to `most`
    in the detail, the square of it in the energy, and no more is given back.
    """
    bands = _bands(picture)
    lost = np.clip(energy / np.maximum(_energy(bands), 1e-3), 1, most**2)
    share = 1 - (1 - KEPT_SHARE) * moving
    factors = lost ** (share[..., None] / 2)
    return np.clip(picture + _raised(bands, factors), 0, 255)


def follow_change(
    carried: np.ndarray, content: np.ndarray, warped_source: np.ndarray, change: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """`carried` plus what the film's frame `content` differs by from the warped neighbour, in paint: `(c - s) @ A`.

    `change` is the matrix A (3, 3) of `farm.render.temporal.color_change`; `weight` (H, W) is 0 where nothing is
    followed. Of fine differences FINE_FOLLOWED is added. Small differences count as large ones do, because those of
    successive frames have to add up to what the film has changed by.
    """
    difference = weight[..., None] * (content.astype(np.float32) - warped_source)
    soft = cv2.GaussianBlur(difference, (0, 0), SOFT_CHANGE)
    return np.clip(carried + (soft + FINE_FOLLOWED * (difference - soft)) @ change, 0, 255)


def painted_colors(content: np.ndarray, source: np.ndarray, painted: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The colours that the film's frame `content` would have in paint: (H, W, 3) float32.

    They are `mean(p) + (c - mean(s)) @ A`. `source` s and its painting `painted` p are another frame of the shot,
    uint8, and `change` is A. The means are of integers, so that they do not depend on the order in which pixels are
    added up.
    """
    mean_source, mean_painted = (
        (picture.reshape(-1, 3).sum(axis=0, dtype=np.int64) / (picture.size // 3)).astype(np.float32)
        for picture in (source, painted)
    )
    colors: np.ndarray = mean_painted + (content.astype(np.float32) - mean_source) @ change
    return colors


def toward_colors(carried: np.ndarray, colors: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """`carried` with its soft colours drawn to `colors` (H, W, 3) by COLORS_FOLLOWED, where `weight` (H, W) is.

    Only means over COLOR_REACH pixels of what has weight are compared, so that strokes stay as they are.
    """
    off = cv2.GaussianBlur((weight[..., None] * (colors - carried)).astype(np.float32), (0, 0), COLOR_REACH)
    off /= np.maximum(cv2.GaussianBlur(weight, (0, 0), COLOR_REACH), LEAST_AROUND)[..., None]
    return np.clip(carried + COLORS_FOLLOWED * weight[..., None] * off, 0, 255).astype(np.float32)


def even_strokes(painted: np.ndarray, content: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """`painted` with its detail, where it moves, raised to EVENED_TO of what the resting part of it has, band by band.

    How much that is follows from the detail of the film's frame `content`, by a line fitted to the resting part:
    a painter who covers the whole canvas with strokes gives a flat line, one who paints flat colours a steep one.
    Detail is raised by a factor of 1 to MOST_EVENED, and is never lowered.
    """
    bands = _bands(painted)
    have, film = np.sqrt(_energy(bands)), np.sqrt(detail_energy(content))
    share = (1 - moving + RESTING_FLOOR).astype(np.float64)
    share /= share.sum()
    wanted = [_fitted(share, film[..., band], have[..., band]) for band in range(len(BANDS))]
    raised = np.clip(EVENED_TO * np.stack(wanted, axis=-1) / np.maximum(have, 0.1), 1, MOST_EVENED)
    factors = 1 + moving[..., None] * (raised - 1)
    return np.clip(painted + _raised(bands, factors), 0, 255).astype(np.float32)


def _fitted(share: np.ndarray, film: np.ndarray, have: np.ndarray) -> np.ndarray:
    """The line by which `have` rises with `film`, fitted where `share` is, at each pixel's `film`."""
    mean_have, mean_film = float((share * have).sum()), float((share * film).sum())
    together = float((share * (have - mean_have) * (film - mean_film)).sum())
    slope = max(together / (float((share * (film - mean_film) ** 2).sum()) + 1), 0.0)
    return mean_have + np.float32(slope) * (film - np.float32(mean_film))


def _bands(picture: np.ndarray) -> list[np.ndarray]:
    """Detail of a picture (H, W, 3) by bands, the finest first."""
    softer = [picture, *(cv2.GaussianBlur(picture, (0, 0), deviation) for deviation in BANDS)]
    return [sharp - soft for sharp, soft in itertools.pairwise(softer)]


def _energy(bands: Sequence[np.ndarray]) -> np.ndarray:
    squares = [(band**2).mean(axis=2) for band in bands]
    return np.stack(
        [cv2.GaussianBlur(x, (0, 0), reach) for x, reach in zip(squares, ENERGY_REACH, strict=True)], axis=-1
    )


def _raised(bands: Sequence[np.ndarray], factors: np.ndarray) -> np.ndarray:
    """What the bands gain by `factors` (H, W, bands)."""
    return np.sum([(factors[..., i, None] - 1) * band for i, band in enumerate(bands)], axis=0)


def _difference(content: np.ndarray, warped_source: np.ndarray) -> np.ndarray:
    """Mean absolute difference over 3x3 pixels, in grey levels: (H, W) float32."""
    return cv2.blur(np.abs(content.astype(np.float32) - warped_source).mean(axis=2), (3, 3))


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to `low`, 1 from `high` on, and a line between."""
    return np.clip((values - low) / (high - low), 0, 1)
