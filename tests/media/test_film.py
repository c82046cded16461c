from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from farm.errors import EncodeError, FarmError, OutputError, UsageError
from farm.media.decode import FrameReader
from farm.media.encode import encode_segment, output_pixel_aspect, segment_command
from farm.media.film import EncodeSettings, check_output_writable, encode_film, film_command, join_segments
from farm.media.film_times import film_times
from farm.media.layouts import Mix
from farm.media.probe import probe_video
from farm.media.source import FILM_FORMATS
from farm.media.tracks import Track
from farm.plan import VideoProbe
from farm.plan.video import ColorTags, StreamInfo
from farm.spec import FrameRange
from tests.media.clips import numbered, read_number, run_ffmpeg, tone, write_clip, write_numbered

FAST = EncodeSettings(preset="ultrafast", crf=8)

PROBE = VideoProbe(
    path="in.mkv", container="matroska,webm", codec="h264", pixel_format="yuv420p", bit_depth=8, width=96, height=64,
    rotation=0, pixel_aspect=Fraction(1), frame_rate=Fraction(25), time_base=Fraction(1, 1000),
    pts=(80, 120, 160, 240), last_duration=40, interlaced=False, has_alpha=False,
    color=ColorTags(space="bt709", primaries="bt709"),
    audio=(StreamInfo(index=1, codec="aac"), StreamInfo(index=3, codec="vorbis")),
    subtitles=(StreamInfo(index=4, codec="subrip"),), missing_frames=0, content_hash="", language="nld",
)  # fmt: skip


def _numbers(frames: FrameRange) -> Iterator[np.ndarray]:
    return (numbered(i) for i in frames)


def _decode(path: Path) -> list[np.ndarray]:
    probe = probe_video(str(path))
    with FrameReader(probe, as_stored=["hdr"]) as reader:
        return list(reader.read(FrameRange(0, probe.frame_count)))


def _relative_times(probe: VideoProbe) -> list[Fraction]:
    return [(t - probe.pts[0]) * probe.time_base for t in probe.pts]


def _leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_the_whole_command_of_a_film() -> None:
    sound = [Track("sound", 1, PROBE.audio[0], "copy"), Track("sound", 2, PROBE.audio[1], "aac", Mix("5.1", "pan=x"))]
    tracks = [*sound, Track("subtitles", 1, PROBE.subtitles[0], "mov_text")]
    command = film_command("ffmpeg", PROBE, FrameRange(0, 4), Path("out.mp4"), EncodeSettings(), tracks)
    assert command == [
        "ffmpeg",
        *("-f", "nut", "-itsoffset", "0.080000", "-i", "pipe:0"),
        *("-format_whitelist", FILM_FORMATS, "-protocol_whitelist", "file", "-i", "file:in.mkv"),
        *("-map", "0:v:0", "-map", "1:v:999?", "-map", "1:1", "-map", "1:3", "-map", "1:4"),
        *("-b:a:1", "576k", "-bsf:v"),
        *(r"setts=pts=PTS:dts=PTS:duration=if(gte(PTS*TB\,0.200000000)\,round(1/25/TB)\,DURATION)",),
        *("-c:a:0", "copy", "-c:a:1", "aac", "-c:s:0", "mov_text", "-c:v", "copy"),
        *("-color_primaries", "1", "-color_range", "1", "-colorspace", "1", "-filter:a:1", "pan=x"),
        *("-map_chapters", "1", "-map_metadata", "1", "-metadata:s:v:0", "language=nld", "-movflags", "+faststart"),
        *("-video_track_timescale", "1000", "file:out.mp4"),
        *("-hide_banner", "-nostats", "-loglevel", "error", "-y"),
    ]  # fmt: skip


