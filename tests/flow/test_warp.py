from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.flow import compose, inside_frame, warp, warp_sharp


def constant_flow(height, width, dx, dy):
    return np.full((height, width, 2), (dx, dy), np.float32)


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (20, 31, 3), np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4, 5, 9])
def test_a_zero_flow_is_the_identity(dtype, channels):
    shape = (13, 17) if channels is None else (13, 17, channels)
    image = np.random.default_rng(0).uniform(0, 255, shape).astype(dtype)
    warped = warp(image, constant_flow(13, 17, 0, 0))
    assert warped.dtype == np.float32
    np.testing.assert_array_equal(warped, image.astype(np.float32))


@pytest.mark.parametrize(("dx", "dy"), [(4, 0), (0, 3), (-5, 2), (7, -6)])
def test_an_integer_translation_repeats_the_edge(picture, dx, dy):
    rows = np.clip(np.arange(20) + dy, 0, 19)
    columns = np.clip(np.arange(31) + dx, 0, 30)
    expected = picture[rows][:, columns].astype(np.float32)
    np.testing.assert_array_equal(warp(picture, constant_flow(20, 31, dx, dy)), expected)


def test_half_a_pixel_is_the_mean_of_two():
    image = np.array([[0, 10, 30, 70]], np.float32)
    np.testing.assert_array_equal(warp(image, constant_flow(1, 4, 0.5, 0)), [[5, 20, 50, 70]])
    np.testing.assert_array_equal(warp(image, constant_flow(1, 4, -0.25, 0)), [[0, 7.5, 25, 60]])
    np.testing.assert_array_equal(warp(image.T, constant_flow(4, 1, 0, 0.5)), [[5], [20], [50], [70]])


def test_a_hundredth_of_a_pixel_is_not_rounded_away():
    ramp = np.tile(np.arange(64, dtype=np.float32), (8, 1))
    warped = warp(ramp, constant_flow(8, 64, 0.01, 0))
    np.testing.assert_allclose(warped[:, :-1] - ramp[:, :-1], 0.01, atol=5e-6)


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 40))
@settings(max_examples=25, deadline=None)
def test_it_is_bilinear_interpolation(seed, length_px):
    generator = np.random.default_rng(seed)
    image = generator.uniform(0, 255, (9, 11, 3)).astype(np.float32)
    flow = generator.normal(0, length_px, (9, 11, 2)).astype(np.float32)
    expected = np.empty((9, 11, 3))
    for y in range(9):
        for x in range(11):
            px = min(max(x + float(flow[y, x, 0]), 0.0), 10.0)
            py = min(max(y + float(flow[y, x, 1]), 0.0), 8.0)
            x0, y0 = int(px), int(py)
            x1, y1 = min(x0 + 1, 10), min(y0 + 1, 8)
            fx, fy = px - x0, py - y0
            expected[y, x] = (1 - fy) * ((1 - fx) * image[y0, x0] + fx * image[y0, x1]) + fy * (
                (1 - fx) * image[y1, x0] + fx * image[y1, x1]
            )
    np.testing.assert_allclose(warp(image, flow), expected, atol=2e-4)


def test_motion_of_any_length_and_unknown_motion(picture):
    flow = constant_flow(20, 31, 1e8, -1e30)
    np.testing.assert_array_equal(warp(picture, flow), np.broadcast_to(picture[0, -1], picture.shape))
    np.testing.assert_array_equal(warp(picture, constant_flow(20, 31, np.nan, np.nan)), picture)


def test_a_picture_that_is_a_view(picture):
    flow = constant_flow(10, 31, 0.3, 0.4)
    view = picture[::2, ::-1]
    np.testing.assert_array_equal(warp(view, flow), warp(view.copy(), flow))


def test_inputs_are_left_as_they_are(picture):
    image, flow = picture.astype(np.float32), constant_flow(20, 31, 0.3, 0.4)
    warp(image, flow)
    np.testing.assert_array_equal(image, picture)
    np.testing.assert_array_equal(flow, constant_flow(20, 31, 0.3, 0.4))


@pytest.mark.parametrize("shape", [(20, 30, 2), (19, 31, 2), (20, 31, 3), (20, 31)])
def test_a_flow_of_another_shape_is_refused(picture, shape):
    with pytest.raises(ValueError, match="cannot follow"):
        warp(picture, np.zeros(shape, np.float32))


