"""Losses of a picture that changes within windows only: a step costs as much as the windows' share of the picture.

    windows = cover(change)                       # change (H, W) in 0..1: where the picture may change
    losses = WindowedLosses(features, start, contents, styles, weights, windows)
    values, gradient = losses.evaluate(image)

A content loss is a sum over positions, and what lies outside the windows changes nothing. A Gram matrix is a sum too,
but it has one target for the whole picture. If the rest of the picture lacks strokes, windows that have to make up for
that are painted too strongly. So windows change as they would if the rest changed as they do: with the share `s` of the
picture (of each region, where there are some) that lies in them, and their own sum `W`, the loss is `s mean((G_start +
(W - W_start) / s - target)^2)`. Its gradient at the start is that of the whole picture's loss, and with `s = 1` it is
that loss.

`farm.paint.features.windowed` says what is neglected: how changes inside a window change the features outside of it.

>>> change = np.zeros((96, 160), np.float32)
>>> change[36:60, 70:90] = 1
>>> cover(change)
[Window(top=32, bottom=64, left=64, right=96)]
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from farm.paint.features.architectures import layer_stride
from farm.paint.features.bands import lent_cores
from farm.paint.features.vgg import VGGFeatures
from farm.paint.features.windowed import WINDOW_GRID, Window, WindowedFeatures, WindowStep
from farm.paint.losses.functional import flatten_positions, gram_sum
from farm.paint.losses.layer_losses import positions_of
from farm.paint.losses.tiles import (
    PerceptualWeights,
    Reach,
    Span,
    StyleParts,
    Tile,
    network_reach,
    tiled_features,
)
from farm.paint.stopwatch import timed

LEAST_CHANGE = 0.15
"""Mean of the change in a cell of the grid from which on the cell lies in a window."""
EDGE = 32
"""Pixels that a window counts as larger by, on each axis, when it is decided whether two are better painted as one."""
MOST_CELLS = 256
"""Cells that a picture is cut into at most, to find the windows."""
MOST_SHARE = 0.75
"""Share of a picture from which on windows are not worth it: their convolutions take longer for each pixel."""
WHOLE_STYLE = "style of the whole"
"""Key of a value of `WindowedLosses.evaluate`."""
SURROUNDINGS = 1 / 2
"""Steps over the whole picture that looking once at the surroundings takes as long as: the network forward, and Gram
matrices of the whole picture and of the windows. Measured at 256x144 in bfloat16: .135 s, where a step takes .26 s.
"""


@dataclass(frozen=True)
class Steps:
    """`count` steps of the optimiser, and where they are taken."""

    count: int
    change: np.ndarray | None = None
    """(H, W) float32 in 0..1: how far each pixel may change; for Adam, whether it may. None is everywhere."""
    everywhere: int = 0
    """The first steps, which are taken over the whole picture whatever `change` says."""

    @cached_property
    def windows(self) -> list[Window] | None:
        """What the steps after those `everywhere` are taken in. None is the whole picture."""
        if self.change is None or self.everywhere >= self.count:
            return None
        windows = cover(self.change)
        return None if share_of(windows, self.change.shape) > MOST_SHARE else windows

    @property
    def work(self) -> float:
        """Steps times the share of the picture that they are taken over, with the look at the surroundings."""
        if self.change is None or self.windows is None:
            return float(self.count)
        if not self.windows:
            return float(self.everywhere)
        in_windows = (self.count - self.everywhere) * share_of(self.windows, self.change.shape)
        return self.everywhere + SURROUNDINGS + in_windows


def cover(change: np.ndarray) -> list[Window]:
    """Disjoint windows that cover where `change` (H, W) is, in 0..1. None where it is nowhere.

    Cells of a grid count where the mean of their change is LEAST_CHANGE or more. Beginning with single cells, two
    windows are joined as long as that makes their cost less: the area, with EDGE on each axis. The pair that gains most
    is joined first. Windows that lie on one another are always joined.
    """
    height, width = change.shape
    rows, columns = (_edges(length, _cell(height, width)) for length in (height, width))
    sums = np.add.reduceat(np.add.reduceat(change.astype(np.float64), rows[:-1], axis=0), columns[:-1], axis=1)
    active = sums >= LEAST_CHANGE * np.diff(rows)[:, None] * np.diff(columns)[None, :]
    at = np.argwhere(active)
    boxes = np.stack([rows[at[:, 0]], rows[at[:, 0] + 1], columns[at[:, 1]], columns[at[:, 1] + 1]], axis=1)
    return sorted((Window(*box) for box in _joined(boxes).tolist()), key=lambda window: (window.top, window.left))


def share_of(windows: Sequence[Window], size: Sequence[int]) -> float:
    """Share of a picture of (height, width) that the windows cover."""
    return sum(window.area for window in windows) / (size[0] * size[1])


def _cell(height: int, width: int) -> int:
    """Side of the cells in pixels: a multiple of the grid of windows, such that there are MOST_CELLS or fewer."""
    return WINDOW_GRID * max(math.ceil(math.sqrt(height * width / (WINDOW_GRID**2 * MOST_CELLS))), 1)


def _edges(length: int, cell: int) -> np.ndarray:
    """Edges of the cells along a side. What does not fill a cell at the end belongs to the last one."""
    return np.array([*range(0, max(length // cell, 1) * cell, cell), length])


def _joined(boxes: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) of integers, joined as `cover` says. Each is top, bottom, left and right."""
    boxes = boxes.astype(np.int64)
    while len(boxes) > 1:
        one, other = boxes[:, None], boxes[None]
        first, last = np.minimum(one, other), np.maximum(one, other)
        both = np.stack([first[..., 0], last[..., 1], first[..., 2], last[..., 3]], axis=-1)
        gain = _cost(one) + _cost(other) - _cost(both)
        overlap = (first[..., 1] > last[..., 0]) & (first[..., 3] > last[..., 2])
        gain[overlap] = np.iinfo(np.int64).max
        np.fill_diagonal(gain, 0)
        i, j = np.unravel_index(gain.argmax(), gain.shape)
        if gain[i, j] <= 0:
            break
        boxes = np.concatenate([np.delete(boxes, (i, j), axis=0), both[i, j][None]])
    return boxes


