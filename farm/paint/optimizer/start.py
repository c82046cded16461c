"""The starting picture of a frame without a painted predecessor.

Gatys et al. 2015 start from white noise, from the photograph or from the painting.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from farm.media.pictures import cover, read_picture
from farm.paint.losses.targets import Style

NOISE_DEVIATION = 32.0
"""Standard deviation of the noise around mid-grey, in grey levels. Noise of full range leaves speckles that a few
hundred steps do not remove.
"""


def start_picture(init: str, styles: Sequence[Style], size: tuple[int, int], seed: int) -> NDArray[np.uint8] | None:
    """The starting picture (H, W, 3) uint8 of `size` (height, width). None for `content`: the photograph itself.

    `init` is `content`, `noise`, `style` (the painting of most weight) or the path of a picture. Pictures of another
    aspect are cut to their middle. Noise depends on `seed` and `size` alone. Raises PictureError.
    """
    if init == "content":
        return None
    if init == "noise":
        noise = np.random.default_rng(seed).normal(127.5, NOISE_DEVIATION, (*size, 3))
        return noise.round().clip(0, 255).astype(np.uint8)
    picture = max(styles, key=lambda style: style.weight).image if init == "style" else read_picture(init)
    return cover(picture, size)
