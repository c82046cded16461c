"""What the user writes and what it becomes."""

import json
from pathlib import Path

import pytest

from farm.errors import UsageError
from farm.spec import FrameRange, RenderSpec, build_spec
from farm.spec.load import load_spec, spec_differences

MINIMAL = {"video": "in.mp4", "styles": ["wave.jpg"], "output": "out.mp4"}


def test_minimal_spec_has_the_documented_defaults():
    spec = build_spec(MINIMAL)
    assert spec.styles[0].path == "wave.jpg"
    assert spec.styles[0].weight == 1
    assert (spec.iterations.first, spec.iterations.next) == (200, 50)
    assert (spec.encode.codec, spec.encode.pixel_format) == ("libx264", "yuv420p")


@pytest.mark.parametrize(
    ("text", "path", "weight"),
    [
        ("wave.jpg", "wave.jpg", 1.0),
        ("wave.jpg:0.25", "wave.jpg", 0.25),
        ("a:b.jpg", "a:b.jpg", 1.0),
        ("s3://bucket/wave.jpg:3", "s3://bucket/wave.jpg", 3.0),
        ("wave:.5", "wave", 0.5),
    ],
)
def test_style_text(text, path, weight):
    style = build_spec({**MINIMAL, "styles": [text]}).styles[0]
    assert (style.path, style.weight) == (path, weight)


@pytest.mark.parametrize(
    ("text", "mask", "frame", "static", "styles"),
    [
        ("cat.png=wave.jpg", "cat.png", None, False, [("wave.jpg", 1)]),
        ("cat.png=wave.jpg:2,a:b.jpg", "cat.png", None, False, [("wave.jpg", 2), ("a:b.jpg", 1)]),
        ("cat.png=none", "cat.png", None, False, []),
        ("cat.png@120=none", "cat.png", 120, False, []),
        ("cat.png@static=wave.jpg", "cat.png", None, True, [("wave.jpg", 1)]),
        ("icon@2x.png=none", "icon@2x.png", None, False, []),
        ("cat.mkv=none", "cat.mkv", None, False, []),
    ],
)
def test_region_text(text, mask, frame, static, styles):
    region = build_spec({**MINIMAL, "regions": [text]}).regions[0]
    assert (region.mask, region.frame, region.static) == (mask, frame, static)
    assert [(style.path, style.weight) for style in region.styles] == styles


def test_regions_of_a_file_are_read_as_text_or_as_fields_with_paths_relative_to_it(tmp_path):
    regions = "[cat.png@3=none, {mask: dog.png, styles: [a.jpg:2], static: true}, {mask: m.mp4, styles: none}]"
    (tmp_path / "job.yaml").write_text(f"video: a.mp4\noutput: b.mp4\nstyles: [c.jpg]\nregions: {regions}\n")
    spec = load_spec(tmp_path / "job.yaml")
    assert [region.mask for region in spec.regions] == [
        str(tmp_path / name) for name in ("cat.png", "dog.png", "m.mp4")
    ]
    assert spec.regions[1].styles[0].path == str(tmp_path / "a.jpg")
    assert spec.regions[1].styles[0].weight == 2
    assert spec.regions[2].styles == ()
    assert RenderSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"regions": ["cat.png"]},
            "regions[0]: write 'cat.png' as MASK=STYLE, MASK@FRAME=STYLE, MASK@static=STYLE or MASK=none",
        ),
        ({"regions": ["cat.mp4@7=none"]}, "regions[0]: cat.mp4 is a video, read frame by frame; leave out @"),
        ({"regions": ["cat.png=a.jpg,"]}, "regions[0].styles[1].path: String should have at least 1 character, not ''"),
        ({"regions": [{"mask": "a.png"}]}, "regions[0].styles: is missing"),
        ({"frames": "50-10"}, "frames: frames 50-10 ends before it starts; did you mean 10-50?"),
        ({"frames": "abc"}, "frames: frames 'abc' is not a range; write it as 120-240, or 120 for one frame"),
        ({"size": 3}, "size: must be greater than or equal to 16, not 3"),
        ({"colour": "none"}, "colour: no such option; farm schema prints the ones there are"),
        ({"styles": [{"path": "a", "weight": -1}]}, "styles[0].weight: must be greater than 0, not -1"),
        ({"styles": []}, "no style is given; add --style PICTURE"),
        ({"iterations": "many"}, "iterations: write it as FIRST,NEXT, for example 200,50"),
        (
            {"overlap": 30, "chunk_frames": 24, "chunk_start": "scratch"},
            "overlap 30 must be shorter than a chunk (24 frames)",
        ),
        ({"long_term": [20, 10]}, "long_term: give distances of 2 frames or more, ascending, for example 10,20,40"),
        ({"flow": "raft"}, "flow raft needs its weights; add --flow-weights FILE, or choose --flow dis"),
        ({"flow": "warp"}, "flow: must be 'dis', 'deepflow', 'epicflow', 'farneback' or 'raft', not 'warp'"),
        ({"video": None}, "video: must be a valid string"),
    ],
)
def test_each_fault_is_one_line_that_names_the_field(change, message):
    with pytest.raises(UsageError) as caught:
        build_spec({**MINIMAL, **change})
    assert str(caught.value) == message


