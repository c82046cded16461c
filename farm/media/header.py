"""What a film's header says that PyAV does not tell: the part of the picture that is shown, and kinds of coding.

Sources: ISO/IEC 14496-12 (boxes, `clap`), Dolby Vision streams within ISO media (`dvcC`, `dvvC`, `dvwC`), RFC 9559
(Matroska: PixelCrop, BlockAdditionMapping), Apple HEVC stereo video (`vexu`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

from farm.errors import InputError
from farm.files.remote import is_remote, open_remote


@dataclass(frozen=True)
class PictureHeader:
    """What a header says about one picture track. Sides are in stored pixels."""

    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Columns and rows at the left, the top, the right and the bottom that players do not show."""
    dolby_profile: int | None = None
    """Profile of Dolby Vision."""
    stereo: bool = False
    """Whether it holds a picture for each eye, of which the first is decoded."""


def read_header(path: str, stream_id: int, number: int) -> PictureHeader:
    """The header of one picture track of a film at a path or a URL, MP4, MOV or Matroska; of other files an empty one.

    `stream_id` is its track ID in MP4, `number` counts the picture tracks before it. A header that cannot be followed
    counts as one that says nothing: whether the film can be read at all is for the demuxer to say.
    """
    try:
        with _opened(path) as file:
            head = file.read(12)
            end = file.seek(0, 2)
            if head[:4] == b"\x1a\x45\xdf\xa3":
                return _matroska_header(file, end, number)
            if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
                return _mp4_header(file, end, stream_id)
    except (OSError, InputError, struct.error, ValueError, IndexError, ZeroDivisionError):
        pass
    return PictureHeader()


def _opened(path: str) -> Any:
    return open_remote(path) if is_remote(path) else Path(path).open("rb")


_TS_PACKET, _SYNC, _TS_PACKETS_READ = 188, 0x47, 4096


def is_scrambled(path: str) -> bool:
    """Whether most packets at the beginning of an MPEG transport stream say that they are (ISO/IEC 13818-1, 2.4.3)."""
    with contextlib.suppress(OSError, InputError):
        with _opened(path) as file:
            data = file.read(_TS_PACKET * _TS_PACKETS_READ)
        heads = [data[at : at + 4] for at in range(0, len(data) - 3, _TS_PACKET)]
        scrambled = sum(head[3] >> 6 in (2, 3) for head in heads)
        return all(head[0] == _SYNC for head in heads) and scrambled > len(heads) / 2
    return False


def is_whole_riff(path: str) -> bool:
    """Whether all parts of an AVI end within the file (OpenDML files have several), so that its index is all there."""
    with contextlib.suppress(OSError, InputError, struct.error), _opened(path) as file:
        end = file.seek(0, 2)
        at = 0
        while at + 8 <= end:
            file.seek(at)
            name, size = struct.unpack("<4sI", file.read(8))
            at += 8 + size + size % 2
            if name != b"RIFF" or not size:
                break
        return bool(at and at <= end)
    return False


# MP4 and MOV: boxes of a size, a name of four letters, and what is in them.

_VISUAL_ENTRY_BYTES = 78
"""Bytes of the fields of a picture's sample entry, before the boxes in it."""


