"""Every odd kind of film through an identity render, compared with what the ffmpeg program reads."""

from __future__ import annotations

import pytest

from benchmarks.media import check_film, check_pictures, check_sound, lag_seconds, table, waveform
from benchmarks.media_kinds import KINDS, REFUSED, noise, plain, silent
from benchmarks.media_kinds import ffmpeg as run
from farm.media.probe import probe_video
from farm.media.tracks import Track

pytestmark = pytest.mark.media

IS = {
    "turned by 90": "turned 270", "turned by 180": "turned 180", "turned by 270": "turned 90", "mirrored": "mirrored",
    "odd size": "95x63", "one frame": "1 fr", "three frames": "3 fr", "10 bit": "yuv420p10le", "full range": "yuvj420p",
    "HLG": "arib-std-b67", "PQ": "smpte2084", "interlaced": "interlaced", "alpha": "alpha",
    "anamorphic": "pixels 16/11", "several tracks": "128x96 yuv420p 2 audio", "chapters, subtitles": "1 subs",
    "sound of an unknown codec": "2 audio", "sound without packets": "2 audio",
}  # fmt: skip
"""What shows that a film is of its kind."""


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_in_comes_out(kind, tmp_path):
    name, make, expected = KINDS[kind]
    make(tmp_path / name)
    row = check_film(kind, tmp_path / name, tmp_path / "out", expected)
    assert row.verdict == "right", table([row])
    assert IS.get(kind, "") in row.source
    assert row.result.startswith("refused") == (expected == REFUSED)


def test_the_check_hears_a_shift_of_sound(tmp_path):
    plain()(tmp_path / "a.mp4")
    run(
        "-i",
        tmp_path / "a.mp4",
        "-itsoffset",
        "0.1",
        *noise(),
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-c:v",
        "copy",
        tmp_path / "b.mp4",
    )
    before, after = (probe_video(str(tmp_path / name)) for name in ("a.mp4", "b.mp4"))
    assert lag_seconds(waveform(before, 0), waveform(after, 0)) == pytest.approx(0.1, abs=0.01)
    assert "off" in check_sound(before, after, [Track("sound", 1, before.audio[0], "copy")])[0]


def test_the_check_misses_a_track_that_has_sound(tmp_path):
    plain()(tmp_path / "a.mp4")
    run("-i", tmp_path / "a.mp4", "-an", "-c", "copy", tmp_path / "b.mp4")
    before, after = (probe_video(str(tmp_path / name)) for name in ("a.mp4", "b.mp4"))
    left_out = Track("sound", 1, before.audio[0], "", why="it is announced, but there is nothing in it")
    assert check_sound(before, after, [left_out]) == ["sound 1 is left out, with 1.20 s of sound"]
    assert check_sound(before, after, [left_out._replace(why="")])[0] == "sound 1 is left out without a note"


def test_the_check_sees_wrong_colours(tmp_path):
    silent("-c:v", "ffv1")(tmp_path / "a.mkv")
    run("-i", tmp_path / "a.mkv", "-vf", "hue=h=30", "-c:v", "ffv1", tmp_path / "b.mkv")
    assert "differs" in check_pictures(*(probe_video(str(tmp_path / name)) for name in ("a.mkv", "b.mkv")))[0]
