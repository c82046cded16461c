"""The figures of a film of any tool: exact values on films of known flicker."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from farm.render.detail import can_be_source, edge_correlation
from farm.render.film_figures import FilmFigures, PairFigures
from farm.render.film_meter import FilmMeter, SourcePair
from farm.render.seams import find_joins
from tests.render.test_detail import SIDE, blurred, brightness, noise

STILL = noise()


def grey(level: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), level, np.uint8)


def measured(levels, joins=None, **options) -> FilmFigures:
    """A film of one grey level a frame, before a source that stands still."""
    meter = FilmMeter(**options)
    for level in levels:
        meter.add(STILL, grey(level))
    return meter.figures(joins)


def test_a_film_that_flickers_by_ten_levels_has_the_error_of_ten_levels():
    figures = measured([100, 110, 100, 110])
    for pair in figures.pairs.values():
        assert pair.warp_error == pytest.approx((10 / 255) ** 2)
        assert pair.lai_warp_error == pytest.approx((10 / 255) ** 2)
        assert (pair.source_warp_error, pair.source_lai_warp_error) == (0, 0)
        assert (pair.change, pair.source_change) == (10, 0)
    assert list(figures.pairs) == [1, 2, 3]
    assert figures.flickering == pytest.approx((255 - 10) / 255)
    assert figures.source_flickering == 1
    assert figures.as_dict()["warp_error"] == {
        "median": pytest.approx((10 / 255) ** 2),
        "mean": pytest.approx((10 / 255) ** 2),
        "source_median": 0,
        "source_mean": 0,
        "pairs": 3,
        "left_out": 0,
    }


def test_paint_that_moves_with_the_film_has_no_error_though_every_pixel_changes():
    wide = np.concatenate([noise(1), noise(2)], axis=1)
    meter = FilmMeter()
    for t in range(3):
        shown = np.ascontiguousarray(wide[:, 4 * t : 4 * t + SIDE])
        meter.add(shown, 255 - shown)
    figures = meter.figures()
    assert max(pair.change for pair in figures.pairs.values()) > 20
    for pair in figures.pairs.values():
        assert pair.warp_error is not None
        assert pair.lai_warp_error is not None
        assert max(pair.warp_error, pair.lai_warp_error) < (pair.change / 255) ** 2 / 8
        assert pair.warp_error == pytest.approx(pair.source_warp_error, rel=1e-3)
        assert pair.lai_warp_error == pytest.approx(pair.source_lai_warp_error, rel=1e-3)


def test_the_two_definitions_lead_opposite_ways():
    """Ruder warps the first frame to the second one, Lai the second one to the first."""
    wide = np.concatenate([noise(1), noise(2)], axis=1)
    before, after = (np.ascontiguousarray(wide[:, 4 * t : 4 * t + SIDE]) for t in range(2))
    pair = SourcePair(before, after)
    inner = (slice(20, 76), slice(20, 76))
    assert np.median(pair.backward[inner][..., 0]) == pytest.approx(4, abs=0.1)
    assert np.median(pair.forward[inner][..., 0]) == pytest.approx(-4, abs=0.1)
    assert not pair.weight[:, -3:].any()  # leads out of the frame
    assert pair.unoccluded[inner].mean() > 0.9
    there, wrong_way = pair.lai_warp_error(before, after), pair.lai_warp_error(after, before)
    assert there is not None
    assert wrong_way is not None
    assert there < wrong_way / 10


def test_across_a_cut_nothing_is_followed_but_the_change_counts():
    figures = measured([10, 10, 60, 60], cuts=[2])
    assert [pair.warp_error for pair in figures.pairs.values()] == [0, None, 0]
    assert [pair.change for pair in figures.pairs.values()] == [0, 50, 0]
    assert figures.as_dict()["cuts"] == [2]
    assert figures.as_dict()["lai_warp_error"]["left_out"] == 1


def test_numbers_count_from_the_first_frame():
    figures = measured([10, 10, 20, 20], [7], first=5)
    assert list(figures.pairs) == [6, 7, 8]
    assert [seam.frame for seam in figures.seams] == [7]


# joins -----------------------------------------------------------------------------------------------

LEVELS = [100 + i % 2 for i in range(20)] + [104 + i % 2 for i in range(20)]  # one level of flicker; three at frame 20


def test_the_seam_ratio_of_a_join_is_over_the_median_of_its_shot():
    (seam,) = measured(LEVELS, [20]).seams
    assert (seam.frame, seam.worst) == (20, 20)
    assert seam.ratio == pytest.approx(9)  # three levels over one, squared


def test_joins_are_found_where_the_film_jumps():
    figures = measured(LEVELS)
    assert [seam.frame for seam in figures.seams] == [20]
    assert figures.worst_seam == figures.seams[0]
    assert figures.joins_were_found


def test_a_cut_is_no_join():
    assert measured(LEVELS, cuts=[20]).seams == []
    assert measured(LEVELS, [20], cuts=[20]).seams == []


@pytest.mark.parametrize(
    ("film", "source", "joins"),
    [
        ({4: 4.0}, {}, [4]),
        ({4: 1.9}, {}, []),  # no jump
        ({4: 4.0}, {4: 4.0}, []),  # the source jumps as well
        ({4: 9.0}, {4: 3.0}, [4]),  # and less than the film
        ({4: None}, {}, []),
    ],
)
def test_what_a_jump_is(film, source, joins):
    frames = range(10)
    usual = dict.fromkeys(frames, 1.0)
    assert find_joins(frames, usual | film, usual | source) == joins


@pytest.mark.parametrize(("levels", "joins"), [(1.9, []), (2.1, [4])])
def test_noise_of_the_encoder_is_no_jump(levels, joins):
    errors = dict.fromkeys(range(10), 1e-6) | {4: (levels / 255) ** 2}
    assert find_joins(range(10), errors, dict.fromkeys(range(10), 1e-6)) == joins


# detail and worst pairs ------------------------------------------------------------------------------


def test_without_stills_detail_is_over_the_source():
    meter = FilmMeter(detailed=[1])
    meter.add(STILL, STILL)
    meter.add(STILL, blurred(STILL, 2))
    row = meter.figures().details[1]
    assert row.moving is None
    assert row.moving_share == 0
    assert row.resting is not None
    assert row.resting.fine < 0.6
    assert 0.5 < row.resting.shape < 1
    assert row.resting.content is None


def test_with_stills_a_still_is_as_good_as_itself():
    still = noise(9)
    meter = FilmMeter(detailed=[1], stills={1: still}, features=brightness)
    meter.add(STILL, STILL)
    meter.add(STILL, still)
    row = meter.figures().details[1].resting
    assert row is not None
    assert [row.fine, row.middle, row.content] == pytest.approx([1, 1, 1])


def test_a_film_of_something_else_is_noticed():
    assert edge_correlation(STILL, STILL) == pytest.approx(1)
    for painted, shows in ((blurred(STILL, 1), True), (noise(8), False)):
        meter = FilmMeter(detailed=[1])
        for _ in range(2):
            meter.add(STILL, painted)
        assert meter.figures().shows_its_source == shows


def test_a_source_can_be_that_of_a_film():
    other, mirrored = noise(8), np.ascontiguousarray(STILL[:, ::-1])
    one_colour = np.full_like(STILL, 90)
    assert can_be_source([(STILL, blurred(STILL, 1))])
    assert not can_be_source([(STILL, other)])
    assert not can_be_source([(STILL, mirrored)])
    assert not can_be_source([(STILL, STILL), (STILL, other), (STILL, other)])  # the median decides
    assert can_be_source([(STILL, one_colour), (one_colour, other)])  # they say nothing
    assert can_be_source([(STILL, one_colour), (STILL, STILL)])


def test_strokes_do_not_hide_what_a_large_film_shows():
    small = blurred(noise(3), 2)
    source = cv2.resize(small, (1024, 1024), interpolation=cv2.INTER_CUBIC)
    strokes = np.random.default_rng(4).integers(-90, 90, source.shape)
    painted = np.clip(source.astype(int) + strokes, 0, 255).astype(np.uint8)
    assert edge_correlation(source, painted) > 0.5


def test_the_worst_pairs_are_apart():
    pairs = {frame: PairFigures(error, 0.0, 0.0, 0.0, 0.0, 0.0) for frame, error in enumerate([1, 5, 9, 8, 2, 7, 3.5])}
    figures = FilmFigures(0, [range(7)], pairs, {}, {}, [], True, False)
    assert figures.worst_pairs(6) == [2, 5]
    assert figures.worst_pairs(1) == [2]
