"""What the quality benchmark calls a seam and a drift: exact values."""

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks/quality.py"


@pytest.fixture(scope="module")
def quality():
    spec = importlib.util.spec_from_file_location("quality", FILE)
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["quality"] = module
    spec.loader.exec_module(module)
    return module


def measured(quality, errors, styles=None):
    count = len(errors) + 1
    return quality.Measured(0, 0.0, list(errors), styles or [1.0] * count, [1.0] * count, [10.0] * count, [5.0] * count)


def test_a_render_that_is_smoother_everywhere_has_no_seam(quality):
    base = measured(quality, [2.0 + i % 3 for i in range(40)])
    half = measured(quality, [error / 2 for error in base.warp_error])
    (seam,) = quality.seams(half, base, [20], first=0)
    assert seam["seam_ratio"] == pytest.approx(1)


def test_a_jump_at_a_boundary_shows_whatever_the_motion(quality):
    base = measured(quality, [1.0] * 40)
    errors = [0.5] * 40
    errors[19] = 2.0  # the pair of frames 19 and 20
    (seam,) = quality.seams(measured(quality, errors), base, [20], first=0)
    assert seam["seam_ratio"] == pytest.approx(4)
    assert (seam["style_ratio_min"], seam["style_ratio_max"]) == (1, 1)


def test_blurred_texture_shows_in_the_style_ratio_and_frames_may_start_anywhere(quality):
    base = measured(quality, [1.0] * 40)
    styles = [1.0] * 41
    styles[18] = 7.0
    (seam,) = quality.seams(measured(quality, [1.0] * 40, styles), base, [120], first=100)
    assert (seam["seam_ratio"], seam["style_ratio_max"]) == (1, 7)


def test_pairs_that_cannot_be_measured_are_left_out(quality):
    errors = [1.0] * 40
    errors[5] = None
    found = measured(quality, errors)
    assert found.median_error() == 1
    assert quality.seams(found, measured(quality, [1.0] * 40), [5], first=0)[0]["seam_ratio"] == 1


def test_drift_compares_the_last_with_the_first_quarter_and_leaves_out_the_sources_own(quality):
    found = quality.Measured(0, 0.0, [], [2.0] * 4 + [1.0] * 12, [], [10.0] * 12 + [8.0] * 4, [4.0] * 16)
    source = quality.Measured(0, 0.0, [], [], [], [20.0] * 12 + [18.0] * 4, [4.0] * 12 + [2.0] * 4)
    drift = found.drift(source)
    assert drift["luminance"] == pytest.approx(0.8 / 0.9)
    assert (drift["contrast"], drift["style"]) == (2.0, 0.5)
