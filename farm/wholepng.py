"""Whether a PNG is the one that was written: its chunks' own checksums.

Decoders look at them only in part: some fill up what is missing or wrong with whatever came out until then.
"""

from __future__ import annotations

import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FRAME = 12
"""Bytes of a chunk beside its data: length, kind, checksum."""


def is_whole_png(data: bytes) -> bool:
    """Whether every chunk is there with the right checksum, up to the end and no further."""
    if data[: len(_SIGNATURE)] != _SIGNATURE:
        return False
    at = len(_SIGNATURE)
    while len(data) - at >= _FRAME:
        length = int.from_bytes(data[at : at + 4], "big")
        kind, end = data[at + 4 : at + 8], at + 8 + length
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        at = end + 4
        if kind == b"IEND":
            return at == len(data)
    return False
