"""What the quality benchmark calls a seam and a drift, and which stills it paints: exact values."""

import pytest

from benchmarks.quality import figures_of, seams, table
from benchmarks.yardstick import Measured, frames_with_stills
from farm.plan import RenderPlan, plan_render
from farm.render.detail_figures import AreaDetail, FrameDetail
from tests.plan.test_render_plan import make_probe, make_spec


def plan_of(chunk_frames: int, start: int = 0, frames: int = 41) -> RenderPlan:
    """One shot of `frames` frames from `start` on."""
    spec = make_spec(chunk_frames=chunk_frames, frames=f"{start}-{start + frames - 1}")
    return plan_render(spec, make_probe(start + frames), [])


def measured(errors, styles=None):
    count = len(errors) + 1
    return Measured(0, 0.0, list(errors), styles or [1.0] * count, [1.0] * count, [10.0] * count, [5.0] * count)


def test_a_render_that_is_smoother_everywhere_has_no_seam():
    base = measured([2.0 + i % 3 for i in range(40)])
    half = measured([error / 2 for error in base.warp_error])
    (seam,) = seams(half, base, plan_of(21))
    assert seam.ratio == pytest.approx(1)


def test_a_jump_at_a_boundary_shows_whatever_the_motion():
    base = measured([1.0] * 40)
    errors = [0.5] * 40
    errors[19] = 2.0  # the pair of frames 19 and 20
    (seam,) = seams(measured(errors), base, plan_of(21))
    assert seam.ratio == pytest.approx(4)
    assert (seam.style_low, seam.style_high) == (1, 1)


def test_blurred_texture_shows_in_the_style_ratio_and_frames_may_start_anywhere():
    base = measured([1.0] * 40)
    styles = [1.0] * 41
    styles[18] = 7.0
    (seam,) = seams(measured([1.0] * 40, styles), base, plan_of(21, start=100))
    assert (seam.ratio, seam.style_high) == (1, 7)


def test_pairs_that_cannot_be_measured_are_left_out():
    errors = [1.0] * 40
    errors[20] = None
    found = measured(errors)
    assert found.median_error() == 1
    assert seams(found, measured([1.0] * 40), plan_of(21))[0].ratio == 1


def test_drift_compares_the_last_with_the_first_quarter_and_leaves_out_the_sources_own():
    found = Measured(0, 0.0, [], [2.0] * 4 + [1.0] * 12, [], [10.0] * 12 + [8.0] * 4, [4.0] * 16)
    source = Measured(0, 0.0, [], [], [], [20.0] * 12 + [18.0] * 4, [4.0] * 12 + [2.0] * 4)
    drift = found.drift(source)
    assert drift["luminance"] == pytest.approx(0.8 / 0.9)
    assert (drift["contrast"], drift["style"]) == (2.0, 0.5)


@pytest.mark.parametrize(
    ("count", "every", "stills"),
    [(48, 12, [112, 124, 136]), (49, 12, [112, 124, 136, 148]), (12, 12, [111]), (8, 3, [103, 106]), (1, 12, [100])],
)
def test_stills_are_painted_every_so_many_frames_and_never_of_the_first_of_several(count, every, stills):
    assert frames_with_stills(range(100, 100 + count), every) == stills


def test_a_warp_error_is_printed_beside_the_fine_detail_of_what_moves():
    base = measured([1.0] * 40)
    moving = {12: AreaDetail(0.8, 0.9, 1, 1), 24: AreaDetail(0.4, 0.9, 1, 2), 36: None}
    base.details = {frame: FrameDetail(0.5, detail, AreaDetail(1, 1, 1, 1)) for frame, detail in moving.items()}
    figures = figures_of(base, base, base, [])
    assert figures["fine_moving"] == {"median": pytest.approx(0.6), "worst": 0.4, "frame": 24}
    assert figures["content_moving"] == {"median": 1.5, "worst": 2, "frame": 24}
    printed = table({"variants": {"farm": figures}, "stills": {"iterations": 200, "frames": [12, 24, 36]}})
    head, row, *_ = printed.splitlines()
    assert head.split()[:5] == ["warp", "error", "of", "seq.", "fine,"]
    assert row.split()[:6] == ["farm", "1.000000", "1.00", "0.60", "(0.40,", "24)"]
    assert "1.50 (2.00, 24)" in printed
    assert "over stills of 200 steps, frames 12, 24, 36" in printed


def test_a_film_in_which_nothing_moves_has_dashes_there():
    base = measured([1.0] * 40)
    base.details = {12: FrameDetail(0.0, None, AreaDetail(1, 1, 1, 1))}
    figures = figures_of(base, base, base, [])
    assert figures["fine_moving"] is None
    lines = table({"variants": {"farm": figures}, "stills": {"iterations": 200, "frames": [12]}}).splitlines()
    assert lines[lines.index(next(line for line in lines if line.startswith("moving"))) + 1].split() == [
        "farm",
        *"----",
    ]