def test_the_whole_command_of_a_segment() -> None:
    assert segment_command("ffmpeg", PROBE, (96, 64), Path("0.mkv"), EncodeSettings()) == [
        *("ffmpeg", "-f", "nut", "-i", "pipe:0", "-map", "0:v:0", "-f", "matroska"),
        *("-bf", "0", "-c:v", "libx264", "-crf", "16", "-enc_time_base", "1:1000", "-fps_mode", "passthrough"),
        *("-pix_fmt", "yuv420p", "-preset", "medium", "-vf"),
        "scale=flags=lanczos+accurate_rnd+full_chroma_inp:in_range=pc:out_color_matrix=bt709:out_range=tv,"
        "format=yuv420p,setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=unknown,"
        "setsar=sar=1/1:max=16777216",
        *("-x264-params", "mbtree=0", "file:0.mkv"),
        *("-hide_banner", "-nostats", "-loglevel", "error", "-y"),
    ]  # fmt: skip


def test_the_command_for_a_part_without_sound() -> None:
    hevc = EncodeSettings(codec="libx265")
    left_out = [Track("sound", 1, PROBE.audio[0], "", why="not asked for")]
    command = film_command("ffmpeg", PROBE, FrameRange(1, 3), Path("out.mov"), hevc, left_out)
    limits = ["-format_whitelist", FILM_FORMATS, "-protocol_whitelist", "file"]
    assert command[1:13] == ["-f", "nut", "-i", "pipe:0", *limits, "-ss", "0.120000", "-t", "0.120000"]
    assert [command[i + 1] for i, word in enumerate(command) if word == "-map"] == ["0:v:0", "1:v:999?"]
    assert command[command.index("-tag:v") + 1] == "hvc1"
    assert command[command.index("-map_chapters") + 1] == "-1"


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (FrameRange(0, 4), ((0, 40, 80, 160), 40, Fraction(8, 100), None, None)),
        (FrameRange(0, 2), ((0, 40), 40, Fraction(8, 100), None, Fraction(16, 100))),
        (FrameRange(2, 3), ((0,), 80, Fraction(0), Fraction(16, 100), Fraction(8, 100))),
        (FrameRange(3, 4), ((0,), 40, Fraction(0), Fraction(24, 100), None)),
    ],
)
def test_film_times(frames: FrameRange, expected: tuple[object, ...]) -> None:
    assert tuple(film_times(PROBE, frames)) == (*expected, Fraction(0))


def test_sound_is_later_where_the_picture_begins_before_all_times_of_the_container() -> None:
    early = PROBE.model_copy(update={"start_time": PROBE.presentation_time(0) + 1})
    times = film_times(early, FrameRange(0, 4))
    assert (times.first_frame, times.others_later) == (0, 1)


@pytest.mark.parametrize(
    ("size", "aspect", "expected"),
    [
        ((96, 64), Fraction(16, 15), Fraction(16, 15)),
        ((48, 32), Fraction(1), Fraction(1)),
        ((47, 32), Fraction(1), Fraction(1)),  # 47 is 48 rounded
        ((96, 32), Fraction(1), Fraction(1, 2)),
        ((48, 64), Fraction(4, 3), Fraction(8, 3)),
    ],
)
def test_output_pixel_aspect(size: tuple[int, int], aspect: Fraction, expected: Fraction) -> None:
    assert output_pixel_aspect(PROBE.model_copy(update={"pixel_aspect": aspect}), size) == expected


@pytest.mark.parametrize("name", ["long_gop", "vfr", "open_gop", "two_sounds", "one_frame", "rotated", "anamorphic"])
@pytest.mark.parametrize("extension", [".mp4", ".mov", ".mkv"])
def test_count_times_and_pictures_survive(clips: dict[str, Path], tmp_path: Path, name: str, extension: str) -> None:
    probe = probe_video(str(clips[name]))
    output = tmp_path / f"film{extension}"
    with FrameReader(probe) as reader:
        frames = reader.read(FrameRange(0, probe.frame_count))
        encode_film(frames, probe, FrameRange(0, probe.frame_count), output, FAST)
        source = list(reader.read(FrameRange(0, probe.frame_count)))
    film = probe_video(str(output))
    if extension == ".mkv":
        assert _relative_times(film) == pytest.approx(_relative_times(probe), abs=0.001)
    else:
        assert _relative_times(film) == _relative_times(probe)
        assert film.duration == probe.duration
    assert (film.width, film.height, film.rotation, film.mirrored) == (probe.width, probe.height, 0, False)
    assert film.pixel_aspect == probe.pixel_aspect
    difference = [np.abs(a.astype(int) - b).mean() for a, b in zip(source, _decode(output), strict=True)]
    assert max(difference) < 3
    assert _leftovers(tmp_path) == [output.name]


