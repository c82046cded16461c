from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from farm.media.film import encode_film
from farm.media.probe import probe_video
from farm.media.timecode import later_timecode
from farm.spec import FrameRange
from farm.spec.render import EncodeSettings
from tests.media.clips import numbered, write_numbered

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("label", "rate", "frames", "expected"),
    [
        ("01:00:00:00", Fraction(25), 0, "01:00:00:00"),
        ("01:00:00:20", Fraction(25), 10, "01:00:01:05"),
        ("23:59:59:24", Fraction(25), 1, "00:00:00:00"),
        ("00:00:59:29", NTSC, 1, "00:01:00:00"),
        ("00:00:59;29", NTSC, 1, "00:01:00;02"),
        ("00:09:59;29", NTSC, 1, "00:10:00;00"),
        ("00:00:00;00", NTSC, 17982, "00:10:00;00"),
        ("00:00:00;00", NTSC, 107892, "01:00:00;00"),
        ("23:59:59;29", NTSC, 1, "00:00:00;00"),
        ("00:00:59;59", 2 * NTSC, 1, "00:01:00;04"),
        ("10:00:00:23", Fraction(24000, 1001), 1, "10:00:01:00"),
        ("01:00:00;00", Fraction(25), 0, None),
        ("01:00:00:25", Fraction(25), 0, None),
        ("noon", Fraction(25), 0, None),
        ("01:00:00:00", Fraction(120), 0, None),
    ],
)
def test_labels(label: str, rate: Fraction, frames: int, expected: str | None) -> None:
    assert later_timecode(label, rate, frames) == expected


@pytest.mark.parametrize(
    ("name", "frames"),
    [("film.mov", FrameRange(0, 30)), ("film.mp4", FrameRange(10, 20)), ("film.mkv", FrameRange(0, 30))],
)
@pytest.mark.media
def test_a_film_keeps_its_timecode(tmp_path: Path, name: str, frames: FrameRange) -> None:
    source = write_numbered(
        tmp_path / "source.mov", 30, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
        "-timecode", "00:00:59;25",
    )  # fmt: skip
    probe = probe_video(str(source))
    assert probe.timecode == "00:00:59;25"
    settings = EncodeSettings(preset="ultrafast")
    encode_film((numbered(i) for i in frames), probe, frames, tmp_path / name, settings)
    assert probe_video(str(tmp_path / name)).timecode == ("00:01:00;07" if frames.start else "00:00:59;25")
