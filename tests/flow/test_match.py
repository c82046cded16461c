"""Two estimates of one motion: what one contradicts itself about may be had from the other."""

import numpy as np
import pytest

from farm.flow import (
    Match,
    Matcher,
    best_match,
    create_estimator,
    create_matcher,
    decode_match,
    encode_flow,
    match_both_ways,
    reliability_weights,
)

F = np.float32


def drifting(dx: float) -> np.ndarray:
    flow = np.zeros((24, 32, 2), F)
    flow[..., 0] = dx
    return flow


def test_one_estimate_is_checked_against_itself():
    there, back = match_both_ways([(drifting(2), drifting(-2))])
    assert np.array_equal(there.flow, drifting(2))
    assert np.array_equal(there.weight, reliability_weights(drifting(2), drifting(-2)))
    assert np.array_equal(back.weight, reliability_weights(drifting(-2), drifting(2)))


def test_each_pixel_takes_the_estimate_that_agrees_with_itself():
    torn = drifting(2)
    torn[8:16, 8:16, 0] = -5  # leads where nothing leads back from
    there, back = match_both_ways([(torn, drifting(-2)), (drifting(2.5), drifting(-2.5))])
    assert there.weight[4:20, 4:20].min() > 0.99
    assert np.all(there.flow[10:14, 10:14, 0] == 2.5)
    assert np.all(there.flow[2:5, 8:16, 0] == 2)  # a draw goes to the first
    assert back.weight[4:20, 8:24].min() > 0.99


def test_a_kept_match_equals_a_fresh_one(smooth_flow):
    there, _ = match_both_ways([(smooth_flow(1), smooth_flow(2))])
    flow, weight = decode_match(encode_flow(there.flow, there.weight))
    assert np.array_equal(flow, there.flow)
    assert np.array_equal(weight, there.weight)
    assert 0 < weight.mean() < 1


def test_unknown_flow_is_trusted_by_nobody():
    flow = drifting(1)
    flow[3, 4] = np.nan
    there, _ = match_both_ways([(flow, drifting(-1))])
    kept, weight = decode_match(encode_flow(there.flow, np.ones((24, 32), F)))
    assert np.isnan(kept[3, 4]).all()
    assert there.weight[3, 4] == weight[3, 4] == 0


def test_the_best_of_one_is_itself_and_weights_never_fall():
    low, high = Match(drifting(1), np.full((24, 32), 0.25, F)), Match(drifting(2), np.full((24, 32), 0.5, F))
    assert best_match([low]) is low
    assert np.array_equal(best_match([low, high]).flow, high.flow)
    assert np.array_equal(best_match([high, low]).weight, high.weight)


@pytest.mark.parametrize("motion", ["rotation", "zoom"])
def test_a_second_opinion_ties_more_of_a_faint_and_noisy_film_and_is_no_worse(textured_pair, motion):
    pair = textured_pair(motion)
    grain = np.random.default_rng(1).normal(0, 6, (2, *pair.a.shape))
    a, b = (np.clip(128 + 0.15 * (pictures - 128.0) + noise, 0, 255).astype(np.uint8)
            for pictures, noise in zip((pair.a, pair.b), grain, strict=True))  # fmt: skip
    alone, _ = Matcher([create_estimator("dis")]).match(a, b)
    both, _ = create_matcher("dis").match(a, b)
    inner = pair.interior(8)
    tied_alone, tied = inner & (alone.weight > 0.99), inner & (both.weight > 0.99)
    assert tied.sum() > 1.02 * tied_alone.sum()
    assert np.linalg.norm(both.flow - pair.truth, axis=-1)[tied].mean() < 0.35
