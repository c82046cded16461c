"""One step of training: crops through the network, the optimiser's own losses on what comes out, and back.

    trainer = Trainer(spec, pictures, runtime)
    losses = trainer.step(0)

The loss of a painted crop is `farm.paint.losses.objective`'s, value and gradient in closed form; only the network is
differentiated by autograd. Every crop of a batch has a thread of its own, and one core each; their gradients are added
up in order. For a pair of frames (Ruder et al. 2018, section 4) both are painted, and each is
tied to the other, warped to it: the gradient of the two-frame loss to both pictures, without differentiating the warp.
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
from farm.paint.losses.objective import Anchor, Objective, OptimizeSettings, TemporalTie
from farm.paint.losses.targets import Style, StyleTargets
from farm.paint.network.network import ARCHITECTURES, StyleNetwork
from farm.paint.network.network_file import load_network_file
from farm.paint.styler import load_network, objective_settings
from farm.paint.tensors import image_to_tensor, tensor_to_exact
from farm.paint.training.descent import Descent
from farm.paint.training.pictures import Picture, Pictures, crop_shape, painted_shape
from farm.paint.training.team import ALONE, Team
from farm.plan.runtime import Runtime
from farm.spec.named_files import with_small_files_here
from farm.spec.train import TrainSpec

WARM_UP = 0.02
"""Share of the training over which the learning rate rises: Adam's first steps know no variances yet."""
LAST_RATE = 0.02
"""Of the learning rate, at the end."""
KEPT_PIXELS = 32_000_000
"""Of training crops (385 of 288 x 288). They come round again: the photograph's features, a quarter of a step's work,
are computed once (data echoing, Choi et al. 2019); with the crop they take 44 bytes a pixel with the usual layers.
"""
ECHOES = 4
"""Rounds of a crop, before another has its place. With 200 crops that came round for ever the style loss of held-out
pictures stayed twice that of the crops, with 771 one and a half times.
"""
NEAR = 0.6
"""Of the content loss that a network begins with: how small a style loss has to be, both weighed as the optimiser
does, before style weighs what the spec says. Further off it weighs in inverse proportion, so that weighed style stays
at 0.6 of that content loss. Style begins a hundred times larger, and with its full weight from the start the photograph
was forgotten before the paint was there. What a spec asks for beyond the optimiser's weight waits for GROWN. Beside a
training with the optimiser's, one with four times that from the start had after 1,500 steps a quarter more content loss
for a sixth less style; one that waited had at its end an eighth more for a quarter less.

The temporal loss has the square root of the style's share of its weight. After 400 steps on a film (256 px) with its
full weight the film was as it had been, which is steadiest; with the style's share it was hardly steadier than without.
"""
GROWN = 0.6
"""Share of a training after which crops are as large as the pictures that will be painted (up to LARGEST_SIDE).

Until then more and smaller ones teach more in the same time. But each must hold the statistics of the whole painting,
which levels what is dark and bright in a photograph: 200 steps with whole pictures, after 3,100 with crops of 288
pixels, took away 47 % of the style loss of photographs of 512 pixels, crops of 288 in as much time 29 %, the content
loss up by 4 and 2 %. From random weights whole pictures had two thirds more style loss after 3 minutes.
"""
LARGEST_SIDE = 512
"""Pixels: such a crop takes 3 times the work and memory of one of 288."""
FINE_TUNING_RATE = 0.3
"""Of the learning rate, where a trained network learns on. GROWN's 200 steps were measured with it."""
TINY = 1e-12
LEAST_ENERGY = 2e-4
"""Share of the style's energy (mean squares of its Gram matrices, by weight) below which a layer is left out: it has no
say in a sum of squares. With the usual layers that is relu5_1, at 1e-4, and a quarter of the operations.
"""

Losses = dict[str, float]


