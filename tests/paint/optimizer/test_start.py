"""What a picture with nothing to go by is started from."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from farm.errors import PictureError
from farm.media.pictures import cover
from farm.paint.losses.targets import Style
from farm.paint.optimizer.start import NOISE_DEVIATION, start_picture

DARK, LIGHT = np.full((20, 20, 3), 30, np.uint8), np.full((30, 60, 3), 220, np.uint8)
STYLES = [Style(DARK, 1.0), Style(LIGHT, 2.0)]


def test_content_needs_no_picture_of_its_own():
    assert start_picture("content", STYLES, (16, 24), 0) is None


def test_noise_is_the_seeds():
    one, again, other = (start_picture("noise", STYLES, (48, 64), seed) for seed in (1, 1, 2))
    assert one.shape == (48, 64, 3)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert one.mean() == pytest.approx(127.5, abs=2)
    assert one.std() == pytest.approx(NOISE_DEVIATION, abs=2)


def test_style_is_the_heaviest():
    assert np.array_equal(start_picture("style", STYLES, (16, 24), 0), np.full((16, 24, 3), 220))


def test_a_picture_from_a_file(tmp_path):
    Image.fromarray(LIGHT).save(tmp_path / "start.png")
    assert start_picture(str(tmp_path / "start.png"), STYLES, (16, 16), 0).shape == (16, 16, 3)
    with pytest.raises(PictureError, match=r"no picture .*none\.png"):
        start_picture(str(tmp_path / "none.png"), STYLES, (16, 16), 0)


@pytest.mark.parametrize("size", [(8, 8), (16, 8), (8, 32), (50, 40), (7, 5)])
def test_cover_keeps_the_aspect_and_the_middle(size):
    ramp = np.broadcast_to(np.arange(32, dtype=np.float32)[None, :, None], (16, 32, 3))
    found = cover(np.ascontiguousarray(ramp), size)
    assert found.shape == (*size, 3)
    slope = float(found[0, -1, 0] - found[0, 0, 0]) / (size[1] - 1)
    assert slope == pytest.approx(min(16 / size[0], 32 / size[1]), rel=0.15)
    assert found.mean() == pytest.approx(15.5, abs=0.5 * slope + 0.1), "half a pixel off the middle at the most"
