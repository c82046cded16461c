"""Where a frame is painted anew: around what moves, with few steps elsewhere, and none before a camera that stands."""

from __future__ import annotations

import numpy as np
import pytest

from farm.flow import Match
from farm.render.change import AROUND, REST_STEPS, may_change, stands_still, steps_everywhere

HEIGHT, WIDTH = 64, 96


def moving(value=1.0):
    weight = np.zeros((HEIGHT, WIDTH), np.float32)
    weight[24:40, 40:56] = value
    return weight


def match(x, y=0.0):
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    flow[..., 0], flow[..., 1] = x, y
    return Match(flow, np.ones((HEIGHT, WIDTH), np.float32))


def test_what_moves_and_what_is_around_it_may_change():
    change = may_change(moving())
    assert change[24:40, 40:56].min() > 0.95
    assert change[32, 55 + AROUND // 2] > 0.75
    assert change[32, 55 + 4 * AROUND] == 0
    assert change.dtype == np.float32
    assert 0 <= change.min() <= change.max() <= 1


@pytest.mark.parametrize(("weight", "most"), [(0.0, 0.0), (0.3, 0.0), (0.4, 0.0), (0.5, 0.5), (0.6, 1.0), (0.9, 1.0)])
def test_what_hardly_moves_may_not_change(weight, most):
    assert may_change(moving(weight)).max() == pytest.approx(most, abs=0.01)


@pytest.mark.parametrize(
    ("flow", "still"), [((0, 0), True), ((0.09, 0), True), ((0.08, 0.08), False), ((0.11, 0), False), ((-3, 2), False)]
)
def test_the_camera_stands_still_where_what_rests_does(flow, still):
    assert stands_still(match(*flow), moving()) is still


def test_what_moves_does_not_say_that_the_camera_does():
    going = match(0)
    going.flow[24:40, 40:56] = 9
    going.flow[0, 0] = np.nan
    assert stands_still(going, moving())


def test_where_nothing_rests_the_camera_does_not_stand_still():
    assert not stands_still(match(0), np.ones((HEIGHT, WIDTH), np.float32))


@pytest.mark.parametrize(
    ("steps", "still", "refreshed", "everywhere"),
    [
        (11, False, False, REST_STEPS),
        (11, False, True, REST_STEPS),
        (11, True, False, 0),
        (11, True, True, 11),
        (2, False, False, 2),
        (2, True, True, 2),
    ],
)
def test_steps_over_the_whole_picture(steps, still, refreshed, everywhere):
    assert steps_everywhere(steps, still=still, refreshed=refreshed) == everywhere