def _boxes(file: IO[bytes], at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, begin, end) of what is in each box from `at` on."""
    while at + 8 <= end:
        file.seek(at)
        size, name = struct.unpack(">I4s", file.read(8))
        begin = at + 8
        if size == 1:
            size, begin = struct.unpack(">Q", file.read(8))[0], at + 16
        after = end if size == 0 else at + size
        if after < begin:
            return
        yield name, begin, min(after, end)
        at = after


def _find(file: IO[bytes], at: int, end: int, *names: bytes) -> tuple[int, int]:
    """(begin, end) of the first box that is reached by these names; (end, end) where there is none."""
    for name in names:
        at, end = next(((a, b) for kind, a, b in _boxes(file, at, end) if kind == name), (end, end))
    return at, end


def _mp4_header(file: IO[bytes], end: int, stream_id: int) -> PictureHeader:
    for name, at, until in _boxes(file, *_find(file, 0, end, b"moov")):
        if name != b"trak" or _track_id(file, *_find(file, at, until, b"tkhd")) != stream_id:
            continue
        at, until = _find(file, at, until, b"mdia", b"minf", b"stbl", b"stsd")
        for _, entry, entry_end in _boxes(file, at + 8, until):
            file.seek(entry + 24)
            size = struct.unpack(">HH", file.read(4))
            header = PictureHeader()
            for kind, begin, box_end in _boxes(file, entry + _VISUAL_ENTRY_BYTES, entry_end):
                file.seek(begin)
                data = file.read(min(box_end - begin, 64))
                if kind == b"clap":
                    header = dataclasses.replace(header, crop=_aperture(size, data))
                elif kind in (b"dvcC", b"dvvC", b"dvwC"):
                    header = dataclasses.replace(header, dolby_profile=data[2] >> 1)
                elif kind == b"vexu":
                    header = dataclasses.replace(header, stereo=True)
            return header
    return PictureHeader()


def _track_id(file: IO[bytes], at: int, end: int) -> int:
    file.seek(at)
    data = file.read(min(end - at, 24))
    return int.from_bytes(data[20:24] if data[0] else data[12:16], "big")


def _aperture(size: tuple[int, int], clap: bytes) -> tuple[int, int, int, int]:
    """The crop that a clean aperture means: its size and how far its centre is from the picture's, as fractions."""
    numbers = struct.unpack(">8i", clap[:32])
    width, height, x, y = (Fraction(a, b) for a, b in zip(numbers[::2], numbers[1::2], strict=True))
    left, top = (size[0] - width) / 2 + x, (size[1] - height) / 2 + y
    crop = (round(left), round(top), round(size[0] - width - left), round(size[1] - height - top))
    return crop if min(crop) >= 0 and width >= 1 and height >= 1 else (0, 0, 0, 0)


# Matroska: elements of an identity, a size, and what is in them.

_SEGMENT, _TRACKS, _TRACK, _CLUSTER = 0x18538067, 0x1654AE6B, 0xAE, 0x1F43B675
_TRACK_TYPE, _VIDEO, _MAPPING, _STEREO_MODE = 0x83, 0xE0, 0x41E4, 0x53B8
_CROP = (0x54CC, 0x54BB, 0x54DD, 0x54AA)
_MAPPING_TYPE, _MAPPING_DATA = 0x41E7, 0x41ED
_DOLBY_TYPES = (b"dvcC", b"dvvC", b"dvwC")


def _elements(file: IO[bytes], at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(identity, begin, end) of what is in each element from `at` on."""
    while at < end:
        file.seek(at)
        head = file.read(12)
        if not head or not head[0]:
            return
        length = 9 - head[0].bit_length()
        size_length = 9 - head[length].bit_length()
        size = int.from_bytes(head[length : length + size_length], "big") & ~(1 << 7 * size_length)
        begin = at + length + size_length
        unknown = size == (1 << 7 * size_length) - 1
        at = end if unknown else begin + size
        yield int.from_bytes(head[:length], "big"), begin, min(at, end)


def _values(file: IO[bytes], at: int, end: int) -> dict[int, Any]:
    """Short elements by identity, as bytes."""
    values = {}
    for identity, begin, until in _elements(file, at, end):
        file.seek(begin)
        values[identity] = file.read(min(until - begin, 64))
    return values


def _matroska_header(file: IO[bytes], end: int, number: int) -> PictureHeader:
    segment = next(((a, b) for identity, a, b in _elements(file, 0, end) if identity == _SEGMENT), (end, end))
    for identity, begin, until in _elements(file, *segment):
        if identity == _CLUSTER:
            break
        if identity != _TRACKS:
            continue
        tracks = [(a, b) for kind, a, b in _elements(file, begin, until) if kind == _TRACK]
        pictures = [track for track in tracks if _values(file, *track).get(_TRACK_TYPE) == b"\x01"]
        if number < len(pictures):
            return _matroska_track(file, *pictures[number])
    return PictureHeader()


def _matroska_track(file: IO[bytes], at: int, end: int) -> PictureHeader:
    header = PictureHeader()
    for identity, begin, until in _elements(file, at, end):
        if identity == _VIDEO:
            values = _values(file, begin, until)
            left, top, right, bottom = (int.from_bytes(values.get(side, b""), "big") for side in _CROP)
            stereo = int.from_bytes(values.get(_STEREO_MODE, b""), "big") in (13, 14)
            header = dataclasses.replace(header, crop=(left, top, right, bottom), stereo=stereo)
        elif identity == _MAPPING:
            values = _values(file, begin, until)
            data = values.get(_MAPPING_DATA, b"")
            if values.get(_MAPPING_TYPE, b"").rjust(4, b"\0") in _DOLBY_TYPES and len(data) > 2:
                header = dataclasses.replace(header, dolby_profile=data[2] >> 1)
    return header
