"""How a frame of a steadied film is made: tables and exact values."""

import numpy as np
import pytest

from farm.flow import Match
from farm.paint.losses.ties import TemporalTie
from farm.render.moving_paint import CarriedPaint
from farm.render.steadied import (
    COLORS_DRAWN,
    FIRST_READS,
    JOIN_REACH,
    JOIN_SLOW,
    MEAN_DRAWN,
    ROUNDING_STEPS,
    SLOWEST,
    STROKES_DRAWN,
    TONE_REACH,
    between_neighbours,
    carried_look,
    carried_wrongly,
    first_steadied,
    held_at_pace,
    rounded_in_turn,
    steadied,
    strokes_pace,
    tone,
    tone_correction,
    tone_frames,
)

HEIGHT, WIDTH = 48, 64
RESTS = np.zeros((HEIGHT, WIDTH), np.float32)
TRUSTED = np.ones((HEIGHT, WIDTH), np.float32)


def flat(value: float) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), value, np.float32)


def strokes(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(128, 20, (HEIGHT, WIDTH, 3))
    return np.clip(np.rint(noise), 0, 255).astype(np.uint8)


def carried(image: np.ndarray, weight: np.ndarray = TRUSTED) -> CarriedPaint:
    return CarriedPaint(TemporalTie(image.astype(np.float32), weight), RESTS)


def test_with_no_strength_a_frame_is_the_painted_one_whatever_is_carried():
    painted, other = strokes(1), strokes(2)
    for turn in range(5):
        assert (steadied(painted, [carried(other)], 0.0, turn) == painted).all()
    assert (first_steadied(painted, [TemporalTie(other.astype(np.float32), TRUSTED)], 0.0) == painted).all()
    assert (between_neighbours(painted, [carried(other)], 0.0) == painted).all()


def test_a_frame_without_neighbours_in_a_later_pass_stays():
    assert (between_neighbours(strokes(1), [], 1.0) == strokes(1)).all()


def test_what_nothing_was_carried_to_is_as_it_was_painted():
    painted = strokes(1)
    assert (steadied(painted, [carried(strokes(2), np.zeros_like(TRUSTED))], 1.0, 3) == painted).all()


def test_colours_are_drawn_by_their_share_and_arrive_though_frames_have_whole_levels():
    # two halves, so that the mean colour of the picture is right already
    lighter = np.where(np.arange(WIDTH)[:, None] < WIDTH // 2, 4, -4).astype(np.float32)
    image, target = flat(100), flat(100) + lighter
    means = []
    for turn in range(100):
        image = steadied(target, [carried(image)], 1.0, turn).astype(np.float32)
        means.append(float(image[:, :8].mean()))
    assert means[0] == pytest.approx(100 + 4 * COLORS_DRAWN, abs=0.05)
    assert means[-1] == pytest.approx(104, abs=0.5)  # rounded to the nearest level, it would stay at 100


def test_the_mean_colour_of_a_frame_is_drawn_to_the_painted_ones():
    result = steadied(flat(108), [carried(flat(100))], 1.0, 0)
    drawn = 8 * COLORS_DRAWN
    assert result.mean() == pytest.approx(100 + drawn + MEAN_DRAWN * (8 - drawn), abs=0.05)


def test_strokes_stay_those_that_were_carried():
    own, painted = strokes(1), strokes(2)
    result = steadied(painted, [carried(own)], 1.0, 0).astype(np.float32)
    middle = slice(8, -8)
    flattened = [x[middle, middle].astype(np.float64).ravel() for x in (result, own, painted)]
    with_own, with_painted = (float(np.corrcoef(flattened[0], other)[0, 1]) for other in flattened[1:])
    assert with_own > 0.98
    assert with_painted < 3 * STROKES_DRAWN
    assert result[middle, middle].std() > 0.95 * own[middle, middle].std()


def test_what_was_carried_wrongly_is_told_from_what_differs_everywhere():
    wake = flat(0)
    wake[16:32, 16:40] = 120
    everywhere = flat(30)
    assert carried_wrongly(wake, TRUSTED)[24, 28] == 1
    assert carried_wrongly(wake, TRUSTED)[4, 60] == 0
    assert carried_wrongly(everywhere, TRUSTED).max() == 0  # a jump of the whole painted film is no wake
    assert carried_wrongly(everywhere, np.zeros_like(TRUSTED)).min() == 1  # nothing says that it is usual


def test_the_first_frame_has_the_mean_colours_of_the_frames_after_it():
    others = [TemporalTie(flat(110), TRUSTED) for _ in range(FIRST_READS)]
    result = first_steadied(flat(101).astype(np.uint8), others, 1.0)
    assert (result == 101 + round(9 * FIRST_READS / (FIRST_READS + 1))).all()
    hidden = [TemporalTie(flat(200), np.zeros_like(TRUSTED))]
    assert (first_steadied(flat(101).astype(np.uint8), hidden, 1.0) == 101).all()


def test_levels_are_rounded_up_as_often_as_the_fraction_says():
    turns = ROUNDING_STEPS * 4
    ups = np.mean([rounded_in_turn(flat(100.25), turn).astype(np.float64) - 100 for turn in range(turns)], axis=0)
    assert np.abs(ups - 0.25).max() < 0.02
    assert (rounded_in_turn(flat(255), 7) == 255).all()
    assert (rounded_in_turn(flat(0.001), 7) == 0).all()


@pytest.mark.parametrize("length", [1, 2, 30, 61, 300])
def test_every_frame_counts_as_much_in_the_tones_so_that_their_mean_stays(length):
    tones = np.random.default_rng(5).normal(0, 9, (length, 3))
    corrections = [tone_correction(tones[tone_frames(frame, 0, length)], 1.0) for frame in range(length)]
    assert np.abs(np.sum(corrections, axis=0)).max() < 1e-3 * length
    read = {other for frame in range(length) for other in tone_frames(frame, 0, length)}
    assert read == set(range(length))


def test_frames_for_a_tone_lie_within_the_shot_and_as_far_as_they_reach():
    assert tone_frames(500, 100, 1000) == list(range(500 - TONE_REACH, 500 + TONE_REACH + 1))
    assert tone_frames(100, 100, 1000)[TONE_REACH - 2 :][:5] == [101, 100, 100, 101, 102]


def test_a_jump_of_the_tone_becomes_a_slow_change():
    tones = np.repeat([[0.0] * 3, [28.0] * 3], 60, axis=0)
    after = np.array([tones[frame] + tone_correction(tones[tone_frames(frame, 0, 120)], 1.0) for frame in range(120)])
    assert np.abs(np.diff(after[:, 0])).max() < 0.5
    assert (np.diff(after[:, 0]) >= -1e-4).all()


def test_strokes_are_drawn_slowly_around_a_join_and_nowhere_else():
    even = [10.0, 11, 9, 10, 10, 12] * 12
    assert strokes_pace(even, 36) == 1
    joined = [*even[:36], 17.0, *even[37:]]
    assert strokes_pace(joined, 36) == strokes_pace(joined, 36 + JOIN_SLOW) == SLOWEST
    assert SLOWEST < strokes_pace(joined, 36 - (JOIN_SLOW + JOIN_REACH) // 2) < 1
    assert strokes_pace(joined, 0) == 1
    assert strokes_pace([5.0], 0) == 1


def test_a_tone_is_what_the_film_does_not_explain():
    content, change = np.array([100.0, 50, 20]), np.diag([1.0, 0.5, 0]).astype(np.float32)
    assert tone(content, np.array([107.0, 25, 9]), change) == pytest.approx([7, 0, 9])


def test_a_picture_is_carried_along_the_flow_with_its_weight():
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    flow[..., 0] = 5
    image = strokes(4)
    moved = carried_look(image, Match(flow, TRUSTED), TRUSTED * 0.5, np.roll(image, -5, axis=1), image, 0.0)
    inner = slice(12, -12)
    assert np.abs(moved.tie.image[inner, inner] - np.roll(image, -5, axis=1)[inner, inner]).max() < 1
    assert (moved.tie.weight == 0.5).all()


def test_near_a_join_what_is_nearly_held_is_held_firmly_and_what_is_not_held_stays_so():
    held = np.array([[0.0, 0.5, 0.9, 1.0]], np.float32)
    np.testing.assert_allclose(held_at_pace(held, 1.0), held, atol=1e-6)
    np.testing.assert_allclose(held_at_pace(held, 0.2), [[0.0, 0.7, 0.972, 1.0]], atol=1e-6)