def test_translations_add_up():
    ac = compose(constant_flow(12, 16, 1.5, -2), constant_flow(12, 16, 0.25, 3))
    np.testing.assert_array_equal(ac, constant_flow(12, 16, 1.75, 1))


def test_the_second_flow_is_read_where_the_first_leads():
    ab, bc = constant_flow(1, 4, 0.5, 0), np.zeros((1, 4, 2), np.float32)
    bc[0, :, 0] = [0, 1, 2, 4]
    np.testing.assert_array_equal(compose(ab, bc)[0, :, 0], [1, 2, 3.5, 4.5])


def test_a_zero_flow_composes_to_the_other(smooth_flow):
    flow = smooth_flow(3)
    np.testing.assert_array_equal(compose(flow, np.zeros_like(flow)), flow)
    np.testing.assert_array_equal(compose(np.zeros_like(flow), flow), flow)


def test_composition_is_warping_twice(smooth_flow, textured_pair):
    picture = textured_pair("still", 40, 56).a
    ab, bc = smooth_flow(1), smooth_flow(2)
    inner = np.s_[8:-8, 8:-8]
    once, twice = warp(picture, compose(ab, bc)), warp(warp(picture, bc), ab)
    moved = np.abs(twice - picture)[inner].mean()
    assert np.abs(once - twice)[inner].mean() < moved / 5  # twice is blurred a second time


def test_unknown_flow_stays_unknown():
    ab, bc = constant_flow(1, 6, 1, 0), constant_flow(1, 6, 1, 0)
    ab[0, 0] = bc[0, 3] = np.nan
    unknown = np.isnan(compose(ab, bc)).any(axis=-1)[0]
    assert unknown[[0, 2]].all()
    assert not unknown[[3, 4, 5]].any()


@pytest.mark.parametrize(
    ("dx", "inside"),
    [(0, [1, 1, 1, 1]), (1, [1, 1, 1, 0]), (-0.5, [0, 1, 1, 1]), (9, [0, 0, 0, 0]), (np.nan, [0, 0, 0, 0])],
)
def test_inside_frame(dx, inside):
    np.testing.assert_array_equal(inside_frame(constant_flow(1, 4, dx, 0))[0], np.array(inside, bool))
    np.testing.assert_array_equal(inside_frame(constant_flow(4, 1, 0, dx))[:, 0], np.array(inside, bool))


def _grain(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (40, 50, 3)).astype(np.uint8)


def _even_flow(dx: float, dy: float) -> np.ndarray:
    return np.broadcast_to(np.array([dx, dy], np.float32), (40, 50, 2)).copy()


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (2, 0), (-3, 5), (80, 0)])
def test_whole_pixels_are_moved_without_change_by_either_sampling(dx, dy):
    assert np.array_equal(warp_sharp(_grain(), _even_flow(dx, dy)), warp(_grain(), _even_flow(dx, dy)))


def test_sharp_sampling_reproduces_a_slope_exactly():
    y, x = np.mgrid[:40, :50].astype(np.float32)
    slope = np.stack([20 + 2 * x + 1.5 * y] * 3, axis=-1)
    moved = warp_sharp(slope, _even_flow(0.37, -0.61))
    assert np.abs(moved - (slope + 2 * 0.37 - 1.5 * 0.61))[3:-3, 3:-3].max() < 1e-4


def test_strokes_outlive_many_small_motions_that_linear_sampling_blurs_away():
    y, x = np.mgrid[:40, :50]
    strokes = np.stack([128 + 80 * np.sin(2 * np.pi * (x + y) / 8)] * 3, axis=-1).astype(np.float32)
    sharp = linear = strokes
    for step in range(8):
        move = _even_flow(0.5 if step % 2 else -0.5, 0)
        sharp, linear = warp_sharp(sharp, move), warp(linear, move)
    inside = (slice(12, -12), slice(12, -12))
    assert linear[inside].std() < 0.6 * strokes[inside].std()
    assert sharp[inside].std() > 0.9 * strokes[inside].std()


def test_sharp_sampling_stays_in_range_and_leaves_unknown_pixels():
    unknown = _even_flow(0.5, 0.5)
    unknown[10:20] = np.nan
    moved = warp_sharp(_grain(), unknown)
    assert moved.min() >= 0
    assert moved.max() <= 255
    assert np.array_equal(moved[10:20], _grain()[10:20])


def test_sharp_sampling_refuses_another_size():
    with pytest.raises(ValueError, match="cannot follow"):
        warp_sharp(_grain()[1:], _even_flow(0, 0))
