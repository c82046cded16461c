"""What is sealed is read back as it was, or not at all."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.files.checked_json import parse_or_none, seal, unseal

CONTENT = {"frames": [{"frame": 3, "losses": {"total": 1.25e-7, "style": -0.0}}], "name": "wüst", "none": None}


def test_what_was_sealed_comes_back():
    assert unseal(seal(CONTENT)) == CONTENT
    assert unseal(seal(CONTENT, indent=1)) == CONTENT


@given(st.integers(0, len(seal(CONTENT)) * 8 - 1))
@settings(max_examples=300, deadline=None)
def test_no_bit_can_change_unnoticed(bit):
    data = bytearray(seal(CONTENT))
    data[bit // 8] ^= 1 << bit % 8
    try:
        content = unseal(bytes(data))
    except ValueError:
        return
    assert content == CONTENT  # white space became another


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b'{"a": 1}', b"[" * 100_000, b"\xff\xfe", seal(CONTENT)[:-9]]
)
def test_anything_else_is_refused(data):
    with pytest.raises(ValueError):  # noqa: PT011  json has its own kind of it
        unseal(data)


@pytest.mark.parametrize(
    "data", [None, b"", b'{"at": 1', b"[]", b"null", b"{}", b'{"at": "x"}', b"[" * 100_000, b"\xff"]
)
def test_what_is_torn_or_of_another_kind_counts_as_absent(data):
    def parse(data: bytes) -> int:
        return int(json.loads(data)["at"])

    assert parse_or_none(data, parse) is None
    assert parse_or_none(b'{"at": 7}', parse) == 7


def test_the_seals_own_field_is_taken():
    with pytest.raises(ValueError, match="own field"):
        seal({"sha256": "x"})
