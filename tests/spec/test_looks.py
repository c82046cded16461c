"""The look of each frame, against tables of exact values."""

import pytest

from farm.errors import UsageError
from farm.spec import RenderSpec, build_spec
from farm.spec.looks import Look, Looks, likeness

A, B = "a.jpg", "b.jpg"


def spec_of(points: list[dict], **fields: object) -> RenderSpec:
    timeline = {"points": points, **{name: fields.pop(name) for name in ("curve", "per_shot") if name in fields}}
    return build_spec({"video": "film.mp4", "output": "out.mp4", "timeline": timeline, **fields})


def looks_of(points: list[dict], cuts: tuple[int, ...] = (), **fields: object) -> Looks:
    return Looks.of(spec_of(points, **fields), [int(point["at"]) for point in points], cuts)


def shares(look: Look) -> dict[str, float]:
    return {path: round(share, 6) for path, share in look.paint.shares.items()}


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ("linear", {0: {A: 1}, 10: {A: 1}, 15: {A: 0.75, B: 0.25}, 20: {A: 0.5, B: 0.5}, 30: {B: 1}, 99: {B: 1}}),
        ("ease", {10: {A: 1}, 15: {A: 0.84375, B: 0.15625}, 20: {A: 0.5, B: 0.5}, 30: {B: 1}}),
        ("step", {10: {A: 1}, 29: {A: 1}, 30: {B: 1}}),
    ],
)
def test_shares_go_from_point_to_point_by_the_curve(curve: str, expected: dict[int, dict[str, float]]) -> None:
    looks = looks_of([{"at": 10, "styles": A}, {"at": 30, "styles": B}], curve=curve)
    assert {frame: shares(looks.at(frame)) for frame in expected} == expected


def test_a_point_has_a_curve_of_its_own_and_blends_by_weight() -> None:
    points = [
        {"at": 0, "styles": A, "curve": "step"},
        {"at": 10, "styles": [f"{A}:1", f"{B}:3"]},
        {"at": 20, "styles": B},
    ]
    looks = looks_of(points)
    assert [shares(looks.at(frame)) for frame in (9, 10, 15)] == [
        {A: 1}, {A: 0.25, B: 0.75}, {A: 0.125, B: 0.875}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        # a fade is painted in the style that it fades from, and one style becomes the other where none is seen
        ([(0, A), (10, "none"), (20, "none"), (30, B)],
         {0: (1, {A: 1}), 5: (0.5, {A: 1}), 10: (0, {A: 1}), 15: (0, {A: 0.5, B: 0.5}), 20: (0, {B: 1}),
          25: (0.5, {B: 1})}),
        ([(0, A), (10, "none"), (20, B)],
         {5: (0.5, {A: 0.75, B: 0.25}), 10: (0, {A: 0.5, B: 0.5}), 15: (0.5, {A: 0.25, B: 0.75})}),
        ([(0, "none"), (10, A), (20, "none")], {0: (0, {A: 1}), 4: (0.4, {A: 1}), 20: (0, {A: 1}), 99: (0, {A: 1})}),
    ],
)  # fmt: skip
def test_none_fades_to_the_photograph(points: list, expected: dict) -> None:
    looks = looks_of([{"at": at, "styles": styles} for at, styles in points])
    found = {frame: (round(looks.at(frame).paint.strength, 6), shares(looks.at(frame))) for frame in expected}
    assert found == expected


def test_each_value_is_a_track_of_its_own() -> None:
    points = [
        {"at": 0, "styles": A, "weights": {"style": 100}},
        {"at": 10, "style_scale": 2},
        {"at": 20, "weights": {"style": 300}},
    ]
    looks = looks_of(points, weights={"content": 7})
    weights = [looks.at(frame).weights for frame in (0, 10, 15, 20, 25)]
    assert [weight.style for weight in weights] == [100, 200, 250, 300, 300]
    assert {weight.content for weight in weights} == {7}
    assert {round(looks.at(frame).paint.scale, 9) for frame in (0, 5, 25)} == {2.0}