def _cost(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 1] - boxes[..., 0] + EDGE) * (boxes[..., 3] - boxes[..., 2] + EDGE)


def content_in_windows(
    features: VGGFeatures, picture: Tensor, layers: Collection[str], windows: Sequence[Window]
) -> dict[str, Tensor]:
    """`features(picture, layers)` of `picture` (1, 3, H, W), in float32, right within the windows and 0 elsewhere.

    Each window is looked at with a halo as wide as the deepest layer sees. Where that would be most of the picture, all
    of it is right.
    """
    height, width = picture.shape[2:]
    reach = network_reach(features.layers, layers)
    tiles = [
        Tile(_with_halo(window.top, window.bottom, height, reach), _with_halo(window.left, window.right, width, reach))
        for window in windows
    ]
    if sum(tile.seen(picture).numel() for tile in tiles) < MOST_SHARE * picture.numel():
        with lent_cores(1):
            return tiled_features(features, picture, layers, tiles)
    maps = features(picture, layers)
    return {name: maps[name].float() for name in maps}


def _with_halo(start: int, stop: int, length: int, reach: Reach) -> Span:
    return Span(start, stop, max(0, start - reach.halo), min(length, stop + reach.halo))


def _of_parts(difference: Tensor, part: StyleParts, share: Tensor | float = 1.0) -> Tensor:
    """The style loss of a layer, from the differences (R, C, C) of its parts' Gram matrices to their targets."""
    losses = share * difference.square().mean((1, 2))
    return (losses if part.masks is None else losses * part.masks.mean((1, 2))).sum()


