"""What a frame is tied to and starts from: exact values."""

import numpy as np
import pytest

from farm.paint.losses.ties import TemporalTie
from farm.render.temporal import (
    ALIKE,
    SHRINKAGE,
    UNLIKE,
    blended_start,
    color_change,
    cross_fade,
    looks_alike,
    nearest_visible,
    painted_alike,
    warped_start,
)

HEIGHT, WIDTH = 24, 40
STILL = np.zeros((HEIGHT, WIDTH, 2), np.float32)


def noise(seed: int, low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def neighbour(value: float, weight) -> TemporalTie:
    weight = np.asarray(weight, np.float32)
    return TemporalTie(np.full((*weight.shape, 3), value, np.float32), weight)


def weights(neighbours) -> list:
    return [tie.weight.tolist() for tie in neighbours]


def test_each_pixel_is_tied_to_the_nearest_frame_that_shows_it():
    near, middle, far = neighbour(1, [[1, 0, 0.4, 0]]), neighbour(2, [[1, 1, 1, 0]]), neighbour(3, [[1, 1, 1, 0.5]])
    visible = np.array(weights(nearest_visible([near, middle, far])))
    assert np.allclose(visible[:, 0], [[1, 0, 0.4, 0], [0, 1, 0.6, 0], [0, 0, 0, 0.5]])


def test_long_term_weights_sum_to_one_at_the_most():
    rng = np.random.default_rng(0)
    total = sum(tie.weight for tie in nearest_visible([neighbour(0, rng.random((9, 9))) for _ in range(5)]))
    assert total.max() <= 1 + 1e-6


def test_start_is_the_warped_frame_where_known_and_the_content_elsewhere():
    content = np.full((1, 3, 3), 100, np.uint8)
    start = warped_start(content, [neighbour(10, [[1, 0.5, 0]])])
    assert start[0, :, 0].tolist() == [10, 55, 100]


def test_start_without_neighbours_is_the_content():
    content = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    assert np.array_equal(warped_start(content, []), content)


def test_two_sided_blend():
    own = np.full((1, 2, 3), 30, np.uint8)
    start = blended_start(own, [neighbour(60, [[1, 0]]), neighbour(90, [[1, 0]])], blend=1.0)
    assert start[0, :, 0].tolist() == [60, 30]
    assert blended_start(own, [neighbour(60, [[1, 1]])], blend=0.5)[0, 0, 0] == pytest.approx(40)


@pytest.mark.parametrize(("position", "value"), [(0, 80), (1, 60), (2, 40), (3, 20)])
def test_cross_fade_goes_from_the_ending_to_the_beginning_chunk(position, value):
    ending, beginning = np.full((2, 2, 3), 100, np.uint8), np.zeros((2, 2, 3), np.uint8)
    faded = cross_fade(ending, beginning, position, 4)
    assert faded.dtype == np.uint8
    assert np.all(faded == value)


def test_other_things_do_not_look_alike_whatever_the_exposure():
    wall = np.full((40, 40, 3), 120, np.uint8)
    seen = np.full((40, 40, 3), 150.0, np.float32)  # the same wall, exposed for longer
    seen[10:20, 10:20] = 40  # and a dark window where the flow went wrong
    alike = looks_alike(wall, seen)
    assert np.all(alike[13:17, 13:17] == 0)
    assert np.all(alike[25:, 25:] == 1)
    assert np.array_equal(looks_alike(wall, wall), np.ones((40, 40), np.float32))


def test_between_alike_and_unlike_it_falls_evenly():
    frame, seen = np.zeros((30, 30, 3), np.uint8), np.zeros((30, 30, 3), np.float32)
    seen[:10] = (ALIKE + UNLIKE) / 2
    assert looks_alike(frame, seen)[5, 15] == pytest.approx(0.5)


def test_an_unchanged_frame_is_the_painting_itself():
    source, painted = noise(1), noise(2)
    assert np.array_equal(painted_alike(source, source, painted, STILL), painted)


def test_a_change_of_the_photograph_is_one_of_the_paint_in_the_colours_that_it_has_there():
    # paint: red where the photograph is light, blue where it is dark
    source = noise(3)
    swap = np.array([[0.5, 0, -0.5], [0, 0.25, 0], [0, 0, 0.5]])
    painted = np.rint(source @ swap + [0, 20, 128]).astype(np.uint8)
    change = color_change(source, painted)
    variance = source.reshape(-1, 3).astype(float).var(axis=0)
    assert np.allclose(change, swap * (variance / (variance + SHRINKAGE**2))[:, None], atol=0.02)
    content = np.full_like(source, 100)
    start = painted_alike(content, np.full_like(source, 40), np.full_like(source, 90), STILL)
    assert np.array_equal(start, np.full_like(source, 90))  # flat pictures say nothing of colours
    light = np.clip(source.astype(int) + 40, 0, 255).astype(np.uint8)
    expected = np.clip(painted + (light.astype(np.float32) - source) @ change, 0, 255)
    assert np.allclose(painted_alike(light, source, painted, STILL), expected, atol=1e-3)


@pytest.mark.parametrize("spread", [1, 4])
def test_a_colour_that_hardly_varies_does_not_blow_up_a_change(spread):
    source = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    source[::2, :, 0] += spread
    painted = np.full_like(source, 20)
    painted[::2] = 220  # 200 grey levels for `spread`
    change = np.abs(color_change(source, painted))
    assert 0 < change.max() <= 100 / (2 * SHRINKAGE)


def test_the_painting_is_followed_where_the_flow_leads_to_the_same_and_stays_where_it_does_not():
    source, painted = noise(4, 100, 104), noise(5)
    flow = STILL.copy()
    flow[..., 0] = 3
    moved = np.roll(source, -3, axis=1)
    assert np.array_equal(painted_alike(moved, source, painted, flow)[:, :-3], painted[:, 3:])
    other = moved.copy()
    other[:, 30:] += 100
    start = painted_alike(other, source, painted, flow)
    assert np.allclose(start[:, :25], painted[:, 3:28], atol=0.01)
    change = (other.astype(np.float32) - source) @ color_change(source, painted)
    assert np.allclose(start[:, 34:], np.clip(painted + change, 0, 255)[:, 34:], atol=1e-3)


def test_beyond_the_edge_strokes_are_mirrored_not_smeared():
    source, painted = noise(6, 100, 104), noise(7)
    flow = STILL.copy()
    flow[..., 0] = 8
    start = painted_alike(source, source, painted, flow)
    assert np.allclose(start[:, -8:], painted[:, -9:-1][:, ::-1], atol=1.5)
    assert np.allclose(start[:, 0], painted[:, 8], atol=1.5)


def test_an_unknown_flow_leaves_the_painting_where_it_is():
    source, painted = noise(8), noise(9)
    assert np.array_equal(painted_alike(source, source, painted, np.full_like(STILL, np.nan)), painted)


def test_the_sums_are_the_same_in_any_order():
    source, painted = noise(10), noise(11)
    shuffled = np.random.default_rng(0).permutation(HEIGHT * WIDTH)
    again = [picture.reshape(-1, 3)[shuffled].reshape(source.shape) for picture in (source, painted)]
    assert np.array_equal(color_change(source, painted), color_change(*again))
