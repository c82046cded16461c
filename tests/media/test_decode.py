from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks import media_times
from farm.errors import VideoError
from farm.media.decode import FrameReader
from farm.media.probe import probe_video
from farm.plan import VideoProbe
from farm.spec import FrameRange
from tests.media.clips import numbered, read_number, run_ffmpeg, write_clip

SEEKING = ["long_gop", "open_gop", "open_gop_hevc", "open_gop_mpeg2", "no_pts", "vp9", "vfr", "rotated", "interlaced"]


def _all(probe: VideoProbe, size: tuple[int, int] | None = None) -> list[np.ndarray]:
    with FrameReader(probe, size) as reader:
        return list(reader.read(FrameRange(0, probe.frame_count)))


@pytest.mark.parametrize("name", SEEKING)
def test_any_range_is_the_same_frames_as_decoding_everything(clips: dict[str, Path], name: str) -> None:
    probe = probe_video(str(clips[name]))
    whole = _all(probe)
    turn = probe.rotation // 90
    assert [read_number(np.rot90(p, turn)) for p in whole] == list(range(48))
    with FrameReader(probe) as reader:
        # backwards, across key frames, continuing, skipping ahead, the last frame
        for start, stop in ((40, 44), (11, 14), (12, 13), (13, 16), (20, 23), (23, 26), (35, 38), (47, 48), (0, 2)):
            part = list(reader.read(FrameRange(start, stop)))
            assert len(part) == stop - start
            for offset, picture in enumerate(part):
                assert np.array_equal(picture, whole[start + offset]), start + offset


@pytest.mark.media
@pytest.mark.parametrize("damage", ["repeated", "joined", "before zero"])
def test_a_film_with_bad_times_is_read_from_its_key_frames(tmp_path: Path, damage: str) -> None:
    film = tmp_path / ("film.ts" if damage == "joined" else "film.mkv")
    if damage == "joined":
        media_times.joined(3, 1)(film, random.Random(1))
    elif damage == "repeated":
        media_times.damaged(media_times.repeated, ".mkv", variable=True)(film, random.Random(1))
    else:
        media_times.before_zero(film, random.Random(1))
    probe = probe_video(str(film))
    whole = _all(probe)
    assert probe.seekable
    assert probe.notes
    assert list(probe.pts) != list(probe.stamps)
    with FrameReader(probe) as reader:
        for start in (probe.frame_count - 3, 12, 30, 0, 25):
            for picture, expected in zip(reader.read(FrameRange(start, start + 3)), whole[start:], strict=False):
                assert np.array_equal(picture, expected)


def test_open_gop_really_has_frames_before_their_key_frame(clips: dict[str, Path]) -> None:
    """The trap that the ranges above are about: packets after a key frame that are shown before it."""
    for name in ("open_gop", "open_gop_hevc", "open_gop_mpeg2"):
        with av.open(str(clips[name])) as film:
            packets = [p for p in film.demux(video=0) if p.pts is not None]
        keys = [p.pts for p in packets if p.is_keyframe]
        behind = packets[[p.pts for p in packets].index(keys[1]) + 1 :]
        assert any(p.pts < keys[1] for p in behind), name


def test_abandoned_reading_does_not_disturb_the_next(clips: dict[str, Path]) -> None:
    with FrameReader(probe_video(str(clips["open_gop"]))) as reader:
        half = reader.read(FrameRange(5, 30))
        assert [read_number(next(half)) for _ in range(3)] == [5, 6, 7]
        assert [read_number(p) for p in reader.read(FrameRange(20, 22))] == [20, 21]
        assert [read_number(p) for p in reader.read(FrameRange(22, 24))] == [22, 23]


def test_a_range_past_the_end_is_refused(clips: dict[str, Path]) -> None:
    with FrameReader(probe_video(str(clips["one_frame"]))) as reader, pytest.raises(VideoError, match="has 1 frames"):
        list(reader.read(FrameRange(0, 2)))


def test_a_file_that_changed_is_noticed(clips: dict[str, Path]) -> None:
    other = probe_video(str(clips["long_gop"])).model_copy(update={"path": str(clips["vfr"])})
    with FrameReader(other) as reader, pytest.raises(VideoError, match="does not decode to the frames it had"):
        list(reader.read(FrameRange(20, 30)))


@pytest.mark.parametrize("name", ["rotated", "mirrored"])
def test_upright_as_ffmpeg_shows_it(clips: dict[str, Path], tmp_path: Path, name: str) -> None:
    shown = tmp_path / "shown.mkv"
    run_ffmpeg("-i", clips[name], "-c:v", "ffv1", "-pix_fmt", "bgr0", "-frames:v", "3", shown)
    expected = _all(probe_video(str(shown)))
    actual = _all(probe_video(str(clips[name])))[:3]
    assert [a.shape for a in actual] == [e.shape for e in expected]
    assert max(np.abs(a.astype(int) - e).mean() for a, e in zip(actual, expected, strict=True)) < 2


