"""Two estimates of one motion: what one contradicts itself about may be had from the other."""

import numpy as np
import pytest

from farm.flow import Match, best_match, create_matcher, decode_match, encode_flow, match_both_ways, reliability_weights

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


@pytest.mark.parametrize("motion", ["translation", "rotation", "zoom"])
def test_dense_search_with_a_second_opinion_is_no_worse_and_trusts_more(textured_pair, motion):
    pair = textured_pair(motion)
    single = create_matcher("dis")
    single._estimators = single._estimators[:1]
    alone, both = single.match(pair.a, pair.b)[0], create_matcher("dis").match(pair.a, pair.b)[0]
    inner = pair.interior(8)
    assert both.weight[inner].sum() >= alone.weight[inner].sum()
    trusted = inner & (both.weight > 0.99)
    assert np.linalg.norm(both.flow - pair.truth, axis=-1)[trusted].mean() < 0.15
