from __future__ import annotations

import numpy as np
import pytest

from farm.flow import end_point_error


@pytest.fixture
def truth():
    return np.zeros((2, 3, 2), np.float32)


def test_the_mean_distance(truth):
    flow = truth.copy()
    flow[0, 0] = (3, 4)
    flow[1, 2] = (0, -1)
    assert end_point_error(flow, truth) == 1.0
    assert end_point_error(truth, truth) == 0.0


def test_pixels_that_do_not_count(truth):
    flow = truth + np.float32(1)
    flow[0, 0], flow[1, 1] = (3, 4), (6, 8)
    truth[1, 1] = np.nan
    valid = np.zeros((2, 3), bool)
    valid[:, :2] = True
    assert end_point_error(flow, truth, valid) == pytest.approx((5 + 2 * 2**0.5) / 3)


def test_an_unknown_estimate_is_no_good_estimate(truth):
    flow = truth.copy()
    flow[0, 0] = np.nan
    assert np.isnan(end_point_error(flow, truth))


def test_nothing_to_compare(truth):
    with pytest.raises(ValueError, match="no pixel"):
        end_point_error(truth, truth, np.zeros((2, 3), bool))
    with pytest.raises(ValueError, match="shape"):
        end_point_error(truth, truth[:1])
