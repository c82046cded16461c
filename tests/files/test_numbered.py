"""Pictures that are named by the frames that they show."""

from __future__ import annotations

import pytest

from farm.errors import UsageError
from farm.files.numbered import frame_number, numbered_pictures


@pytest.mark.parametrize(
    ("name", "number"), [("000120.png", 120), ("shot2_7.png", 7), ("plate.1001.tif", 1001), ("cover.png", None)]
)
def test_the_number_is_the_last_one_in_the_name(name, number):
    assert frame_number(name) == number


def test_pictures_are_in_the_order_of_their_numbers(tmp_path):
    for name in ("take2_10.png", "take2_9.JPG", "take2_101.png", "notes 3.txt", ".000004.png", "cover.png"):
        (tmp_path / name).write_bytes(b"")
    pictures = numbered_pictures(tmp_path)
    assert {number: path.name for number, path in pictures.items()} == {
        9: "take2_9.JPG",
        10: "take2_10.png",
        101: "take2_101.png",
    }
    assert list(pictures) == [9, 10, 101]


def test_folders_that_are_no_film_are_refused(tmp_path):
    for folder in (tmp_path / "none", tmp_path / "file.png"):
        with pytest.raises(UsageError, match="cannot be read"):
            numbered_pictures(folder)
        (tmp_path / "file.png").write_bytes(b"")
    with pytest.raises(UsageError, match=r"has no numbered pictures; name them by their frames, as 000120\.png"):
        numbered_pictures(tmp_path)
    for name in ("a7.png", "b07.png"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UsageError, match=r"two pictures with the number 7: a7\.png and b07\.png"):
        numbered_pictures(tmp_path)