class WindowedLosses:
    """Content and style loss of a picture that is `picture` outside `windows`."""

    def __init__(
        self,
        features: VGGFeatures,
        picture: Tensor,
        contents: Mapping[str, Tensor],
        styles: Mapping[str, StyleParts],
        weights: PerceptualWeights,
        windows: Sequence[Window],
    ) -> None:
        """Look at `picture` (1, 3, H, W) float32 once. The other arguments are those of `tiles.tiled_losses`."""
        self._contents, self._styles, self._weights = contents, styles, weights
        self._counts: dict[str, int] = {}
        self._whole_grams: dict[str, Tensor] = {}  # of the start
        self._first_grams: dict[str, Tensor] = {}  # what the windows of the start add to them
        self._outside_content: dict[str, Tensor] = {}
        self.windows = list(windows)
        size = (picture.shape[2], picture.shape[3])
        self._shares = {name: self._shares_of_parts(name, size) for name in styles}

        def look(name: str, whole: Tensor) -> None:
            self._counts[name] = whole.numel()
            if name in styles:
                inside = [self._gram(name, window, window.of(whole, layer_stride(name))) for window in windows]
                within = torch.stack(inside).sum(0)
                self._whole_grams[name] = self._gram(name, None, whole)
                self._first_grams[name] = within
            if name in contents:
                squares = (whole.float() - contents[name]).square()
                inside = [window.of(squares, layer_stride(name)).sum() for window in windows]
                self._outside_content[name] = squares.sum() - torch.stack(inside).sum()

        self._features = WindowedFeatures(features, picture, windows, {*contents, *styles}, look)

    @torch.no_grad()
    def evaluate(self, image: Tensor, with_gradient: bool = True) -> tuple[dict[str, Tensor], Tensor | None]:
        """The weighted content and style loss of `image` (1, 3, H, W), and their gradient, 0 outside the windows.

        WHOLE_STYLE is the style loss of the whole picture, which is for reading: "style" is what is minimised.
        """
        grams: dict[str, Tensor] = {}
        contents = dict(self._outside_content)

        def visit(index: int, step: WindowStep) -> None:
            name, window = step.layer, self.windows[index]
            with timed("losses"):
                if name in self._styles:
                    gram = self._gram(name, window, step.output)
                    grams[name] = grams[name] + gram if name in grams else gram
                if name in self._contents:
                    difference = step.output.float() - window.of(self._contents[name], layer_stride(name))
                    contents[name] = contents[name] + difference.square().sum()
                    step.remembered.append(difference)

        # No lent cores: windows differ from frame to frame, and each new shape would first be tried in bands.
        with lent_cores(1), timed("forward"):
            steps = self._features.forward(image, visit)
        values = {
            "content": sum(
                (self._weights.content[name] / self._counts[name] * total for name, total in contents.items()),
                torch.zeros((), device=image.device),
            )
        }
        pulls = {}
        values["style"] = values[WHOLE_STYLE] = torch.zeros((), device=image.device)
        for name, part in self._styles.items():
            weight, change = self._weights.style[name], grams[name] - self._first_grams[name]
            share = self._shares[name]
            difference = self._whole_grams[name] + change / share.clamp(min=1e-6)[:, None, None] - part.grams
            values["style"] = values["style"] + weight * _of_parts(difference, part, share)
            whole = self._whole_grams[name] + change - part.grams
            values[WHOLE_STYLE] = values[WHOLE_STYLE] + weight * _of_parts(whole, part)
            pulls[name] = difference * (4 * weight / (difference[0].numel() * self._counts[name]))
        if not with_gradient:
            return values, None

        def add(index: int, step: WindowStep, gradient: Tensor) -> bool:
            name = step.layer
            with timed("losses"):
                if name in pulls:
                    self._add_style(name, self.windows[index], step.output, pulls[name], gradient)
                for difference in step.remembered:
                    factor = 2 * self._weights.content[name] / self._counts[name]
                    gradient.add_(difference.to(gradient.dtype), alpha=factor)
            return name in pulls or bool(step.remembered)

        with lent_cores(1), timed("backward"):
            return values, self._features.backward(image, steps, add)

    def _shares_of_parts(self, name: str, size: tuple[int, int]) -> Tensor:
        """Share of each part of a layer that lies in the windows: (R,) float32."""
        part = self._styles[name]
        if part.masks is None:
            return part.grams.new_full((1,), share_of(self.windows, size))
        stride = layer_stride(name)
        inside = torch.stack([window.of(part.masks, stride).sum((1, 2)) for window in self.windows]).sum(0)
        return inside / part.masks.sum((1, 2))

    def _gram(self, name: str, window: Window | None, positions: Tensor) -> Tensor:
        """What a window, or the whole, adds to the Gram matrix of each part: (R, C, C) float32."""
        flat = flatten_positions(positions)
        masks = self._styles[name].masks
        if masks is None:
            return gram_sum(flat)[None] / self._counts[name]
        shares = (masks if window is None else window.of(masks, layer_stride(name))).flatten(1)
        shares = shares / masks.sum((1, 2), dtype=torch.float64)[:, None].float()
        flat = flat.float()
        return torch.stack([flat.t() @ (flat * share[:, None]) for share in shares]) / flat.shape[1]

    def _add_style(self, name: str, window: Window, features: Tensor, pulls: Tensor, gradient: Tensor) -> None:
        flat, sums, pulls = flatten_positions(features), positions_of(gradient), pulls.to(features.dtype)
        masks = self._styles[name].masks
        if masks is None:
            sums.addmm_(flat, pulls[0])
            return
        for share, pull in zip(window.of(masks, layer_stride(name)).flatten(1).to(flat.dtype), pulls, strict=True):
            sums.addmm_(flat * share[:, None], pull)
