"""Which picture a corrected frame shows, and which frames it is carried into: tables of exact values."""

from __future__ import annotations

import numpy as np
import pytest

from farm.errors import StorageError
from farm.job.corrections import (
    CorrectedFrame,
    Corrections,
    Version,
    carried_from,
    parse_corrections,
    version_name,
    with_painted,
)
from farm.render.carried_corrections import corrected_area, share_at


def version(sha256: str, origin: str = "accepted", **values) -> Version:
    return Version(number=0, origin=origin, sha256=sha256, **values)


@pytest.mark.parametrize(
    ("sources", "held", "expected"),
    [
        ({}, [], {}),
        ({4: 2}, [4], {2: (None, 4), 3: (None, 4), 5: (4, None), 6: (4, None)}),
        ({0: 2, 9: 3}, [0, 9], {1: (0, None), 2: (0, None), 6: (None, 9), 7: (None, 9), 8: (None, 9)}),
        ({3: 9}, [3, 2], {0: (None, 3), 1: (None, 3), **{frame: (3, None) for frame in range(4, 10)}}),
        ({2: 5, 5: 2}, [2, 5], {0: (None, 2), 1: (None, 2), 3: (2, 5), 4: (2, 5), 6: (5, None), 7: (5, None)}),
        ({2: 1, 6: 3}, [2, 6, 8], {1: (None, 2), 3: (2, 6), 4: (None, 6), 5: (None, 6), 7: (6, None), 9: (6, None)}),
        ({10: 4}, [10], {11: (10, None)}),
    ],
)  # fmt: skip
def test_which_frames_a_correction_is_carried_into(sources, held, expected):
    """The shots are frames 0-9 and 10-11."""
    assert carried_from(sources, held, [(0, 10), (10, 12)]) == expected


def test_a_frame_shows_the_latest_picture_and_keeps_all():
    one = with_painted(7, "p")
    assert (one.shown, one.is_corrected, one.current.origin) == (1, False, "painted")
    two = one.showing(version("a"), held=True)
    three = two.showing(version("b", "carried"), held=False)
    assert [kept.number for kept in three.versions] == [1, 2, 3]
    assert (three.shown, three.held, three.current.sha256) == (3, False, "b")
    again = three.showing(version("a", added=5.0), held=True)
    assert (again.shown, len(again.versions)) == (2, 3), "a picture that it had is not kept twice"
    assert three.showing(version("a", reach=4), held=True).shown == 4, "how far it is carried belongs to it"


def test_what_a_film_shows_decides_its_digest():
    one = with_painted(7, "p").showing(version("a", reach=3), held=True)
    corrections = Corrections([one, with_painted(2, "q")])
    assert [kept.frame for kept in corrections] == [2, 7]
    assert (corrections.sources, corrections.held) == ({7: 3}, {7})
    assert (corrections.shown(2), corrections.shown(3), corrections.shown(7).sha256) == (None, None, "a")
    back = corrections.with_frames([one.model_copy(update={"shown": 1})])
    assert back.digest == Corrections().digest == ""
    assert corrections.digest not in ("", corrections.with_frames([one.showing(version("b"), held=True)]).digest)


def test_they_are_read_as_they_were_written_and_never_in_part():
    corrections = Corrections([with_painted(7, "p").showing(version("a"), held=True)])
    data = corrections.as_bytes()
    assert parse_corrections(data, "job") == corrections
    assert parse_corrections(None, "job") == Corrections()
    for damaged in (data[:-3], data.replace(b"accepted", b"painted_"), b"", b"[]"):
        with pytest.raises(StorageError, match=r"job/corrections\.json is damaged"):
            parse_corrections(damaged, "job")


def test_names_and_fields():
    assert version_name(120, 2) == "corrected/000120/0002.png"
    assert set(CorrectedFrame.model_fields) == {"frame", "versions", "shown", "held"}


def test_the_corrected_area_is_what_differs_and_fades_over_four_pixels():
    painted = np.full((9, 12, 3), 100, np.uint8)
    accepted = painted.copy()
    accepted[4, 5] = (100, 104, 100)
    accepted[0, 11] = 101
    area = corrected_area(painted, accepted)
    assert area[4, 3:11].tolist() == [0.5, 0.75, 1, 0.75, 0.5, 0.25, 0, 0]
    assert area[0, 11] == 0, "one grey level is none"
    assert not corrected_area(painted, painted).any()


def test_a_correction_is_whole_for_three_quarters_of_its_reach_and_gives_way_to_another():
    assert [share_at(distance, 4, None) for distance in (1, 3, 4)] == [1.0, 1.0, 0.5]
    assert share_at(1, 1, None) == 0.5
    for gap in (2, 7):
        shares = [(share_at(at, 99, gap - at), share_at(gap - at, 99, at)) for at in range(1, gap)]
        assert all(abs(sum(pair) - 1) < 1e-9 for pair in shares)
