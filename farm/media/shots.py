"""Where shots begin: pure decisions on measurements of all frames.

Candidates come from ffmpeg's scene score. The score of frame i is `min(m[i], |m[i] - m[i-1]|) / 100`
with m the mean absolute difference of luma to the frame before, clipped to 0..1, so steady motion scores
low. So does a cut next to another one, as in a slideshow of one frame each: there, two neighbours are compared as
pictures. A candidate is a cut only if the pictures around it say so as well: see `find_cuts`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

THUMBNAIL_SIZE = (32, 18)
"""Width and height of the grey thumbnails that `find_cuts` compares."""

SURE_SCORE = 0.25
"""Score from which on a frame is a candidate by itself: luma changed by 25 of 255 on average, all at once."""

FAINT_SCORE = 0.06
"""Score from which on a frame is a candidate if it stands out: a cut between dark or similar pictures."""

STANDS_OUT = 4.0
"""Factor by which the score of a faint candidate exceeds those of its neighbourhood."""
NEIGHBOURHOOD = 8
"""Frames to either side of a faint candidate whose scores it is compared with."""

QUICK_STEP = 25.0
"""Mean difference of neighbouring thumbnails (of 255) that makes a candidate where the step beside it is as large."""

UNRELATED = 0.7
"""Correlation of two thumbnails, at the best shift of one, below which they show nothing in common.

Measured: motion of so large a step has .96 and more, cuts between shots of real films .2 to .7.
"""
MOST_SHIFT = (8, 4)
"""Columns and rows of a thumbnail by which motion may move a picture from one frame to the next."""

FLAT = 4.0
"""Standard deviation of a thumbnail below which it is one colour, with which nothing correlates."""

FADING_STEP = 10.0
"""Mean difference of two related thumbnails above which they belong to a fade."""

SUDDEN = 2.0
"""Factor by which the picture changes more at a faint candidate than in the steps before and after it."""

RETURNED = 0.5
"""Share of the jump at a candidate below which the difference of two frames makes them the same picture."""

SAME_PICTURE = (4.0, 20.0)
"""Mean differences of thumbnails (of 255).

Below the first, two frames are always the same picture; above the second, they never are.
"""


def find_cuts(scene_scores: Sequence[float], thumbnails: np.ndarray, *, longest_flash: int = 8) -> tuple[int, ...]:
    """First frames of new shots, ascending, never 0.

    `scene_scores` has ffmpeg's score of each frame; `thumbnails` is (frames, 18, 32) uint8. Raises ValueError where
    their numbers differ.

    Not a cut is a fade or dissolve, in which no frame stands out, nor a flash or dropped frames: at most
    `longest_flash` frames, after which the picture from before is back. Both edges of a flash are refused, because
    frames close around either of them agree. A flash between two different shots is a cut. Shots may have one frame.
    """
    scores = np.asarray(scene_scores, dtype=np.float64)
    if len(thumbnails) != len(scores):
        raise ValueError(f"{len(scores)} scores but {len(thumbnails)} thumbnails")
    pictures = np.asarray(thumbnails)
    return tuple(
        frame
        for frame in range(1, len(scores))
        if _is_candidate(scores, pictures, frame) and not _picture_returns(pictures, frame, longest_flash)
    )


def _is_candidate(scores: np.ndarray, pictures: np.ndarray, frame: int) -> bool:
    if _is_quick_cut(pictures, frame):
        return True
    score = scores[frame]
    # The score of frame 1 has no motion before it to be compared with: a pan scores as high as a cut.
    if score >= SURE_SCORE and frame > 1:
        return True
    if score < FAINT_SCORE:
        return False
    before = scores[max(frame - NEIGHBOURHOOD, 1) : frame]
    after = scores[frame + 1 : frame + 1 + NEIGHBOURHOOD]
    if score < STANDS_OUT * max(np.max(before, initial=0.0), np.max(after, initial=0.0)):
        return False
    # Where motion or a fade sets in, the score has a peak and the picture keeps changing.
    jump = _difference(pictures[frame - 1], pictures[frame])
    steps = [_difference(pictures[i - 1], pictures[i]) for i in (frame - 1, frame + 1) if 0 < i < len(pictures)]
    return jump >= SUDDEN * max(steps, default=0.0)


def _is_quick_cut(pictures: np.ndarray, frame: int) -> bool:
    """Whether the picture at `frame` has nothing in common with the one before, in a run of such large steps.

    Of a fade to one colour or from it, the last and the first step look the same; the step beside them tells.
    """
    if _difference(pictures[frame - 1], pictures[frame]) < QUICK_STEP:
        return False
    beside = [step for step in (frame - 1, frame + 1) if 0 < step < len(pictures)]
    if not any(_difference(pictures[step - 1], pictures[step]) >= QUICK_STEP for step in beside):
        return False
    if _correlation(pictures[frame - 1], pictures[frame]) >= UNRELATED:
        return False
    if min(pictures[frame - 1].std(), pictures[frame].std()) >= FLAT:
        return True
    return not any(
        _difference(pictures[step - 1], pictures[step]) >= FADING_STEP
        and _correlation(pictures[step - 1], pictures[step]) >= UNRELATED
        for step in beside
    )


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """The highest correlation of two pictures over all shifts of one; -1 where one is flat."""
    height, width = one.shape
    one, other = one.astype(np.float32), other.astype(np.float32)
    best = -1.0
    for y in range(-MOST_SHIFT[1], MOST_SHIFT[1] + 1):
        for x in range(-MOST_SHIFT[0], MOST_SHIFT[0] + 1):
            a = one[max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)]
            b = other[max(-y, 0) : height + min(-y, 0), max(-x, 0) : width + min(-x, 0)]
            spread = float(a.std() * b.std())
            if spread > 0:
                best = max(best, float(((a - a.mean()) * (b - b.mean())).mean()) / spread)
    return best


def _picture_returns(pictures: np.ndarray, frame: int, longest_flash: int) -> bool:
    """Whether some frame from `frame` on shows what one before it showed, at most a flash's length apart."""
    jump = _difference(pictures[frame - 1], pictures[frame])
    same = min(max(RETURNED * jump, SAME_PICTURE[0]), SAME_PICTURE[1])
    return any(
        _difference(pictures[before], pictures[after]) < same
        for before in range(max(frame - 1 - longest_flash, 0), frame)
        for after in range(frame, min(before + longest_flash + 2, len(pictures)))
    )


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.int16) - other).mean())
