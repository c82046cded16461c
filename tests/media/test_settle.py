from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from farm.errors import UsageError
from farm.files import remote
from farm.media.film import encode_film
from farm.media.probe import probe_video
from farm.media.settle import settle_tracks, track_notes
from farm.media.tracks import Track
from farm.spec import FrameRange
from farm.spec.render import EncodeSettings
from tests.media.clips import numbered, run_ffmpeg, tone, write_numbered

pytestmark = pytest.mark.media
FAST = EncodeSettings(preset="ultrafast")


def _settle(path: Path, extension: str, settings: EncodeSettings = FAST) -> tuple[Track, ...]:
    probe = probe_video(str(path))
    return settle_tracks(probe, FrameRange(0, probe.frame_count), extension, settings)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """AC-3 in 5.1(side), Vorbis, and ASS subtitles with a font; 25 frames."""
    folder = tmp_path_factory.mktemp("settle")
    words = folder / "words.srt"
    words.write_text("1\n00:00:00,100 --> 00:00:00,600\nhello\n")
    (folder / "own.ttf").write_bytes(b"no font, but nobody looks inside")
    return write_numbered(
        folder / "film.mkv", 25, "-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:s", "-c:v", "libx264",
        "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a:0", "ac3", "-ac:a:0", "6", "-c:a:1", "libvorbis",
        "-c:s", "ass", "-metadata:s:a:0", "language=eng", "-attach", str(folder / "own.ttf"),
        "-metadata:s:t", "mimetype=font/ttf", rate="25", inputs=(*tone(440, 1), *tone(880, 1), "-i", str(words)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        (".mkv", ["carried", "carried", "carried", "carried"]),
        (".mp4", ["carried", "encoded as aac, mono", "encoded as mov_text"]),
        (".webm", ["encoded as libopus, 5.1", "carried", "encoded as webvtt"]),
    ],
)
def test_every_track_is_tried(film: Path, extension: str, expected: list[str]) -> None:
    assert [track.outcome for track in _settle(film, extension)] == expected


def test_a_film_at_an_address_is_fetched_once(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the trial of its tracks and for the join together; the copy goes with the process."""
    url = f"memory://{tmp_path.name}/{'n' * 240}.mkv"
    fsspec.filesystem("memory").pipe(url, film.read_bytes())
    fetched = []
    fetch = remote.fetch
    monkeypatch.setattr(remote, "fetch", lambda address, to: fetched.append(to) or fetch(address, to))
    probe = probe_video(url)
    whole = FrameRange(0, probe.frame_count)
    tracks = settle_tracks(probe, whole, ".mkv", FAST)
    encode_film((numbered(i) for i in whole), probe, whole, tmp_path / "out.mkv", FAST, tracks=tracks)
    assert len(probe_video(str(tmp_path / "out.mkv")).audio) == 2
    assert len(fetched) == 1
    assert fetched[0].exists()
    remote.remove_copies()
    assert not fetched[0].parent.exists()


def test_what_is_asked_for(film: Path) -> None:
    chosen = FAST.model_copy(update={"audio": "2", "subtitles": "none"})
    tracks = _settle(film, ".mkv", chosen)
    assert [t.outcome for t in tracks] == ["left out: not asked for", "carried", "left out: not asked for"]
    assert track_notes(tracks) == ()
    encoded = _settle(film, ".mkv", FAST.model_copy(update={"audio": "encode", "subtitles": "none"}))
    assert [t.codec for t in encoded] == ["flac", "flac", ""]
    assert track_notes(encoded) == ()
    with pytest.raises(UsageError, match="no sound track 3; it has 1 \\(eng\\), 2"):
        _settle(film, ".mkv", FAST.model_copy(update={"audio": "3"}))


def test_fonts_stay_with_the_subtitles_that_name_them(film: Path, tmp_path: Path) -> None:
    probe = probe_video(str(film))
    frames = FrameRange(0, 25)
    encode_film((numbered(i) for i in frames), probe, frames, tmp_path / "film.mkv", FAST)
    fonts = probe_video(str(tmp_path / "film.mkv")).attachments
    assert [font.title for font in fonts] == ["own.ttf"]


def test_a_track_without_a_packet_and_one_that_nothing_decodes(tmp_path: Path) -> None:
    source = write_numbered(
        tmp_path / "two.mov", 25, "-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:v", "libx264",
        "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a:0", "aac", "-c:a:1", "pcm_s16le", rate="25",
        inputs=(*tone(440, 1), *tone(880, 1)),
    )  # fmt: skip
    data = source.read_bytes()
    unknown = data.rfind(b"sowt")
    source.write_bytes(data[:unknown] + b"zzzz" + data[unknown + 4 :])
    tracks = _settle(source, ".mp4")
    assert [track.kept for track in tracks] == [True, False]
    assert track_notes(tracks)[0].startswith("sound track 2 (unknown) is left out: ")

    transport = tmp_path / "silent.ts"
    run_ffmpeg("-i", source, "-map", "0:v", "-map", "0:a:0", "-c", "copy", transport)
    probe = probe_video(str(transport))
    nothing = probe.model_copy(update={"audio": tuple(s.model_copy(update={"packets": 0}) for s in probe.audio)})
    [track] = settle_tracks(nothing, FrameRange(0, 25), ".mp4", FAST)
    assert track.outcome == "left out: it is announced, but there is nothing in it"


def test_a_copy_that_fails_is_encoded(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a muxer refuses what the table says it carries, the next candidate is taken, with the reason."""
    monkeypatch.setattr("farm.media.tracks._AUDIO_COPIED", {".mp4": frozenset({"ac3"}), ".webm": frozenset({"ac3"})})
    first = _settle(film, ".webm")[0]
    assert first.outcome == "encoded as libopus, 5.1"
    assert first.why.startswith("cannot be copied (")


def test_a_part_has_no_subtitles(film: Path) -> None:
    probe = probe_video(str(film))
    tracks = settle_tracks(probe, FrameRange(5, 20), ".mkv", FAST)
    assert [t.outcome for t in tracks] == ["carried", "carried", "left out: a part of a film has no subtitles"]