@pytest.mark.parametrize("frames", [FrameRange(0, 5), FrameRange(10, 29), FrameRange(30, 48), FrameRange(47, 48)])
def test_a_part_of_a_variable_rate_film(clips: dict[str, Path], tmp_path: Path, frames: FrameRange) -> None:
    probe = probe_video(str(clips["vfr"]))
    encode_film(_numbers(frames), probe, frames, tmp_path / "part.mp4", FAST)
    film = probe_video(str(tmp_path / "part.mp4"))
    first = probe.pts[frames.start]
    assert film.pts[0] == 0
    assert _relative_times(film) == [(t - first) * probe.time_base for t in probe.pts[frames.start : frames.stop]]
    assert film.duration == probe.presentation_time(frames.stop) - probe.presentation_time(frames.start)
    assert [read_number(p) for p in _decode(tmp_path / "part.mp4")] == list(frames)


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("range_", ["tv", "pc"])
@pytest.mark.media
def test_colors_survive_the_round_trip(tmp_path: Path, matrix: str, range_: str) -> None:
    space = {"bt601": "smpte170m", "bt709": "bt709", "bt2020": "bt2020nc"}[matrix]
    tags = ColorTags(range=range_, space=space, primaries="bt2020", transfer="smpte2084")
    probe = PROBE.model_copy(update={"color": tags, "pts": (0, 40, 80), "audio": (), "subtitles": ()})
    # An existing source is needed for its metadata only.
    source = write_clip(tmp_path / "source.mkv", [numbered(0)], "-c:v", "ffv1")
    probe = probe.model_copy(update={"path": str(source)})
    patches = [(200, 60, 40), (40, 180, 60), (30, 60, 200)]
    frames = (np.full((64, 96, 3), patch, np.uint8) for patch in patches)
    encode_film(frames, probe, FrameRange(0, 3), tmp_path / "film.mp4", EncodeSettings(crf=4))
    assert probe_video(str(tmp_path / "film.mp4")).color == tags
    for picture, patch in zip(_decode(tmp_path / "film.mp4"), patches, strict=True):
        assert np.abs(picture.astype(int) - patch).max() <= 3, patch


@pytest.mark.parametrize(("size", "expected"), [((95, 63), (96, 64)), ((96, 63), (96, 64)), ((95, 64), (96, 64))])
def test_odd_sizes_are_made_even_by_doubling_the_edge(
    tmp_path: Path, clips: dict[str, Path], size: tuple[int, int], expected: tuple[int, int]
) -> None:
    probe = probe_video(str(clips["one_frame"]))
    picture = numbered(5)[: size[1], : size[0]]
    encode_film(iter([picture]), probe, FrameRange(0, 1), tmp_path / "odd.mp4", FAST)
    shown = _decode(tmp_path / "odd.mp4")[0]
    assert shown.shape == (expected[1], expected[0], 3)
    assert np.abs(shown[: size[1], : size[0]].astype(int) - picture).mean() < 4
    assert np.abs(shown[:, -1].astype(int) - shown[:, -2]).mean() < 8