class Trainer:
    """A network, its losses and its descent, and the step number `step(n)` as a function of state and `n` alone.

    Each process of a team takes its share of the batch's crops, and all of them make the step of the whole batch.
    """

    def __init__(self, spec: TrainSpec, pictures: Pictures, runtime: Runtime, team: Team = ALONE) -> None:
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
        """Train on batch `number`, at `progress` 0..1 of the training. The mean losses of its crops."""
        side = crop_side(progress, self.first_side, self.painted_shape)
        if side != self._side:
            self._side = side
            self._kept.clear()
        learn = partial(self._learn, self._style_share(progress))
        mine = range(self.team.rank, self.spec.batch, self.team.size)
        learnt = list(self._crops_at_once.map(learn, [number * self.spec.batch + item for item in mine]))
        # before anything changes: where one of the team is lost, the others are left at the end of a whole step
        means = mean_losses([losses for crop_losses, _ in learnt for losses in crop_losses], self.team.total)
        gradients = zip(*(parts for _, parts in learnt), strict=True)
        for parameter, parts in zip(self._parameters, gradients, strict=True):
            # the mean over the team is the batch's also where shares are not equal
            parameter.grad = torch.stack(parts).sum(0) / (self.spec.batch / self.team.size)
        self.team.average(self._parameters)
        self._descent.step(rate_at(progress) * (FINE_TUNING_RATE if self.spec.network else 1.0))
        self._distance.note(means, self._settings)
        return means

    def _learn(self, share: float, number: int) -> tuple[list[Losses], Sequence[Tensor]]:
        """The losses of crop `number`, and the gradient of the logarithm of their sum by the network's parameters.

        `share`: `_style_share`.

        The logarithm, because the loss falls by two orders: memory of early gradients would all but stop it, and
        of the crops those that are far off would be the only ones to count. A pair counts as one crop: its two pictures
        show the same.
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
        """Of the weight of the style, what it has then: until crops grow no more than it weighs for the optimiser."""
        heavy = max(self._settings.style_weight / STYLE_WEIGHT, 1.0)
        grown = progress >= GROWN or self.spec.network
        return self._distance.style_share() / (1.0 if grown else heavy)

    def _crop(self, number: int) -> _CropObjective:
        """Crop `number` of the training, with what it is judged by: kept while it comes round."""
        place, drawn = echoed(number, max(self.spec.batch, KEPT_PIXELS // self._side**2))
        if place not in self._kept or self._kept[place][0] != drawn:
            self._kept[place] = drawn, self._objective_of(self.pictures.sample(self.spec.seed, drawn, self._side))
        return self._kept[place][1]

    def _paint(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) float32 through the network, its convolutions in the precision of the features."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._features.dtype == torch.bfloat16):
            painted: Tensor = self.network(frames)
        return painted

    def held_out(self) -> Losses:
        """The mean losses of the held-out pictures."""
        at_once = self._crops_at_once.map
        self._held_out = self._held_out or list(at_once(self._objective_of, self._held_out_crops()))
        by_crop = at_once(self._evaluated, self._held_out)
        return mean_losses([losses for crop_losses in by_crop for losses in crop_losses])

    def _evaluated(self, crop: _CropObjective) -> list[Losses]:
        with torch.no_grad():
            return crop.evaluate(self._paint(crop.frames), with_gradient=False)[0]

    def paint(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 through the network as it is."""
        with torch.no_grad():
            painted = self.network(image_to_tensor(frame, self._device))
        return tensor_to_exact(painted).round().astype(np.uint8)

    def state(self) -> dict[str, Any]:
        """All that the next step depends on, for `torch.save`."""
        return {
            "network": self.network.state_dict(),
            "descent": self._descent.state(),
            "distance": vars(self._distance),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
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
        """Each held-out picture as it will be painted, or of a larger one its middle."""
        side = crop_side(1.0, self.spec.crop, self.painted_shape)

        def middle(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
            height, width = crop_shape(frame.shape, side)
            top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
            return np.ascontiguousarray(frame[top : top + height, left : left + width])

        return [Picture(*(middle(frame) for frame in picture.frames)) for picture in self.pictures.held_out]


@dataclass
class _Distance:
    """How far the style is from what it may become: both losses by the optimiser's own weights, 0 where not known."""

    content: float = 0.0
    """Of the network at its first step."""
    style: float = 0.0
    """Of the last crops, on average."""

    def note(self, losses: Losses, settings: OptimizeSettings) -> None:
        if settings.style_weight and settings.content_weight:
            style = losses["style"] * STYLE_WEIGHT / settings.style_weight
            self.style = 0.95 * self.style + 0.05 * style if self.style else style
            self.content = self.content or losses["content"] * CONTENT_WEIGHT / settings.content_weight

    def style_share(self) -> float:
        """Of the weight of the style, what it has at this distance."""
        return min(1.0, NEAR * self.content / self.style) if self.style else 1.0


@dataclass(frozen=True)
class _CropObjective:
    """A photograph, or two neighbours, and what their paintings are judged by.

    `frames` (1 or 2, 3, H, W); `matches`: of two frames, the first to the second and back.
    """

    frames: Tensor
    objectives: Sequence[Objective]
    matches: Sequence[Match]

    def evaluate(self, painted: Tensor, with_gradient: bool = True) -> tuple[list[Losses], list[Tensor]]:
        """The losses of each painted picture, and their gradients (1, 3, H, W)."""
        others = [tensor_to_exact(picture[None]) for picture in painted.flip(0)]
        for objective, match, other in zip(self.objectives, self.matches, others, strict=False):
            objective.anchor = Anchor.of([TemporalTie(warp(other, match.flow), match.weight)], painted.device)
        evaluations = [
            objective.evaluate(picture, with_gradient)
            for objective, picture in zip(self.objectives, painted.split(1), strict=True)
        ]
        return [losses for losses, _ in evaluations], [gradient for _, gradient in evaluations if gradient is not None]


def echoed(number: int, places: int) -> tuple[int, int]:
    """Where crop `number` of the training is kept, and which draw from the pictures it is: the same ECHOES times.

    >>> [echoed(number, places=2) for number in (0, 1, 2, 7, 8, 9)]
    [(0, 0), (1, 1), (0, 0), (1, 1), (0, 2), (1, 3)]
    """
    turn, place = divmod(number, places)
    return place, place + places * (turn // ECHOES)


def contributing_layers(layers: Mapping[str, float], targets: StyleTargets) -> dict[str, float]:
    """The layers and weights that have a say in the loss."""
    energies = {name: weight * float(targets.grams[name].square().mean()) for name, weight in layers.items()}
    least = LEAST_ENERGY * sum(energies.values())
    return {name: weight for name, weight in layers.items() if energies[name] >= least}


def first_network(spec: TrainSpec) -> StyleNetwork:
    """The one that the spec names, or one with random weights. Raises WeightsError, UsageError."""
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
    """(height, width) of the pictures that will be painted: of the one in the middle by area."""
    shapes = sorted((painted_shape(picture.frame.shape, spec) for picture in pictures.training), key=math.prod)
    return shapes[len(shapes) // 2]


def crop_side(progress: float, first: int, painted: tuple[int, int]) -> int:
    """Side of the training's crops, pixels: `first`, then that of a square with the area of what will be painted.

    >>> [crop_side(progress, 288, (364, 512)) for progress in (0.0, 0.59, 0.6, 1.0)]
    [288, 288, 432, 432]
    >>> crop_side(1.0, 288, (1080, 1920))
    512
    >>> crop_side(1.0, 288, (144, 256))
    288
    """
    return first if progress < GROWN else max(first, min(LARGEST_SIDE, math.ceil(math.sqrt(math.prod(painted)))))


def work_done(progress: float, first: int, painted: tuple[int, int]) -> float:
    """Share of a training's pixels that its crops have been by then."""
    last = (crop_side(1.0, first, painted) / first) ** 2
    done = min(progress, GROWN) + max(progress - GROWN, 0.0) * last
    return done / (GROWN + (1 - GROWN) * last)


def rate_at(progress: float) -> float:
    """Share of the learning rate: a short rise, then half a cosine down to LAST_RATE.

    >>> rate_at(1.0)
    0.02
    """
    fall = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    return min(1.0, 0.05 + progress / WARM_UP) * fall


def mean_losses(losses: Sequence[Losses], total: Callable[[Sequence[float]], Sequence[float]] = list) -> Losses:
    """The mean of each term over several losses. `total` adds to the sums those of other processes."""
    sums = {name: sum(terms[name] for terms in losses) for name in losses[0]}
    count, *totals = total([len(losses), *sums.values()])
    return {name: value / count for name, value in zip(sums, totals, strict=True)}
