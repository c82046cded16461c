"""Paint that is carried along keeps its strokes and takes on new shapes: tables and exact values."""

import cv2
import numpy as np
import pytest

from farm.flow import Match
from farm.paint.losses.ties import TemporalTie
from farm.plan.render_plan import plan_render
from farm.render.chunk import carries_paint
from farm.render.moving_paint import (
    BANDS,
    COLORS_FOLLOWED,
    EVENED_TO,
    FINE_FOLLOWED,
    KEPT_SHARE,
    MOST_EVENED,
    MOST_KEPT,
    camera_flow,
    carry,
    detail_energy,
    even_strokes,
    follow_change,
    keep_detail,
    mean_tie,
    moving_weight,
    painted_colors,
    toward_colors,
)
from tests.plan.test_render_plan import make_probe, make_spec

HEIGHT, WIDTH = 64, 96
TRUSTED = np.ones((HEIGHT, WIDTH), np.float32)
STILL = Match(np.zeros((HEIGHT, WIDTH, 2), np.float32), TRUSTED)
IDENTITY = np.eye(3, dtype=np.float32)


def strokes(amplitude: float, seed: int = 1) -> np.ndarray:
    """Grey noise around 128: (H, W, 3) float32."""
    noise = np.random.default_rng(seed).normal(0, amplitude, (HEIGHT, WIDTH, 1))
    return np.repeat(np.clip(128 + noise, 0, 255), 3, axis=2).astype(np.float32)


def flat(value: float) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), value, np.float32)


def left_half() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[:, : WIDTH // 2] = 1
    return mask


# what moves ---------------------------------------------------------------------------------------


def test_nothing_moves_in_a_still_picture_or_by_the_camera():
    picture = flat(90)
    assert not moving_weight(STILL, picture, picture).any()
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    for flow in (
        np.full((HEIGHT, WIDTH, 2), 7, np.float32),
        np.stack([0.08 * (columns - 40), 0.08 * (rows - 30)], axis=-1),  # a zoom
        np.stack([0.06 * (rows - 30), -0.06 * (columns - 40)], axis=-1),  # a roll
    ):
        assert moving_weight(Match(flow, TRUSTED), picture, picture).max() < 1e-3


def test_the_cameras_motion_is_found_beside_what_moves_by_itself():
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    zoom = np.stack([3 + 0.05 * columns, -1 + 0.05 * rows], axis=-1)
    flow = zoom.copy()
    flow[10:50, 10:50] += 6  # a quarter of the frame
    assert np.abs(camera_flow(Match(flow, TRUSTED)) - zoom).max() < 0.3


@pytest.mark.parametrize(("pixels", "expected"), [(0.5, 0.0), (1.0, 0.5), (1.5, 1.0), (9.0, 1.0)])
def test_a_thing_moves_by_how_far_its_flow_differs_from_the_frames(pixels, expected):
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    flow[16:48, 16:48, 0] = pixels
    weight = moving_weight(Match(flow, TRUSTED), flat(90), flat(90))
    assert weight[32, 32] == pytest.approx(expected, abs=0.03)  # the camera's motion is pulled along a little
    assert weight[32, 90] == 0


def test_what_cannot_be_followed_or_changes_moves_too():
    hidden = TRUSTED.copy()
    hidden[16:48, 16:48] = 0
    assert moving_weight(Match(STILL.flow, hidden), flat(90), flat(90))[32, 32] == pytest.approx(1, abs=1e-3)
    lit = flat(90)
    lit[16:48, 16:48] = 130
    assert moving_weight(STILL, lit, flat(90))[32, 32] == pytest.approx(1, abs=1e-3)


def test_unknown_flow_moves():
    flow = STILL.flow.copy()
    flow[16:48, 16:48] = np.nan
    weight = moving_weight(Match(flow, TRUSTED), flat(90), flat(90))
    assert np.isfinite(weight).all()
    assert weight[32, 32] == pytest.approx(1, abs=1e-3)


# strokes are kept -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("moves", "share"), [(0.0, 1.0), (1.0, KEPT_SHARE)])
def test_a_blurred_picture_gets_the_energy_back_that_it_had(moves, share):
    sharp = cv2.GaussianBlur(strokes(60), (0, 0), 1.0)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 0.6)
    had = float(detail_energy(sharp).mean())
    lost = float(detail_energy(blurred).mean()) / had
    kept = float(detail_energy(keep_detail(blurred, detail_energy(sharp), MOST_KEPT, moves * TRUSTED)).mean()) / had
    assert lost < 0.8
    assert kept == pytest.approx(lost ** (1 - share), abs=0.03)


