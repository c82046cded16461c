"""What moves, and how much of it is painted: exact values."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from farm.render.detail import StillReference, fine_detail, mean_within, moving_area
from farm.render.detail_figures import AreaDetail, FrameDetail, Spread, spread

SIDE = 96
EVERYWHERE = np.ones((SIDE, SIDE), bool)


def noise(seed: int = 3) -> np.ndarray:
    """A picture of strokes of a few pixels, uint8 (SIDE, SIDE, 3)."""
    rough = np.random.default_rng(seed).normal(0, 1, (SIDE, SIDE, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(rough, (0, 0), 1.2)
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), sigma)


def brightness(picture: np.ndarray) -> np.ndarray:
    """Stands for the network: means of 8x8 pixels, as features of three channels."""
    small = cv2.resize(picture.astype(np.float32), (SIDE // 8, SIDE // 8), interpolation=cv2.INTER_AREA)
    return small.transpose(2, 0, 1)


def with_square(left: int, background: np.ndarray, side: int = 24) -> np.ndarray:
    """The background with a textured square whose left edge is at `left`."""
    picture = background.copy()
    picture[36 : 36 + side, left : left + side] = 255 - noise(5)[:side, :side]
    return picture


# what moves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [0, 1, 5])
def test_nothing_moves_in_a_still_film(index):
    assert not moving_area([noise()] * 6, index).any()


def test_a_pan_of_the_camera_is_no_motion_but_at_the_edge_that_comes_into_view():
    wide = np.concatenate([noise(seed) for seed in (1, 2)], axis=1)
    moving = moving_area([np.ascontiguousarray(wide[:, 2 * t : 2 * t + SIDE]) for t in range(4)], 3)
    assert not moving[:, 10:-24].any()


def test_what_moves_before_a_resting_background_moves():
    frames = [with_square(20 + 3 * t, noise()) for t in range(4)]
    moving = moving_area(frames, 3)
    square = np.zeros((SIDE, SIDE), bool)
    square[38:58, 31:51] = True
    assert moving[square].mean() > 0.95
    assert moving[:20].mean() == 0
    assert moving[-16:].mean() == 0
    assert moving.mean() < 0.3


@pytest.mark.parametrize(("ago", "moves"), [(6, True), (7, False)])
def test_six_frames_back_count_and_no_more(ago, moves):
    frames = [with_square(20, noise())] * 3 + [with_square(24, noise())] * ago
    assert moving_area(frames, 2 + ago).any() == moves


# fine detail -----------------------------------------------------------------------------------------


def test_a_constant_picture_has_no_fine_detail():
    assert not fine_detail(np.full((SIDE, SIDE, 3), 77, np.uint8)).any()


def test_a_step_has_the_fine_detail_of_the_gaussian():
    """Half a pixel from a step of 100 grey levels, the Gaussian of 1.5 pixels has 37 of them: 50 - 50 erf(.236)."""
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    picture[:, SIDE // 2 :] = 100
    detail = fine_detail(picture)
    row = detail[SIDE // 2]
    assert row[SIDE // 2] == pytest.approx(37, abs=0.7)
    assert row[SIDE // 2 - 1] == pytest.approx(row[SIDE // 2], abs=1e-3)
    assert not row[: SIDE // 2 - 8].any()
    assert np.allclose(detail, row)


def test_a_blur_has_less_fine_detail_the_more_it_blurs():
    levels = [fine_detail(picture).mean() for picture in (noise(), blurred(noise(), 0.7), blurred(noise(), 2))]
    assert levels[0] > 1.2 * levels[1] > 1.2 * 2 * levels[2]


@pytest.mark.parametrize(("pixels", "judged"), [(46, False), (47, True)])
def test_an_area_below_half_a_percent_has_no_mean(pixels, judged):
    area = np.zeros(SIDE * SIDE, bool)
    area[:pixels] = True
    mean = mean_within(np.full((SIDE, SIDE), 3, np.float32), area.reshape(SIDE, SIDE))
    assert mean == (3 if judged else None)


# against a still -------------------------------------------------------------------------------------


def detail_of(painted: np.ndarray, still: np.ndarray, moving: np.ndarray = EVERYWHERE) -> FrameDetail:
    return StillReference(noise(), still, moving, brightness).compare(painted)


def test_a_still_is_as_good_as_itself():
    half = EVERYWHERE.copy()
    half[:, : SIDE // 4] = False
    one = AreaDetail(1, 1, 1, 1)
    still = blurred(noise(), 1)
    assert detail_of(still, still, half) == FrameDetail(0.75, one, one)


def test_an_area_that_is_too_small_is_left_out():
    still = blurred(noise(), 1)
    assert detail_of(still, still).resting is None
    assert detail_of(still, still, ~EVERYWHERE).moving is None


def test_figures_of_the_source_itself_over_a_blurred_still():
    moving = detail_of(noise(), blurred(noise(), 1)).moving
    assert moving.fine > 1.5
    assert moving.middle > 1
    assert moving.shape > 1
    assert moving.content == 0


def test_what_is_blurred_in_what_moves_shows_there_alone():
    moving = np.zeros((SIDE, SIDE), bool)
    moving[:, :48] = True
    still = blurred(noise(), 0.7)
    painted = still.copy()
    painted[:, :48] = blurred(still, 2)[:, :48]
    detail = detail_of(painted, still, moving)
    assert detail.moving.fine < 0.5
    assert detail.moving.middle < 0.9
    assert detail.moving.shape < 0.9
    assert detail.moving.content > 1.1
    assert detail.resting.fine == pytest.approx(1, abs=0.02)
    assert detail.resting.shape == pytest.approx(1, abs=0.05)
    assert detail.resting.content == pytest.approx(1, abs=0.05)


def test_a_still_without_paint_has_nothing_to_compare_with():
    """A constant still has no strokes and no shape; its distance to the source is a figure all the same."""
    moving = detail_of(noise(), np.full((SIDE, SIDE, 3), 128, np.uint8)).moving
    assert moving == AreaDetail(None, None, None, 0)


def test_a_constant_picture_keeps_no_shape():
    moving = detail_of(np.full((SIDE, SIDE, 3), 128, np.uint8), blurred(noise(), 1)).moving
    assert (moving.fine, moving.middle, moving.shape) == (0, 0, 0)
    assert moving.content > 1


# over several frames ---------------------------------------------------------------------------------


def test_the_worst_frame_has_the_least_paint_or_the_most_distance():
    def moved(fine: float | None, content: float) -> FrameDetail:
        return FrameDetail(0.5, AreaDetail(fine, 1, 1, content), None)

    details = {0: FrameDetail(0, None, None), 12: moved(0.9, 1.5), 24: moved(0.3, 1.1), 36: moved(None, 1.2)}
    assert spread(details, "moving", "fine") == Spread(median=pytest.approx(0.6), worst=0.3, frame=24)
    assert spread(details, "moving", "content") == Spread(median=1.2, worst=1.5, frame=12)
    assert spread(details, "resting", "fine") is None
