"""Colour matching to the digit, and luminance transfer that leaves the colour alone."""

from __future__ import annotations

import numpy as np
import pytest

from farm.errors import UsageError
from farm.paint.color.matching import (
    VARIANCE_FLOOR,
    YIQ_FROM_RGB,
    color_statistics,
    color_transform,
    luminance,
    luminance_statistics,
    match_color,
    match_luminance,
    recombine,
)

METHODS = ["match", "match-cholesky"]


def random_covariance(seed):
    factor = np.random.default_rng(seed).normal(0, 30, (3, 3))
    return factor @ factor.T + np.eye(3)


def test_statistics_are_numpys_over_all_frames():
    frames = np.random.default_rng(1).integers(0, 256, (4, 7, 9, 3), dtype=np.uint8)
    mean, covariance = color_statistics(frames)
    pixels = frames.reshape(-1, 3).astype(float)
    assert np.allclose(mean, pixels.mean(0), atol=1e-9)
    assert np.allclose(covariance, np.cov(pixels.T, bias=True), atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(5))
def test_transform_maps_one_covariance_to_the_other(method, seed):
    style, content = random_covariance(seed), random_covariance(seed + 100)
    transform = color_transform(style, content, method)
    assert np.allclose(transform @ style @ transform.T, content, atol=1e-5)


def test_the_transforms_have_their_characteristic_shapes():
    style, content = random_covariance(1), random_covariance(2)
    assert np.allclose(np.triu(color_transform(style, content, "match-cholesky"), 1), 0)
    assert np.allclose(color_transform(style, style, "match"), np.eye(3), atol=1e-9)
    diagonal = color_transform(np.diag([4.0, 9.0, 16.0]), np.diag([16.0, 9.0, 4.0]), "match")
    assert np.allclose(diagonal, np.diag([2.0, 1.0, 0.5]))


@pytest.mark.parametrize("method", METHODS)
def test_degenerate_pictures_stay_finite_and_bounded(method):
    grey = np.repeat(np.random.default_rng(0).integers(0, 256, (16, 16, 1), dtype=np.uint8), 3, axis=2)
    flat = np.full((16, 16, 3), 90, np.uint8)
    colourful = np.random.default_rng(3).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for style in (grey, flat, colourful):
        for content in (grey, flat, colourful):
            matched = match_color(style, *color_statistics([content]), method)
            assert matched.shape == style.shape
            if style is flat:
                assert np.all(matched == np.round(color_statistics([content])[0]))
            if content is flat:
                assert np.all(np.abs(matched.astype(int) - 90) <= 1)
    assert np.linalg.norm(color_transform(np.zeros((3, 3)), random_covariance(0), method)) < 1e3 / VARIANCE_FLOOR


def test_matched_painting_has_the_contents_statistics():
    generator = np.random.default_rng(5)
    style = generator.normal((90, 120, 150), (20, 15, 10), (40, 40, 3)).round().astype(np.uint8)
    content = generator.normal((130, 110, 100), (8, 16, 24), (40, 40, 3)).round().astype(np.uint8)
    mean, covariance = color_statistics([match_color(style, *color_statistics([content]))])
    assert np.allclose(mean, color_statistics([content])[0], atol=0.3)
    assert np.allclose(covariance, color_statistics([content])[1], atol=6)


def test_luminance_is_y_in_three_channels():
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert luminance(image)[0, :, 0].tolist() == [76, 150, 29, 255]
    assert np.all(luminance(image) == luminance(image)[..., :1])


def test_matched_luminance_has_the_contents_mean_and_deviation():
    generator = np.random.default_rng(5)
    style = generator.normal(100, 30, (50, 50, 3)).clip(0, 255).astype(np.uint8)
    content = generator.normal(140, 12, (50, 50, 3)).clip(0, 255).astype(np.uint8)
    matched = match_luminance(style, *luminance_statistics(*color_statistics([content])))
    grey = content.astype(float) @ YIQ_FROM_RGB[0]
    assert matched[..., 0].mean() == pytest.approx(grey.mean(), abs=0.1)
    assert matched[..., 0].std() == pytest.approx(grey.std(), abs=0.2)


def test_recombine_leaves_i_and_q_of_the_content():
    generator = np.random.default_rng(2)
    content = generator.integers(0, 256, (30, 40, 3), dtype=np.uint8)  # saturated colours among them
    painted = luminance(generator.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    result = recombine(painted, content)
    chroma = (result.astype(float) - content) @ YIQ_FROM_RGB[1:].T
    assert np.abs(chroma).max() < 1e-9
    # Y is the painted one wherever the colour cube allows it.
    wanted = painted[..., 0].astype(float)
    given = result.astype(float) @ YIQ_FROM_RGB[0]
    at_the_wall = (result.min(-1) == 0) | (result.max(-1) == 255)
    assert np.abs(given - wanted)[~at_the_wall].max() <= 0.5 + 1e-9
    assert (~at_the_wall).sum() > 50


def test_refuses_an_unknown_method_and_no_frames():
    with pytest.raises(UsageError, match="histogram"):
        color_transform(np.eye(3), np.eye(3), "histogram")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least one frame"):
        color_statistics([])


def test_recombine_of_floats_is_not_rounded():
    random = np.random.default_rng(5)
    content = random.integers(100, 160, (20, 30, 3), dtype=np.uint8)
    painted = random.uniform(90, 160, (20, 30, 3)).astype(np.float32)
    exact = recombine(painted, content)
    assert exact.dtype == np.float32
    assert np.abs(exact @ YIQ_FROM_RGB[0] - painted @ YIQ_FROM_RGB[0]).max() < 1e-3
    assert np.abs((exact - content) @ YIQ_FROM_RGB[1:].T).max() < 1e-4
    assert len(np.unique(exact)) > 256
