"""Times become frames of a film; what does not fit the film is refused by its point's name; the drawing as text."""

from fractions import Fraction

import pytest

from farm.errors import UsageError
from farm.plan.film_looks import frame_at, looks_of
from farm.plan.timeline_drawing import points_to_show, timeline_lines
from farm.spec import FrameRange, build_spec
from farm.spec.timeline import parse_at
from tests.plan.test_render_plan import make_probe

A, B = "a.jpg", "b.jpg"


def film_of(frames: int, rate: Fraction = Fraction(25), **fields: object):
    time_base = 1 / rate
    clock = {"frame_rate": rate, "time_base": time_base, "pts": tuple(range(100, 100 + frames)), "last_duration": 1}
    return make_probe(frames).model_copy(update={**clock, **fields})


def looks(points: list[dict], cuts: tuple[int, ...] = (), frames: int = 100, **timeline: object):
    values = {"video": "film.mp4", "output": "o.mp4", "timeline": {"points": points, **timeline}}
    found = looks_of(build_spec(values), film_of(frames), cuts)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("at", "frame"),
    [(99, 99), ("0s", 0), ("2s", 50), ("0:01.5", 37), ("1.52s", 38), ("0.039s", 1), ("4s", 99), ("00:00:02:10", 60)],
)
def test_the_frame_that_is_shown_at_a_time(at: int | str, frame: int) -> None:
    assert frame_at(parse_at(at), film_of(100)) == frame


@pytest.mark.parametrize(
    ("timecode", "at", "frame"),
    [("01:00:00:00", "01:00:01:00", 25), ("01:00:00:00", "00:00:01:00", 25), ("00:00:01:00", "00:00:02:00", 25)],
)
def test_a_timecode_is_that_of_the_film(timecode: str, at: str, frame: int) -> None:
    assert frame_at(parse_at(at), film_of(100, timecode=timecode)) == frame


def test_a_time_of_a_film_whose_frames_last_unevenly() -> None:
    film = film_of(3, pts=(0, 10, 90), time_base=Fraction(1, 100), last_duration=10)
    assert [frame_at(parse_at(at), film) for at in ("0s", "0.5s", "0.9s")] == [0, 1, 2]


@pytest.mark.parametrize(
    ("points", "per_shot", "message"),
    [
        ([(0, A), (100, B)], {}, r"points\[1\] \(at 100\) is not in the film; the film has frames 0-99"),
        ([("4.1s", A)], {}, r"points\[0\] \(at 4.1s\) is not in the film, which is 4.000 s long"),
        ([("00:00:04:00", A)], {}, r"points\[0\] \(at 00:00:04:00\) is not in the film"),
        ([("00:00:00:25", A)], {}, r"points\[0\] .* is no timecode of a film with 25 frames"),
        ([(60, A), ("2s", B)], {}, r"points\[1\] \(at 2s\) is frame 50 and does not come after points\[0\], frame 60"),
        ([(0, A)], {3: {"styles": B}}, r"per_shot.3: the film has 2 shots"),
    ],
)
def test_what_does_not_fit_the_film_is_named(points: list, per_shot: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        looks([{"at": at, "styles": styles} for at, styles in points], cuts=(50,), per_shot=per_shot)


def test_a_spec_without_a_timeline_has_no_looks() -> None:
    spec = build_spec({"video": "film.mp4", "output": "o.mp4", "styles": [A]})
    assert looks_of(spec, film_of(10), ()) is None


def test_the_drawing() -> None:
    points = [{"at": 0, "styles": "none"}, {"at": 10, "styles": A, "weights": {"style": 0}}]
    points += [{"at": 20, "styles": B, "weights": {"style": 100}}]
    assert list(timeline_lines(looks(points), FrameRange(0, 21))) == [
        "timeline frames 0-20; . is none, 1 to 9 are tenths, # is whole",
        f"  {'a.jpg':<24} .123456789#987654321.",
        f"  {'b.jpg':<24} ...........123456789#",
        f"  {'photograph':<24} #987654321...........",
        f"  {'style weight':<24} ...........123456789#  0 to 100",
        f"  {'points':<24} ^         ^         ^  0, 10, 20",
    ]


def test_a_preview_shows_the_points_and_the_shots_with_settings() -> None:
    found = looks([{"at": 5, "styles": A}, {"at": 90, "styles": B}], cuts=(40, 60), per_shot={2: {"styles": B}})
    assert points_to_show(found, FrameRange(0, 100)) == [5, 50, 90]
    assert points_to_show(found, FrameRange(0, 60)) == [5, 50]
