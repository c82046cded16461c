"""One step of training: the network paints crops, the optimiser's own losses judge them, and the weights follow.

    trainer = Trainer(spec, pictures, runtime)
    losses = trainer.step(0, progress=0.0)

`farm.paint.losses.objective` has the loss of a painted crop, with value and gradient in closed form. Only the network
is differentiated by autograd. Every crop of a batch has a thread and a core of its own; the gradients are added up in
order. Of a pair of frames (Ruder et al. 2018, section 4) both are painted, and each is tied to the other, which is
warped to it. This gives the gradient of the two-frame loss by both pictures, without differentiating the warp.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from farm.errors import UsageError
from farm.flow import Match, create_matcher, warp
from farm.media.pictures import read_picture
from farm.paint.device import choose_device, configure_threads
from farm.paint.features.vgg import VGGFeatures
from farm.paint.losses.functional import CONTENT_WEIGHT, STYLE_WEIGHT
from farm.paint.losses.objective import Anchor, Objective, OptimizeSettings
from farm.paint.losses.targets import Style, StyleTargets
from farm.paint.losses.ties import TemporalTie
from farm.paint.network.network import ARCHITECTURES, StyleNetwork
from farm.paint.network.network_file import load_network_file
from farm.paint.styler import load_network, objective_settings
from farm.paint.tensors import image_to_tensor, tensor_to_exact
from farm.paint.training.descent import Descent
from farm.paint.training.pictures import Picture, Pictures, crop_shape, painted_shape
from farm.paint.training.team import ALONE, Team
from farm.plan import Runtime
from farm.spec import TrainSpec
from farm.spec.named_files import with_small_files_here

WARM_UP = 0.02
"""Share of the training over which the learning rate rises, because Adam's first steps know no variances yet."""
LAST_RATE = 0.02
"""Final learning rate, as a share of the highest."""
KEPT_PIXELS = 32_000_000
"""Pixels of training crops that are kept in memory: 385 crops of 288 x 288.

Why: crops are used again (data echoing, Choi et al. 2019), so that the photograph's features, a quarter of a step's
work, are computed once. A crop and its features take 44 bytes a pixel with the usual layers.
"""
ECHOES = 4
"""Number of times that a crop is used before another takes its place.

Measured: with 200 crops that were used to the end, the style loss of held-out pictures stayed twice that of the crops.
"""
NEAR = 0.6
"""Style gets its full weight once its loss has fallen to NEAR times the content loss that the network begins with.

Both losses are compared with the optimiser's weights. Until then style is weighed down in proportion, so that its
weighted loss stays at NEAR times that content loss. Why: style begins a hundred times larger, and with its full weight
from the start the network forgot the photograph before there was paint. A weight above the optimiser's is applied only
from GROWN on: four times the weight then gave a quarter less style loss for an eighth more content loss.

The weight of the temporal loss is reduced to the square root of the style's share. With its full weight a film stayed
unpainted, which is steadiest; with the style's share it was hardly steadier than without.
"""
GROWN = 0.6
"""Share of a training after which crops are as large as the pictures that will be painted (up to LARGEST_SIDE).

Until then, more and smaller crops teach more in the same time. But each crop must hold the statistics of the whole
painting, which levels what is dark and bright in a photograph. Measured: after 3,100 steps with crops of 288 pixels,
200 steps with whole pictures lowered the style loss of photographs of 512 pixels by 47 %, further small crops by 29 %.
"""
LARGEST_SIDE = 512
"""Largest side of a crop, in pixels. Such a crop takes 3 times the work and memory of one of 288."""
FINE_TUNING_RATE = 0.3
"""Highest learning rate where a trained network is trained further, as a share of the spec's learning rate."""
TINY = 1e-12
"""Least sum of losses that is divided by, so that a perfect crop gives no NaN."""
LEAST_ENERGY = 2e-4
"""Share of the style's energy below which a style layer is left out, because it hardly changes a sum of squares.

The energy of a layer is the mean square of its Gram matrix times its weight. Of the usual layers this leaves out
relu5_1, whose share is 1e-4 and which takes a quarter of the operations.
"""

Losses = dict[str, float]
"""Weighted losses by term, and their "total"."""


