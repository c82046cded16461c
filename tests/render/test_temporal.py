"""What a frame is tied to and starts from: exact values."""

import numpy as np
import pytest

from farm.paint.losses.objective import TemporalTie
from farm.render.temporal import ALIKE, UNLIKE, blended_start, cross_fade, looks_alike, nearest_visible, warped_start


def neighbour(value: float, weight) -> TemporalTie:
    weight = np.asarray(weight, np.float32)
    return TemporalTie(np.full((*weight.shape, 3), value, np.float32), weight)


def weights(neighbours) -> list:
    return [one.weight.tolist() for one in neighbours]


def test_each_pixel_is_tied_to_the_nearest_frame_that_shows_it():
    near, middle, far = neighbour(1, [[1, 0, 0.4, 0]]), neighbour(2, [[1, 1, 1, 0]]), neighbour(3, [[1, 1, 1, 0.5]])
    found = np.array(weights(nearest_visible([near, middle, far])))
    assert np.allclose(found[:, 0], [[1, 0, 0.4, 0], [0, 1, 0.6, 0], [0, 0, 0, 0.5]])


def test_long_term_weights_sum_to_one_at_the_most():
    rng = np.random.default_rng(0)
    total = sum(one.weight for one in nearest_visible([neighbour(0, rng.random((9, 9))) for _ in range(5)]))
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
