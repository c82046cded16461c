"""How much memory a repainting will take, before it starts, and the way that fits into what there is.

    plan = plan_memory((2160, 3840), MemoryModel.of(features, settings), budget=6 * 1024**3)
    plan.tile, plan.history, plan.bytes        # 768, 14, 6.2e9; a tile of None paints the picture whole

Pure arithmetic: it allocates nothing, asks no device, and answers the same on every worker. What is added up:
the process itself; the vectors of the optimiser and the pairs of L-BFGS, each as large as the picture;
the content's features; and, for the picture or one tile of it, all feature maps that the backward pass needs.
Calibrated on peak resident sizes on a CPU; see `tests/style/test_memory.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from farm.errors import OptimizationError
from farm.style.tiles import SMALLEST_TILE, cut_tiles, layer_stride, network_reach

if TYPE_CHECKING:
    from farm.style.optimize import OptimizeSettings
    from farm.style.vgg import VGGFeatures

PROCESS_BYTES = 650_000_000
"""Python, PyTorch, OpenCV and two copies of VGG-19's convolutions, before a picture is read."""
OPTIMIZER_VECTORS = 15
"""Float images (12 bytes a pixel) at once in a step of L-BFGS, apart from its pairs: points, gradients, directions,
the spectra of the preconditioner, ties, the pictures themselves."""
BACKWARD_MAPS = 4
"""Maps of the size of relu1_2 that live beside the saved ones at the end of the backward pass."""
TILE_SIDES = (2048, 1536, 1024, 768, 512, 384, 256, 128, SMALLEST_TILE)
"""Sides of tiles that are tried, in pixels, largest first."""
SHORTEST_HISTORY = 4
"""Pairs below which L-BFGS is not cut for the sake of memory."""
_CHANNELS = (64, 128, 256, 512, 512)
_IMAGE_BYTES = 12


@dataclass(frozen=True)
class MemoryPlan:
    """How to paint one picture. `tile`: side of a tile's core in pixels, None for the whole; `history`: pairs of
    L-BFGS; `bytes`: estimated peak of the process (CPU) or of the device (CUDA)."""

    tile: int | None
    history: int
    bytes: int


@dataclass(frozen=True)
class MemoryModel:
    """What the estimate depends on besides sizes. `network`: the layers in order; `used`: those with a loss."""

    network: tuple[str, ...]
    used: tuple[str, ...]
    content_layers: tuple[str, ...]
    item_bytes: int
    history: int
    max_pooling: bool = True

    @classmethod
    def of(cls, features: VGGFeatures, settings: OptimizeSettings) -> MemoryModel:
        """`history` is 0 for Adam, whose two vectors are among the optimiser's."""
        return cls(
            network=features.layers,
            used=(*settings.content_layers, *settings.style_layers),
            content_layers=settings.content_layers,
            item_bytes=features.dtype.itemsize,
            history=settings.history if settings.optimizer == "lbfgs" else 0,
            max_pooling=features.pooling == "max",
        )

    def feature_bytes(self, pixels: int) -> int:
        """Peak of one forward and backward pass over a picture of so many pixels."""
        deepest = max(self.network.index(layer) for layer in self.used)
        total = float(BACKWARD_MAPS * 64 * self.item_bytes)
        previous = self.network[0]
        for layer in self.network[: deepest + 1]:
            area = layer_stride(layer) ** 2
            if layer_stride(layer) != layer_stride(previous):
                # Max pooling keeps where it found each maximum, as int64.
                total += _channels(previous) / area * (self.item_bytes + 8 * self.max_pooling)
            total += _channels(layer) / area * self.item_bytes
            previous = layer
        return round(total * pixels)

    def estimate(self, size: tuple[int, int], tile: int | None = None, history: int | None = None) -> int:
        """Peak bytes while a picture of (height, width) is painted."""
        pixels = size[0] * size[1]
        pairs = 2 * (self.history if history is None else history)
        contents = sum(4 * _channels(layer) / layer_stride(layer) ** 2 for layer in self.content_layers)
        fixed = PROCESS_BYTES + round(pixels * (_IMAGE_BYTES * (pairs + OPTIMIZER_VECTORS) + contents))
        return fixed + self.feature_bytes(self.seen_pixels(size, tile))

    def seen_pixels(self, size: tuple[int, int], tile: int | None) -> int:
        """Pixels of the largest tile, halo included."""
        if tile is None:
            return size[0] * size[1]
        tiles = cut_tiles(size, tile, network_reach(self.network, self.used))
        rows = max(found.rows.seen_stop - found.rows.seen_start for found in tiles)
        return rows * max(found.columns.seen_stop - found.columns.seen_start for found in tiles)


def plan_memory(size: tuple[int, int], model: MemoryModel, budget: int | None) -> MemoryPlan:
    """Whole if (height, width) fits into `budget` bytes, else in the largest tiles that do; None: no limit.

    Where the pairs of L-BFGS would take more than half of the budget there are fewer: the last few carry most of the
    curvature, while small tiles cost time at every step. Raises OptimizationError if not even the smallest tile fits.
    """
    if budget is None or model.estimate(size) <= budget:
        return MemoryPlan(None, model.history, model.estimate(size))
    pair = 2 * _IMAGE_BYTES * size[0] * size[1]
    shortest = min(SHORTEST_HISTORY, model.history)
    history = max(shortest, min(model.history, budget // 2 // pair))
    for pairs in dict.fromkeys((history, shortest)):
        for tile in (None, *usable_tiles(size)):
            needed = model.estimate(size, tile, pairs)
            if needed <= budget:
                return MemoryPlan(tile, pairs, needed)
    least = min(model.estimate(size, tile, shortest) for tile in (None, *usable_tiles(size)))
    raise OptimizationError(
        f"a picture of {size[1]}x{size[0]} needs {format_bytes(least)} of memory, and may take {format_bytes(budget)}",
        "give a smaller --size or a larger --max-memory",
    )


def usable_tiles(size: tuple[int, int], below: int | None = None) -> list[int]:
    """Sides of tiles that cut (height, width) into more than one, smaller than `below`; largest first."""
    return [side for side in TILE_SIDES if side < max(size) and (below is None or side < below)]


def format_bytes(count: int) -> str:
    """
    >>> format_bytes(6_442_450_944)
    '6.0 GiB'
    """
    return f"{count / 2**30:.1f} GiB"


def _channels(layer: str) -> int:
    return _CHANNELS[int(layer[4]) - 1]
