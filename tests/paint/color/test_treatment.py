"""Colours around any painter: what it sees, what it learns from, what becomes of its picture."""

from __future__ import annotations

import numpy as np
import pytest

from farm.paint.color.matching import YIQ_FROM_RGB, color_statistics, luminance
from farm.paint.color.treatment import ColorTreatment, color_treatment, color_treatment_after


@pytest.fixture
def frames():
    generator = np.random.default_rng(4)
    return [generator.normal((60, 90, 140), (10, 20, 15), (24, 32, 3)).round().astype(np.uint8) for _ in range(3)]


@pytest.fixture
def style():
    generator = np.random.default_rng(5)
    return generator.normal((180, 120, 60), (25, 15, 20), (40, 40, 3)).clip(0, 255).astype(np.uint8)


def test_without_a_treatment_nothing_is_touched_and_no_frame_is_asked_for(frames, style):
    def never():
        raise AssertionError("no frame is needed")
        yield

    colors = color_treatment("none", never())
    assert type(colors) is ColorTreatment
    assert colors.style(style) is style
    assert colors.content(frames[0]) is frames[0]
    assert colors.finish(frames[1], frames[0]) is frames[1]


@pytest.mark.parametrize("mode", ["match", "match-cholesky"])
def test_matching_changes_the_painting_alone(frames, style, mode):
    colors = color_treatment(mode, iter(frames))
    mean, covariance = color_statistics([colors.style(style)])
    assert np.allclose(mean, color_statistics(frames)[0], atol=0.3)
    assert np.allclose(covariance, color_statistics(frames)[1], atol=6)
    assert colors.content(frames[0]) is frames[0]
    assert colors.finish(style, frames[0]) is style


def test_the_two_ways_of_matching_differ(frames, style):
    pictures = [color_treatment(mode, frames).style(style) for mode in ("match", "match-cholesky")]
    assert not np.array_equal(*pictures)


def test_luminance_shows_the_painter_grey_and_gives_back_the_frames_colour(frames, style):
    colors = color_treatment("luminance", frames)
    seen, learned = colors.content(frames[0]), colors.style(style)
    for grey in (seen, learned):
        assert grey.dtype == np.uint8
        assert np.all(grey == grey[..., :1])
    every = np.concatenate([frame.astype(float) @ YIQ_FROM_RGB[0] for frame in frames])
    assert learned[..., 0].mean() == pytest.approx(every.mean(), abs=0.2)
    assert learned[..., 0].std() == pytest.approx(every.std(), abs=0.2)
    painted = luminance(np.random.default_rng(1).integers(60, 190, frames[0].shape, dtype=np.uint8))
    picture = colors.finish(painted, frames[0])
    assert np.abs((picture.astype(float) - frames[0]) @ YIQ_FROM_RGB[1:].T).max() < 1e-9


def test_what_a_later_frame_sees_of_a_finished_picture_is_what_was_painted(frames):
    colors = color_treatment("luminance", frames)
    painted = luminance(np.random.default_rng(1).integers(90, 150, frames[0].shape, dtype=np.uint8))
    seen = colors.content(colors.finish(painted, frames[0]))
    free = ~((colors.finish(painted, frames[0]) == 0) | (colors.finish(painted, frames[0]) == 255)).any(-1)
    assert free.mean() > 0.9
    assert np.abs(seen.astype(int) - painted)[free].max() <= 1


def test_a_warped_frame_stays_float_and_keeps_its_unknown_pixels(frames):
    warped = frames[0].astype(np.float32) + 0.25
    warped[3, 4] = np.nan
    seen = color_treatment("luminance", frames).content(warped)
    assert seen.dtype == np.float32
    assert np.isnan(seen[3, 4]).all()
    assert np.isfinite(seen).sum() == seen.size - 3
    assert seen[0, 0, 0] == pytest.approx(float(frames[0][0, 0] @ YIQ_FROM_RGB[0]) + 0.25, abs=1e-4)


@pytest.mark.parametrize("mode", ["match", "match-cholesky"])
def test_a_painter_that_knows_the_painting_already_paints_in_the_matched_ones_colours(frames, style, mode):
    """One that reproduces its painting gives, after the treatment, what one that learnt the matched one gives."""
    after = color_treatment_after(mode, style, iter(frames)).finish(style, frames[0])
    assert np.array_equal(after, color_treatment(mode, iter(frames)).style(style))


def test_luminance_afterwards_has_the_contents_statistics_and_its_colours(frames, style):
    colors = color_treatment_after("luminance", style, iter(frames))
    seen = colors.content(frames[0])
    assert np.array_equal(seen, luminance(frames[0]))
    made = colors.finish(luminance(style[:24, :32]), frames[0])
    chroma = (made.astype(float) - frames[0]) @ YIQ_FROM_RGB[1:].T
    assert np.abs(chroma).max() < 1e-9
    wanted = color_treatment("luminance", iter(frames)).style(style)[:24, :32, 0]
    inside = ((made > 0) & (made < 255)).all(axis=2)  # elsewhere the level gives way to the colour
    assert inside.mean() > 0.5
    assert np.abs(made @ YIQ_FROM_RGB[0] - wanted)[inside].max() < 1.5


def test_a_painting_of_one_luminance_is_not_blown_up(frames):
    grey = np.full((20, 20, 3), 90, np.uint8)
    made = color_treatment_after("luminance", grey, iter(frames)).finish(grey[:, :20], frames[0][:20, :20])
    level = made @ YIQ_FROM_RGB[0]
    assert level.std() < 1
