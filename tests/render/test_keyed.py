"""Frames painted from keys alone: maps are composed exactly, one side is picked, holes are filled from the keys."""

import cv2
import numpy as np
import pytest

from farm.flow import Match
from farm.render.keyed.merging import (
    HANDOVER,
    blended_share,
    handed_over,
    handover_times,
    merge,
)
from farm.render.keyed.painting import Neighbour, in_light, paint
from farm.render.keyed.sampling import lanczos
from farm.render.keyed.synthesis import descriptors, synthesise
from farm.render.keyed.views import REFINED, Key, KeyView, first_view, follow, refined, returning, shows_the_same

# The shorter side is too small for dense inverse search, so that maps are what the flows say.
HEIGHT, WIDTH = 60, 90
ONES = np.ones((HEIGHT, WIDTH), np.float32)
ZEROS = np.zeros((HEIGHT, WIDTH), np.float32)


def texture(seed: int = 1, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """Smooth colours: (H, W, 3) uint8."""
    noise = np.random.default_rng(seed).uniform(0, 255, (*shape, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return np.rint(np.clip((soft - 127.5) * 5 + 127.5, 0, 255)).astype(np.uint8)


def flow(dx: float, dy: float) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 2), (dx, dy), np.float32)


def match(dx: float, dy: float) -> Match:
    return Match(flow(dx, dy), ONES)


def shifted(picture: np.ndarray, columns: int) -> np.ndarray:
    """The picture moved to the right, its left edge repeated."""
    return np.pad(picture, ((0, 0), (max(columns, 0), max(-columns, 0)), (0, 0)), mode="edge")[
        :, max(-columns, 0) : max(-columns, 0) + WIDTH
    ]


def painted_by_inversion(source: np.ndarray) -> np.ndarray:
    return 255 - source


def pan(count: int, step: int) -> list[np.ndarray]:
    """Frames of a camera that pans over a wide texture; what comes into view comes from the right."""
    wide = texture(3, (HEIGHT, WIDTH + count * step))
    return [np.ascontiguousarray(wide[:, n * step : n * step + WIDTH]) for n in range(count)]


def walk(key: Key, frames: list[np.ndarray], step: int) -> list[KeyView]:
    """Views of a key at frame 0 of a pan, from each frame."""
    views = [first_view(key)]
    for content in frames[1:]:
        views.append(follow(views[-1], match(step, 0), match(-step, 0), content))
    return views


def test_a_key_seen_from_its_own_frame_is_itself():
    view = first_view(Key(7, texture(1), texture(2)))
    np.testing.assert_array_equal(view.picture(), texture(2))
    np.testing.assert_array_equal(view.source(), texture(1))
    np.testing.assert_array_equal(view.weight, ONES)


@pytest.mark.parametrize("steps", [1, 3, 12])
def test_maps_of_a_constant_shift_add_up(steps: int):
    frames = pan(steps + 1, 2)
    view = walk(Key(0, frames[0], painted_by_inversion(frames[0])), frames, 2)[-1]
    np.testing.assert_array_equal(view.there, flow(2 * steps, 0))
    np.testing.assert_array_equal(view.back, flow(-2 * steps, 0))
    seen = WIDTH - 2 * steps
    np.testing.assert_array_equal(view.picture()[:, : seen - 4], painted_by_inversion(frames[-1])[:, : seen - 4])
    assert view.weight[:, : seen - 8].min() == 1
    assert view.weight[:, seen:].max() == 0


def test_maps_of_a_zoom_multiply():
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    centred = np.stack([x - WIDTH // 2, y - HEIGHT // 2], axis=-1)
    # A tenth larger in each frame: a pixel is found nearer to the centre in the frame before.
    there, back = Match(centred * (1 / 1.1 - 1), ONES), Match(centred * np.float32(0.1), ONES)
    grey = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    view = first_view(Key(0, grey, texture()))
    for _ in range(3):
        view = follow(view, there, back, grey)
    np.testing.assert_allclose(view.there, centred * (1.1**-3 - 1), atol=1e-4)
    middle = (slice(15, -15), slice(20, -20))
    np.testing.assert_allclose(view.back[middle], (centred * (1.1**3 - 1))[middle], atol=1e-3)
    assert view.weight.min() == 1


def test_unknown_flow_counts_as_none():
    unknown = Match(np.full((HEIGHT, WIDTH, 2), np.nan, np.float32), ZEROS)
    view = follow(first_view(Key(0, texture(), texture(2))), unknown, unknown, texture())
    np.testing.assert_array_equal(view.there, flow(0, 0))


def test_a_map_that_drifts_is_drawn_back():
    shape = (96, 128)
    here = texture(5, shape)
    off = np.full((*shape, 2), (0.8, 0), np.float32)
    mended = refined(off, here, here)[20:-20, 20:-20]
    drawn = off[0, 0, 0] - np.median(mended[..., 0])
    assert 0.75 * REFINED * 0.8 < drawn < 1.25 * REFINED * 0.8
    np.testing.assert_allclose(refined(np.zeros_like(off), here, here), 0, atol=0.01)


def test_a_map_is_the_same_for_any_number_of_threads():
    before = cv2.getNumThreads()
    here, there = texture(5, (96, 128)), texture(6, (96, 128))
    wavy = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 20, (96, 128, 2)).astype(np.float32), (0, 0), 8)
    maps = []
    for threads in (1, 2, 5):
        cv2.setNumThreads(threads)
        maps.append(refined(wavy, here, there))
    cv2.setNumThreads(before)
    for one in maps[1:]:
        np.testing.assert_array_equal(one, maps[0])


@pytest.mark.parametrize(("missed", "weight"), [(0.0, 1.0), (1.0, 1.0), (2.0, 0.5), (3.0, 0.0), (9.0, 0.0)])
def test_a_map_counts_as_far_as_it_leads_back(missed: float, weight: float):
    np.testing.assert_allclose(returning(flow(0, 0), flow(0, missed)), weight, atol=1e-6)


def test_light_differs_softly_and_things_do_not():
    content = texture()
    brighter = np.clip(content.astype(np.float32) * 0.5 + 12, 0, 255)
    np.testing.assert_array_equal(shows_the_same(content * 0.5, brighter), ONES)
    assert shows_the_same(content, texture(9).astype(np.float32)).mean() < 0.1


def test_lanczos_of_no_motion_is_exact_and_keeps_detail_of_half_a_pixel():
    picture = texture()
    np.testing.assert_array_equal(lanczos(picture, flow(0, 0)), picture)
    np.testing.assert_array_equal(lanczos(picture, flow(3, -2))[2:, :-3], picture[:-2, 3:])
    there_and_back = lanczos(lanczos(picture, flow(0.5, 0)), flow(-0.5, 0))
    assert np.abs(there_and_back - picture)[8:-8, 8:-8].max() < 12


@pytest.mark.parametrize(
    ("left", "right", "position", "share"),
    [(1, 1, 0.25, 0.25), (1, 1, 0.5, 0.5), (1, 0.5, 0.5, 1 / 3), (0, 1, 0.1, 1.0), (1, 0, 0.9, 0.0), (0, 0, 0.3, 0.3)],
)
def test_what_is_the_same_is_blended_by_time_and_trust(left: float, right: float, position: float, share: float):
    got = blended_share(left * ONES, right * ONES, position)
    np.testing.assert_allclose(got, share, atol=2e-3)


@pytest.mark.parametrize(
    ("left", "right", "position", "share"),
    [(1, 1, 0.1, 0), (1, 1, 0.9, 1), (0, 1, 0.05, 1), (1, 0, 0.95, 0), (1, 1, HANDOVER[0], 0), (1, 1, HANDOVER[1], 1)],
)
def test_what_differs_is_handed_over(left: float, right: float, position: float, share: float):
    times = handover_times((HEIGHT, WIDTH), 4)
    got = handed_over(left * ONES, right * ONES, position, times)
    np.testing.assert_allclose(got, share, atol=3e-3)


def test_a_merge_of_two_unlike_paintings_picks_one_side_and_blends_like_ones():
    left, right = np.full((HEIGHT, WIDTH, 3), 40, np.float32), np.full((HEIGHT, WIDTH, 3), 200, np.float32)
    times = handover_times((HEIGHT, WIDTH), 0)
    merged = merge((left, right), (ONES, ONES), 0.5, times).picture
    pure = (np.abs(merged - 40) < 1) | (np.abs(merged - 200) < 1)
    assert pure.mean() > 0.8  # the rest is the soft border
    assert 0.3 < (merged > 120).mean() < 0.7
    alike = merge((left, left + 3), (ONES, ONES), 0.25, times).picture
    np.testing.assert_allclose(alike, 40.75, atol=1e-3)


def test_a_pixel_is_handed_over_once():
    times = handover_times((HEIGHT, WIDTH), 2)
    shares = np.stack([handed_over(ONES, ONES, n / 40, times) for n in range(41)])
    assert (np.diff(shares, axis=0) >= 0).all()


def test_times_of_a_handover_are_evenly_spread_smooth_and_of_their_key():
    times = handover_times((HEIGHT, WIDTH), 3)
    assert (times.min(), times.max()) == pytest.approx((0, 1), abs=1e-3)
    assert times.mean() == pytest.approx(0.5)
    assert np.abs(np.diff(times, axis=1)).mean() < 0.15  # a third, if it were not smooth
    np.testing.assert_array_equal(times, handover_times((HEIGHT, WIDTH), 3))
    assert not np.array_equal(times, handover_times((HEIGHT, WIDTH), 4))


def test_descriptors_are_small_integers_whose_products_are_exact():
    found = descriptors(texture())
    assert found.dtype == np.int8
    assert found.shape[2] * 127**2 * 4 * 1.5 < 2**24
    flat = descriptors(np.full((9, 9, 3), 227.5, np.float32))
    np.testing.assert_array_equal(flat[4, 4], [100] * 3 + [0] * (found.shape[2] - 3))


def test_a_hole_of_a_known_texture_is_filled_from_the_key():
    source = texture(4)
    key = Key(0, source, painted_by_inversion(source))
    # The frame shows the key's picture 12 pixels further to the right; the map does not know that.
    content = shifted(source, 12)
    view = KeyView(key, flow(0, 0), flow(0, 0), ZEROS)
    hole = np.zeros((HEIGHT, WIDTH), bool)
    hole[20:40, 30:60] = True
    start = np.where(hole[..., None], 128, painted_by_inversion(content)).astype(np.float32)
    filled = synthesise(content, start, hole, [view])
    truth = painted_by_inversion(content).astype(np.float32)
    assert np.abs(filled.picture - truth)[hole].mean() < 3
    np.testing.assert_array_equal(filled.sharp[hole], truth[hole])
    np.testing.assert_array_equal(filled.picture[~hole], start[~hole])


def test_no_hole_leaves_everything_as_it_is():
    start = texture().astype(np.float32)
    view = first_view(Key(0, texture(), texture(2)))
    assert synthesise(texture(), start, np.zeros((HEIGHT, WIDTH), bool), [view]).picture is start


def test_a_film_at_rest_shows_the_key_itself():
    source, picture = texture(1), texture(2)
    left = first_view(Key(0, source, picture))
    right = first_view(Key(40, source, picture))
    neighbour = Neighbour(source, picture, match(0, 0))
    for views in ((left, right), (left, None), (None, right)):
        np.testing.assert_array_equal(paint(source, *views, neighbour, 0.3), picture)


def test_a_frame_without_a_key_is_an_error():
    with pytest.raises(ValueError, match="at least one key"):
        paint(texture(), None, None, None, 0.0)


def test_a_change_of_light_is_followed_in_the_paint():
    source = texture(1)
    key = Key(0, source, painted_by_inversion(source))
    content = np.clip(source.astype(np.int16) + 10, 0, 255).astype(np.uint8)
    change = in_light(first_view(key), content) - key.picture
    middle = (source > 20).all(axis=2) & (source < 235).all(axis=2)
    assert change[middle].mean() == pytest.approx(-10, abs=1.5)


def test_what_comes_into_view_is_in_the_manner_of_the_key_and_stays():
    frames = pan(6, 3)
    views = walk(Key(0, frames[0], painted_by_inversion(frames[0])), frames, 3)
    painted = [views[0].key.picture]
    for n in range(1, 6):
        beside = Neighbour(frames[n - 1], painted[-1], match(3, 0))
        painted.append(paint(frames[n], views[n], None, beside, 0.0))
    # The key shows columns 0 to 74 of the last frame; the others are new.
    error = np.abs(painted[5].astype(float) - painted_by_inversion(frames[5]))
    assert error[:, :66].mean() < 1
    photograph = np.abs(frames[5].astype(float) - painted_by_inversion(frames[5]))
    assert error[:, 75:].mean() < 0.5 * photograph[:, 75:].mean()


def test_frames_are_the_same_wherever_the_walk_begins():
    """A worker that begins in the middle walks from the key again, and reads the committed frame."""
    frames = pan(6, 3)
    key = Key(0, frames[0], painted_by_inversion(frames[0]))

    def painted_from(first: int, committed: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        views = walk(key, frames, 3)
        painted = dict(committed)
        for n in range(first, 6):
            beside = Neighbour(frames[n - 1], painted[n - 1], match(3, 0))
            painted[n] = paint(frames[n], views[n], None, beside, 0.0)
        return painted

    whole = painted_from(1, {0: key.picture})
    again = painted_from(4, {3: whole[3]})
    for n in range(4, 6):
        np.testing.assert_array_equal(again[n], whole[n])
