"""A film that was painted frame by frame, made steady: how one frame is made from its neighbours. Pure.

    image = first_steadied(painted, later, strength)                   the frame that the relay of a shot begins with
    one = carried_look(image, match, weight, content, source)          a steadied frame, carried to another one
    image = steadied(painted, carried, strength)                       pass 1: from frames that are steadied already
    image = between_neighbours(own, carried, strength)                 later passes: from both neighbours

A painter who does not know of the other frames gives each of them other colours and other strokes. Both are kept from
the frame before, carried along the flow of the source, as long as that can be trusted:

- *The tone* of a painted frame, its mean colour beyond what the film's frame says, becomes a mean over the frames
  around it (`tone_correction`). A jump between two windows of frames becomes a slow change, and the mean of the film
  stays what it was.
- *Colours*, what a Gaussian leaves of a picture, are drawn slowly to those of the painted frame, so that they are a
  mean over many of its frames.
- *Strokes*, the rest, are carried, and painted over by those of the painted frame so slowly that this is not seen.
  What a warp or a mean takes from them is given back (`farm.render.moving_paint.keep_detail`).
- *What comes into view* is as it was painted.
- *What was carried wrongly* is found by comparing it with the painted frame: where it differs by much more than the
  painted frames differ anyway, it is drawn to the painted frame faster.

Lai et al. 2018 and Bonneel et al. 2015 ("Blind Video Temporal Consistency") have the same problem; Bonneel et al. draw
each frame's gradients to the painted frame and its values to the frame before. Here the strokes too are held, because
independent paintings differ in their gradients as much as in their colours.

Pictures are RGB (H, W, 3) in 0..255; results are float32 and clipped to that range, unless they are said to be uint8.
`strength` in 0..1: 0 gives the painted frame back exactly, 1 holds most.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from farm.flow import Match, warp, warp_sharp
from farm.paint.losses.ties import TemporalTie
from farm.render.moving_paint import (
    MOST_KEPT,
    MOST_MIXED,
    CarriedPaint,
    detail_energy,
    follow_change,
    keep_detail,
    mean_tie,
    moving_weight,
)
from farm.render.temporal import blended_start, color_change, nearest_visible, warped_start

COLOR_REACH = 8.0
"""Standard deviation in pixels of the Gaussian that parts colours from strokes."""
COLORS_DRAWN, MOVING_COLORS_DRAWN = 0.04, 0.12
"""Share of what colours differ by from the painted frame's that is mended in each frame, where the film rests and where
something moves: half of it in 17 frames, and in 6.

Why so little: at a jump of the painted film by 20 levels they change by one level in a frame.
"""
DETAIL_DRAWN = 0.5
"""The same for the energy of detail, how strong strokes are."""
STROKES_DRAWN, MOVING_STROKES_DRAWN = 0.12, 0.2
"""The same for strokes, where the film rests and where something moves.

Why not nothing: after hundreds of warps, carried strokes are no strokes any more, and along the uneven flow of water or
hair after twenty.
"""
JOIN = 1.3
"""Change from one painted frame to the next, as a multiple of the usual one, from which on other windows begin."""
JOIN_REACH, JOIN_SLOW = 36, 20
"""Frames around a join up to which strokes are drawn more slowly, and up to which by SLOWEST of the usual share."""
SLOWEST = 0.15
MEAN_DRAWN = 0.25
"""Share by which the mean colour of a frame is drawn to that of the painted one, whose tone is steady already.

Why: strokes that are given their energy back are cut off at black and white, and more often at one of them.
"""
WRONG_REACH = 3.0
"""Standard deviation in pixels of the Gaussian by which carried and painted frames are compared."""
WRONG = (2.5, 5.0)
"""Difference to the painted frame, as a multiple of its median over the picture, up to which something was carried
rightly, and from which on wrongly."""
LEAST_DIFFERENCE = 5.0
"""Grey levels that this median counts as at least."""
WRONG_DRAWN = 0.2
"""Share by which what was carried wrongly is drawn to the painted frame."""
FOLLOWED = 0.5
"""How far what changes in the film beyond its motion is followed where something moves: see `follow_change`.

Why not whole: the painted frame shows it too, and is drawn to. Measured: followed whole, edges were sharper than those
of the painted film; not at all, shapes were as clear as in it or less.
"""
BLEND = 1.0
"""Weight of each neighbour in a later pass, beside the frame itself."""
ROUNDING_STEPS = 64
"""Steps that a grey level is rounded by."""
GOLDEN = 0.6180339887
"""Fraction of the golden ratio: its multiples fill 0..1 evenly, however many there are."""
FIRST_READS = 8
"""Frames whose mean colours the first frame of a relay has."""
TONE_DEVIATION = 24.0
"""Standard deviation in frames of the Gaussian that the tone of a shot is a mean by.

