"""How much memory a painting will take, estimated before it starts, and how it fits into what there is.

    plan = plan_memory((2160, 3840), MemoryModel.of(features, settings), budget=6 * 1024**3)
    plan.tile, plan.history, plan.bytes        # 768, 9, 5.5e9; a tile of None paints the picture whole

This is arithmetic: it allocates nothing, asks no device, and gives the same answer on every worker. The estimate adds
up the process itself; the vectors of the optimiser and the pairs of L-BFGS, each as large as the picture; the content's
features; and, for the picture or one tile of it, all feature maps that the backward pass needs. It was calibrated on
peak resident sizes of a CPU, from 256x384 to 1080x1920 pixels whole (within 10 %), and on 2160x3840 in tiles of 1024 in
bfloat16, with all pairs of L-BFGS filled (3 % under the peak).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farm.errors import OptimizationError
from farm.paint.features.architectures import layer_stride
from farm.paint.losses.tiles import SMALLEST_TILE, cut_tiles, network_reach
from farm.spec.units import format_bytes

if TYPE_CHECKING:
    from farm.paint.features.vgg import VGGFeatures
    from farm.paint.losses.objective import OptimizeSettings

PROCESS_BYTES = 830_000_000
"""Bytes of Python, PyTorch, OpenCV, two copies of VGG-19's convolutions and oneDNN's buffers."""
LASTING_VECTORS = 10
"""Float images (12 bytes a pixel) that are in memory while features are computed, without the pairs of L-BFGS: points,
gradients, directions, ties, the pictures themselves."""
STEP_VECTORS = 20
"""Float images in memory while L-BFGS makes a step: LASTING_VECTORS, and the spectra of the preconditioner."""
BACKWARD_MAPS = 1
"""Maps of the size of relu1_2 that are in memory beside the saved ones, at the end of the backward pass."""
CORE_MAPS = 3
"""Further maps of that size where there are tiles: the core of a tile is copied before it is multiplied, forward and
backward."""
HEADROOM = 0.9
"""Share of the budget that a plan may fill, because the estimate is within a tenth."""
PAIRS_SHARE = 1 / 2
"""Share of the memory for pairs of L-BFGS and tiles together that the pairs may take. The last few pairs carry most of
the curvature; what the others would take makes the tiles larger, which waste less on halos."""
TILE_SIDES = (2048, 1536, 1024, 768, 512, 384, 256, 128, SMALLEST_TILE)
"""Sides in pixels of the tiles that are tried, largest first."""
SHORTEST_HISTORY = 4
"""Least number of pairs that L-BFGS keeps, however little memory there is."""
_CHANNELS = (64, 128, 256, 512, 512)
_IMAGE_BYTES = 12


@dataclass(frozen=True)
class MemoryPlan:
    """How to paint one picture within memory."""

    tile: int | None
    """Side of a tile's core in pixels; None paints the picture whole."""
    history: int
    """Pairs that L-BFGS keeps."""
    bytes: int
    """Estimated peak, of the process (CPU) or of the device (CUDA)."""