def test_detail_is_raised_by_a_bounded_factor_and_never_lowered():
    soft, sharp = strokes(2), strokes(40)
    raised = keep_detail(soft, detail_energy(sharp), MOST_KEPT, TRUSTED)
    assert detail_energy(raised).mean() / detail_energy(soft).mean() == pytest.approx(
        MOST_KEPT ** (2 * KEPT_SHARE), rel=0.05
    )
    assert np.array_equal(keep_detail(sharp, detail_energy(soft), MOST_KEPT, TRUSTED), sharp)


def test_a_flat_picture_stays_flat():
    for energy in (detail_energy(strokes(20)), np.zeros((HEIGHT, WIDTH, len(BANDS)), np.float32)):
        assert np.allclose(keep_detail(flat(90), energy, MOST_KEPT, TRUSTED), 90, atol=1e-3)


def test_the_mean_of_ties_keeps_the_detail_of_each():
    one, other = strokes(12, seed=1), strokes(12, seed=2)
    weight = np.full((HEIGHT, WIDTH), 0.5, np.float32)
    mean = mean_tie([TemporalTie(one, weight), TemporalTie(other, weight)], TRUSTED)
    assert np.allclose(mean.weight, 1)
    plain = float(detail_energy((one + other) / 2).mean() / detail_energy(one).mean())
    assert plain == pytest.approx(0.5, abs=0.05)
    kept = plain ** (1 - KEPT_SHARE)
    assert detail_energy(mean.image).mean() / detail_energy(one).mean() == pytest.approx(kept, abs=0.06)


