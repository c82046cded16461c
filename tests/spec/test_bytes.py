import pytest

from farm.errors import UsageError
from farm.spec import build_spec
from farm.spec.units import format_bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("6GiB", 6 * 1024**3),
        ("6g", 6 * 1024**3),
        ("6GB", 6_000_000_000),
        ("800 MB", 800_000_000),
        ("1.5KiB", 1536),
        ("1048576", 1048576),
        (4096, 4096),
        ("2TiB", 2 * 1024**4),
    ],
)
def test_reads_what_people_write(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "GiB", "6 GiBs", "-1GB", "0", "six", "1e9", "0.2", "6XB"])
def test_refuses_anything_else(text):
    with pytest.raises(UsageError, match="no amount of memory"):
        parse_bytes(text)


def test_in_a_spec():
    values = {"video": "a.mp4", "styles": ["s.png"], "output": "b.mp4"}
    assert build_spec({**values, "max_memory": "2GiB"}).max_memory == 2 * 1024**3
    assert build_spec(values).max_memory is None
    with pytest.raises(UsageError, match="max_memory: 'lots' is no amount of memory"):
        build_spec({**values, "max_memory": "lots"})


def test_is_printed_in_gib():
    assert format_bytes(6 * 1024**3) == "6.0 GiB"
