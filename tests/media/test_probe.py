from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from farm.errors import VideoError
from farm.media import probe as probing
from farm.media.decode import FrameReader
from farm.media.probe import probe_video
from farm.plan.video import ColorTags
from farm.spec import FrameRange
from tests.media.clips import numbered, read_number, write_clip

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("name", "frames", "rate"),
    [
        ("long_gop", 48, NTSC),
        ("open_gop", 48, NTSC),
        ("open_gop_hevc", 48, NTSC),
        ("open_gop_mpeg2", 48, NTSC),
        ("no_pts", 48, NTSC),
        ("vp9", 48, Fraction(24)),
        ("one_frame", 1, NTSC),
        ("interlaced", 48, Fraction(25)),
    ],
)
def test_frames_and_rate_are_exact(clips: dict[str, Path], name: str, frames: int, rate: Fraction) -> None:
    probe = probe_video(str(clips[name]))
    assert (probe.frame_count, probe.frame_rate, probe.missing_frames) == (frames, rate, 0)
    tick = probe.time_base
    assert [(t - probe.pts[0]) * tick for t in probe.pts] == pytest.approx(
        [i / rate for i in range(frames)], abs=float(tick)
    )
    assert probe.duration == pytest.approx(frames / rate, abs=float(2 * tick))


def test_variable_rate_keeps_every_time(clips: dict[str, Path]) -> None:
    probe = probe_video(str(clips["vfr"]))
    assert [t * probe.time_base for t in probe.pts] == [Fraction(i + i // 3, 30) for i in range(48)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("long_gop", {"width": 96, "height": 64, "rotation": 0, "mirrored": False, "codec": "h264", "bit_depth": 8}),
        ("rotated", {"width": 64, "height": 96, "rotation": 90, "mirrored": False}),
        ("mirrored", {"width": 64, "height": 96, "mirrored": True}),
        ("odd", {"width": 95, "height": 63, "pixel_format": "yuv444p", "codec": "ffv1"}),
        ("ten_bit", {"bit_depth": 10, "pixel_format": "yuv420p10le", "has_alpha": False}),
        ("anamorphic", {"pixel_aspect": Fraction(16, 15)}),
        ("alpha", {"has_alpha": True}),
        ("interlaced", {"interlaced": True}),
        ("open_gop", {"keyframes": (0, 12, 24, 36), "seekable": True, "interlaced": False}),
        ("no_pts", {"codec": "mpeg4"}),
    ],
)
def test_picture_description(clips: dict[str, Path], name: str, expected: dict[str, object]) -> None:
    probe = probe_video(str(clips[name]))
    assert {key: getattr(probe, key) for key in expected} == expected


def test_pixel_aspect_turns_with_the_picture(clips: dict[str, Path], tmp_path: Path) -> None:
    from tests.media.clips import run_ffmpeg

    turned = tmp_path / "turned.mp4"
    run_ffmpeg("-display_rotation:v", "90", "-i", clips["anamorphic"], "-c", "copy", turned)
    assert probe_video(str(turned)).pixel_aspect == Fraction(15, 16)


def test_sound_subtitles_and_titles(clips: dict[str, Path]) -> None:
    probe = probe_video(str(clips["subtitled"]))
    assert [(s.index, s.codec, s.language) for s in probe.audio] == [(1, "aac", "eng"), (2, "mp3", "nld")]
    assert [(s.index, s.codec, s.language) for s in probe.subtitles] == [(3, "subrip", "fra")]
    assert (probe.stream_index, probe.title, probe.language) == (0, "the picture", None)


@pytest.mark.media
def test_color_tags(tmp_path: Path) -> None:
    tagged = write_clip(
        tmp_path / "tagged.mkv", [numbered(0)], "-c:v", "libx264", "-pix_fmt", "yuv420p", "-vf",
        "scale=out_color_matrix=bt2020:out_range=pc,format=yuv420p,"
        "setparams=range=pc:colorspace=bt2020nc:color_primaries=bt2020:color_trc=arib-std-b67",
    )  # fmt: skip
    expected = ColorTags(range="pc", space="bt2020nc", primaries="bt2020", transfer="arib-std-b67")
    assert probe_video(str(tagged)).color == expected


