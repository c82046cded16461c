from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from farm.errors import EncodeError
from farm.media.verify import verify_film

FRAME = Fraction(1001, 30000)
TRUE: dict[str, Any] = {
    "pts_seconds": [i * FRAME for i in range(48)],
    "last_duration": FRAME,
    "audio_streams": range(2, 3),
}


def test_the_film_that_was_meant(clips: dict[str, Path]) -> None:
    verify_film(clips["two_sounds"], **TRUE)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"audio_streams": range(2)}, "has 2 audio streams, not 0 or 1"),
        ({"pts_seconds": [i * FRAME for i in range(47)]}, "has 48 frames, not 47"),
        ({"pts_seconds": [i * FRAME + (i == 7) * FRAME / 4 for i in range(48)]}, "frame 7 of the .* appears at"),
        ({"pts_seconds": [i * FRAME + 1 for i in range(48)]}, "begins at 0.0000 s, not 1.0000 s"),
        ({"last_duration": 4 * FRAME}, "lasts 1.6016 s, not 1.7017 s"),
    ],
)  # fmt: skip
def test_any_difference_is_told(clips: dict[str, Path], wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(EncodeError, match=says):
        verify_film(clips["two_sounds"], **TRUE | wrong)


def test_a_broken_film(clips: dict[str, Path]) -> None:
    with pytest.raises(EncodeError, match="cannot be read back"):
        verify_film(clips["no_moov"], **TRUE)
