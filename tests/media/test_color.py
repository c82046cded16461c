from __future__ import annotations

import pytest

from farm.media.color import YuvCoding, color_tags, output_tags, yuv_coding
from farm.plan.video import ColorTags


@pytest.mark.parametrize(
    ("tags", "height", "expected"),
    [
        (ColorTags(), 576, YuvCoding("bt601", "tv")),
        (ColorTags(), 720, YuvCoding("bt709", "tv")),
        (ColorTags(range="pc"), 240, YuvCoding("bt601", "pc")),
        (ColorTags(space="bt709"), 240, YuvCoding("bt709", "tv")),
        (ColorTags(space="bt470bg"), 1080, YuvCoding("bt601", "tv")),
        (ColorTags(space="bt2020nc", range="tv"), 2160, YuvCoding("bt2020", "tv")),
        (ColorTags(space="gbr", range="pc"), 1080, YuvCoding("bt709", "tv")),
        (ColorTags(space="ictcp"), 1080, YuvCoding("bt709", "tv")),
    ],
)
def test_yuv_coding(tags: ColorTags, height: int, expected: YuvCoding) -> None:
    assert yuv_coding(tags, height) == expected


@pytest.mark.parametrize(
    ("tags", "coding", "space"),
    [
        (ColorTags(space="bt470bg"), YuvCoding("bt601", "tv"), "bt470bg"),
        (ColorTags(space="smpte170m"), YuvCoding("bt601", "tv"), "smpte170m"),
        (ColorTags(), YuvCoding("bt601", "tv"), "smpte170m"),
        (ColorTags(), YuvCoding("bt709", "tv"), "bt709"),
        (ColorTags(space="gbr"), YuvCoding("bt709", "pc"), "bt709"),
        (ColorTags(space="bt2020c"), YuvCoding("bt2020", "tv"), "bt2020nc"),
    ],
)
def test_the_film_is_tagged_with_what_it_was_coded_with(tags: ColorTags, coding: YuvCoding, space: str) -> None:
    tags = tags.model_copy(update={"primaries": "bt709", "transfer": None})
    assert output_tags(tags, coding) == ColorTags(range=coding.range, space=space, primaries="bt709", transfer=None)


def test_code_points() -> None:
    assert color_tags(1, 9, 9, 18, "yuv420p10le") == ColorTags(
        range="tv", space="bt2020nc", primaries="bt2020", transfer="arib-std-b67"
    )
    assert color_tags(0, 2, 2, 2, "yuv420p") == ColorTags()
    assert color_tags(0, 0, 2, 2, "gbrp").space == "gbr"
    assert color_tags(1, 2, 2, 2, "yuvj420p").range == "pc"
