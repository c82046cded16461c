"""Films as they are written: clocks, decoding times, colour tags, and what is refused before the start."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from farm.errors import UsageError
from farm.media.color import code_points, coded_tags, film_coding
from farm.media.decode import FrameReader
from farm.media.encode import shown_in_order
from farm.media.film import encode_film, join_segments, track_timescale
from farm.media.film_times import FilmTimes
from farm.media.probe import probe_video
from farm.media.rehearse import rehearse_film
from farm.plan.video import ColorTags
from farm.spec import FrameRange
from farm.spec.render import EncodeSettings
from tests.media.clips import LOSSLESS, read_number, run_ffmpeg, write_numbered

HLG = ColorTags(range="tv", space="bt2020nc", primaries="bt2020", transfer="arib-std-b67")
NANO = Fraction(1, 10**9)


@pytest.mark.parametrize(
    ("offsets", "last", "first", "tick", "expected"),
    [
        ((0, 40, 80), 40, Fraction(0), Fraction(1, 1000), 1000),
        ((0, 1001, 2002), 1001, Fraction(0), Fraction(1, 30000), 30000),
        ((0, 40_000_000), 40_000_000, Fraction(0), NANO, 10**9),
        # a pause of 5 s: 25 ticks a second are exact, and so are 30000 for 1001/30000 s
        ((0, 40_000_000, 5_040_000_000), 40_000_000, Fraction(0), NANO, 25),
        ((0, 1001 * 10**5, 1001 * 10**8), 1001 * 10**5, Fraction(0), Fraction(1, 3 * 10**9), 30000),
        # no coarser ticks are exact
        ((0, 40_000_001, 5_040_000_000), 40_000_000, Fraction(0), NANO, 1_000_000),
        ((0, 1), 10**13, Fraction(0), NANO, 90_000),
        ((0, 40_000_000), 40_000_000, Fraction(3), NANO, 25),
        ((0, 1), 1, Fraction(0), Fraction(1, 10**10), 1_000_000),
    ],
)
def test_ticks_that_the_muxer_can_count(
    offsets: tuple[int, ...], last: int, first: Fraction, tick: Fraction, expected: int
) -> None:
    assert track_timescale(FilmTimes(offsets, last, first, None, None), tick) == expected


@pytest.mark.parametrize(
    ("codec", "pixel_format", "tags", "expected"),
    [
        ("libx264", "yuv420p10le", HLG, HLG),
        ("libx264", "yuv420p", ColorTags(), ColorTags(range="tv", space="smpte170m")),
        ("libvpx", "yuv420p", HLG, HLG.model_copy(update={"space": "bt470bg"})),
        ("ffv1", "yuv420p", HLG.model_copy(update={"range": "pc"}), HLG),
        ("prores_ks", "yuv422p10le", HLG.model_copy(update={"range": "pc"}), HLG),
        ("ffv1", "bgr0", HLG, HLG.model_copy(update={"range": "pc", "space": "gbr"})),
    ],
)
def test_tags_of_what_is_coded(codec: str, pixel_format: str, tags: ColorTags, expected: ColorTags) -> None:
    assert coded_tags(tags, 480, codec, pixel_format) == expected
    assert film_coding(tags, 480, codec).matrix == (
        "bt2020" if tags.space == HLG.space and codec != "libvpx" else "bt601"
    )


def test_tags_as_numbers() -> None:
    expected = {"color_range": 1, "colorspace": 9, "color_primaries": 9, "color_trc": 18}
    assert code_points(HLG) == expected
    assert code_points(ColorTags(range="pc")) == {"color_range": 2}


def _film(tmp_path: Path, settings: EncodeSettings, name: str, count: int, tags: ColorTags = ColorTags()) -> Path:  # noqa: B008
    source = write_numbered(tmp_path / "source.mkv", count, *LOSSLESS, rate="25")
    probe = probe_video(str(source)).model_copy(update={"color": tags})
    pictures = (np.full((64, 96, 3), (30, 190, 60), np.uint8) for _ in range(count))
    encode_film(pictures, probe, FrameRange(0, count), tmp_path / name, settings)
    return tmp_path / name


@pytest.mark.parametrize("extension", [".mp4", ".mov"])
@pytest.mark.media
def test_a_film_of_seven_frames(tmp_path: Path, extension: str) -> None:
    """As many as libavformat decodes to guess the delay of H.264."""
    film = _film(tmp_path, EncodeSettings(preset="ultrafast"), f"film{extension}", 7)
    with av.open(str(film)) as container:
        assert container.duration == 280_000
        assert [p.dts for p in container.demux(video=0) if p.size] == [0, 40, 80, 120, 160, 200, 240]


@pytest.mark.parametrize("at", [1, 6, 7])
@pytest.mark.media
def test_the_header_counts_a_pause_before_any_frame(tmp_path: Path, at: int) -> None:
    source = write_numbered(tmp_path / "source.mkv", 8, *LOSSLESS, rate="25")
    pts = tuple(40 * frame + (5000 if frame >= at else 0) for frame in range(8))
    probe = probe_video(str(source)).model_copy(update={"pts": pts})
    pictures = (np.full((64, 96, 3), 30 * frame, np.uint8) for frame in range(8))
    settings = EncodeSettings(codec="libx265", preset="ultrafast")
    encode_film(pictures, probe, FrameRange(0, 8), tmp_path / "film.mp4", settings)
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert container.duration == 5_320_000
        assert [(p.pts, p.dts) for p in container.demux(video=0) if p.size] == [(time, time) for time in pts]


@pytest.mark.media
def test_other_sound_for_a_film_whose_frames_are_reordered(tmp_path: Path) -> None:
    """As older versions of the farm made them of HEVC."""
    source = write_numbered(tmp_path / "source.mkv", 20, *LOSSLESS, rate="25")
    probe, whole = probe_video(str(source)), FrameRange(0, 20)
    run_ffmpeg(
        "-i", source, "-c:v", "libx265", "-x265-params", "log-level=none:bframes=4:b-adapt=0", tmp_path / "b.mp4"
    )
    assert not shown_in_order(tmp_path / "b.mp4")
    join_segments([tmp_path / "b.mp4"], probe, whole, tmp_path / "film.mp4", EncodeSettings(codec="libx265"), ())
    film = probe_video(str(tmp_path / "film.mp4"))
    assert film.duration == Fraction(20, 25)
    with FrameReader(film) as reader:
        assert [read_number(picture) for picture in reader.read(whole)] == list(range(20))


@pytest.mark.parametrize(
    ("codec", "name"),
    [("libvpx-vp9", "film.webm"), ("libvpx", "film.mkv"), ("ffv1", "film.mkv"), ("libsvtav1", "film.mp4")],
)
@pytest.mark.media
def test_colours_and_their_tags_come_through_the_pipe(tmp_path: Path, codec: str, name: str) -> None:
    settings = EncodeSettings(codec=codec, crf=8)
    film = probe_video(str(_film(tmp_path, settings, name, 3, HLG)))
    assert film.color.model_dump() == coded_tags(HLG, 64, codec, "yuv420p").model_dump()
    assert film.color.is_hdr
    with av.open(film.path) as container:
        green = next(container.decode(video=0)).to_ndarray(format="rgb24")[20, 20]
    if codec == "libvpx":  # whose matrix PyAV's scaler takes from the tags
        assert np.abs(green.astype(int) - (30, 190, 60)).max() <= 6


@pytest.mark.media
def test_what_an_encoder_refuses_is_found_before_the_start(tmp_path: Path) -> None:
    probe = probe_video(str(write_numbered(tmp_path / "source.mkv", 4, *LOSSLESS)))
    frames = FrameRange(2, 4)
    rehearse_film(probe, frames, (96, 64), "film.mp4", EncodeSettings(codec="libx265"))
    with pytest.raises(UsageError, match=r"libx265 makes no \.mp4 film of 8x8 in yuv420p: .*; choose another --codec"):
        rehearse_film(probe, frames, (8, 8), "film.mp4", EncodeSettings(codec="libx265"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.mkv"]
