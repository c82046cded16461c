"""Paint that is carried to where the film moves: it keeps its strokes and takes on the film's shapes. Pure.

    moving = moving_weight(match, content, source_there)
    carried = keep_detail(warp_sharp(painted, match.flow), warp(detail_energy(painted), match.flow), most=1.5)
    carried = follow_change(carried, content, source_there, change=color_change(source, painted), weight=moving)
    carried = even_strokes(carried, content, moving)

Three things take the paint, or the shape, from what moves. Each has its remedy here, and none takes a step of the
optimiser:

- *Resampling.* Forty warps and averages in a row are a low-pass. `keep_detail` gives the fine detail the energy back
  that it had before.
- *Old shapes.* A warp moves what the neighbour shows. What turns, opens or is lit anew is not in it, and the temporal
  loss then holds the old shape. `follow_change` adds the difference between the film's frame and its warped neighbour,
  as it would look in paint, so that both the start and the tie have the new shape. ReCoNet (Gao et al. 2018, section
  3.3) has the same thought in its loss, for luminance.
- *One Gram matrix for the whole picture.* It hardly notices when a tenth of the picture loses its strokes.
  `even_strokes` brings them up to what the resting part of the picture has where the film is as detailed.

Pictures are RGB (H, W, 3) in 0..255; the results are float32 and clipped to that range.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from farm.flow import Match, warp, warp_sharp
from farm.paint.losses.objective import TemporalTie

FINE = 1.2
"""Standard deviation in pixels of the Gaussian whose difference from a picture is its fine detail."""
ENERGY_REACH = 4.0
"""Standard deviation in pixels of the Gaussian that energies of fine detail are averaged with."""
MOST_KEPT = 1.5
"""Largest factor by which `keep_detail` raises fine detail. Why: where the flow is wrong, there is none to keep."""
MOST_MIXED = 2.0
"""The same for a mean of two neighbours, which can halve it."""
MOST_EVENED = 1.2
"""Largest factor by which `even_strokes` raises fine detail, in one warp. It adds up from frame to frame."""
SAME, OTHER = 2.0, 6.0
"""Difference in grey levels, over 3 pixels, up to which a frame and its warped neighbour show the same, and from which
on they do not. Below it lie noise and resampling, which must not be painted."""
RESTS, MOVES = 0.5, 1.5
"""Pixels that a flow differs by from its median over the frame, up to which something rests, and from which on it
moves."""
CHANGED_LITTLE, CHANGED = 4.0, 14.0
"""As SAME and OTHER, for what counts as moving whatever the flow says."""
SOFT_EDGE = 2.0
"""Standard deviation in pixels of the soft edge of what moves."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Luminance of RGB (ITU-R BT.601). `even_strokes` raises the detail of luminance only: colour noise is no stroke."""
RESTING_FLOOR = 0.02
"""Weight that moving pixels have among the resting ones, so that there is a mean where all of the picture moves."""


def moving_weight(match: Match, content: np.ndarray, warped_source: np.ndarray) -> np.ndarray:
    """How far each pixel of the frame `content` moves by itself or changes: (H, W) float32, 0..1.

    `match` leads to a neighbouring frame, and `warped_source` (H, W, 3) float32 is that frame of the film, warped along
    it. A pixel moves where its flow differs from the median over the frame (which is the camera's), where the flow
    cannot be trusted, or where the two pictures differ.
    """
    relative = match.flow - np.nanmedian(match.flow, axis=(0, 1))
    moves = _ramp(np.nan_to_num(np.hypot(relative[..., 0], relative[..., 1]), nan=np.inf), RESTS, MOVES)
    changes = _ramp(_difference(content, warped_source), CHANGED_LITTLE, CHANGED)
    here = np.maximum(np.maximum(moves, changes), 1 - match.weight)
    return cv2.GaussianBlur(here.astype(np.float32), (0, 0), SOFT_EDGE)


def carried_tie(
    painted: np.ndarray,
    match: Match,
    weight: np.ndarray,
    content: np.ndarray,
    source: np.ndarray,
    *,
    moving: np.ndarray,
    follow: float,
    change: np.ndarray,
) -> TemporalTie:
    """The painted frame `painted` as a tie of the frame `content`, with `weight` (H, W).

    `source` is the film's frame that `painted` was painted from, and `match` leads there from `content`. `moving` is
    `moving_weight` of `content`, `follow` in 0..1 says how far the film's change is followed, and `change` is the
    `color_change` from source to paint.
    """
    carried = keep_detail(warp_sharp(painted, match.flow), warp(detail_energy(painted), match.flow), MOST_KEPT)
    carried = follow_change(carried, content, warp_sharp(source, match.flow), change, follow * moving)
    return TemporalTie(even_strokes(carried, content, moving), weight)