def test_content_hash_is_of_the_bytes(clips: dict[str, Path]) -> None:
    expected = hashlib.sha256(clips["one_frame"].read_bytes()).hexdigest()
    assert probe_video(str(clips["one_frame"])).content_hash == expected


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("directory", "is a directory"),
        ("empty", "empty.mp4 is empty"),
        ("text", "text.mp4 is not a video"),
        ("sound_only", "has no video stream, only sound"),
        ("no_moov", r"no_moov.mp4 has no index \(moov atom\)"),
        ("truncated", r"truncated.mp4 is cut short or damaged: \d+ frames decode.*--allow-truncated"),
        ("size_changes", "changes size at frame 1[12], from 96x64 to 128x64"),
    ],
)
def test_bad_files_are_refused_in_one_line(clips: dict[str, Path], name: str, says: str) -> None:
    with pytest.raises(VideoError, match=says) as raised:
        probe_video(str(clips[name]))
    assert "\n" not in str(raised.value)


def test_missing_file() -> None:
    with pytest.raises(VideoError, match=r"nowhere/film.mp4 does not exist"):
        probe_video("nowhere/film.mp4")


def test_what_is_left_of_a_truncated_film(clips: dict[str, Path]) -> None:
    probe = probe_video(str(clips["truncated"]), allow_truncated=True)
    assert 0 < probe.frame_count < 48
    assert probe.frame_count + probe.missing_frames == 48
    with FrameReader(probe) as reader:
        # The last frame may be half a picture, concealed by the decoder; the ones before are whole.
        numbers = [read_number(p) for p in reader.read(FrameRange(0, probe.frame_count))]
    assert numbers[:-1] == list(range(probe.frame_count - 1))


def test_progress_counts_frames(clips: dict[str, Path]) -> None:
    seen: list[int] = []
    probe_video(str(clips["faststart"]), progress=seen.append)
    assert seen == list(range(1, 49))


def test_an_avi_whose_end_is_cut_off_is_damaged(clips: dict[str, Path], tmp_path: Path) -> None:
    whole = clips["no_pts"].read_bytes()
    (tmp_path / "short.avi").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoError, match=r"cut short or damaged: \d+ frames decode, about \d+ do not"):
        probe_video(str(tmp_path / "short.avi"))


@pytest.mark.media
def test_empty_chunks_at_the_end_show_the_last_picture_longer(tmp_path: Path) -> None:
    kept = "select='not(gte(n,10)*lt(n,14)+gte(n,20))'"
    film = write_clip(tmp_path / "still.avi", [numbered(i) for i in range(24)], "-c:v", "mjpeg", "-vf", kept)
    probe = probe_video(str(film))
    assert [round(pts * probe.time_base * NTSC) for pts in probe.pts] == [*range(10), *range(14, 20)]
    assert probe.missing_frames == 0


def test_what_a_decoder_raises_in_python_is_said_in_a_line(
    clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("29 is not a valid Type")

    monkeypatch.setattr(probing, "_stream_info", fails)
    with pytest.raises(VideoError, match=r"two_sounds.mp4 cannot be read: 29 is not a valid Type"):
        probe_video(str(clips["two_sounds"]))


@pytest.fixture
def server(clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("FARM_ALLOWED_HOSTS", "127.0.0.1")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(clips["directory"]))) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def test_a_url_is_probed_and_decoded(clips: dict[str, Path], server: str) -> None:
    probe = probe_video(f"{server}/faststart.mp4")
    assert probe.frame_count == 48
    assert probe.pts == probe_video(str(clips["faststart"])).pts
    assert probe.content_hash == probe_video(f"{server}/faststart.mp4").content_hash
    assert probe.content_hash != probe_video(f"{server}/long_gop.mp4").content_hash
    with FrameReader(probe) as reader:
        assert [read_number(p) for p in reader.read(FrameRange(30, 33))] == [30, 31, 32]


def test_a_url_that_is_not_there(server: str) -> None:
    with pytest.raises(VideoError, match=r"nothing.mp4 cannot be read: HTTP Error 404"):
        probe_video(f"{server}/nothing.mp4")