@dataclass(frozen=True)
class MemoryModel:
    """What the estimate depends on besides sizes."""

    network: tuple[str, ...]
    """All layers of the network, in order."""
    used: tuple[str, ...]
    """The layers with a loss."""
    content_layers: tuple[str, ...]
    item_bytes: int
    """Bytes of one feature."""
    history: int
    """Pairs that L-BFGS would keep with enough memory."""
    max_pooling: bool = True

    @classmethod
    def of(cls, features: VGGFeatures, settings: OptimizeSettings) -> MemoryModel:
        """The model of an optimisation with these features and settings.

        Adam keeps two vectors, as much as one pair, so it counts as a history of 1.
        """
        return cls(
            network=features.layers,
            used=(*settings.content_layers, *settings.style_layers),
            content_layers=tuple(settings.content_layers),
            item_bytes=features.dtype.itemsize,
            history=settings.history if settings.optimizer == "lbfgs" else 1,
            max_pooling=features.pooling == "max",
        )

    def feature_bytes(self, pixels: int) -> int:
        """Peak bytes of one forward and backward pass over a picture of so many pixels."""
        deepest = max(self.network.index(layer) for layer in self.used)
        total = float(BACKWARD_MAPS * 64 * self.item_bytes)
        previous = self.network[0]
        for layer in self.network[: deepest + 1]:
            area = layer_stride(layer) ** 2
            if layer_stride(layer) != layer_stride(previous):
                # Max pooling keeps the position of each maximum, as int64.
                total += _channels(previous) / area * (self.item_bytes + 8 * self.max_pooling)
            total += _channels(layer) / area * self.item_bytes
            previous = layer
        return round(total * pixels)

    def estimate(self, size: tuple[int, int], tile: int | None = None, history: int | None = None) -> int:
        """Peak bytes while a picture of (height, width) is painted, in tiles of side `tile` or whole (None).

        `history` None is the model's.
        """
        image = _IMAGE_BYTES * size[0] * size[1]
        seen = self.seen_pixels(size, tile)
        evaluation = LASTING_VECTORS * image + self.feature_bytes(seen)
        if tile is not None:
            evaluation += CORE_MAPS * 64 * self.item_bytes * seen
        lasting = self.lasting_bytes(size, self.history if history is None else history)
        return lasting + max(evaluation, STEP_VECTORS * image)

    def lasting_bytes(self, size: tuple[int, int], history: int) -> int:
        """Bytes that are taken all the time: the process, the pairs of L-BFGS and the content's features."""
        contents = sum(4 * _channels(layer) / layer_stride(layer) ** 2 for layer in self.content_layers)
        return PROCESS_BYTES + round(size[0] * size[1] * (2 * history * _IMAGE_BYTES + contents))

    def seen_pixels(self, size: tuple[int, int], side: int | None) -> int:
        """Pixels of the largest tile, halo included, in a picture of (height, width) cut into tiles of `side` pixels.

        None is the whole picture.
        """
        if side is None:
            return size[0] * size[1]
        tiles = cut_tiles(size, side, network_reach(self.network, self.used))
        rows = max(tile.rows.seen_stop - tile.rows.seen_start for tile in tiles)
        return rows * max(tile.columns.seen_stop - tile.columns.seen_start for tile in tiles)


def plan_memory(size: tuple[int, int], model: MemoryModel, budget: int | None) -> MemoryPlan:
    """The plan for a picture of (height, width): whole if it fits into `budget` bytes, else in the largest tiles that
    do.

    A budget of None is no limit. L-BFGS keeps fewer pairs before the picture is cut small: see PAIRS_SHARE.
    Raises OptimizationError if not even the smallest tile fits.
    """
    room = math.inf if budget is None else HEADROOM * budget
    if budget is None or model.estimate(size) <= room:
        return MemoryPlan(None, model.history, model.estimate(size))
    pair = 2 * _IMAGE_BYTES * size[0] * size[1]
    shortest = min(SHORTEST_HISTORY, model.history)
    spare = room - model.lasting_bytes(size, 0) - LASTING_VECTORS * _IMAGE_BYTES * size[0] * size[1]
    pairs = max(shortest, min(model.history, int(PAIRS_SHARE * spare / pair)))
    for tile in (None, *usable_tiles(size)):
        needed = model.estimate(size, tile, pairs)
        if needed <= room:
            return MemoryPlan(tile, pairs, needed)
    least = min(model.estimate(size, tile, shortest) for tile in (None, *usable_tiles(size)))
    raise OptimizationError(
        f"a picture of {size[1]}x{size[0]} needs {format_bytes(round(least / HEADROOM) + 2**30 // 10)} of memory "
        f"and may take {format_bytes(budget)}",
        "give a smaller --size or a larger --max-memory",
    )


def usable_tiles(size: tuple[int, int], below: int | None = None) -> list[int]:
    """Sides in pixels that cut (height, width) into more than one tile, all less than `below`; largest first."""
    return [side for side in TILE_SIDES if side < max(size) and (below is None or side < below)]


def _channels(layer: str) -> int:
    return _CHANNELS[int(layer[4]) - 1]