def mean_tie(ties: Sequence[TemporalTie]) -> TemporalTie:
    """Several ties as one, whose image is their weighted mean with the fine detail that they have.

    The optimiser is drawn to the mean of its ties, in which strokes that do not lie on one another cancel out. The
    weight is the sum. It is 0 where no tie has one.
    """
    weight = np.sum(np.stack([tie.weight for tie in ties]), axis=0)
    total = np.maximum(weight, 1e-6)
    images = [np.where(tie.weight[..., None] > 0, tie.image, 0).astype(np.float32) for tie in ties]
    mean = sum(tie.weight[..., None] * image for tie, image in zip(ties, images, strict=True)) / total[..., None]
    energy = sum(tie.weight * detail_energy(image) for tie, image in zip(ties, images, strict=True)) / total
    return TemporalTie(keep_detail(np.asarray(mean, np.float32), np.asarray(energy, np.float32), MOST_MIXED), weight)


def detail_energy(picture: np.ndarray) -> np.ndarray:
    """Mean square of the fine detail around each pixel, in grey levels squared: (H, W) float32."""
    return _energy(_fine(picture.astype(np.float32)))


def keep_detail(picture: np.ndarray, energy: np.ndarray, most: float) -> np.ndarray:
    """`picture` with its fine detail raised to `energy` (H, W), by a factor of 1 to `most`."""
    fine = _fine(picture)
    factor = np.clip(np.sqrt(energy / np.maximum(_energy(fine), 1e-3)), 1, most)
    return np.clip(picture + (factor - 1)[..., None] * fine, 0, 255)


def follow_change(
    carried: np.ndarray, content: np.ndarray, warped_source: np.ndarray, change: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """`carried` plus what the film's frame `content` differs by from the warped neighbour, in paint: `(c - s) @ A`.

    `change` is the matrix A (3, 3) of `farm.render.temporal.color_change`; `weight` (H, W) is 0 where nothing is
    followed. Differences of up to SAME grey levels are left out, those from OTHER on count fully.
    """
    difference = content.astype(np.float32) - warped_source
    weight = weight * _ramp(_difference(content, warped_source), SAME, OTHER)
    return np.clip(carried + weight[..., None] * (difference @ change), 0, 255)


def even_strokes(painted: np.ndarray, content: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """`painted` with the fine detail of luminance, where it moves, raised to what the resting part of it has.

    How much that is follows from the fine detail of the film's frame `content`, by a line fitted to the resting part:
    a painter who covers the whole canvas with strokes gives a flat line, one who paints flat colours a steep one.
    Detail is raised by a factor of 1 to MOST_EVENED, and is never lowered.
    """
    fine = _fine(painted)
    have, film = np.sqrt(_energy(fine)), np.sqrt(detail_energy(content))
    share = (1 - moving + RESTING_FLOOR).astype(np.float64)
    share /= share.sum()
    mean_have, mean_film = float((share * have).sum()), float((share * film).sum())
    together = float((share * (have - mean_have) * (film - mean_film)).sum())
    slope = max(together / (float((share * (film - mean_film) ** 2).sum()) + 1), 0.0)
    wanted = mean_have + np.float32(slope) * (film - np.float32(mean_film))
    factor = 1 + moving * (np.clip(wanted / np.maximum(have, 0.1), 1, MOST_EVENED) - 1)
    return np.clip(painted + ((factor - 1) * (fine @ LUMA))[..., None], 0, 255).astype(np.float32)


def _fine(picture: np.ndarray) -> np.ndarray:
    return picture - cv2.GaussianBlur(picture, (0, 0), FINE)


def _energy(fine: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur((fine**2).mean(axis=2), (0, 0), ENERGY_REACH)


def _difference(content: np.ndarray, warped_source: np.ndarray) -> np.ndarray:
    """Mean absolute difference over 3x3 pixels, in grey levels: (H, W) float32."""
    return cv2.blur(np.abs(content.astype(np.float32) - warped_source).mean(axis=2), (3, 3))


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to `low`, 1 from `high` on, and a line between."""
    return np.clip((values - low) / (high - low), 0, 1)
