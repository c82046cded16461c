from __future__ import annotations

import pytest

from farm.media.layouts import AAC, LAYOUTS, XIPH, mix, stereo

FRONT = ("FL", "FR")


@pytest.mark.parametrize(
    ("name", "channels", "layouts", "layout", "expected"),
    [
        ("stereo", FRONT, XIPH, "stereo", ""),
        ("binaural", ("BIL", "BIR"), AAC, "stereo", ""),
        ("5.1(side)", (*FRONT, "FC", "LFE", "SL", "SR"), XIPH, "5.1",
         "FL=1*c0|FR=1*c1|FC=1*c2|LFE=1*c3|BL=1*c4|BR=1*c5"),
        ("2.1", (*FRONT, "LFE"), XIPH, "5.1", "FL=1*c0|FR=1*c1|FC=0*c0|LFE=1*c2|BL=0*c0|BR=0*c0"),
        ("quad", (*FRONT, "BL", "BR"), AAC, "5.0", "FL=1*c0|FR=1*c1|FC=0*c0|BL=1*c2|BR=1*c3"),
        ("quad", (*FRONT, "BL", "BR"), XIPH, "quad", ""),
        ("4.0", (*FRONT, "FC", "BC"), ("5.0",), "5.0",
         "FL=1*c0|FR=1*c1|FC=1*c2|BL=0.7071*c3|BR=0.7071*c3"),
        ("7.1.4", (*LAYOUTS["7.1"], "TFL", "TFR", "TBL", "TBR"), AAC, "7.1",
         "FL=0.5858*c0+0.4142*c8|FR=0.5858*c1+0.4142*c9|FC=0.5858*c2|LFE=0.5858*c3"
         "|BL=0.5858*c4+0.4142*c10|BR=0.5858*c5+0.4142*c11|SL=0.5858*c6|SR=0.5858*c7"),
    ],
)  # fmt: skip
def test_every_channel_has_its_place(
    name: str, channels: tuple[str, ...], layouts: tuple[str, ...], layout: str, expected: str
) -> None:
    mixed = mix(channels, layouts, name)
    assert mixed.layout == layout
    assert mixed.filter == (f"aformat=channel_layouts={name},pan={layout}|{expected}" if expected else "")


@pytest.mark.parametrize(("count", "layout"), [(1, "mono"), (2, "stereo"), (6, "5.1"), (16, "stereo"), (24, "stereo")])
def test_channels_without_names(count: int, layout: str) -> None:
    mixed = mix(("NONE",) * count, XIPH)
    assert mixed.layout == layout
    if count > 8:
        left, right = mixed.filter.removeprefix("pan=stereo|FL=").split("|FR=")
        assert [term.partition("*c")[2] for term in left.split("+")] == [str(at) for at in range(0, count, 2)]
        assert [term.partition("*c")[2] for term in right.split("+")] == [str(at) for at in range(1, count, 2)]


def test_a_mix_to_stereo_cannot_clip() -> None:
    gains = stereo(LAYOUTS["5.1"]).filter.partition("FL=")[2].partition("|")[0]
    assert sum(float(term.partition("*")[0]) for term in gains.split("+")) == pytest.approx(1, abs=1e-3)