@pytest.mark.parametrize(
    ("settings", "name", "codec", "pixel_format"),
    [
        (EncodeSettings(codec="libvpx-vp9", crf=20), "film.webm", "vp9", "yuv420p"),
        (EncodeSettings(pixel_format="yuv444p", preset="ultrafast"), "film.mkv", "h264", "yuv444p"),
        (EncodeSettings(pixel_format="yuv420p10le", preset="ultrafast"), "film.mp4", "h264", "yuv420p10le"),
        (EncodeSettings(codec="ffv1", pixel_format="bgr0"), "film.mkv", "ffv1", "bgr0"),
    ],
)  # fmt: skip
def test_odd_sizes_are_kept_where_the_codec_can(
    tmp_path: Path, clips: dict[str, Path], settings: EncodeSettings, name: str, codec: str, pixel_format: str
) -> None:
    probe = probe_video(str(clips["odd"]))
    encode_film((numbered(i, 95, 63) for i in range(8)), probe, FrameRange(0, 8), tmp_path / name, settings)
    film = probe_video(str(tmp_path / name))
    assert (film.codec, film.pixel_format) == (codec, pixel_format)
    even = pixel_format == "yuv420p10le"
    assert (film.width, film.height) == ((96, 64) if even else (95, 63))
    assert [read_number(p) for p in _decode(tmp_path / name)] == list(range(8))


def _packets(path: Path, stream: int) -> list[bytes]:
    with av.open(str(path)) as film:
        return [bytes(p) for p in film.demux(film.streams.audio[stream]) if p.size]


@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
def test_every_sound_is_copied_bit_by_bit(clips: dict[str, Path], tmp_path: Path, extension: str) -> None:
    probe = probe_video(str(clips["two_sounds"]))
    output = tmp_path / f"film{extension}"
    assert encode_film(_numbers(FrameRange(0, 48)), probe, FrameRange(0, 48), output, FAST) == ()
    film = probe_video(str(output))
    assert [(s.codec, s.language) for s in film.audio] == [("aac", "eng"), ("mp3", "nld")]
    for stream in (0, 1):
        assert _packets(output, stream) == _packets(clips["two_sounds"], stream)


def test_no_sound_when_not_wanted(clips: dict[str, Path], tmp_path: Path) -> None:
    probe = probe_video(str(clips["two_sounds"]))
    settings = FAST.model_copy(update={"audio": "none"})
    encode_film(_numbers(FrameRange(0, 48)), probe, FrameRange(0, 48), tmp_path / "film.mp4", settings)
    assert probe_video(str(tmp_path / "film.mp4")).audio == ()


def test_sound_is_encoded_anew_where_it_does_not_fit(clips: dict[str, Path], tmp_path: Path) -> None:
    probe = probe_video(str(clips["two_sounds"]))
    vp9 = EncodeSettings(codec="libvpx-vp9", crf=40)
    notes = encode_film(_numbers(FrameRange(0, 48)), probe, FrameRange(0, 48), tmp_path / "film.webm", vp9)
    assert [s.codec for s in probe_video(str(tmp_path / "film.webm")).audio] == ["opus", "opus"]
    assert notes == (
        "sound track 1 (aac, mono) does not fit into .webm: encoded as libopus, mono",
        "sound track 2 (mp3, mono) does not fit into .webm: encoded as libopus, mono",
    )


def test_subtitles_titles_and_container_metadata(clips: dict[str, Path], tmp_path: Path) -> None:
    probe = probe_video(str(clips["subtitled"]))
    encode_film(_numbers(FrameRange(0, 48)), probe, FrameRange(0, 48), tmp_path / "film.mkv", FAST)
    film = probe_video(str(tmp_path / "film.mkv"))
    assert [(s.codec, s.language) for s in film.subtitles] == [("subrip", "fra")]
    assert film.title == "the picture"
    with av.open(str(tmp_path / "film.mkv")) as container:
        assert container.metadata["title"] == "the film"
    encode_film(_numbers(FrameRange(0, 48)), probe, FrameRange(0, 48), tmp_path / "film.mp4", FAST)
    assert [s.codec for s in probe_video(str(tmp_path / "film.mp4")).subtitles] == ["mov_text"]


def _loud_from(path: Path) -> float:
    """Seconds, on the picture's clock, at which the sound sets in."""
    with av.open(str(path)) as film:
        picture = min(f.time for f in film.decode(video=0))
    with av.open(str(path)) as film:
        for frame in film.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.05)
            if loud.size and frame.time is not None:
                return float(frame.time + loud[0] / frame.sample_rate - picture)
    raise AssertionError("silence")