def test_ties_that_agree_have_their_picture_as_a_mean_also_at_the_border_of_what_one_of_them_hides():
    picture = strokes(12)
    hidden = picture.copy()
    hidden[:, : WIDTH // 2] = np.nan
    mean = mean_tie([TemporalTie(picture, TRUSTED), TemporalTie(hidden, 1 - left_half())], TRUSTED)
    assert np.allclose(mean.image, picture, atol=1e-2)
    assert mean.weight[0, 0] == 1
    assert mean.weight[0, -1] == 2


def test_where_no_tie_is_trusted_the_mean_is_finite_and_weighs_nothing():
    weight = TRUSTED.copy()
    weight[:24] = 0
    one, other = strokes(12), strokes(12)
    one[:24], other[:24] = np.nan, 0
    mean = mean_tie([TemporalTie(one, weight), TemporalTie(other, weight)], TRUSTED)
    assert np.isfinite(mean.image).all()
    assert not mean.weight[:24].any()
    assert np.allclose(mean.image[30:], one[30:], atol=1)


# the film's change is followed -----------------------------------------------------------------------


@pytest.mark.parametrize("difference", [0, 1, 4, 40, -40])
def test_the_films_change_is_added(difference):
    result = follow_change(flat(100), flat(90 + difference), flat(90), IDENTITY, TRUSTED)
    assert np.allclose(result, 100 + difference, atol=1e-3)


def test_a_change_is_told_in_paint_and_weighed():
    change = np.array([[0, 0, 0.5], [0, 0, 0], [0, 0, 0]], np.float32)  # what is redder is painted bluer
    content = flat(90)
    content[..., 0] += 40
    result = follow_change(flat(100), content, flat(90), change, left_half())
    assert result[32, 10] == pytest.approx([100, 100, 120])
    assert result[32, 90] == pytest.approx([100, 100, 100])


def test_fine_change_is_followed_less_than_soft_change():
    even_columns = (np.arange(WIDTH) % 2 == 0)[None, :, None]
    ripple = np.where(even_columns, 20.0, -20.0).astype(np.float32)  # a period of two pixels
    result = follow_change(flat(100), flat(90) + 10 + ripple, flat(90), IDENTITY, TRUSTED)
    assert np.allclose(result - 110, FINE_FOLLOWED * ripple, atol=0.1)


# strokes are even -------------------------------------------------------------------------------------


def mean_energy(picture, columns):
    """Of each band of detail, away from the border."""
    return detail_energy(picture)[8:56, columns].mean(axis=(0, 1))


def test_what_moves_gets_the_strokes_of_what_rests():
    moving = left_half()
    painted = strokes(20)
    painted[:, : WIDTH // 2] = 128 + (painted[:, : WIDTH // 2] - 128) / 1.2  # a sixth of its strokes is lost
    even = even_strokes(painted, flat(90), moving)
    lost, rests = slice(8, 40), slice(56, 88)
    assert np.array_equal(even[:, rests], painted[:, rests])
    ratio = mean_energy(even, lost) / mean_energy(painted, rests)
    before = mean_energy(painted, lost) / mean_energy(painted, rests)
    assert before[0] < 0.75
    assert ratio == pytest.approx(EVENED_TO**2, abs=0.06)


def test_strokes_are_raised_by_a_bounded_factor():
    painted = strokes(20)
    painted[:, : WIDTH // 2] = 128 + (painted[:, : WIDTH // 2] - 128) / 4
    even = even_strokes(painted, flat(90), left_half())
    inside = slice(8, 32)
    factor = np.sqrt(detail_energy(even)[8:56, inside].mean() / detail_energy(painted)[8:56, inside].mean())
    assert factor == pytest.approx(MOST_EVENED, abs=0.02)


def test_where_the_painter_leaves_flat_what_is_flat_in_the_film_nothing_is_raised():
    content = strokes(30, seed=4)
    content[:, : WIDTH // 2] = 90  # what moves is flat in the film, and so is some of what rests
    content[:32] = 90
    painted = content.copy()
    painted[:, : WIDTH // 2] = strokes(3, seed=5)[:, : WIDTH // 2]
    painted[:32, WIDTH // 2 :] = strokes(3, seed=6)[:32, WIDTH // 2 :]
    even = even_strokes(painted, content, left_half())
    assert np.abs(even - painted)[8:56, 8:40].max() < 2


def test_what_neither_moves_nor_changes_is_carried_as_it_is():
    painted = np.rint(strokes(20)).astype(np.uint8)
    content = np.rint(flat(90)).astype(np.uint8)
    carried = carry(painted, STILL, TRUSTED, content, content, follow=1.0)
    assert np.array_equal(carried.tie.image, painted.astype(np.float32))
    assert carried.tie.weight is TRUSTED
    assert not carried.moving.any()


def test_what_changes_on_one_side_only_is_followed_from_that_side():
    """A lamp goes on between two frames. Paint that is carried from either of them shows it, or stays as it was."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    dark = np.repeat((60 + x + 0 * y)[..., None], 3, axis=2).astype(np.uint8)  # a slope, for colours to be fitted to
    lit = dark.copy()
    lit[16:48, 16:48] += 60
    for content, source in ((lit, dark), (dark, lit), (dark, dark)):
        followed = carry(source - 30, STILL, TRUSTED, content, source, follow=1.0).tie.image
        kept = carry(source - 30, STILL, TRUSTED, content, source, follow=0.0).tie.image
        assert np.abs(followed - (content - 30.0))[24:40, 24:40].max() < 6
        assert np.abs(followed - (content - 30.0))[:, 80:].max() < 1
        assert np.array_equal(kept, source - 30)


# old colours are mended ------------------------------------------------------------------------------


def test_colours_are_drawn_by_a_share_in_each_frame_and_strokes_stay():
    carried = strokes(10)
    drawn = toward_colors(carried, carried + 40, left_half())
    assert np.allclose((drawn - carried)[:, 8:40], 40 * COLORS_FOLLOWED, atol=0.2)
    assert not (drawn - carried)[:, 60:].any()
    ripple = np.where((np.arange(WIDTH) % 2 == 0)[None, :, None], 40.0, -40.0)
    assert np.abs(toward_colors(carried, carried + ripple, TRUSTED) - carried).max() < 1, "only soft colours count"


def test_the_colours_of_a_frame_in_paint_follow_from_another_frame_and_its_painting():
    source, painted = flat(90).astype(np.uint8), flat(60).astype(np.uint8)
    assert np.allclose(painted_colors(flat(110).astype(np.uint8), source, painted, 0.5 * IDENTITY), 70)


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, True), ({"passes": 1}, False), ({"sweep": "alternating"}, False), ({"chunk_start": "scratch"}, False)],
)
def test_one_pass_and_alternating_passes_are_as_the_papers_have_them(options, expected):
    spec = make_spec(**options)
    assert carries_paint(plan_render(spec, make_probe(48), ()), spec) is expected