Why so long: a jump of 28 levels then becomes a change of half a level in a frame, which is below what is seen.
"""
TONE_REACH = 60
"""Frames to either side whose tone is read for a frame's."""


def tone(content_mean: np.ndarray, painted_mean: np.ndarray, change: np.ndarray) -> np.ndarray:
    """What the mean colour of a painted frame is beyond that of the film's frame, in paint: (3,) float64.

    Both means are (3,), and `change` is the matrix of `farm.render.temporal.color_change`, of the shot.
    """
    return painted_mean - content_mean @ change.astype(np.float64)


def tone_frames(frame: int, start: int, stop: int) -> list[int]:
    """The frames whose tones `tone_correction` needs for `frame` of a shot `start..stop` (half-open).

    They are TONE_REACH to either side; beyond the ends of the shot its frames are mirrored, the last one followed by
    itself. So every frame counts as much as any other in all the means together, and the mean of the shot stays.

    >>> tone_frames(1, 0, 2)[TONE_REACH - 2 : TONE_REACH + 3]
    [0, 0, 1, 1, 0]
    """
    length = stop - start
    places = (np.arange(frame - TONE_REACH, frame + TONE_REACH + 1) - start) % (2 * length)
    return [start + int(place) for place in np.minimum(places, 2 * length - 1 - places)]


def tone_correction(tones: np.ndarray, strength: float) -> np.ndarray:
    """What is added to a painted frame, so that its tone is a mean over the frames around it: (3,) float32.

    `tones` (2 TONE_REACH + 1, 3) are those of `tone_frames`, the frame's own in the middle.
    """
    distance = np.arange(-TONE_REACH, TONE_REACH + 1)
    weight = np.exp(-(distance**2) / (2 * TONE_DEVIATION**2))
    mean = (weight[:, None] * tones).sum(axis=0) / weight.sum()
    return (strength * (mean - tones[TONE_REACH])).astype(np.float32)


def first_steadied(painted: np.ndarray, others: Sequence[TemporalTie], strength: float) -> np.ndarray:
    """The frame that a relay begins with: (H, W, 3) uint8, `painted` with the mean colours of several painted frames.

    `others` are painted frames after it (or before it), warped into it. A frame by itself has colours by chance, and
    all that follow would have to change theirs slowly to those of the film.
    """
    total = np.zeros(painted.shape, np.float32)
    count = np.ones(painted.shape[:2], np.float32)
    for other in others:
        weight = (strength * other.weight).astype(np.float32)
        total += weight[..., None] * (np.nan_to_num(other.image) - painted)
        count += weight
    return _rounded(painted + _colors(total / count[..., None]))


def carried_look(
    image: np.ndarray, match: Match, weight: np.ndarray, content: np.ndarray, source: np.ndarray, follow: float
) -> CarriedPaint:
    """The steadied frame `image`, carried to the frame `content` with its strokes and what the film changes by.

    `source` is the film's frame that `image` belongs to, and `match` leads there from `content`. `weight` (H, W)
    becomes the tie's. `follow` in 0..1 says how far the film's change is followed where something moves.
    """
    warped_source = warp_sharp(source, match.flow)
    moving = moving_weight(match, content, warped_source)
    energy = warp(detail_energy(image), match.flow)
    carried = keep_detail(warp_sharp(image, match.flow), energy, MOST_KEPT, moving)
    if follow:
        carried = follow_change(carried, content, warped_source, color_change(source, image), follow * moving)
    return CarriedPaint(TemporalTie(carried, weight), moving)


def strokes_pace(changes: Sequence[float], at: int) -> float:
    """The share, in SLOWEST..1, of the usual pace at which strokes are drawn to the painted ones.

    `changes` has, for successive painted frames, the root mean square of what each differs by from the one before it,
    carried along the flow; `at` is the frame's place there. Around a join of windows all strokes become others, which
    at the usual pace would be a jump of its own.
    """
    usual = float(np.median(changes))
    joins = [abs(k - at) for k, change in enumerate(changes) if change > JOIN * usual]
    nearest = min(joins, default=JOIN_REACH)
    return float(np.clip(SLOWEST + (1 - SLOWEST) * (nearest - JOIN_SLOW) / (JOIN_REACH - JOIN_SLOW), SLOWEST, 1))


