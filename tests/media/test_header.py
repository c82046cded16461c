from __future__ import annotations

import struct
from pathlib import Path

import pytest

from farm.media.header import PictureHeader, is_scrambled, is_whole_riff, read_header


def _box(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), name) + body


def _mp4(*boxes: bytes, size: tuple[int, int] = (192, 108)) -> bytes:
    """A MOV with two tracks, of which the second, number 7, has these boxes in its sample entry."""
    entry = _box(b"hvc1", bytes(24), struct.pack(">HH", *size), bytes(50), *boxes)
    tracks = []
    for number, sample in ((3, _box(b"mp4a", bytes(28))), (7, entry)):
        header = _box(b"tkhd", bytes(12), struct.pack(">I", number), bytes(68))
        table = _box(b"stbl", _box(b"stsd", bytes(4), struct.pack(">I", 1), sample))
        tracks.append(_box(b"trak", header, _box(b"mdia", _box(b"minf", table))))
    return _box(b"ftyp", b"qt  ", bytes(4)) + _box(b"mdat", bytes(100)) + _box(b"moov", *tracks)


def _clap(width: int, height: int, x: int = 0, y: int = 0) -> bytes:
    return _box(b"clap", struct.pack(">8i", width, 1, height, 1, x, 2, y, 2))


def _element(identity: int, *content: bytes) -> bytes:
    body = b"".join(content)
    return identity.to_bytes((identity.bit_length() + 7) // 8, "big") + (1 << 56 | len(body)).to_bytes(8, "big") + body


def _matroska(*track: bytes) -> bytes:
    sound = _element(0xAE, _element(0x83, b"\2"))
    picture = _element(0xAE, _element(0x83, b"\1"), *track)
    return _element(0x1A45DFA3, bytes(8)) + _element(0x18538067, _element(0x1654AE6B, sound, picture))


DOLBY_5 = bytes([1, 0, 5 << 1, 0]) + bytes(20)
CROPS = [_element(identity, bytes([value])) for identity, value in ((0x54CC, 1), (0x54BB, 2), (0x54DD, 3), (0x54AA, 4))]


@pytest.mark.parametrize(
    ("film", "expected"),
    [
        (_mp4(), PictureHeader()),
        (_mp4(_clap(192, 80)), PictureHeader(crop=(0, 14, 0, 14))),
        (_mp4(_clap(180, 108, x=12)), PictureHeader(crop=(12, 0, 0, 0))),
        (_mp4(_clap(300, 80)), PictureHeader()),
        (_mp4(_box(b"clap", bytes(32))), PictureHeader()),
        (_mp4(_box(b"dvcC", DOLBY_5)), PictureHeader(dolby_profile=5)),
        (_mp4(_box(b"vexu", bytes(8)), _clap(192, 80)), PictureHeader(crop=(0, 14, 0, 14), stereo=True)),
        (_matroska(), PictureHeader()),
        (_matroska(_element(0xE0, *CROPS)), PictureHeader(crop=(1, 2, 3, 4))),
        (
            _matroska(_element(0x41E4, _element(0x41E7, b"dvcC"), _element(0x41ED, DOLBY_5))),
            PictureHeader(dolby_profile=5),
        ),
        (b"these are words", PictureHeader()),
        (b"", PictureHeader()),
    ],
)
def test_what_a_header_says(tmp_path: Path, film: bytes, expected: PictureHeader) -> None:
    path = tmp_path / "film"
    path.write_bytes(film)
    assert read_header(str(path), stream_id=7, number=0) == expected


@pytest.mark.parametrize("film", [_mp4(_clap(192, 80)), _matroska(_element(0xE0, *CROPS))])
def test_a_header_that_is_cut_off_anywhere_says_something_or_nothing(tmp_path: Path, film: bytes) -> None:
    path = tmp_path / "film"
    for end in range(len(film)):
        path.write_bytes(film[:end])
        assert isinstance(read_header(str(path), stream_id=7, number=0), PictureHeader)


def test_a_scrambled_stream_is_told_by_its_packets(tmp_path: Path) -> None:
    clear, scrambled = (bytes([0x47, 1, 0, control]) + bytes(184) for control in (0x10, 0xD0))
    for packets, expected in ((clear * 9, False), (scrambled * 8 + clear, True), (b"x" * 400, False), (b"", False)):
        (tmp_path / "film.ts").write_bytes(packets)
        assert is_scrambled(str(tmp_path / "film.ts")) == expected


def test_an_avi_is_whole_if_all_its_parts_are(tmp_path: Path) -> None:
    part = struct.pack("<4sI4s", b"RIFF", 104, b"AVI ") + bytes(100)
    for film, expected in ((part, True), (part * 2, True), (part + part[:-1], False), (part[:-1], False), (b"", False)):
        (tmp_path / "film.avi").write_bytes(film)
        assert is_whole_riff(str(tmp_path / "film.avi")) == expected
