from __future__ import annotations

import pytest

from farm.errors import OutputError, UsageError
from farm.media.tracks import (
    Track,
    check_video_encoder,
    container_extension,
    selected,
    sound_candidates,
    subtitle_candidates,
    wants_fonts,
)
from farm.plan.video import StreamInfo

SIDE = ("FL", "FR", "FC", "LFE", "SL", "SR")


@pytest.mark.parametrize(
    ("codec", "extension", "expected"),
    [
        ("aac", ".mp4", ["copy", "aac 5.1", "aac stereo"]),
        ("opus", ".mp4", ["copy", "aac 5.1", "aac stereo"]),
        ("vorbis", ".mp4", ["aac 5.1", "aac stereo", "copy"]),
        ("pcm_s16le", ".mp4", ["aac 5.1", "aac stereo", "copy"]),
        ("pcm_s16le", ".mov", ["copy", "aac 5.1", "aac stereo", "pcm_s24le"]),
        ("opus", ".webm", ["copy", "libopus 5.1", "libopus stereo", "libvorbis 5.1", "libvorbis stereo"]),
        ("ac3", ".webm", ["libopus 5.1", "libopus stereo", "libvorbis 5.1", "libvorbis stereo", "copy"]),
        ("truehd", ".mkv", ["copy", "flac 5.1", "flac stereo", "pcm_s24le", "aac 5.1", "aac stereo"]),
        ("pcm_bluray", ".mkv", ["flac 5.1", "flac stereo", "pcm_s24le", "aac 5.1", "aac stereo", "copy"]),
        ("unknown", ".mp4", ["aac 5.1", "aac stereo"]),
    ],
)
def test_sound_is_copied_where_the_container_can(codec: str, extension: str, expected: list[str]) -> None:
    stream = StreamInfo(index=1, codec=codec, layout="5.1(side)", channels=SIDE)
    tracks = sound_candidates(stream, 1, extension, encode=False)
    assert [f"{t.codec} {t.mix.layout}" if t.mix else t.codec for t in tracks] == expected
    copied_last = [t for t in sound_candidates(stream, 1, extension, encode=True) if t.codec == "copy"]
    assert copied_last in ([], sound_candidates(stream, 1, extension, encode=True)[-1:])


def test_more_channels_than_flac_holds_stay_as_they_are_in_matroska() -> None:
    stream = StreamInfo(index=1, codec="pcm_bluray", layout="16 channels", channels=("NONE",) * 16)
    first = sound_candidates(stream, 1, ".mkv", encode=False)[0]
    assert (first.codec, first.options(0)) == ("pcm_s24le", {"c:a:0": "pcm_s24le"})


@pytest.mark.parametrize(
    ("codec", "extension", "expected"),
    [
        ("subrip", ".mp4", ["mov_text"]),
        ("mov_text", ".mp4", ["copy", "mov_text"]),
        ("mov_text", ".mkv", ["subrip"]),
        ("ass", ".mkv", ["copy", "subrip"]),
        ("ass", ".webm", ["webvtt"]),
        ("hdmv_pgs_subtitle", ".mkv", ["copy"]),
        ("hdmv_pgs_subtitle", ".mp4", []),
        ("dvb_subtitle", ".webm", []),
    ],
)
def test_subtitles(codec: str, extension: str, expected: list[str]) -> None:
    assert [t.codec for t in subtitle_candidates(StreamInfo(index=3, codec=codec), 1, extension)] == expected


@pytest.mark.parametrize(
    ("selection", "expected"),
    [("copy", [1, 2, 3]), ("encode", [1, 2, 3]), ("none", []), ("3", [3]), ("3,1,3", [1, 3]), ("eng", [1, 3])],
)
def test_tracks_are_named_by_number_or_language(selection: str, expected: list[int]) -> None:
    streams = [StreamInfo(index=i, codec="aac", language=language) for i, language in enumerate(("eng", None, "eng"))]
    assert selected("sound", streams, selection) == expected
    with pytest.raises(UsageError, match=r"no sound track deu; it has 1 \(eng\), 2, 3 \(eng\)"):
        selected("sound", streams, "deu")
    with pytest.raises(UsageError, match="no subtitles track 1; it has no subtitles"):
        selected("subtitles", (), "1")


def test_fonts_go_with_ass_in_matroska_only() -> None:
    tracks = [Track("subtitles", 1, StreamInfo(index=2, codec="ass"), "copy")]
    assert wants_fonts(tracks, ".mkv")
    assert not wants_fonts(tracks, ".mp4")
    assert not wants_fonts([tracks[0]._replace(codec="subrip")], ".mkv")


@pytest.mark.parametrize(("output", "expected"), [("a/b.mp4", ".mp4"), ("B.MKV", ".mkv"), ("x.y.webm", ".webm")])
def test_container_extension(output: str, expected: str) -> None:
    assert container_extension(output) == expected


@pytest.mark.parametrize("output", ["film", "film.avi", "film.mp4.txt", ".mp4"])
def test_unknown_extension(output: str) -> None:
    with pytest.raises(OutputError, match=r"end it in .mp4, .mov, .mkv, .webm"):
        container_extension(output)


def test_a_codec_that_the_container_cannot_hold() -> None:
    check_video_encoder("libvpx-vp9", ".webm")
    with pytest.raises(UsageError, match=r"libx264 cannot be used for a .webm film; use libvpx-vp9"):
        check_video_encoder("libx264", ".webm")
    with pytest.raises(UsageError, match=r"h264 cannot be used for a .mp4 film; use libx264"):
        check_video_encoder("h264", ".mp4")
