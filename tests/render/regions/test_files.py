"""Mask files as users have them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from farm.errors import PictureError, UsageError, VideoError
from farm.plan import plan_render
from farm.render.inputs import Inputs
from farm.render.regions.files import check_regions, read_mask_picture
from tests.conftest import make_clip
from tests.plan.test_render_plan import make_probe, make_spec


def half_white() -> np.ndarray:
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 30:] = 255
    return mask


def test_a_mask_of_another_size_is_resized(tmp_path):
    Image.fromarray(half_white()).save(tmp_path / "mask.png")
    smaller = read_mask_picture(str(tmp_path / "mask.png"), (30, 20))
    assert np.array_equal(smaller, half_white()[::2, ::2])
    larger = read_mask_picture(str(tmp_path / "mask.png"), (120, 80))
    assert larger.shape == (80, 120)
    assert (larger[:, :58].max(), larger[:, 62:].min()) == (0, 255)


def test_transparent_is_outside(tmp_path):
    rgba = np.full((40, 60, 4), 255, np.uint8)
    rgba[..., 3] = half_white()
    Image.fromarray(rgba).save(tmp_path / "mask.png")
    assert np.array_equal(read_mask_picture(str(tmp_path / "mask.png")), half_white())


def test_transparency_is_turned_with_the_picture(tmp_path):
    rgba = np.full((40, 60, 4), 255, np.uint8)
    rgba[..., 3] = half_white()
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    Image.fromarray(rgba).save(tmp_path / "mask.png", exif=exif)
    assert np.array_equal(read_mask_picture(str(tmp_path / "mask.png")), np.rot90(half_white(), -1))


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "there is no picture"), (b"", "is empty"), (b"hello", "is not a picture"), ("black", "is black all over")],
)
def test_a_mask_that_cannot_be_used_is_one_line(tmp_path, content, says):
    path = tmp_path / "mask.png"
    if content == "black":
        Image.fromarray(np.zeros((20, 20), np.uint8)).save(path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(PictureError, match=says) as caught:
        Inputs().masks(make_spec(regions=[f"{path}=none"]).regions)
    assert "\n" not in str(caught.value)


def test_a_frame_that_is_not_rendered(tmp_path):
    spec = make_spec(regions=["mask.png@3=none"], frames="10-19")
    plan = plan_render(spec, make_probe(50), ())
    with pytest.raises(UsageError, match=r"is for frame 3, and frames 10-19 are rendered; give a frame among them"):
        check_regions(spec.regions, plan, 50)


@pytest.mark.parametrize(("film", "frames", "fits"), [(12, None, True), (40, "5-16", True), (40, None, False)])
def test_a_mask_video_has_the_films_frames_or_those_rendered(tmp_path, film, frames, fits):
    mask = make_clip(tmp_path / "mask.mp4", frames=12, size="32x32", audio=False)
    spec = make_spec(regions=[f"{mask}=none"], frames=frames)
    plan = plan_render(spec, make_probe(film), ())
    if fits:
        check_regions(spec.regions, plan, film)
    else:
        with pytest.raises(VideoError, match=r"has 12 frames, the film 40; it needs as many as the film, or the 40"):
            check_regions(spec.regions, plan, film)
