"""What the style losses aim at: the Gram matrices of one painting, or the weighted mean of several.

    styles = [Style(read_picture("starry_night.jpg"), 2), Style(read_picture("great_wave.jpg"))]
    targets = StyleTargets.of(features, styles, content_size=(288, 512))

Targets depend on the size of the content, because a painting seen at the size of the frame gives strokes in proportion.
Every frame of a shot uses the same targets, so `SizedTargets` computes them once for each size and keeps them.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

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
TARGET_BYTES = 1 << 26
"""Bytes of the targets that a TargetStore keeps: 28 of the usual layers."""


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
        self.styles = styles
        self._style_scale = style_scale
        self._layers = layers
        self._by_size: dict[tuple[int, int], StyleTargets] = {}

    def at(self, size: tuple[int, int]) -> StyleTargets:
        """The targets for a content of (height, width). Raises UsageError as `StyleTargets.of` does."""
        if size not in self._by_size:
            self._by_size[size] = StyleTargets.of(self._features, self.styles, size, self._style_scale, self._layers)
        return self._by_size[size]


class Targets(Protocol):
    """The style targets for contents of any size, and the paintings that they come from."""

    @property
    def styles(self) -> Sequence[Style]:
        """The paintings with their weights."""
        ...

    def at(self, size: tuple[int, int]) -> StyleTargets:
        """The targets for a content of (height, width)."""
        ...


class TargetStore:
    """The targets of single paintings, for what blends them otherwise in every frame.

    A painting is looked at once for each stroke scale and size of the content, as long as its targets stay among the
    last TARGET_BYTES. So a film in which styles go over from one to the next takes no more memory than this.
    """

    def __init__(self, features: VGGFeatures, layers: Collection[str], most_bytes: int = TARGET_BYTES) -> None:
        """The arguments are those of `StyleTargets.of`. Nothing is computed yet."""
        self._features = features
        self._layers = layers
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Hashable, StyleTargets] = OrderedDict()

    def at(self, part: TargetPart, size: tuple[int, int]) -> StyleTargets:
        """The targets of a painting for a content of (height, width). Raises as `StyleTargets.of` and `read` do."""
        key = (part.painting, part.scale, size)
        if key not in self._kept:
            style = Style(part.read())
            self._kept[key] = StyleTargets.of(self._features, [style], size, part.scale, self._layers)
            while len(self._kept) > 1 and self.kept_bytes > self._most_bytes:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    @property
    def kept_bytes(self) -> int:
        """Bytes of the targets that are kept."""
        return sum(gram.nbytes for targets in self._kept.values() for gram in targets.grams.values())


@dataclass(frozen=True)
class TargetPart:
    """A painting's part in a blend. `painting` is its name in a TargetStore; the shares of a blend sum to 1."""

    painting: Hashable
    read: Callable[[], NDArray[np.uint8]]
    scale: float
    share: float


class BlendedTargets:
    """The weighted mean of the targets of several paintings, each at its own stroke scale: Targets.

    With one stroke scale it is `StyleTargets.of` of the same paintings, bit for bit.
    """

    def __init__(self, store: TargetStore, parts: Sequence[TargetPart]) -> None:
        """Nothing is computed yet."""
        self._store = store
        self._parts = parts
        self._by_size: dict[tuple[int, int], StyleTargets] = {}

    @property
    def styles(self) -> Sequence[Style]:
        """The paintings with their shares, read anew."""
        return [Style(part.read(), part.share) for part in self._parts]

    def at(self, size: tuple[int, int]) -> StyleTargets:
        """The targets for a content of (height, width). Raises as TargetStore does."""
        if size not in self._by_size:
            grams: dict[str, Tensor] = {}
            for part in self._parts:
                for name, gram in self._store.at(part, size).grams.items():
                    share = gram * part.share
                    grams[name] = grams[name] + share if name in grams else share
            self._by_size[size] = StyleTargets(grams)
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