def test_a_stroke_scale_is_blended_from_a_grid_that_has_both_ends() -> None:
    looks = looks_of([{"at": 0, "styles": A, "style_scale": 1}, {"at": 16, "style_scale": 4}])
    scales = {
        frame: [(part.scale, round(part.share, 6)) for part in looks.at(frame).paint.parts] for frame in (0, 8, 16)
    }
    assert scales == {0: [(1.0, 1.0)], 8: [(2.0, 1.0)], 16: [(4.0, 1.0)]}
    between = looks_of([{"at": 0, "styles": A, "style_scale": 1}, {"at": 32, "style_scale": 4}]).at(15)
    assert [(part.scale, part.share) for part in between.paint.parts] == [(1.834008, 0.5), (2.0, 0.5)]


def test_a_shot_has_its_own_styles() -> None:
    per_shot = {2: {"styles": "c.jpg", "weights": {"style": 5}}, 3: {"styles": "none"}}
    looks = looks_of([{"at": 0, "styles": A}, {"at": 100, "styles": B}], cuts=(40, 60), per_shot=per_shot)
    assert [shares(looks.at(frame)) for frame in (39, 40, 59)] == [{A: 0.61, B: 0.39}, {"c.jpg": 1}, {"c.jpg": 1}]
    assert [looks.at(frame).weights.style for frame in (39, 40, 60)] == [100, 5, 100]
    assert [looks.at(frame).is_photograph for frame in (59, 60, 99)] == [False, True, True]


def test_regions_have_tracks() -> None:
    regions = [
        {"mask": "m.png", "styles": "none"},
        {"mask": "n.png", "styles": ["c.jpg"]},
        {"mask": "o.png", "styles": "none"},
    ]
    looks = looks_of([{"at": 0, "styles": A, "regions": {1: A}}, {"at": 10, "regions": {1: "none"}}], regions=regions)
    faded, steady, kept = looks.at(5).regions
    assert faded is not None
    assert (faded.strength, faded.shares) == (0.5, {A: 1.0})
    assert steady is not None
    assert (steady.strength, steady.shares) == (1.0, {"c.jpg": 1.0})
    assert kept is None


def test_likeness_is_the_share_that_two_looks_have_in_common() -> None:
    looks = looks_of([{"at": 0, "styles": A}, {"at": 10, "styles": B}])
    assert [round(likeness(looks.at(0), looks.at(frame)), 6) for frame in (0, 1, 5, 10)] == [1, 0.9, 0.5, 0]
    scaled = looks_of([{"at": 0, "styles": A, "style_scale": 1}, {"at": 8, "style_scale": 2}])
    assert [round(likeness(scaled.at(0), scaled.at(frame)), 3) for frame in (0, 2, 8)] == [1, 0.75, 0]


def test_what_changes_near_is_within_the_shot() -> None:
    looks = looks_of([{"at": 10, "styles": A}, {"at": 20, "styles": B}], cuts=(30,), per_shot={2: {"styles": A}})
    assert [looks.changes_near(frame, 4) for frame in (6, 7, 10, 23, 24, 28, 30)] == [
        False,
        True,
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("points", "per_shot", "named"),
    [
        ([{"at": 0, "styles": A, "weights": {"content": 0}}, {"at": 9, "weights": {"style": 0}}], {}, "points[0]"),
        ([{"at": 0, "styles": A}, {"at": 9, "weights": {"style": 0, "content": 0}}], {}, "points[0]"),
        ([{"at": 0, "styles": A, "weights": {"content": 0}}], {2: {"weights": {"style": 0}}}, "per_shot.2"),
    ],
)  # fmt: skip
def test_content_and_style_may_not_both_weigh_nothing(points: list[dict], per_shot: dict, named: str) -> None:
    with pytest.raises(UsageError, match="both weigh nothing") as raised:
        looks_of(points, cuts=(5,), per_shot=per_shot)
    assert named in str(raised.value)


def test_the_look_does_not_depend_on_what_was_asked_before() -> None:
    points = [
        {"at": 3, "styles": A, "style_scale": 1.3},
        {"at": 50, "styles": [A, B], "style_scale": 3, "curve": "ease"},
        {"at": 80, "styles": "none"},
    ]
    one, other = looks_of(points), looks_of(points)
    forwards = [one.at(frame) for frame in range(100)]
    assert [other.at(frame) for frame in reversed(range(100))] == forwards[::-1]