@pytest.mark.parametrize("size", [(48, 32), (192, 128), (95, 63), (64, 96)])
def test_size(clips: dict[str, Path], size: tuple[int, int]) -> None:
    for name in ("long_gop", "rotated"):
        pictures = _all(probe_video(str(clips[name])), size)
        assert {p.shape for p in pictures} == {(size[1], size[0], 3)}
        assert {p.dtype for p in pictures} == {np.dtype(np.uint8)}
        assert all(p.flags.c_contiguous for p in pictures)


PATCHES = [(255, 255, 255), (0, 0, 0), (200, 60, 40), (40, 180, 60), (30, 60, 200), (128, 128, 128)]


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("range_", ["tv", "pc"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le"])
@pytest.mark.media
def test_colors_follow_the_tags(tmp_path: Path, matrix: str, range_: str, pixel_format: str) -> None:
    space = {"bt601": "smpte170m", "bt709": "bt709", "bt2020": "bt2020nc"}[matrix]
    film = write_clip(
        tmp_path / "patches.mkv",
        [np.full((32, 64, 3), patch, np.uint8) for patch in PATCHES],
        "-c:v", "ffv1", "-vf",
        f"scale=out_color_matrix={matrix}:out_range={range_}:flags=accurate_rnd+full_chroma_int,format={pixel_format},"
        f"setparams=range={range_}:colorspace={space}",
    )  # fmt: skip
    for picture, patch in zip(_all(probe_video(str(film))), PATCHES, strict=True):
        assert np.abs(picture.astype(int) - patch).max() <= 2, patch


@pytest.mark.parametrize("pixel_format", ["bgr0", "gbrp", "rgb48le"])
@pytest.mark.media
def test_rgb_sources_come_out_unchanged(tmp_path: Path, pixel_format: str) -> None:
    film = write_clip(tmp_path / "rgb.mkv", [numbered(5)], "-c:v", "ffv1", "-pix_fmt", pixel_format)
    assert np.abs(_all(probe_video(str(film)))[0].astype(int) - numbered(5)).max() <= 1


@pytest.mark.parametrize(("height", "matrix"), [(64, "bt601"), (576, "bt601"), (578, "bt709")])
@pytest.mark.media
def test_untagged_colors_are_guessed_from_the_height(tmp_path: Path, height: int, matrix: str) -> None:
    film = write_clip(
        tmp_path / "untagged.mkv",
        [np.full((height, 64, 3), (200, 60, 40), np.uint8)],
        *("-c:v", "ffv1", "-vf", f"scale=out_color_matrix={matrix}:out_range=tv,format=yuv420p"),
        *("-bsf:v", "null", "-colorspace", "unknown"),
    )
    probe = probe_video(str(film))
    probe = probe.model_copy(update={"color": probe.color.model_copy(update={"space": None, "range": None})})
    assert np.abs(_all(probe)[0].astype(int) - (200, 60, 40)).max() <= 2


def test_alpha_is_composited_on_black(clips: dict[str, Path]) -> None:
    pictures = _all(probe_video(str(clips["alpha"])))
    expected = np.rint(numbered(0).astype(float) * 128 / 255)
    assert np.abs(pictures[0] - expected).max() <= 1


@pytest.mark.media
def test_deinterlacing_keeps_the_number_of_frames_and_removes_the_comb(tmp_path: Path) -> None:
    # A bar that moves 8 px per field, woven: neighbouring lines disagree by the full contrast at its edges.
    frames = []
    for i in range(10):
        woven = np.full((64, 96, 3), 40, np.uint8)
        for field in (0, 1):
            left = 4 + 8 * (i % 5) + 4 * field
            woven[field::2, left : left + 24] = 220
        frames.append(woven)
    film = write_clip(
        tmp_path / "comb.ts", frames, "-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-q:v", "2",
        "-vf", "setfield=tff", rate="25",
    )  # fmt: skip
    probe = probe_video(str(film))
    assert probe.interlaced
    pictures = _all(probe)
    assert len(pictures) == probe.frame_count == 10

    def comb(picture: np.ndarray) -> float:
        luma = picture.mean(axis=2)
        return float(np.abs(luma[1:-1] - (luma[:-2] + luma[2:]) / 2).mean())

    assert np.mean([comb(p) for p in pictures]) < 0.4 * np.mean([comb(f) for f in frames])


def test_last_duration_of_variable_rate(clips: dict[str, Path]) -> None:
    probe = probe_video(str(clips["vfr"]))
    assert probe.presentation_time(48) - probe.presentation_time(47) == probe.last_duration * probe.time_base
    assert probe.presentation_time(3) == Fraction(4, 30)
