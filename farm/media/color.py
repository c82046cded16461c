"""Colour tags: names of the code points, and what is assumed where a stream has no tag.

The code points are those of ITU-T H.273; the names are ffmpeg's, as its `setparams` filter takes them.
"""

from __future__ import annotations

from typing import NamedTuple

import av

from farm.plan.video import ColorTags

_RANGE = {1: "tv", 2: "pc"}
_SPACE = {
    0: "gbr",
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    11: "smpte2085",
    12: "chroma-derived-nc",
    13: "chroma-derived-c",
    14: "ictcp",
}
_PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "jedec-p22",
}
_TRANSFER = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    9: "log100",
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}
_UNSPECIFIED = 2
"""The code point of a missing tag."""
_SCALER_MATRIX = {
    "bt709": "bt709",
    "fcc": "fcc",
    "bt470bg": "bt601",
    "smpte170m": "bt601",
    "smpte240m": "smpte240m",
    "bt2020nc": "bt2020",
    "bt2020c": "bt2020",
}
"""ffmpeg's scaler's names of the matrices. BT.2020 constant luminance is approximated by the non-constant matrix."""

_TAGGED_AS = {"bt601": "smpte170m", "bt2020": "bt2020nc", "bt709": "bt709", "fcc": "fcc", "smpte240m": "smpte240m"}
"""The tag for each of those matrices, where the source's own tag does not say the same."""

RGB_FORMATS = ("rgb", "bgr", "gbr")
"""How the names of RGB pixel formats begin."""
TALLEST_SD = 576
"""Lines up to which an untagged film is taken for BT.601."""


class YuvCoding(NamedTuple):
    """How luma and chroma encode RGB, in the words of ffmpeg's `scale` filter."""

    matrix: str
    range: str


def color_tags(
    range_: int | None, space: int | None, primaries: int | None, transfer: int | None, pixel_format: str
) -> ColorTags:
    """Names of H.273 code points, None where unknown. A `yuvj` pixel format means full range whatever the tag says."""
    return ColorTags(
        range="pc" if pixel_format.startswith("yuvj") else _RANGE.get(int(range_ or 0)),
        space=_SPACE.get(2 if space is None else int(space)),
        primaries=_PRIMARIES.get(int(primaries or 2)),
        transfer=_TRANSFER.get(int(transfer or 2)),
    )


def with_known_tags(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame, without tags that mean nothing to ffmpeg's scaler: it refuses frames that have them.

    These are reserved code points, and the tag of RGB on a picture of luma and chroma.
    """
    space, primaries, transfer = int(frame.colorspace), int(frame.color_primaries), int(frame.color_trc)
    if space not in (2, *_SPACE) or (space == 0 and not frame.format.is_rgb):
        frame.colorspace = _UNSPECIFIED
    if primaries not in _PRIMARIES:
        frame.color_primaries = _UNSPECIFIED
    if transfer not in _TRANSFER:
        frame.color_trc = _UNSPECIFIED
    return frame


def yuv_coding(tags: ColorTags, stored_height: int) -> YuvCoding:
    """The matrix and range of YUV samples: as tagged, else BT.601 up to TALLEST_SD lines and BT.709 above, range `tv`.

    For a source that is RGB itself, this is what its film is encoded with, always in range `tv`.
    """
    guessed = "bt601" if stored_height <= TALLEST_SD else "bt709"
    range_ = "tv" if tags.space == "gbr" else tags.range or "tv"
    return YuvCoding(_SCALER_MATRIX.get(tags.space or "", guessed), range_)


def coded_tags(tags: ColorTags, stored_height: int, codec: str, pixel_format: str) -> ColorTags:
    """Tags of a film that `codec` makes of frames in `pixel_format`, of a source with `tags`; see `output_tags`."""
    if pixel_format.startswith(RGB_FORMATS):
        return ColorTags(range="pc", space="gbr", primaries=tags.primaries, transfer=tags.transfer)
    coded = output_tags(tags, film_coding(tags, stored_height, codec))
    # of the two names of BT.601's matrix, the one that decoders of VP8 give
    return coded.model_copy(update={"space": "bt470bg"}) if codec == "libvpx" else coded


def film_coding(tags: ColorTags, stored_height: int, codec: str) -> YuvCoding:
    """How `codec` codes a film of a source with `tags`: as the source, as far as the codec can say so.

    VP8 knows only one way (RFC 6386, section 9.2); ProRes and FFV1 have no sign for the full range.
    """
    if codec == "libvpx":
        return YuvCoding("bt601", "tv")
    coding = yuv_coding(tags, stored_height)
    return coding._replace(range="tv") if codec in ("prores_ks", "ffv1") else coding


def code_points(tags: ColorTags) -> dict[str, int]:
    """The tags as numbers of H.273, by ffmpeg's names of the options; those that are not tagged are left out."""
    tables = {
        "color_range": (_RANGE, tags.range),
        "colorspace": (_SPACE, tags.space),
        "color_primaries": (_PRIMARIES, tags.primaries),
        "color_trc": (_TRANSFER, tags.transfer),
    }
    return {
        option: next(number for number, name in table.items() if name == value)
        for option, (table, value) in tables.items()
        if value is not None
    }


def output_tags(tags: ColorTags, coding: YuvCoding) -> ColorTags:
    """Tags of a YUV film that is encoded with `coding`. Primaries and transfer stay as they were, tagged or not.

    Matrix and range are always written. Why: players guess an untagged matrix from the height, and the film need not
    be as tall as its source.
    """
    same = _SCALER_MATRIX.get(tags.space or "") == coding.matrix and tags.space != "bt2020c"
    space = tags.space if same else _TAGGED_AS[coding.matrix]
    return ColorTags(range=coding.range, space=space, primaries=tags.primaries, transfer=tags.transfer)
