"""Painted keyframes in a spec: what is read, what is refused, and the pictures of a folder."""

from __future__ import annotations

import pytest

from farm.errors import UsageError
from farm.spec import build_spec
from farm.spec.keys import keys_in_folder
from farm.spec.load import load_spec
from farm.spec.named_files import input_files, picture_files


def spec_of(**options):
    return build_spec({"video": "v.mp4", "output": "o.mp4", **options})


def test_keys_are_put_in_order_and_without_a_style_they_are_the_method():
    spec = spec_of(keys=["12=b.png", {"frame": 3, "picture": "a=1.png"}])
    assert [(key.frame, key.picture) for key in spec.keys] == [(3, "a=1.png"), (12, "b.png")]
    assert spec.method == "keys"
    assert spec_of(keys=["3=a.png"], styles=["s.png"]).method == "optimize"
    assert picture_files(spec) == ["a=1.png", "b.png"]
    assert set(input_files(spec)) == {"v.mp4", "a=1.png", "b.png"}


def test_a_spec_file_has_keys_beside_it(tmp_path):
    (tmp_path / "spec.yaml").write_text("video: v.mp4\noutput: o.mp4\nkeys:\n  3: keys/a.png\n  40: keys/b.png\n")
    spec = load_spec(tmp_path / "spec.yaml")
    assert [(key.frame, key.picture) for key in spec.keys] == [
        (3, str(tmp_path / "keys/a.png")),
        (40, str(tmp_path / "keys/b.png")),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keys": ["a.png"]}, r"keys\[0\]: write 'a.png' as FRAME=PICTURE"),
        ({"keys": ["-1=a.png"]}, "FRAME=PICTURE"),
        ({"keys": ["3=a.png", "3=b.png"]}, "frame 3 has two pictures: a.png and b.png"),
        ({"method": "keys"}, "method keys needs painted keyframes"),
        ({"method": "identity", "keys": ["3=a.png"]}, "method identity paints without keys"),
        ({"method": "keys", "keys": ["3=a.png"], "styles": ["s.png"]}, "has its style from the keys"),
        ({"keys": ["3=a.png"], "color": "match"}, "has its colours from the keys"),
        ({"keys": ["3=a.png"], "chunk_start": "scratch", "styles": ["s.png"]}, "go on from one another"),
        ({"keys": ["3=a.png"], "sweep": "alternating"}, "has no alternating passes"),
    ],
)
def test_what_cannot_be_held_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        spec_of(**options)


def test_a_folder_has_a_key_for_each_picture_that_is_named_by_a_frame(tmp_path):
    for name in ("000120.png", "shot2.0007.JPG"):
        (tmp_path / name).write_bytes(b"")
    assert keys_in_folder(tmp_path) == [f"7={tmp_path}/shot2.0007.JPG", f"120={tmp_path}/000120.png"]
