"""What the style losses aim at: the Gram matrices of one painting, or the weighted mean of several.

    styles = [Style(read_picture("starry_night.jpg"), 2), Style(read_picture("great_wave.jpg"))]
    targets = StyleTargets.of(features, styles, content_size=(288, 512))

Targets depend on the size of the content, because a painting seen at the size of the frame gives strokes in proportion.
Every frame of a shot uses the same targets, so `SizedTargets` computes them once for each size and keeps them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from farm.errors import UsageError
from farm.media.pictures import resize
from farm.paint.features.vgg import MINIMUM_SIDE, VGGFeatures
from farm.paint.losses.functional import STYLE_LAYERS
from farm.paint.losses.tiles import cut_tiles, network_reach, tiled_grams
from farm.paint.tensors import image_to_tensor

PAINTING_TILE = 768
"""Side in pixels of the tiles that a larger painting is seen in, which takes at most 0.7 GB. The Gram matrices are
those of the whole.
"""


@dataclass(frozen=True)
class Style:
    """A painting, and its weight among the styles of a render."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    weight: float = 1.0
    """Its share is this weight over the sum of all."""


@dataclass(frozen=True)
class StyleTargets:
    """What the style loss of every layer aims at."""

    grams: Mapping[str, Tensor]
    """The Gram matrix (C, C) float32 of each layer, on the device of the features."""

    @classmethod
    def of(
        cls,
        features: VGGFeatures,
        styles: Sequence[Style],
        content_size: tuple[int, int],
        style_scale: float = 1.0,
        layers: Collection[str] = STYLE_LAYERS,
    ) -> StyleTargets:
        """The weighted mean of the styles' Gram matrices.

        `content_size` is (height, width). Each painting is resized, aspect kept, until its area is that of the
        content times `style_scale` squared. Raises UsageError for no style or weights that do not add up.
        """
        total = sum(style.weight for style in styles)
        if not styles or not total > 0 or any(not style.weight >= 0 for style in styles):
            raise UsageError("styles need weights of 0 or more, and one above 0")
        if not (style_scale > 0 and math.isfinite(style_scale)):
            raise UsageError(f"a style scale of {style_scale} is not possible", "give a number above 0, such as 1")
        grams: dict[str, Tensor] = {}
        # Gradients are never needed, and the targets are used once per evaluation: float32 features throughout.
        with torch.inference_mode(False), torch.no_grad():
            for style in styles:
                if style.weight == 0:
                    continue
                size = matching_size(style.image.shape[:2], content_size, style_scale)
                image = image_to_tensor(resize(style.image, size), features.device)
                tiles = cut_tiles(size, PAINTING_TILE, network_reach(features.layers, layers))
                for name, gram in tiled_grams(features, image, layers, tiles).items():
                    share = gram * (style.weight / total)
                    grams[name] = grams[name] + share if name in grams else share
        return cls(grams)


class SizedTargets:
    """The style targets of one set of paintings, remembered by the size of the content.

    Coarse to fine asks for each level of a first frame, and the frames that follow ask for the full size: one
    computation serves both. All sizes that are asked for are kept. These are the levels of one frame size, of 2.4 MB
    each with the usual layers.
    """

    def __init__(
        self, features: VGGFeatures, styles: Sequence[Style], style_scale: float, layers: Collection[str]
    ) -> None:
        """The arguments are those of `StyleTargets.of`. Nothing is computed yet."""
        self._features = features
        self._styles = styles
        self._style_scale = style_scale
        self._layers = layers
        self._by_size: dict[tuple[int, int], StyleTargets] = {}

    def at(self, size: tuple[int, int]) -> StyleTargets:
        """The targets for a content of (height, width). Raises UsageError as `StyleTargets.of` does."""
        if size not in self._by_size:
            self._by_size[size] = StyleTargets.of(self._features, self._styles, size, self._style_scale, self._layers)
        return self._by_size[size]


def matching_size(style_size: tuple[int, ...], content_size: tuple[int, int], style_scale: float) -> tuple[int, int]:
    """(height, width) of the style's aspect, with the content's area times `style_scale` squared; no side below 16
    pixels.

    >>> matching_size((100, 400), (50, 50), 1.0)
    (25, 100)
    """
    factor = style_scale * math.sqrt(math.prod(content_size) / math.prod(style_size))
    height, width = (max(MINIMUM_SIDE, round(side * factor)) for side in style_size)
    return height, width