@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
@pytest.mark.parametrize("late", [0, 0.2])
@pytest.mark.media
def test_sound_stays_in_step(tmp_path: Path, extension: str, late: float) -> None:
    """A tone sets in 1 s after the sound's start; the picture starts `late` seconds after the sound."""
    source = tmp_path / "source.mp4"
    write_clip(
        source, [numbered(i) for i in range(50)], "-map", "0:v", "-map", "1:a", "-c:v", "libx264",
        "-pix_fmt", "yuv420p", "-vf", f"setpts=PTS+{late}/TB", "-c:a", "aac", rate="25",
        inputs=("-f", "lavfi", "-i", "aevalsrc='if(gte(t,1),0.5*sin(880*PI*t),0)':d=2.2:s=48000"),
    )  # fmt: skip
    probe = probe_video(str(source))
    assert probe.presentation_time(0) == pytest.approx(late, abs=0.001)
    assert _loud_from(source) == pytest.approx(1 - late, abs=0.005)
    encode_film(_numbers(FrameRange(0, 50)), probe, FrameRange(0, 50), tmp_path / f"whole{extension}", FAST)
    assert _loud_from(tmp_path / f"whole{extension}") == pytest.approx(1 - late, abs=0.005)
    part = FrameRange(15, 40)
    encode_film(_numbers(part), probe, part, tmp_path / f"part{extension}", FAST)
    assert _loud_from(tmp_path / f"part{extension}") == pytest.approx(1 - late - 15 / 25, abs=0.005)
    with av.open(str(tmp_path / f"part{extension}")) as film:
        sound = [p for p in film.demux(audio=0) if p.size and p.pts is not None]
        assert all(0 <= p.pts * p.time_base < 1 for p in sound)
        assert max((p.pts + p.duration) * p.time_base for p in sound) > 0.95


@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
@pytest.mark.media
def test_a_part_in_which_one_sound_is_over(tmp_path: Path, extension: str) -> None:
    source = write_numbered(
        tmp_path / "source.mp4", 48, "-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:v", "libx264",
        "-pix_fmt", "yuv420p", "-c:a", "aac", inputs=(*tone(440, 0.5), *tone(880, 1.6)),
    )  # fmt: skip
    part = FrameRange(30, 40)
    notes = encode_film(_numbers(part), probe_video(str(source)), part, tmp_path / f"part{extension}", FAST)
    assert notes == ("sound track 1 (aac, mono) is left out: it has no sound in this part of the film",)
    assert len(probe_video(str(tmp_path / f"part{extension}")).audio) == 1
    assert _packets(tmp_path / f"part{extension}", 0)


def test_progress(clips: dict[str, Path], tmp_path: Path) -> None:
    probe = probe_video(str(clips["vfr"]))
    seen: list[int] = []
    encode_film(_numbers(FrameRange(3, 9)), probe, FrameRange(3, 9), tmp_path / "film.mp4", FAST, seen.append)
    assert seen == [1, 2, 3, 4, 5, 6]


def _too_few() -> Iterator[np.ndarray]:
    return _numbers(FrameRange(0, 3))


def _too_many() -> Iterator[np.ndarray]:
    return _numbers(FrameRange(0, 99))


def _of_two_sizes() -> Iterator[np.ndarray]:
    yield numbered(0)
    yield numbered(1, 64, 64)


def _raising() -> Iterator[np.ndarray]:
    yield numbered(0)
    raise LookupError("frame 1 is gone")


def _killing_ffmpeg() -> Iterator[np.ndarray]:
    yield numbered(0)
    children = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())], capture_output=True, text=True)
    for line in children.stdout.splitlines():
        pid, name = line.split(None, 1)
        if name.startswith("ffmpeg"):
            os.kill(int(pid), signal.SIGKILL)
    for _ in range(47):
        yield np.zeros((64, 96, 3), np.uint8)


