"""Timelines as they are written: what is read, and the one line that each fault gives."""

from fractions import Fraction
from pathlib import Path

import pytest

from farm.errors import UsageError
from farm.spec import build_spec
from farm.spec.load import load_spec, spec_differences, with_absolute_paths
from farm.spec.named_files import input_files, picture_files, place_in_timeline, with_files
from farm.spec.timeline import parse_at

BASE = {"video": "film.mp4", "output": "out.mp4"}
TWO = [{"at": 0, "styles": "a.jpg"}, {"at": 30, "styles": ["b.jpg:2", "a.jpg"]}]


def spec_of(**timeline: object):
    return build_spec({**BASE, "timeline": timeline})


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (120, "frame", 120),
        ("120", "frame", 120),
        ("2.5s", "seconds", Fraction(5, 2)),
        ("0s", "seconds", Fraction(0)),
        ("1m30s", "seconds", Fraction(90)),
        ("1:30", "seconds", Fraction(90)),
        ("1:02:03.25", "seconds", Fraction(14893, 4)),
        ("01:00:00:12", "timecode", "01:00:00:12"),
        ("00:01:00;02", "timecode", "00:01:00;02"),
    ],
)
def test_times_are_read(text: int | str, kind: str, value: object) -> None:
    moment = parse_at(text)
    found = {"frame": moment.frame, "seconds": moment.seconds, "timecode": moment.timecode}
    assert (moment.kind, found[kind]) == (kind, value)


@pytest.mark.parametrize("text", ["", "-3", "2.5", "five", "1:75", "00:00:00:1", "s", "99:99:99:99"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        parse_at(text)


@pytest.mark.parametrize(
    ("timeline", "message"),
    [
        ({"points": [*TWO, {"at": 20, "styles": "a.jpg"}]}, r"points\[2\] \(at 20\) does not come after points\[1\]"),
        ({"points": [{"at": "4s", "styles": "a.jpg"}, {"at": "0:03", "styles": "a.jpg"}]}, r"points\[1\] \(at 0:03\)"),
        ({"points": [{"at": 0, "style": "a.jpg"}]}, r"timeline.points\[0\].style: no such option"),
        ({"points": [{"at": 0, "styles": ["a.jpg:0", "b.jpg:0"]}]}, r"points\[0\].styles: .*all weigh nothing"),
        ({"points": [{"at": 0, "styles": "a.jpg", "weights": {"style": -1}}]}, r"timeline.points\[0\].weights.style: "),
        ({"points": [{"at": 2.5, "styles": "a.jpg"}]}, r"timeline.points\[0\].at: write a frame as 120"),
        ({"points": [{"at": 0}]}, r"timeline.points\[0\]: nothing is set here"),
        ({"points": [{"styles": "a.jpg"}]}, r"timeline.points\[0\].at: is missing"),
        ({"points": [{"at": 0, "styles": "a.jpg", "curve": "jump"}]}, r"timeline.points\[0\].curve: "),
        ({"points": [{"at": 0, "styles": "a.jpg", "regions": {1: "b.jpg"}}]}, r"points\[0\]: there is no region 1"),
        ({"points": TWO, "per_shot": {0: {"styles": "a.jpg"}}}, "timeline.per_shot"),
        ({}, "timeline: the timeline is empty"),
        ({"per_shot": {1: {"styles": "a.jpg"}}}, "no style is given"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line_that_names_the_point(timeline: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        spec_of(**timeline)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "instant", "network": "n.safetensors"}, "method instant has one style"),
        ({"method": "identity"}, "method identity has one style"),
        ({"passes": 1}, "none needs two-sided passes"),
        ({"sweep": "alternating"}, "none needs two-sided passes"),
    ],
)
def test_what_a_timeline_does_not_go_with(fields: dict, message: str) -> None:
    timeline = {"points": [*TWO, {"at": 40, "styles": "none"}]}
    with pytest.raises(UsageError, match=message):
        build_spec({**BASE, **fields, "timeline": timeline})


def test_a_file_has_paths_beside_it_and_times_stay_text(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(
        "points:\n- {at: 1:30, styles: a.jpg}\n- {at: 2:00, styles: [sub/b.jpg:2, none.jpg]}\n"
    )
    spec = build_spec(with_absolute_paths({**BASE, "timeline": str(tmp_path / "t.yaml")}))
    assert spec.timeline is not None
    assert [point.at for point in spec.timeline.points] == ["1:30", "2:00"]
    assert picture_files(spec) == [str(tmp_path / name) for name in ("a.jpg", "sub/b.jpg", "none.jpg")]


def test_a_file_may_be_a_list_or_stand_in_a_spec(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("- {at: 0, styles: a.jpg}\n")
    (tmp_path / "spec.yaml").write_text("video: film.mp4\noutput: out.mp4\ntimeline: t.yaml\n")
    (tmp_path / "inline.yaml").write_text(
        "{video: film.mp4, output: out.mp4, timeline: {points: [{at: 0, styles: a.jpg}]}}"
    )
    one, other = (load_spec(tmp_path / name) for name in ("spec.yaml", "inline.yaml"))
    assert one == other
    # the command line's timeline replaces that of the file
    given = with_absolute_paths({"timeline": {"per_shot": {1: {"styles": "c.jpg"}}}}, tmp_path)
    replaced = load_spec(tmp_path / "inline.yaml", {**given, "styles": ["d.jpg"]})
    assert replaced.timeline is not None
    assert not replaced.timeline.points


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("points: [", "is not YAML"),
        ("just text", "is not a list of points"),
        ("- {at: 5, styles: a.jpg}\n- {at: 5, styles: a.jpg}", r"t.yaml: points\[1\] \(at 5\) does not come after"),
        ("- {at: 0, colour: red}", r"t.yaml: points\[0\].colour: no such option"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(UsageError, match=message):
        with_absolute_paths({**BASE, "timeline": str(tmp_path / "t.yaml")})
    with pytest.raises(UsageError, match="cannot be read"):
        with_absolute_paths({**BASE, "timeline": str(tmp_path / "none.yaml")})


def test_a_changed_timeline_is_a_changed_spec_and_survives_json() -> None:
    spec = spec_of(points=TWO, per_shot={2: {"styles": "none"}})
    assert type(spec).model_validate_json(spec.model_dump_json()) == spec
    other = spec_of(points=[TWO[0], {**TWO[1], "at": 40}], per_shot={2: {"styles": "none"}})
    assert spec_differences(spec, other) == ["timeline.points[1].at: 30 -> 40"]
    assert spec_differences(spec, spec) == []


def test_its_paintings_are_input_files() -> None:
    regions = [{"mask": "m.png", "styles": ["c.jpg"]}]
    timeline = {"points": [*TWO, {"at": 50, "regions": {1: "d.jpg"}}], "per_shot": {1: {"styles": "e.jpg"}}}
    spec = build_spec({**BASE, "regions": regions, "timeline": timeline})
    assert set(input_files(spec)) == {"film.mp4", "m.png", *(f"{letter}.jpg" for letter in "abcde")}
    moved = with_files(spec, lambda path: f"/there/{path}")
    assert set(picture_files(moved)) == {f"/there/{letter}.jpg" for letter in "abcde"}
    assert [place_in_timeline(spec, f"{letter}.jpg") for letter in "bde"] == [
        "timeline.points[1]", "timeline.points[2]", "timeline.per_shot.1"
    ]  # fmt: skip