class Trainer:
    """A network with its losses and its descent. `step(n)` depends on the state and `n` alone.

    Each process of a team takes its share of the batch's crops, and all of them make the step of the whole batch.
    """

    network: StyleNetwork
    painted_shape: tuple[int, int]
    """(height, width) of the pictures that will be painted."""
    first_side: int
    """Side in pixels of the crops that the training begins with."""

    def __init__(self, spec: TrainSpec, pictures: Pictures, runtime: Runtime, team: Team = ALONE) -> None:
        """Load paintings and networks, and give the whole team the leader's weights.

        Raises PictureError, WeightsError, UsageError; TeamEnded where another of the team is not ready.
        """
        self.spec, self.pictures, self.team = spec, pictures, team
        self._device = choose_device(runtime.device)
        at_once = min(runtime.threads, -(-spec.batch // team.size)) if self._device.type == "cpu" else 1
        configure_threads(runtime.threads // at_once)
        self._crops_at_once = ThreadPoolExecutor(at_once, "crop")
        dtype = torch.bfloat16 if runtime.precision == "bf16" else torch.float32
        local = with_small_files_here(spec)
        self._features = VGGFeatures(load_network(local), spec.pooling, self._device, dtype, winograd=True)
        settings = objective_settings(spec)
        self.styles = [Style(read_picture(style.path), style.weight) for style in local.styles]
        self.painted_shape = typical_shape(pictures, spec)
        self._targets = StyleTargets.of(
            self._features, self.styles, self.painted_shape, spec.style_scale, settings.style_layers
        )
        self._settings = replace(settings, style_layers=contributing_layers(settings.style_layers, self._targets))
        self._matcher = create_matcher("dis")
        torch.manual_seed(spec.seed)
        self.network = first_network(local).to(self._device)
        self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        team.begin(self.network)
        self._descent = Descent(self.network, spec.learning_rate)
        self._parameters = list(self.network.parameters())
        self._distance = _Distance()
        self.first_side = crop_side(1.0 if spec.network else 0.0, spec.crop, self.painted_shape)
        self._side = self.first_side
        self._kept: dict[int, tuple[int, _CropObjective]] = {}
        self._held_out: list[_CropObjective] = []

    def step(self, number: int, progress: float) -> Losses:
        """Train on batch `number`, at `progress` 0..1 of the training, and return the mean losses of its crops."""
        side = crop_side(progress, self.first_side, self.painted_shape)
        if side != self._side:
            self._side = side
            self._kept.clear()
        learn = partial(self._learn, self._style_share(progress))
        own_crops = range(self.team.rank, self.spec.batch, self.team.size)
        learnt = list(self._crops_at_once.map(learn, [number * self.spec.batch + crop for crop in own_crops]))
        # Summed before anything changes: if one of the team is lost, the others are left at the end of a whole step.
        means = mean_losses([losses for crop_losses, _ in learnt for losses in crop_losses], self.team.total)
        gradients = zip(*(parts for _, parts in learnt), strict=True)
        for parameter, parts in zip(self._parameters, gradients, strict=True):
            # Divided so that the mean over the team is that of the batch, also where shares are not equal.
            parameter.grad = torch.stack(parts).sum(0) / (self.spec.batch / self.team.size)
        self.team.average(self._parameters)
        self._descent.step(rate_at(progress) * (FINE_TUNING_RATE if self.spec.network else 1.0))
        self._distance.note(means, self._settings)
        return means

    def _learn(self, share: float, number: int) -> tuple[list[Losses], Sequence[Tensor]]:
        """The losses of crop `number`, and the gradient of the logarithm of their sum by the network's parameters.

        `share` is that of `_style_share`. Why the logarithm: the loss falls by two orders of magnitude. Without it, the
        optimiser's memory of early gradients would nearly stop the descent, and only crops with a large loss would
        count. A pair counts as one crop, because its two pictures show the same.
        """
        crop = self._crop(number)
        for objective in crop.objectives:
            objective.weigh(self._settings.style_weight * share, self._settings.temporal_weight * math.sqrt(share))
        painted = self._paint(crop.frames)
        crop_losses, parts = crop.evaluate(painted.detach())
        pull = torch.cat(parts) / max(sum(losses["total"] for losses in crop_losses), TINY)
        for losses in crop_losses:  # reported with the weights of the spec
            losses.update(style=losses["style"] / share, temporal=losses["temporal"] / math.sqrt(share))
            losses["total"] = sum(value for name, value in losses.items() if name != "total")
        return crop_losses, torch.autograd.grad(painted, self._parameters, pull)

    def _style_share(self, progress: float) -> float:
        """The share of the style's weight that is applied at `progress`. Before GROWN no more than the optimiser's
        weight.
        """
        heavy = max(self._settings.style_weight / STYLE_WEIGHT, 1.0)
        grown = progress >= GROWN or self.spec.network
        return self._distance.style_share() / (1.0 if grown else heavy)

    def _crop(self, number: int) -> _CropObjective:
        """Crop `number` of the training with its objective. It is kept as long as it is used again."""
        place, drawn = echoed(number, max(self.spec.batch, KEPT_PIXELS // self._side**2))
        if place not in self._kept or self._kept[place][0] != drawn:
            self._kept[place] = drawn, self._objective_of(self.pictures.sample(self.spec.seed, drawn, self._side))
        return self._kept[place][1]

    def _paint(self, frames: Tensor) -> Tensor:
        """Paint frames (N, 3, H, W) float32 in 0..255. Convolutions are in the precision of the features."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._features.dtype == torch.bfloat16):
            painted: Tensor = self.network(frames)
        return painted

    def held_out(self) -> Losses:
        """The mean losses of the held-out pictures, with the weights of the spec."""
        at_once = self._crops_at_once.map
        self._held_out = self._held_out or list(at_once(self._objective_of, self._held_out_crops()))
        by_crop = at_once(self._evaluated, self._held_out)
        return mean_losses([losses for crop_losses in by_crop for losses in crop_losses])

    def _evaluated(self, crop: _CropObjective) -> list[Losses]:
        with torch.no_grad():
            return crop.evaluate(self._paint(crop.frames), with_gradient=False)[0]

    def paint(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Paint a frame (H, W, 3) uint8 with the network as it is now, into the same shape."""
        with torch.no_grad():
            painted = self.network(image_to_tensor(frame, self._device))
        return tensor_to_exact(painted).round().astype(np.uint8)

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, for `torch.save`."""
        return {
            "network": self.network.state_dict(),
            "descent": self._descent.state(),
            "distance": vars(self._distance),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`, which `state()` gave. Raises KeyError, TypeError, ValueError or RuntimeError for
        another.
        """
        self.network.load_state_dict(state["network"])
        self._descent.restore(state["descent"])
        self._distance = _Distance(**state["distance"])

    def _objective_of(self, picture: Picture) -> _CropObjective:
        frames = picture.frames
        objectives = [Objective(self._features, self._targets, self._settings, frame, None) for frame in frames]
        matches = self._matcher.match(*frames) if len(frames) == 2 else ()
        return _CropObjective(
            torch.cat([image_to_tensor(frame, self._device) for frame in frames]), objectives, matches
        )

    def _held_out_crops(self) -> list[Picture]:
        """Each held-out picture at the size at which it will be painted; of a larger one the middle."""
        side = crop_side(1.0, self.spec.crop, self.painted_shape)

        def middle(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
            height, width = crop_shape(frame.shape, side)
            top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
            return np.ascontiguousarray(frame[top : top + height, left : left + width])

        return [Picture(*(middle(frame) for frame in picture.frames)) for picture in self.pictures.held_out]


@dataclass
class _Distance:
    """How far the style loss is from its goal. Both losses have the optimiser's weights, and are 0 before the first
    step.
    """

    content: float = 0.0
    """Content loss of the network at its first step."""
    style: float = 0.0
    """Style loss of the latest crops, as a running mean."""

    def note(self, losses: Losses, settings: OptimizeSettings) -> None:
        """Take in the losses of a step, weighted by `settings`."""
        if settings.style_weight and settings.content_weight:
            style = losses["style"] * STYLE_WEIGHT / settings.style_weight
            self.style = 0.95 * self.style + 0.05 * style if self.style else style
            self.content = self.content or losses["content"] * CONTENT_WEIGHT / settings.content_weight

    def style_share(self) -> float:
        """The share 0..1 of the optimiser's style weight that is applied at this distance."""
        return min(1.0, NEAR * self.content / self.style) if self.style else 1.0


@dataclass(frozen=True)
class _CropObjective:
    """A crop of a photograph, or of two neighbouring frames, and the losses of what is painted of it."""

    frames: Tensor
    """(1, 3, H, W) float32 in 0..255, or (2, 3, H, W)."""
    objectives: Sequence[Objective]
    """One for each frame."""
    matches: Sequence[Match]
    """Of two frames, the match of the first to the second and the reverse; else empty."""

    def evaluate(self, painted: Tensor, with_gradient: bool = True) -> tuple[list[Losses], list[Tensor]]:
        """The losses of each picture of `painted`, of the shape of `frames`, and the gradients (1, 3, H, W) of their
        totals.
        """
        others = [tensor_to_exact(picture[None]) for picture in painted.flip(0)]
        for objective, match, other in zip(self.objectives, self.matches, others, strict=False):
            objective.anchor = Anchor.of([TemporalTie(warp(other, match.flow), match.weight)], painted.device)
        evaluations = [
            objective.evaluate(picture, with_gradient)
            for objective, picture in zip(self.objectives, painted.split(1), strict=True)
        ]
        return [losses for losses, _ in evaluations], [gradient for _, gradient in evaluations if gradient is not None]


def echoed(number: int, places: int) -> tuple[int, int]:
    """The place where crop `number` of the training is kept, and the number of its draw from the pictures.

    A place has the same draw ECHOES times.

    >>> [echoed(number, places=2) for number in (0, 1, 2, 7, 8, 9)]
    [(0, 0), (1, 1), (0, 0), (1, 1), (0, 2), (1, 3)]
    """
    turn, place = divmod(number, places)
    return place, place + places * (turn // ECHOES)


def contributing_layers(layers: Mapping[str, float], targets: StyleTargets) -> dict[str, float]:
    """The style layers, with their weights, that contribute to the loss: see LEAST_ENERGY."""
    energies = {name: weight * float(targets.grams[name].square().mean()) for name, weight in layers.items()}
    least = LEAST_ENERGY * sum(energies.values())
    return {name: weight for name, weight in layers.items() if energies[name] >= least}


def first_network(spec: TrainSpec) -> StyleNetwork:
    """The network that the training begins with: the one that the spec names, or one with random weights.

    Raises WeightsError, and UsageError where the named network has another architecture than the spec.
    """
    layout = ARCHITECTURES[spec.architecture]
    network = StyleNetwork(layout)
    if spec.network:
        trained = load_network_file(spec.network)[0]
        if trained.architecture != layout:
            raise UsageError(
                f"{spec.network} is no {spec.architecture} network", "give its --architecture, or another --network"
            )
        network.load_state_dict(trained.state_dict())
    return network


def typical_shape(pictures: Pictures, spec: TrainSpec) -> tuple[int, int]:
    """(height, width) at which pictures will be painted: that of the picture with the median area."""
    shapes = sorted((painted_shape(picture.frame.shape, spec) for picture in pictures.training), key=math.prod)
    return shapes[len(shapes) // 2]


def crop_side(progress: float, first: int, painted: tuple[int, int]) -> int:
    """Side of the crops in pixels: `first` until GROWN, then that of a square with the area of `painted`.

    `painted` is the (height, width) of the pictures that will be painted. No crop is smaller than `first`, and none
    becomes larger than LARGEST_SIDE.

    >>> [crop_side(progress, 288, (364, 512)) for progress in (0.0, 0.59, 0.6, 1.0)]
    [288, 288, 432, 432]
    >>> crop_side(1.0, 288, (1080, 1920))
    512
    >>> crop_side(1.0, 288, (144, 256))
    288
    """
    return first if progress < GROWN else max(first, min(LARGEST_SIDE, math.ceil(math.sqrt(math.prod(painted)))))


def work_done(progress: float, first: int, painted: tuple[int, int]) -> float:
    """Share 0..1 of a training's work, counted in pixels of crops, that is done at `progress`; for `crop_side`'s
    arguments.
    """
    last = (crop_side(1.0, first, painted) / first) ** 2
    done = min(progress, GROWN) + max(progress - GROWN, 0.0) * last
    return done / (GROWN + (1 - GROWN) * last)


def rate_at(progress: float) -> float:
    """Share of the learning rate at `progress` 0..1: a short rise, then half a cosine down to LAST_RATE.

    >>> [round(rate_at(progress), 2) for progress in (0.0, 0.02, 0.5, 1.0)]
    [0.05, 1.0, 0.51, 0.02]
    """
    fall = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    return min(1.0, 0.05 + progress / WARM_UP) * fall


def mean_losses(losses: Sequence[Losses], total: Callable[[Sequence[float]], Sequence[float]] = list) -> Losses:
    """The mean of each term over several losses. `total` adds to the sums those of other processes."""
    sums = {name: sum(terms[name] for terms in losses) for name in losses[0]}
    count, *totals = total([len(losses), *sums.values()])
    return {name: value / count for name, value in zip(sums, totals, strict=True)}
