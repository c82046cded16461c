"""Warp error and seams, by exact values."""

from __future__ import annotations

import numpy as np
import pytest

from farm.render.seams import NEAR, Seam, seam_table
from farm.render.steadiness import warp_error
from tests.plan.test_segments import make_plan

FLOW, SURE = np.zeros((4, 4, 2), np.float32), np.ones((4, 4), np.float32)
BLACK, GREY = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 51, np.uint8)


def weights(*rows: float) -> np.ndarray:
    """Weights of a picture of 4x4 pixels, the same along each row."""
    return np.repeat(np.array(rows, np.float32)[:, None], 4, axis=1)


def test_warp_error_is_the_mean_of_the_pixels_that_can_be_followed():
    assert warp_error(before=BLACK, after=GREY, flow=FLOW, weight=SURE) == pytest.approx(0.04)
    after = GREY.copy()
    after[:2] = 0
    assert warp_error(before=BLACK, after=after, flow=FLOW, weight=SURE) == pytest.approx(0.02)
    assert warp_error(before=BLACK, after=after, flow=FLOW, weight=weights(1, 1, 0, 0)) == 0
    # a pixel that is half followed does not count half: it does not count
    assert warp_error(before=BLACK, after=after, flow=FLOW, weight=weights(1, 1, 0.5, 0.98)) == 0


@pytest.mark.parametrize(("mask", "known"), [((1, 0, 0, 0), True), ((0.9, 0.9, 0.9, 0.9), False)])
def test_a_pair_of_which_less_than_a_fifth_can_be_followed_has_no_warp_error(mask, known):
    assert (warp_error(before=BLACK, after=GREY, flow=FLOW, weight=weights(*mask)) is not None) == known


def test_the_flow_leads_from_the_later_frame_to_the_earlier_one():
    before = np.repeat(np.arange(0, 80, 10, dtype=np.uint8)[None, :, None], 8, axis=0).repeat(3, axis=2)
    after = np.roll(before, 1, axis=1)
    flow = np.zeros((8, 8, 2), np.float32)
    flow[..., 0] = -1
    inside = np.zeros((8, 8), np.float32)
    inside[:, 2:] = 1
    assert warp_error(before=before, after=after, flow=flow, weight=inside) == 0
    assert warp_error(before=after, after=before, flow=flow, weight=inside) == pytest.approx((20 / 255) ** 2)


def test_a_seam_is_measured_against_its_own_shot_away_from_boundaries():
    plan = make_plan(80, [40], chunk_frames=20)
    errors = {frame: 1.0 if frame < 40 else 10.0 for frame in range(1, 80) if frame != 40}
    errors[20 - NEAR] = 3.0
    errors[60 + NEAR + 1] = 90.0
    styles = dict.fromkeys(range(80), 2.0) | {21: 1.0, 60: 5.0}
    assert seam_table(plan, errors, styles) == [
        Seam(frame=20, shot=0, ratio=3.0, worst=14, style_low=0.5, style_high=1.0),
        Seam(frame=60, shot=1, ratio=1.0, worst=54, style_low=1.0, style_high=2.5),
    ]


def test_a_seam_of_which_nothing_is_known_has_no_ratio():
    (seam,) = seam_table(make_plan(40, chunk_frames=20), {}, {})
    assert seam == Seam(frame=20, shot=0, ratio=None, worst=None, style_low=None, style_high=None)