def test_frames_and_iterations_from_text():
    spec = build_spec({**MINIMAL, "frames": "120-240", "iterations": "30,10"})
    assert spec.frames == FrameRange(120, 241)
    assert (spec.iterations.first, spec.iterations.next) == (30, 10)
    assert build_spec({**MINIMAL, "iterations": "30"}).iterations.next == 30


def test_json_round_trip_is_the_identity():
    spec = build_spec({**MINIMAL, "frames": "7", "styles": ["a:2", "b"]})
    assert RenderSpec.model_validate_json(spec.model_dump_json()) == spec


def test_yaml_paths_are_relative_to_the_file_and_options_win(tmp_path):
    (tmp_path / "job.yaml").write_text(
        "video: clip.mp4\nstyles: [a.jpg:0.5, {path: b.jpg}]\noutput: out.mp4\nsize: 64\nweights: {style: 7}\n"
    )
    spec = load_spec(tmp_path / "job.yaml", {"size": 128, "weights": {"content": 3}})
    assert spec.video == str(tmp_path / "clip.mp4")
    assert [style.path for style in spec.styles] == [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg")]
    assert spec.styles[0].weight == 0.5
    assert spec.size == 128
    assert (spec.weights.style, spec.weights.content, spec.weights.temporal) == (7, 3, 1000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("video: [", "is not YAML in line"),
        ("- a\n- b\n", "is not a mapping of fields"),
        ("video: a\noutput: b\nstyles: [c]\nsize: 3\n", "size: must be greater than or equal to 16"),
    ],
)
def test_bad_spec_files(tmp_path, text, expected):
    (tmp_path / "job.yaml").write_text(text)
    with pytest.raises(UsageError, match=expected.replace("(", r"\(")) as caught:
        load_spec(tmp_path / "job.yaml")
    assert "job.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_spec_file(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_spec(tmp_path / "none.yaml")


def test_differences_name_the_fields_but_not_the_output():
    old = build_spec(MINIMAL)
    new = build_spec({**MINIMAL, "size": 256, "output": "elsewhere.mp4"})
    assert spec_differences(old, new) == ["size: None -> 256"]


def test_schema_describes_every_field():
    schema = json.loads(json.dumps(RenderSpec.model_json_schema()))
    assert set(schema["properties"]) == set(RenderSpec.model_fields)
    assert schema["additionalProperties"] is False


def test_the_example_spec_is_one():
    spec = load_spec(Path(__file__).parents[2] / "jobs/specs/film.yaml")
    assert [style.weight for style in spec.styles] == [1, 0.5]
    assert spec.size == 512
