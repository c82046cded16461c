"""The rule of Ruder et al. against a second implementation, pixel by pixel in loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from farm.flow import (
    consistent_pixels,
    create_estimator,
    disoccluded,
    long_term_weights,
    reliability,
    reliability_weights,
    unoccluded_pixels,
)

F = np.float32


def reliability_in_loops(backward, forward):
    height, width = backward.shape[:2]

    def at(values, y, x):
        return values[min(max(y, 0), height - 1)][min(max(x, 0), width - 1)]

    def difference(low, high):
        return F(F(F(0) + F(F(-0.5) * low)) + F(F(0.5) * high))

    seeds = np.empty((height, width), F)
    for y in range(height):
        for x in range(width):
            u, v = backward[y, x]
            bx, by = F(F(x) + u), F(F(y) + v)
            x1, y1 = math.floor(bx), math.floor(by)
            if x1 < 0 or y1 < 0 or x1 + 1 >= width or y1 + 1 >= height:
                seeds[y, x] = 0
                continue
            ax, ay = F(bx - F(x1)), F(by - F(y1))
            there = []
            for c in range(2):
                upper = F((1.0 - float(ax)) * float(forward[y1, x1, c]) + float(F(ax * forward[y1, x1 + 1, c])))
                lower = F((1.0 - float(ax)) * float(forward[y1 + 1, x1, c]) + float(F(ax * forward[y1 + 1, x1 + 1, c])))
                there.append(F((1.0 - float(ay)) * float(upper) + float(F(ay * lower))))
            ox, oy = F(F(bx + there[0]) - F(x)), F(F(by + there[1]) - F(y))
            missed = F(F(ox * ox) + F(oy * oy))
            own = F(F(u * u) + F(v * v))
            both = F(F(own + F(there[0] * there[0])) + F(there[1] * there[1]))
            if float(missed) >= 0.01 * float(both) + 0.5:
                seeds[y, x] = -255
                continue
            edge = F(0)
            for low, high in (
                (at(backward, y, x - 1), at(backward, y, x + 1)),
                (at(backward, y - 1, x), at(backward, y + 1, x)),
            ):
                for c in range(2):
                    slope = difference(low[c], high[c])
                    edge = F(edge + F(slope * slope))
            seeds[y, x] = 0 if float(edge) > 0.01 * float(own) + float(F(0.002)) else 255

    sigma = F(0.8)
    raw = [
        F(math.exp(i * i / (-2.0 * float(F(sigma * sigma)))) / (float(sigma) * math.sqrt(2 * math.pi)))
        for i in range(-2, 3)
    ]
    total = F(0)
    for k in raw:
        total = F(total + k)
    kernel = [F(k * F(1.0 / float(total))) for k in raw]

    def mirrored(i, size):
        return -1 - i if i < 0 else 2 * size - 1 - i if i >= size else i

    def filtered(values, along_x):
        result = np.empty_like(values)
        for y in range(height):
            for x in range(width):
                total = F(0)
                for i, k in zip(range(-2, 3), kernel, strict=True):
                    value = values[y, mirrored(x + i, width)] if along_x else values[mirrored(y + i, height), x]
                    total = F(total + F(k * value))
                result[y, x] = total
        return result

    smooth = filtered(filtered(seeds, True), False)
    return np.array([[int(min(max(float(value), 0.0), 255.0)) for value in row] for row in smooth], np.uint8)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise_px", [0.0, 0.05, 0.3])
def test_random_flows(seed, noise_px, smooth_flow):
    generator = np.random.default_rng(seed)
    backward, forward = smooth_flow(seed), -smooth_flow(seed)
    backward = backward + generator.normal(0, noise_px, backward.shape).astype(F)
    forward = forward + generator.normal(0, noise_px, forward.shape).astype(F)
    for flow in (backward, forward):
        wrong = generator.uniform(size=flow.shape[:2]) < 0.02
        flow[wrong] = generator.normal(0, 20, (wrong.sum(), 2))
    mask = reliability(backward, forward)
    np.testing.assert_array_equal(mask, reliability_in_loops(backward, forward))
    assert len(np.unique(mask)) > 20


@pytest.mark.parametrize("motion", ["translation", "rotation", "zoom"])
@pytest.mark.parametrize("method", ["dis", "farneback"])
def test_estimated_flows(motion, method, textured_pair):
    pair = textured_pair(motion, 64, 80)
    estimator = create_estimator(method)
    backward, forward = estimator.estimate(pair.b, pair.a), estimator.estimate(pair.a, pair.b)
    mask = reliability(backward, forward)
    np.testing.assert_array_equal(mask, reliability_in_loops(backward, forward))
    assert 100 < mask.mean() < 250


@pytest.mark.parametrize(("height", "width"), [(2, 2), (3, 9), (1, 1), (1, 30), (5, 5)])
def test_tiny_frames(height, width):
    generator = np.random.default_rng(height * width)
    backward, forward = generator.normal(0, 0.4, (2, height, width, 2)).astype(F)
    if min(height, width) > 1:  # the loops mirror once only
        np.testing.assert_array_equal(reliability(backward, forward), reliability_in_loops(backward, forward))
    else:
        np.testing.assert_array_equal(reliability(backward, forward), 0)


def test_a_still_picture():
    """254 by rounding down in 32 bits; no lower right neighbour in the last row and column, smoothed inwards."""
    still = np.zeros((20, 30, 2), F)
    mask = reliability(still, still)
    np.testing.assert_array_equal(mask[:-3, :-3], 254)
    np.testing.assert_array_equal(mask[5, -4:], [254, 249, 191, 69])
    np.testing.assert_array_equal(mask[-4:, 5], [254, 249, 191, 69])


@pytest.mark.parametrize(
    ("forward_dx", "expected"),
    [(-2.0, 254), (-1.3, 254), (-1.25, 0), (0.0, 0), (2.0, 0)],
)
def test_the_threshold_of_disocclusion(forward_dx, expected):
    """2 px there: back by -1.25 misses by .75, .5625 >= .01 (4 + 1.5625) + .5; by -1.3 misses by .7, .49 < .5569."""
    backward, forward = np.zeros((2, 30, 40, 2), F)
    backward[..., 0], forward[..., 0] = 2, forward_dx
    assert reliability(backward, forward)[15, 15] == expected


@pytest.mark.parametrize(("step_px", "expected"), [(0.08, 254), (0.1, 0)])
def test_the_threshold_of_a_motion_boundary(step_px, expected):
    """Around no motion, a central difference of half the step: .04^2 <= .002 < .05^2, at the two columns beside it."""
    backward = np.zeros((30, 40, 2), F)
    backward[:, 20:, 1] = step_px
    backward[:, 20:, 0] = 0
    mask = reliability(backward, -backward)
    assert (mask[15, 19] >= 250) == (expected == 254)


def test_a_disocclusion_grows_when_it_is_smoothed():
    """At a straight edge the Gaussian takes .25 from the other side: 255 (.75 - .25) = 127; 191 if seeds were 0."""
    hole, backward = np.zeros((2, 30, 60, 2), F)
    hole[:, 30:] = 5
    mask = reliability(backward, hole)
    np.testing.assert_array_equal(mask[10, 24:32], [254, 254, 254, 254, 243, 127, 0, 0])


def test_it_is_the_frame_of_the_first_flow_that_is_masked(smooth_flow):
    """A hole in the backward flow is at its own place, one in the forward flow where the backward flow leads from."""
    backward, forward = np.zeros((2, 40, 60, 2), F)
    backward[..., 0], forward[..., 0] = 6, -6
    forward[18:22, 28:32] = 30
    mask = reliability(backward, forward)
    assert mask[20, 24] == 0
    assert mask[20, 34] == 254


def test_unknown_flow_is_not_relied_on():
    backward, forward = np.zeros((2, 30, 40, 2), F)
    backward[10:20, 10:20] = np.nan
    forward[10:20, 25:35] = np.nan
    mask = reliability(backward, forward)
    np.testing.assert_array_equal(mask[12:18, 12:18], 0)
    np.testing.assert_array_equal(mask[12:18, 27:33], 0)
    assert mask[5, 20] == 254


def test_enormous_flow_is_outside():
    backward = np.full((8, 8, 2), 1e30, F)
    np.testing.assert_array_equal(reliability(backward, backward), 0)


def test_weights_are_shares_of_255(smooth_flow):
    backward, forward = smooth_flow(1), -smooth_flow(1)
    weights = reliability_weights(backward, forward)
    assert weights.dtype == F
    np.testing.assert_array_equal(weights, reliability(backward, forward) / F(255))


def test_flows_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="different shapes"):
        reliability(np.zeros((4, 5, 2), F), np.zeros((4, 6, 2), F))


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([], []),
        ([0.7], [0.7]),
        ([1, 1, 1], [1, 0, 0]),
        ([0, 1, 1], [0, 1, 0]),
        ([0.25, 1, 1], [0.25, 0.75, 0]),
        ([0.25, 0.5, 1], [0.25, 0.25, 0.25]),
        ([0, 0, 0.5], [0, 0, 0.5]),
    ],
)
def test_long_term_weights(weights, expected):
    tied = long_term_weights([np.full((2, 3), weight, F) for weight in weights])
    np.testing.assert_array_equal([weight[1, 2] for weight in tied], np.array(expected, F))


def test_long_term_weights_leave_their_input_and_never_exceed_one():
    generator = np.random.default_rng(0)
    weights = [generator.uniform(0, 1, (8, 9)).astype(F) for _ in range(5)]
    before = [weight.copy() for weight in weights]
    tied = long_term_weights(weights)
    np.testing.assert_array_equal(weights, before)
    np.testing.assert_array_equal(tied[0], weights[0])
    assert np.sum(tied, axis=0).max() <= 1 + 1e-6


@pytest.mark.parametrize(
    ("there", "back", "expected"),
    [
        (0.0, 0.0, False),
        (4.0, -4.0, False),
        (0.70, 0.0, False),  # .49 is below .01 * .49 + .5
        (0.72, 0.0, True),
        (10.0, -8.7, False),  # 1.69 is below .01 * 175.69 + .5
        (10.0, -8.4, True),
        (np.nan, 0.0, True),
    ],
)
def test_disoccluded_is_equation_5_by_itself(there, back, expected):
    def flow(dx: float) -> np.ndarray:
        return np.dstack([np.full((6, 9), dx, F), np.zeros((6, 9), F)])

    assert (disoccluded(flow(there), flow(back)) == expected).all()


# masks of the papers ---------------------------------------------------------------------------------


def steps(height=8, width=9):
    """A flow to the right of 1 px in the left half and 1.5 px in the right half."""
    there = np.zeros((height, width, 2), F)
    there[:, :, 0] = np.where(np.arange(width) < 4, 1, 1.5)
    return there


def test_ruders_mask_takes_both_sides_of_a_boundary_and_what_leaves_the_frame():
    """Half differences: (.5 / 2)^2 is over 0.01 |w|^2 + 0.002 on either side of the step."""
    there = steps()
    mask = consistent_pixels(there, -there)
    assert mask.all(axis=0).tolist() == [True, True, True, False, False, True, True, False, False]
    assert (mask == mask[:1]).all()


def test_lais_mask_takes_one_side_and_keeps_what_leaves_the_frame():
    there = steps()
    mask = unoccluded_pixels(there, -there)
    assert mask.all(axis=0).tolist() == [True, True, True, False, True, True, True, True, True]


@pytest.mark.parametrize("mask", [consistent_pixels, unoccluded_pixels])
def test_a_flow_that_does_not_lead_back_is_in_neither_mask(mask):
    there = np.zeros((6, 6, 2), F)
    assert mask(there, there).all()
    assert mask(there, there + F(0.5)).all()  # misses by sqrt(.5) px: .5 is within 0.01 * .5 + .5
    assert not mask(there, there + F(0.6)).any()
