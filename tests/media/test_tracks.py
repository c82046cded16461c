from __future__ import annotations

import pytest

from farm.errors import OutputError, UsageError
from farm.media.tracks import audio_tracks, check_video_encoder, container_extension, subtitle_tracks
from farm.plan.video import StreamInfo


@pytest.mark.parametrize(
    ("codec", "extension", "expected"),
    [
        ("aac", ".mp4", "copy"),
        ("mp3", ".mp4", "copy"),
        ("opus", ".mp4", "copy"),
        ("vorbis", ".mp4", "aac"),
        ("pcm_s16le", ".mp4", "aac"),
        ("pcm_s16le", ".mov", "copy"),
        ("opus", ".mov", "aac"),
        ("opus", ".webm", "copy"),
        ("vorbis", ".webm", "copy"),
        ("aac", ".webm", "libopus"),
        ("vorbis", ".mkv", "copy"),
        ("truehd", ".mkv", "copy"),
        ("pcm_bluray", ".mkv", "flac"),
    ],
)
def test_audio_is_copied_where_the_container_can(codec: str, extension: str, expected: str) -> None:
    assert [t.codec for t in audio_tracks((StreamInfo(index=1, codec=codec),), extension)] == [expected]


@pytest.mark.parametrize(
    ("codec", "extension", "expected"),
    [
        ("subrip", ".mp4", "mov_text"),
        ("mov_text", ".mp4", "copy"),
        ("mov_text", ".mkv", "subrip"),
        ("ass", ".mkv", "copy"),
        ("ass", ".webm", "webvtt"),
        ("hdmv_pgs_subtitle", ".mkv", "copy"),
        ("hdmv_pgs_subtitle", ".mp4", None),
        ("dvb_subtitle", ".webm", None),
    ],
)
def test_subtitles(codec: str, extension: str, expected: str | None) -> None:
    kept, notes = subtitle_tracks((StreamInfo(index=3, codec=codec),), extension)
    assert [t.codec for t in kept] == ([expected] if expected else [])
    assert notes == ([] if expected else [f"subtitle stream 3 ({codec}) does not fit into {extension}, dropped"])


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
