"""Films with a known answer for keys, and how near a film painted from keys comes to it.

    truth = FILTERS["oil"](frame)                       a painting that is a function of the frame alone
    judge = Judge(frames)
    figures = judge.figures(painted, truth, judged)     medians over the judged frames

The flow of the warp error is OpenCV's DIS at its medium preset on the source, as benchmarks.yardstick has it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from farm.flow import create_smooth_search, match_both_ways
from farm.render.detail import fine_detail, mean_within, moving_area
from farm.render.steadiness import warp_error

OIL_RADIUS, OIL_LEVELS = 3, 1
"""Radius in pixels and divisor of the grey levels of OpenCV's oil paint filter."""
LINE_SPACING = 24.0
"""Grey levels from one line of the hatching to the next."""
SSIM_DEVIATION, SSIM_REACH = 1.5, 5
"""Gaussian window of SSIM: standard deviation and reach in pixels."""

Picture = np.ndarray
"""RGB uint8 (H, W, 3)."""


def oil(frame: Picture) -> Picture:
    """Oil paint: each pixel takes the mean colour of the most frequent grey level around it (OpenCV, xphoto)."""
    return np.asarray(cv2.xphoto.oilPainting(np.ascontiguousarray(frame), OIL_RADIUS, OIL_LEVELS))


def hatching(frame: Picture) -> Picture:
    """Hatching that sticks to things: dark lines along equal steps of the smoothed luminance, over soft colours."""
    grey = cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.5)
    lines = 0.5 + 0.5 * np.sin(grey * (2 * np.pi / LINE_SPACING))
    colors = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 2.0)
    return np.rint(np.clip(colors * (0.45 + 0.7 * lines[..., None]), 0, 255)).astype(np.uint8)


FILTERS: dict[str, Callable[[Picture], Picture]] = {"oil": oil, "hatching": hatching}
"""Paintings with a known answer, by name."""


@dataclass(frozen=True)
class Figures:
    """How near a film comes to the truth: medians over the judged frames. None where nothing can be judged."""

    psnr: float
    """Decibels. Higher is nearer."""
    psnr_moving: float | None
    """The same over what moves (farm.render.detail.moving_area)."""
    ssim: float
    """Of luminance (Wang et al. 2004): 1 is equal."""
    warp_error: float | None
    """farm.render.steadiness.warp_error of pairs of frames, keys among them. Lower is steadier."""
    worst_pair: float | None
    """The largest of them: a jump."""
    fine: float
    """Fine detail over the truth's: 1 is as detailed."""
    fine_moving: float | None
    """The same over what moves."""


class Judge:
    """Measures films that were painted from the frames of one clip."""

    def __init__(self, frames: Sequence[Picture]) -> None:
        search = create_smooth_search()
        self._matches = [
            match_both_ways([(search.estimate(after, before), search.estimate(before, after))])[0]
            for before, after in itertools.pairwise(frames)
        ]
        self._moving = [moving_area(frames, number) for number in range(len(frames))]

    def figures(self, painted: Sequence[Picture], truth: Sequence[Picture], judged: Sequence[int]) -> Figures:
        """The figures of a film. `judged` are the frames that are compared with the truth, in order."""
        rows = [self._frame(painted[n], truth[n], self._moving[n]) for n in judged]
        errors = [
            warp_error(before=painted[n - 1], after=painted[n], flow=match.flow, weight=match.weight)
            for n in range(min(judged), max(judged) + 2)
            if 0 < n < len(painted)
            for match in (self._matches[n - 1],)
        ]
        known = [error for error in errors if error is not None]
        psnr, psnr_moving, similar, fine, fine_moving = (_median(column) for column in zip(*rows, strict=True))
        assert psnr is not None
        assert similar is not None
        assert fine is not None
        return Figures(psnr, psnr_moving, similar, _median(known), max(known, default=None), fine, fine_moving)

    @staticmethod
    def _frame(painted: Picture, truth: Picture, moving: np.ndarray) -> tuple[float | None, ...]:
        mine, its = fine_detail(painted), fine_detail(truth)
        here, there = mean_within(mine, moving), mean_within(its, moving)
        squared = ((painted.astype(np.float32) - truth) ** 2).mean(axis=2)
        error = mean_within(squared, moving)
        return (
            decibels(float(squared.mean())),
            None if error is None else decibels(error),
            ssim(painted, truth),
            float(mine.mean() / max(float(its.mean()), 1e-6)),
            None if here is None or there is None else here / max(there, 1e-6),
        )


def decibels(squared_error: float) -> float:
    """PSNR of a mean squared error, in grey levels squared; 100 at the most."""
    return float(min(10 * np.log10(255**2 / max(squared_error, 1e-12)), 100.0))


def ssim(a: Picture, b: Picture) -> float:
    """Structural similarity of luminance (Wang et al. 2004), the mean over all pixels that have a whole window."""
    x, y = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64) for picture in (a, b))
    side = 2 * SSIM_REACH + 1

    def mean(values: np.ndarray) -> np.ndarray:
        blurred = cv2.GaussianBlur(values, (side, side), SSIM_DEVIATION)
        return np.asarray(blurred[SSIM_REACH:-SSIM_REACH, SSIM_REACH:-SSIM_REACH])

    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y, both = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2, mean(x * y) - mean_x * mean_y
    small, less = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    alike = (2 * mean_x * mean_y + small) * (2 * both + less)
    return float((alike / ((mean_x**2 + mean_y**2 + small) * (var_x + var_y + less))).mean())


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
