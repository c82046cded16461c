"""Losses of a picture that does not fit into memory whole, computed tile by tile. They are exactly those of the whole.

    tiles = cut_tiles((2160, 3840), side=1024, reach=network_reach(features.layers, used_layers))
    tiled = tiled_losses(features, image, contents, styles, weights, tiles)
    tiled.content, tiled.style, tiled.gradient

A Gram matrix is a sum over positions, so it can be added up from tiles. Every position of every feature map belongs to
the core of one tile. Around the core a tile sees a halo as wide as the receptive field of the deepest layer. Where a
tile ends at the picture's border, the network pads it as it pads the whole. Tiles begin at multiples of the pooling
stride, so their pooled grids are those of the whole.

The gradient takes two passes, because each tile's gradient depends on the Gram matrices of the whole. The first pass
adds up Gram matrices and losses. The second carries `dL/dG` back through each tile from its core, and adds up the image
gradients, halos included. Nothing is approximated; only the order of the sums differs from that of the whole.

>>> tiles = cut_tiles((96, 200), side=112, reach=network_reach(("relu1_1", "relu1_2", "relu2_1"), ["relu2_1"]))
>>> [(tile.columns.start, tile.columns.stop) for tile in tiles]
[(0, 100), (100, 200)]
>>> [(tile.columns.seen_start, tile.columns.seen_stop) for tile in tiles]
[(0, 104), (96, 200)]
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from farm.paint.features.architectures import layer_stride
from farm.paint.features.vgg import LayerLoss, VGGFeatures
from farm.paint.losses.functional import flatten_positions, gram_sum

SMALLEST_TILE = 64
"""Smallest side of a tile's core, in pixels. With the halo of relu5_1, 80 pixels on each side, a tile of 64 sees 12
times its area.
"""


@dataclass(frozen=True)
class Reach:
    """How far the features of the deepest layer see."""

    halo: int
    """Pixels around a position that its deepest feature depends on, rounded up to a multiple of `stride`."""
    stride: int
    """Pixels from one position of the deepest layer to the next."""


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in pixels of the picture."""

    start: int
    """First pixel of the core."""
    stop: int
    """First pixel beyond the core."""
    seen_start: int
    """First pixel that the tile sees, its halo included."""
    seen_stop: int
    """First pixel that the tile does not see any more."""

    def whole(self, stride: int) -> slice:
        """The core in a feature map of the whole picture. Pooling drops pixels that do not fill a window."""
        return slice(self.start // stride, self.stop // stride)

    def within(self, stride: int) -> slice:
        """The core in the tile's own feature map."""
        origin = self.seen_start // stride
        return slice(self.start // stride - origin, self.stop // stride - origin)


@dataclass(frozen=True)
class Tile:
    """A rectangle of a picture: the core that counts, and the halo around it that the tile sees."""

    rows: Span
    columns: Span

    def seen(self, image: Tensor) -> Tensor:
        """What the tile sees of `image` (1, C, H, W): a view."""
        rows, columns = self.rows, self.columns
        return image[..., rows.seen_start : rows.seen_stop, columns.seen_start : columns.seen_stop]

    def core(self, feature_map: Tensor, stride: int) -> Tensor:
        """The core in the tile's own feature map (1, C, h, w), whose positions are `stride` pixels apart: a view."""
        return feature_map[..., self.rows.within(stride), self.columns.within(stride)]

    def of_whole(self, feature_map: Tensor, stride: int) -> Tensor:
        """The core in a feature map (1, C, H', W') or mask of the whole picture: a view."""
        return feature_map[..., self.rows.whole(stride), self.columns.whole(stride)]


@dataclass(frozen=True)
class PerceptualWeights:
    """Weight of every content and style layer. The overall content and style weights are multiplied in already."""

    content: Mapping[str, float]
    style: Mapping[str, float]


@dataclass(frozen=True)
class StyleParts:
    """What the style loss of a layer aims at, for R parts of the picture."""

    grams: Tensor
    """(R, C, C) float32: the target Gram matrix of each part."""
    masks: Tensor | None = None
    """(R, H', W') float32 in 0..1, on the layer's grid: how far each position belongs to each part (guided.py).

    None is one part that is the whole picture.
    """


@dataclass(frozen=True)
class TiledLosses:
    """The perceptual losses of a picture, weighted: float32 scalars."""

    content: Tensor
    style: Tensor
    gradient: Tensor | None
    """(1, 3, H, W) float32, of the sum of both; None if it was not asked for."""


def network_reach(architecture: Sequence[str], layers: Collection[str]) -> Reach:
    """How far the deepest of `layers` sees, in a VGG whose layers are `architecture`, in order.

    Such a network has 3x3 convolutions, and 2x2 poolings between blocks.

    >>> network_reach(("relu1_1", "relu1_2", "relu2_1"), ["relu2_1"])
    Reach(halo=4, stride=2)
    """
    if not layers:
        return Reach(halo=0, stride=1)
    depth = max(architecture.index(layer) for layer in layers)
    stride = layer_stride(architecture[depth])
    halo = sum(layer_stride(layer) for layer in architecture[: depth + 1])
    return Reach(-(-halo // stride) * stride, stride)


def cut_tiles(size: tuple[int, int], side: int, reach: Reach) -> list[Tile]:
    """Tiles that cover (height, width). Their cores are about equal; no side is over `side` pixels or, if more, a
    stride.
    """
    rows, columns = (_cut_axis(length, side, reach) for length in size)
    return [Tile(row, column) for row in rows for column in columns]


def _cut_axis(length: int, side: int, reach: Reach) -> list[Span]:
    count = -(-length // max(side, reach.stride))
    core = -(-length // (count * reach.stride)) * reach.stride
    return [
        Span(start, min(start + core, length), max(0, start - reach.halo), min(length, start + core + reach.halo))
        for start in range(0, length, core)
    ]


def tiled_features(
    features: VGGFeatures, image: Tensor, layers: Collection[str], tiles: Sequence[Tile]
) -> dict[str, Tensor]:
    """`features(image, layers)` of `image` (1, 3, H, W), in float32: (1, C, H', W') for each layer, without
    gradient.
    """
    height, width = image.shape[2:]
    whole_maps: dict[str, Tensor] = {}
    for tile in tiles:
        for name, feature_map in features(tile.seen(image), layers).items():
            stride = layer_stride(name)
            if name not in whole_maps:
                shape = (1, feature_map.shape[1], height // stride, width // stride)
                whole_maps[name] = torch.zeros(shape, device=image.device)
            tile.of_whole(whole_maps[name], stride).copy_(tile.core(feature_map, stride))
    return whole_maps


def tiled_grams(
    features: VGGFeatures, image: Tensor, layers: Collection[str], tiles: Sequence[Tile]
) -> dict[str, Tensor]:
    """`gram_matrix` of every layer of the whole `image` (1, 3, H, W): (C, C) float32 each, without gradient."""
    sums = _FeatureSums(features, image.shape[2:], dict.fromkeys(layers), {})
    sums.add_all(image, tiles)
    return {name: grams[0] for name, grams in sums.grams.items()}


def tiled_losses(
    features: VGGFeatures,
    image: Tensor,
    contents: Mapping[str, Tensor],
    styles: Mapping[str, StyleParts],
    weights: PerceptualWeights,
    tiles: Sequence[Tile],
    with_gradient: bool = True,
) -> TiledLosses:
    """Content and style loss of `image` (1, 3, H, W) float32, as functional.py defines them, and their gradient.

    `contents` has the target (1, C, H', W') float32 of every content layer, `styles` the parts of every style layer.
    Parts of a picture count by their area, as in `farm.paint.losses.guided`.
    """
    masks = {name: part.masks for name, part in styles.items()}
    sums = _FeatureSums(features, image.shape[2:], masks, contents)
    sums.add_all(image, tiles)
    differences = {name: sums.grams[name] - part.grams for name, part in styles.items()}
    zero = torch.zeros((), device=image.device)
    style = content = zero
    for name, difference in differences.items():
        parts = difference.square().mean((1, 2))
        mask = masks[name]
        style = style + weights.style[name] * (parts if mask is None else parts * mask.mean((1, 2))).sum()
    for name, loss in sums.contents.items():
        content = content + weights.content[name] * loss
    if not with_gradient:
        return TiledLosses(content, style, None)
    pulls = {
        name: difference * (4 * weights.style[name] / (difference[0].numel() * sums.count(name)))
        for name, difference in differences.items()
    }
    gradient = torch.zeros_like(image)
    for tile in tiles:
        losses: dict[str, list[LayerLoss]] = {}
        for name, target in contents.items():
            losses.setdefault(name, []).append(_ContentAtCore(tile, name, target, weights.content[name]))
        for name, pull in pulls.items():
            losses.setdefault(name, []).append(_StyleAtCore(tile, name, pull, masks[name]))
        _, part = features.evaluate(tile.seen(image), losses)
        assert part is not None
        tile.seen(gradient).add_(part)
    return TiledLosses(content, style, gradient)


class _FeatureSums:
    """First pass. It computes `grams[layer]` (R, C, C), and `contents[layer]`, the mean squared error to the target.

    `masks` has those of every style layer, as in StyleParts.
    """

    def __init__(
        self,
        features: VGGFeatures,
        size: Sequence[int],
        masks: Mapping[str, Tensor | None],
        contents: Mapping[str, Tensor],
    ) -> None:
        self._features = features
        self._height, self._width = size
        self._masks = masks
        self._targets = contents
        self._channels: dict[str, int] = {}
        self.grams: dict[str, Tensor] = {}
        self.contents: dict[str, Tensor] = {}

    def count(self, layer: str) -> int:
        """Number of features of a layer in the whole picture: C H' W'."""
        stride = layer_stride(layer)
        return self._channels[layer] * (self._height // stride) * (self._width // stride)

    def add_all(self, image: Tensor, tiles: Sequence[Tile]) -> None:
        layers = {*self._masks, *self._targets}
        for tile in tiles:
            self._tile = tile
            self._features(tile.seen(image), layers, self._add)

    def _add(self, name: str, feature_map: Tensor) -> None:
        self._channels[name] = feature_map.shape[1]
        stride = layer_stride(name)
        core = self._tile.core(feature_map, stride)
        if name in self._masks:
            mask = self._masks[name]
            if mask is None:
                gram = gram_sum(flatten_positions(core))[None] / self.count(name)
            else:
                flat = flatten_positions(core).float()
                shares = self._tile.of_whole(mask, stride).flatten(1) / mask.sum((1, 2), dtype=torch.float64)[:, None]
                gram = torch.stack([flat.t() @ (flat * share[:, None]) for share in shares.float()]) / flat.shape[1]
            self.grams[name] = self.grams[name] + gram if name in self.grams else gram
        if name in self._targets:
            difference = core.float() - self._tile.of_whole(self._targets[name], stride)
            loss = difference.square().sum() / self.count(name)
            self.contents[name] = self.contents[name] + loss if name in self.contents else loss


class _AtCore:
    """Second pass: adds the gradient of a loss at the core of a tile. The first pass has computed the loss."""

    def __init__(self, tile: Tile, layer: str) -> None:
        self._tile = tile
        self._stride = layer_stride(layer)

    def _core(self, feature_map: Tensor) -> Tensor:
        return self._tile.core(feature_map, self._stride)


class _ContentAtCore(_AtCore):
    """The content loss. `target` (1, C, H', W') float32 is that of the whole picture."""

    term = "content"

    def __init__(self, tile: Tile, layer: str, target: Tensor, weight: float) -> None:
        super().__init__(tile, layer)
        self._target = tile.of_whole(target, self._stride)
        self._factor = 2 * weight / target.numel()

    def measure(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return features.new_zeros(()), self._core(features).float() - self._target

    def add_gradient(self, features: Tensor, remembered: Tensor, gradient: Tensor) -> None:
        self._core(gradient).add_(remembered.to(gradient.dtype), alpha=self._factor)


class _StyleAtCore(_AtCore):
    """The style loss. `pulls` (R, C, C) has `dL/dG` of each part with all factors; `masks` as in StyleParts."""

    term = "style"

    def __init__(self, tile: Tile, layer: str, pulls: Tensor, masks: Tensor | None) -> None:
        super().__init__(tile, layer)
        self._pulls = pulls
        self._shares = None if masks is None else tile.of_whole(masks, self._stride).flatten(1)

    def measure(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return features.new_zeros(()), self._pulls

    def add_gradient(self, features: Tensor, remembered: Tensor, gradient: Tensor) -> None:
        positions, pulls = self._core(features), remembered.to(features.dtype)
        _, channels, height, width = positions.shape
        flat = flatten_positions(positions)
        if self._shares is None:
            gain = flat @ pulls[0]
        else:
            shares = self._shares.to(flat.dtype)
            gain = sum((flat * share[:, None]) @ pull for share, pull in zip(shares, pulls, strict=True))
        self._core(gradient).add_(gain.reshape(1, height, width, channels).permute(0, 3, 1, 2))
