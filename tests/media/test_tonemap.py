from __future__ import annotations

import numpy as np
import pytest

from benchmarks.media_kinds import KINDS
from farm.errors import VideoError
from farm.media.decode import FrameReader
from farm.media.probe import probe_video
from farm.media.tonemap import nits_to_pq, pq_to_nits, tone_map
from farm.plan.render_plan import plan_render
from farm.plan.video import ColorTags
from farm.spec.frames import FrameRange
from farm.spec.load import build_spec

PQ = ColorTags(transfer="smpte2084", primaries="bt2020")
HLG = ColorTags(transfer="arib-std-b67", primaries="bt2020")


def code(value: float) -> np.ndarray:
    return np.full((1, 1, 3), round(value * 65535), np.uint16)


@pytest.mark.parametrize(
    ("nits", "value"), [(0.0, 0.0), (100.0, 0.5081), (203.0, 0.5807), (1000.0, 0.7518), (10000.0, 1.0)]
)
def test_pq_values_of_the_standard(nits, value):
    assert float(nits_to_pq(np.array(nits))) == pytest.approx(value, abs=2e-4)
    assert float(pq_to_nits(np.array(value))) == pytest.approx(nits, rel=3e-3, abs=1e-3)


@pytest.mark.parametrize("tags", [PQ, HLG])
def test_black_stays_black_and_the_brightest_is_white(tags):
    peak = 0.7518 if tags is PQ else 1.0
    assert tone_map(code(0), tags).max() == 0
    assert tone_map(code(peak), tags).min() >= 253


def test_what_is_below_the_knee_is_shown_as_it_was_mastered():
    grey = tone_map(code(float(nits_to_pq(np.array(50.0)))), PQ)
    assert grey[0, 0].tolist() == pytest.approx([round((50 / 203) ** (1 / 2.4) * 255)] * 3, abs=1)


def test_brightness_never_turns_around():
    shades = tone_map(np.linspace(0, 65535, 512).astype(np.uint16)[None, :, None].repeat(3, 2), HLG)
    assert (np.diff(shades[0, :, 0].astype(int)) >= 0).all()


@pytest.mark.media
def test_a_film_in_hlg_is_mapped_kept_or_refused(tmp_path):
    KINDS["HLG"][1](tmp_path / "hlg.mp4")
    probe = probe_video(str(tmp_path / "hlg.mp4"))
    with FrameReader(probe) as mapped, FrameReader(probe, as_stored=["hdr"]) as kept:
        pictures = [next(iter(one.read(FrameRange(0, 1)))) for one in (mapped, kept)]
    assert pictures[0].dtype == np.uint8
    assert not np.array_equal(*pictures)
    values = {"video": probe.path, "output": "o.mp4", "method": "identity"}
    with pytest.raises(VideoError, match="is HDR"):
        plan_render(build_spec({**values, "hdr": "refuse"}), probe, [])
    assert plan_render(build_spec(values), probe, []).chunks


@pytest.mark.media
def test_an_interlaced_film_is_deinterlaced_kept_or_refused(tmp_path):
    KINDS["interlaced"][1](tmp_path / "i.ts")
    probe = probe_video(str(tmp_path / "i.ts"))
    with FrameReader(probe) as smooth, FrameReader(probe, as_stored=["interlaced"]) as kept:
        pictures = [next(iter(one.read(FrameRange(4, 5)))) for one in (smooth, kept)]
    assert not np.array_equal(*pictures)
    values = {"video": probe.path, "output": "o.mp4", "method": "identity", "interlaced": "refuse"}
    with pytest.raises(VideoError, match="is interlaced"):
        plan_render(build_spec(values), probe, [])
