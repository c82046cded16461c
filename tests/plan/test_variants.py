"""Which frames a preview shows, and the grid of settings to choose from."""

import pytest

from farm.cli.options import FILM, PAINT
from farm.cli.preview import small
from farm.errors import UsageError
from farm.plan import plan_render
from farm.plan.variants import Varied, first_seconds, frames_to_show, parse_frames, parse_vary, spread
from farm.spec import FrameRange, build_spec
from tests.plan.test_render_plan import make_probe

KNOWN = {**FILM, **PAINT}


def plan_of(cuts, frames=100):
    return plan_render(build_spec({"video": "v.mp4", "styles": ["s.png"], "output": "o.mp4"}), make_probe(frames), cuts)


def test_every_combination_is_labelled_by_its_options():
    varied = parse_vary(["style-weight=50,100", "color=none,luminance"], KNOWN)
    variants = spread({"size": 200}, varied, {})
    assert [variant.labels for variant in variants] == [
        ("style-weight 50", "color none"),
        ("style-weight 50", "color luminance"),
        ("style-weight 100", "color none"),
        ("style-weight 100", "color luminance"),
    ]
    assert variants[1].options == {"size": 200, "style_weight": "50", "color": "luminance"}


def test_a_multiple_of_what_is_set():
    variants = spread({}, [Varied("style-weight", ("x0.5", "x2", "7"))], {"style-weight": 100.0})
    assert [variant.options["style_weight"] for variant in variants] == ["50", "200", "7"]


def test_a_painting_may_vary_too_even_one_whose_name_begins_with_x():
    variants = spread({"style": ["old.jpg"]}, [Varied("style", ("xmas.jpg", "b.jpg:2"))], {})
    assert [variant.options["style"] for variant in variants] == [["xmas.jpg"], ["b.jpg:2"]]


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (["strokes=1,2"], "is no option"),
        (["output=a.mp4"], "is no option"),
        (["style-weight="], "gives no values"),
        (["style-weight"], "gives no values"),
        (["style-weight=1", "style-weight=2"], "given twice"),
        (["style-weight=1", "style-scale=2", "tv-weight=1"], "3 options vary"),
    ],
)
def test_what_cannot_vary_is_told(texts, problem):
    with pytest.raises(UsageError, match=problem):
        parse_vary(texts, KNOWN)


def test_too_many_variants_and_a_multiple_of_no_number():
    many = tuple(str(number) for number in range(9))
    with pytest.raises(UsageError, match="81 variants"):
        spread({}, [Varied("style-weight", many), Varied("style-scale", many)], {})
    with pytest.raises(UsageError, match="no number to multiply"):
        spread({}, [Varied("color", ("x2",))], {})


def test_one_frame_of_each_shot_or_those_asked_for():
    plan = plan_of((20, 30, 90))
    assert frames_to_show(plan, None, 24) == [10, 25, 60, 95]
    assert frames_to_show(plan, None, 2) == [10, 60], "the longest, in the film's order"
    assert frames_to_show(plan, [70, 3, 3], 1) == [3, 70]
    with pytest.raises(UsageError, match="frame 100 is not in the film"):
        frames_to_show(plan, [100], 1)


def test_frames_are_a_part_of_the_film_or_single_ones():
    assert parse_frames("10-20") == (FrameRange(10, 21), [])
    assert parse_frames("10,12-14") == (None, [10, 12, 13, 14])
    assert parse_frames("7") == (None, [7])
    with pytest.raises(UsageError):
        parse_frames("1,x")


def test_the_first_second_of_every_shot():
    assert first_seconds(plan_of((20, 30)), 25, 24) == [FrameRange(0, 20), FrameRange(20, 30), FrameRange(30, 55)]


def test_a_preview_is_never_larger_or_longer_than_the_render():
    spec = build_spec({"video": "v.mp4", "styles": ["s.png"], "output": "o.mp4", "size": 96, "iterations": "30,10"})
    assert (small(spec, 160, 50).size, small(spec, 160, 50).iterations.first) == (96, 30)
    assert (small(spec, 64, 20).size, small(spec, 64, 20).iterations.first) == (64, 20)