@pytest.mark.parametrize(
    ("frames", "error", "says"),
    [
        (_too_few, EncodeError, "needs 48 frames and was given 3"),
        (_too_many, EncodeError, "needs 48 frames and was given at least 49"),
        (_of_two_sizes, EncodeError, r"frame 1 is uint8 of shape \(64, 64, 3\)"),
        (_raising, LookupError, "frame 1 is gone"),
        (_killing_ffmpeg, EncodeError, "killed by signal 9"),
        (lambda: iter(()), EncodeError, "needs 48 frames and was given 0"),
    ],
)
def test_a_failure_leaves_the_earlier_film_and_nothing_else(
    clips: dict[str, Path], tmp_path: Path, frames: object, error: type[Exception], says: str
) -> None:
    probe = probe_video(str(clips["long_gop"]))
    output = tmp_path / "film.mp4"
    output.write_bytes(b"an earlier film")
    with pytest.raises(error, match=says):
        encode_film(frames(), probe, FrameRange(0, 48), output, FAST)  # type: ignore[operator]
    assert output.read_bytes() == b"an earlier film"
    assert _leftovers(tmp_path) == ["film.mp4"]


def test_a_disk_that_takes_no_more_is_reported(clips: dict[str, Path], tmp_path: Path) -> None:
    """A file size limit stands in for the full disk: the system stops ffmpeg in the middle of a write."""
    probe = probe_video(str(clips["long_gop"]))
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 96, 3)).astype(np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(EncodeError, match=f"File too large|killed by signal {signal.SIGXFSZ:d}"):
            encode_film(iter(noise), probe, FrameRange(0, 48), tmp_path / "film.mkv", FAST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert _leftovers(tmp_path) == []


def test_settings_that_do_not_fit(clips: dict[str, Path], tmp_path: Path) -> None:
    probe = probe_video(str(clips["one_frame"]))
    frames = FrameRange(0, 1)
    with pytest.raises(UsageError, match="use libvpx-vp9"):
        encode_film(_numbers(frames), probe, frames, tmp_path / "film.webm", EncodeSettings())
    with pytest.raises(FarmError, match="no pixel format 'yuv42p'"):
        encode_film(_numbers(frames), probe, frames, tmp_path / "film.mp4", EncodeSettings(pixel_format="yuv42p"))
    with pytest.raises(EncodeError, match="exit status") as raised:
        encode_film(_numbers(frames), probe, frames, tmp_path / "film.mp4", EncodeSettings(preset="hurry"))
    assert "\n" not in str(raised.value)
    assert _leftovers(tmp_path) == []


def test_strange_file_names(clips: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = Path("-a:b 100%03d'.mp4")
    source.write_bytes(clips["two_sounds"].read_bytes())
    probe = probe_video(str(source))
    encode_film(_numbers(FrameRange(0, 48)), probe, FrameRange(0, 48), "-out: 'x'.mp4", FAST)
    assert probe_video("-out: 'x'.mp4").frame_count == 48


@pytest.mark.parametrize(
    ("name", "overwrite", "says"),
    [
        ("film.avi", False, "does not end in a kind of film"),
        ("nowhere/film.mp4", False, "nowhere does not exist"),
        ("there.mp4", False, "exists already.*--overwrite"),
        ("folder.mp4", True, "is a directory"),
    ],
)
def test_outputs_that_cannot_be_written(tmp_path: Path, name: str, overwrite: bool, says: str) -> None:
    (tmp_path / "there.mp4").touch()
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match=says):
        check_output_writable(tmp_path / name, overwrite)


def test_outputs_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "there.mp4").write_bytes(b"precious")
    check_output_writable(tmp_path / "new.mkv", overwrite=False)
    check_output_writable(tmp_path / "there.mp4", overwrite=True)
    assert list(tmp_path.iterdir()) == [tmp_path / "there.mp4"], "to ask makes no file"
    assert (tmp_path / "there.mp4").read_bytes() == b"precious"
    with pytest.raises(OutputError, match="exists"):
        check_output_writable(tmp_path / "there.mp4", overwrite=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written to"):
        check_output_writable(tmp_path / "film.mp4", overwrite=False)


def test_no_rotation_tag_is_left(clips: dict[str, Path], tmp_path: Path) -> None:
    probe = probe_video(str(clips["rotated"]))
    frames = FrameRange(0, 2)
    encode_film((numbered(i, 64, 96) for i in frames), probe, frames, tmp_path / "film.mp4", FAST)
    plain = tmp_path / "plain.mkv"
    run_ffmpeg("-noautorotate", "-i", tmp_path / "film.mp4", "-c:v", "ffv1", plain)
    assert (probe_video(str(plain)).width, probe_video(str(plain)).height) == (64, 96)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (FAST, "film.mp4"),
        (FAST, "film.mkv"),
        (EncodeSettings(codec="libx265", preset="ultrafast", crf=10), "film.mp4"),
        (EncodeSettings(codec="libvpx-vp9", crf=20), "film.webm"),
        (EncodeSettings(codec="libvpx-vp9", crf=20), "film.mp4"),
        (EncodeSettings(codec="libvpx", crf=10), "film.webm"),
        (EncodeSettings(codec="prores_ks", pixel_format="yuv422p10le"), "film.mov"),
        (EncodeSettings(codec="ffv1", pixel_format="yuv444p"), "film.mkv"),
    ],
)
@pytest.mark.parametrize("name_of_source", ["vfr", "long_gop"])
def test_segments_join_to_the_film_they_are_parts_of(clips, tmp_path, settings, name, name_of_source) -> None:
    """B-frames, hidden frames and uneven times included: every frame once, in order, at its own time."""
    probe = probe_video(str(clips[name_of_source]))
    parts = [FrameRange(0, 20), FrameRange(20, 21), FrameRange(21, 48)]
    paths = [tmp_path / f"{part}.mkv" for part in parts]
    for part, path in zip(parts, paths, strict=True):
        encode_segment(_numbers(part), probe, part, path, settings)
    seen: list[int] = []
    join_segments(iter(paths), probe, FrameRange(0, 48), tmp_path / name, settings, (), seen.append)
    film = probe_video(str(tmp_path / name))
    assert seen == list(range(1, 49))
    near = 0 if Path(name).suffix in (".mp4", ".mov") else 0.001
    assert _relative_times(film) == pytest.approx(_relative_times(probe), abs=near)
    assert [read_number(picture) for picture in _decode(tmp_path / name)] == list(range(48))
    assert film.pixel_aspect == probe.pixel_aspect


