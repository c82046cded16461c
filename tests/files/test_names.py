"""Names that are made of other names: how long they get, and that they tell apart what they are made of."""

from __future__ import annotations

import os
import re

import pytest

from farm.errors import OutputError
from farm.files.atomic import check_can_write, write_atomically
from farm.files.names import SHORT_BYTES, shortened, unfinished
from farm.files.output import job_beside

LONG = {
    "letters": 251 * "n" + ".mp4",
    "letters of two bytes": 125 * "é" + ".mp4",
    "letters of four bytes": 62 * "🎬" + ".mp4",
    "no extension": 255 * "n",
    "a long end that is no extension": "film." + 250 * "n",
    "bytes that are no UTF-8": os.fsdecode(b"\xff" * 251 + b".mp4"),
}


@pytest.mark.parametrize("name", ["", "a.mp4", "Größe 東京.mp4", 96 * "n" + ".mp4"])
def test_a_name_that_fits_stays_as_it_is(name):
    assert shortened(name) == name


@pytest.mark.parametrize("name", LONG.values(), ids=LONG)
def test_a_long_name_keeps_its_beginning_and_its_extension(name):
    short = shortened(name)
    assert len(os.fsencode(short)) <= SHORT_BYTES
    assert re.fullmatch(r".*-[0-9a-f]{8}(\.mp4)?", short)
    assert short.endswith(".mp4") == name.endswith(".mp4")
    assert short[:50].encode("utf-8", "ignore").startswith(name[:10].encode("utf-8", "ignore"))
    assert shortened("x" + name[1:]) != short
    assert shortened(name[:-5] + "o" + name[-4:]) != short, "names that begin alike are told apart"


@pytest.mark.parametrize("name", LONG.values(), ids=LONG)
def test_a_file_of_a_long_name_is_written(tmp_path, name):
    """All of these have as many bytes as a file system takes, or a few less: nothing fits before or behind them."""
    path = tmp_path / name
    check_can_write(path, overwrite=False)
    write_atomically(path, b"whole")
    assert path.read_bytes() == b"whole"
    unfinished(path).touch()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_name_that_is_not_whole_yet_is_another_one_each_time(tmp_path):
    path = tmp_path / "a.mp4"
    names = {unfinished(path).name for _ in range(3)} | {unfinished(path, ".mkv").name}
    assert len(names) == 4
    assert all(re.fullmatch(r"\.a\.[0-9a-f]{12}\.(mp4|mkv)", name) for name in names)


@pytest.mark.parametrize(
    ("name", "says"), [(252 * "n" + ".mp4", "is too long: 256 bytes"), ("a\0b.mp4", "cannot be the name of a file")]
)
def test_what_is_no_name_is_refused(tmp_path, name, says):
    with pytest.raises(OutputError, match=says):
        check_can_write(tmp_path / name, overwrite=True)


def test_a_job_directory_whose_name_would_be_too_long_is_refused(tmp_path):
    assert len(os.fsencode(os.path.basename(job_beside(f"{tmp_path}/{250 * 'n'}.mp4")))) == 255  # noqa: PTH119
    with pytest.raises(OutputError, match="is too long for a job directory; give --job, or a shorter -o"):
        job_beside(f"{tmp_path}/{251 * 'n'}.mp4")
