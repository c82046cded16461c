import pytest

from farm.errors import UsageError
from farm.spec.units import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("10m", 600), ("90s", 90), ("1.5h", 5400), ("1h30m", 5400), ("45", 45), ("2 min", 120)]
)
def test_lengths_of_time(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "-3m", "10x", "m"])
def test_what_is_none(text):
    with pytest.raises(UsageError, match="no length of time"):
        parse_duration(text)
