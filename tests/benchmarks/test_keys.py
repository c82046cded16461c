"""Films with a known answer, and the figures that compare films with them: exact values."""

import numpy as np
import pytest

from benchmarks.keys import from_keys, medians, nearest_warped
from benchmarks.keys_figures import FILTERS, Judge, decibels, ssim
from farm.flow import Match

HEIGHT, WIDTH = 48, 64


def frames(count: int, step: int) -> list[np.ndarray]:
    """A camera that pans over noise of 8 pixels."""
    wide = np.random.default_rng(1).integers(0, 256, (HEIGHT // 8, WIDTH // 8 + count, 3), np.uint8)
    large = wide.repeat(8, 0).repeat(8, 1)
    return [np.ascontiguousarray(large[:, n * step : n * step + WIDTH]) for n in range(count)]


def matches(count: int, step: int) -> list[tuple[Match, Match]]:
    ones = np.ones((HEIGHT, WIDTH), np.float32)
    there, back = (Match(np.full((HEIGHT, WIDTH, 2), (dx, 0), np.float32), ones) for dx in (step, -step))
    return [(there, back)] * (count - 1)


@pytest.mark.parametrize(("error", "value"), [(255.0**2, 0.0), (650.25, 20.0), (0.0, 100.0)])
def test_decibels(error: float, value: float):
    assert decibels(error) == pytest.approx(value)


def test_ssim_of_equal_pictures_is_one_and_of_unlike_ones_near_zero():
    a, b = frames(1, 0)[0], np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    assert ssim(a, a) == pytest.approx(1)
    assert ssim(a, 255 - a) < 0
    assert abs(ssim(a, b)) < 0.1


def test_ssim_of_two_flat_pictures_is_that_of_their_means():
    a, b = (np.full((HEIGHT, WIDTH, 3), level, np.uint8) for level in (100, 120))
    least = (0.01 * 255) ** 2
    assert ssim(a, b) == pytest.approx((2 * 100 * 120 + least) / (100**2 + 120**2 + least))


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_depends_on_the_frame_alone_and_moves_with_it(name: str):
    one, _, other = frames(3, 4)
    painted, moved = FILTERS[name](one), FILTERS[name](other)
    np.testing.assert_array_equal(painted, FILTERS[name](one.copy()))
    np.testing.assert_array_equal(moved[:, 12:-20], painted[:, 20:-12])
    assert np.abs(painted.astype(int) - one).mean() > 1


def test_a_pan_is_painted_from_its_keys_almost_as_its_truth():
    film = frames(9, 2)
    truth = [FILTERS["hatching"](frame) for frame in film]
    for way in (from_keys, nearest_warped):
        painted = way(film, truth, [0, 4, 8], matches(9, 2))
        for n in (0, 4, 8):
            assert painted[n] is truth[n]
        for n in (1, 2, 3, 5):
            assert np.abs(painted[n].astype(int) - truth[n])[:, 12:-20].mean() < 2
    figures = Judge(film).figures(truth, truth, [1, 2, 3])
    assert (figures.psnr, figures.ssim, figures.fine) == (100.0, pytest.approx(1), pytest.approx(1))


def test_a_jump_shows_in_the_worst_pair():
    film = [frames(1, 0)[0]] * 5
    truth = [np.full((HEIGHT, WIDTH, 3), 100, np.uint8)] * 5
    jumping = [*truth[:2], *[np.full((HEIGHT, WIDTH, 3), 151, np.uint8)] * 3]
    figures = Judge(film).figures(jumping, truth, [1, 2, 3])
    assert (figures.warp_error, figures.worst_pair) == (0, pytest.approx(0.04))


def test_medians_are_taken_of_each_way():
    row = dict.fromkeys(("psnr_moving", "ssim", "warp_error", "worst_pair", "fine", "fine_moving", "seconds"))
    rows = [{"way": "keys", "psnr": value, **row} for value in (20.0, 22.0, 30.0)]
    assert [(made["way"], made["psnr"], made["ssim"]) for made in medians(rows)] == [("keys", 22.0, None)]