def test_a_segment_of_another_encoder_is_refused(clips, tmp_path) -> None:
    probe = probe_video(str(clips["vfr"]))
    encode_segment(_numbers(FrameRange(0, 20)), probe, FrameRange(0, 20), tmp_path / "a.mkv", FAST)
    other = FAST.model_copy(update={"preset": "medium"})
    encode_segment(_numbers(FrameRange(20, 48)), probe, FrameRange(20, 48), tmp_path / "b.mkv", other)
    paths = [tmp_path / "a.mkv", tmp_path / "b.mkv"]
    with pytest.raises(EncodeError, match="another encoder"):
        join_segments(paths, probe, FrameRange(0, 48), tmp_path / "film.mp4", FAST, ())
    assert _leftovers(tmp_path) == ["a.mkv", "b.mkv"]


@pytest.mark.parametrize(("parts", "says"), [([(0, 20)], "was given 20"), ([(0, 48), (0, 3)], "was given at least")])
def test_segments_that_are_missing_or_too_many(clips, tmp_path, parts, says) -> None:
    probe = probe_video(str(clips["vfr"]))
    paths = []
    for start, stop in parts:
        paths.append(tmp_path / f"{start}-{stop}.mkv")
        encode_segment(_numbers(FrameRange(start, stop)), probe, FrameRange(start, stop), paths[-1], FAST)
    with pytest.raises(EncodeError, match=says):
        join_segments(paths, probe, FrameRange(0, 48), tmp_path / "film.mp4", FAST, ())
    assert not (tmp_path / "film.mp4").exists()
