"""What a frame starts from where no earlier frame shows it: exact values."""

import numpy as np
import pytest

from farm.render.temporal import SHRINKAGE, color_change, painted_alike

HEIGHT, WIDTH = 24, 40
STILL = np.zeros((HEIGHT, WIDTH, 2), np.float32)


def noise(seed: int, low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def test_an_unchanged_frame_is_the_painting_itself():
    source, painted = noise(1), noise(2)
    assert np.array_equal(painted_alike(source, source, painted, STILL), painted)


def test_a_change_of_the_photograph_is_one_of_the_paint_in_the_colours_that_it_has_there():
    # paint: red where the photograph is light, blue where it is dark
    source = noise(3)
    swap = np.array([[0.5, 0, -0.5], [0, 0.25, 0], [0, 0, 0.5]])
    painted = np.rint(source @ swap + [0, 20, 128]).astype(np.uint8)
    found = color_change(source, painted)
    variance = source.reshape(-1, 3).astype(float).var(axis=0)
    assert np.allclose(found, swap * (variance / (variance + SHRINKAGE**2))[:, None], atol=0.02)
    content = np.full_like(source, 100)
    made = painted_alike(content, np.full_like(source, 40), np.full_like(source, 90), STILL)
    assert np.array_equal(made, np.full_like(source, 90))  # flat pictures say nothing of colours
    light = np.clip(source.astype(int) + 40, 0, 255).astype(np.uint8)
    expected = np.clip(painted + (light.astype(np.float32) - source) @ found, 0, 255)
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
    made = painted_alike(other, source, painted, flow)
    assert np.allclose(made[:, :25], painted[:, 3:28], atol=0.01)
    change = (other.astype(np.float32) - source) @ color_change(source, painted)
    assert np.allclose(made[:, 34:], np.clip(painted + change, 0, 255)[:, 34:], atol=1e-3)


def test_beyond_the_edge_strokes_are_mirrored_not_smeared():
    source, painted = noise(6, 100, 104), noise(7)
    flow = STILL.copy()
    flow[..., 0] = 8
    made = painted_alike(source, source, painted, flow)
    assert np.allclose(made[:, -8:], painted[:, -9:-1][:, ::-1], atol=1.5)
    assert np.allclose(made[:, 0], painted[:, 8], atol=1.5)


def test_an_unknown_flow_leaves_the_painting_where_it_is():
    source, painted = noise(8), noise(9)
    assert np.array_equal(painted_alike(source, source, painted, np.full_like(STILL, np.nan)), painted)


def test_the_sums_are_the_same_in_any_order():
    source, painted = noise(10), noise(11)
    shuffled = np.random.default_rng(0).permutation(HEIGHT * WIDTH)
    again = [picture.reshape(-1, 3)[shuffled].reshape(source.shape) for picture in (source, painted)]
    assert np.array_equal(color_change(source, painted), color_change(*again))