def steadied(
    painted: np.ndarray, carried: Sequence[CarriedPaint], strength: float, turn: int, pace: float = 1.0
) -> np.ndarray:
    """Pass 1: the frame `painted` (H, W, 3), held by one steadied frame or more, nearest first: (H, W, 3) uint8.

    With a `strength` of 0, it is `painted`. `turn` is the frame's number, by which `rounded_in_turn` rounds, and
    `pace` its `strokes_pace`.
    """
    ties = nearest_visible([one.tie for one in carried])
    held = np.clip(np.sum([tie.weight for tie in ties], axis=0, dtype=np.float32), 0, 1) * np.float32(strength)
    start = warped_start(painted, ties)
    difference = painted - start
    held = held_at_pace(held * (1 - WRONG_DRAWN * carried_wrongly(difference, held)), pace)
    colors = _colors(difference)
    moving = carried[0].moving
    colors_drawn = COLORS_DRAWN + (MOVING_COLORS_DRAWN - COLORS_DRAWN) * moving
    drawn = (1 - held * (1 - colors_drawn))[..., None] * colors
    strokes_drawn = pace * (STROKES_DRAWN + (MOVING_STROKES_DRAWN - STROKES_DRAWN) * moving)
    drawn += (1 - held * (1 - strokes_drawn))[..., None] * (difference - colors)
    energy, painted_energy = detail_energy(start), detail_energy(painted)
    share = (1 - held * (1 - pace * DETAIL_DRAWN))[..., None]
    wanted = (1 - share) * energy + share * painted_energy
    image = keep_detail(start + drawn, wanted, MOST_MIXED, np.zeros_like(held))
    off = (painted - image).mean(axis=(0, 1), dtype=np.float64)
    return rounded_in_turn(image + (MEAN_DRAWN * off).astype(np.float32), turn)


def held_at_pace(held: np.ndarray, pace: float) -> np.ndarray:
    """How far pixels are held near a join, where they are `held` (H, W) in 0..1 elsewhere: float32 (H, W).

    `pace` is `strokes_pace`. What is nearly held is held firmly, and what is not held stays so. Why: the part that is
    not held is as painted, so that at a join, where all of the painted film becomes another one, it would jump.
    """
    loose = 1 - held
    return np.asarray(1 - loose * (pace + (1 - pace) * loose), np.float32)


def rounded_in_turn(picture: np.ndarray, turn: int) -> np.ndarray:
    """`picture` in whole levels: up or down, as often up as the fraction says, by turns: (H, W, 3) uint8.

    A whole level stays as it is. Pixels have thresholds of their own, which go on by the golden ratio with each `turn`.
    Why: what is drawn by a tenth of a level in each frame would never move otherwise, as a frame starts from the
    committed 8-bit frame before.
    """
    steps = np.float32(ROUNDING_STEPS)
    first = np.random.default_rng(0).integers(0, ROUNDING_STEPS, picture.shape)
    threshold = (first + round(turn * GOLDEN * ROUNDING_STEPS)) % ROUNDING_STEPS
    whole = np.floor(np.rint(picture * steps) / steps + threshold.astype(np.float32) / steps)
    return np.clip(whole, 0, 255).astype(np.uint8)


def carried_wrongly(difference: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Where a carried frame differs from the painted one by more than paintings differ: (H, W) float32, 0..1.

    `difference` (H, W, 3) is painted less carried. `held` (H, W): where it is above 0, pixels count for what is usual,
    so that a jump of the whole painted film is no error.
    """
    level = np.abs(cv2.GaussianBlur(difference, (0, 0), WRONG_REACH)).mean(axis=2)
    known = level[held > 0]
    usual = max(float(np.median(known)), LEAST_DIFFERENCE) if known.size else LEAST_DIFFERENCE
    low, high = WRONG
    return np.clip((level / np.float32(usual) - low) / (high - low), 0, 1).astype(np.float32)


def between_neighbours(own: np.ndarray, carried: Sequence[CarriedPaint], strength: float) -> np.ndarray:
    """A later pass: `own`, the frame as the pass before left it, drawn to both neighbours: (H, W, 3) uint8."""
    if not carried:
        return own
    tie = mean_tie([one.tie for one in carried], np.zeros(own.shape[:2], np.float32))
    start = blended_start(own, [tie], strength * BLEND)
    return _rounded(keep_detail(start, detail_energy(own), MOST_MIXED, np.zeros(own.shape[:2], np.float32)))


def _colors(picture: np.ndarray) -> np.ndarray:
    """What a Gaussian of COLOR_REACH pixels leaves of a picture (H, W, 3)."""
    smooth: np.ndarray = cv2.GaussianBlur(picture.astype(np.float32, copy=False), (0, 0), COLOR_REACH)
    return smooth


def _rounded(picture: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)
