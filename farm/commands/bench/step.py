"""Measures one optimiser step beside the convolutions that it cannot do without, in turn and in one process.

    times = measure_step(features, targets, settings, picture, repeats=9)
    times.ratio       # of a whole step to the bare convolutions of the same shapes

Bare are all convolutions of the network as far as its deepest loss, forward and backward by data, as PyTorch computes
them from its own public calls, in the precision and memory format of the features. All else is overhead: losses, Gram
matrices, ReLU, pooling, optimiser.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from farm.paint.features.architectures import layer_stride
from farm.paint.features.vgg import VGGFeatures
from farm.paint.losses.objective import Objective, OptimizeSettings
from farm.paint.losses.targets import StyleTargets
from farm.paint.optimizer.minimize import LBFGS, SmoothingPreconditioner
from farm.paint.stopwatch import taken, timed
from farm.paint.tensors import image_to_tensor

Clock = Callable[[], float]

WARM_UP = 3
"""Steps that are not counted: oneDNN compiles its kernels, and L-BFGS has no pairs yet."""
PARTS = ("forward", "backward", "losses", "optimizer")
"""What a step is made of, as farm.paint.stopwatch names it."""


@dataclass(frozen=True)
class StepTimes:
    """Medians in seconds of a whole step and of the bare convolutions.

    `ratio` is the median over the pairs of the two, `parts` is `step` by PARTS, `loss` is that of the last step.
    """

    step: float
    bare: float
    ratio: float
    parts: dict[str, float]
    loss: float


def measure_step(
    features: VGGFeatures,
    targets: StyleTargets,
    settings: OptimizeSettings,
    picture: NDArray[np.uint8],
    repeats: int = 9,
) -> StepTimes:
    """Make steps on `picture`, uint8 (H, W, 3), from itself, each beside the bare convolutions of its size."""
    size = (picture.shape[0], picture.shape[1])
    objective = Objective(features, targets, settings, picture, None)
    precondition = SmoothingPreconditioner(*size, device=features.device) if settings.precondition else None
    minimizer = LBFGS(image_to_tensor(picture, features.device), settings.history, precondition=precondition)
    # One thread's CPU time is what it would take on an idle machine, whatever else runs on this one.
    alone = features.device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    bare = bare_convolutions(features, {*settings.content_layers, *settings.style_layers}, size)
    steps: list[float] = []
    bares: list[float] = []
    parts: dict[str, list[float]] = {name: [] for name in PARTS}
    for repeat in range(WARM_UP + repeats):
        bare_seconds = _timed(bare, features.device, clock)
        taken()
        began = clock()
        with timed("losses"):
            values, gradient = objective.evaluate(minimizer.point)
        assert gradient is not None
        evaluated = clock()
        minimizer.tell(values["total"], gradient)
        ended = clock()
        if repeat < WARM_UP:
            continue
        spent = taken()
        # The stopwatch counts seconds of the wall clock: only their shares are taken from there.
        for name in ("forward", "backward", "losses"):
            parts[name].append((evaluated - began) * spent[name] / sum(spent.values()))
        parts["optimizer"].append(ended - evaluated)
        steps.append(ended - began)
        bares.append(bare_seconds)
    return StepTimes(
        step=statistics.median(steps),
        bare=statistics.median(bares),
        ratio=statistics.median(step / alone for step, alone in zip(steps, bares, strict=True)),
        parts={name: statistics.median(seconds) for name, seconds in parts.items()},
        loss=values["total"],
    )


def bare_convolutions(features: VGGFeatures, layers: set[str], size: tuple[int, int]) -> Callable[[], None]:
    """What runs every convolution as far as the deepest of `layers`, forward and by data, on maps of noise.

    `size` is the (height, width) of the picture.
    """
    deepest = max(features.layers.index(layer) for layer in layers)
    convolutions = []
    for layer in features.layers[: deepest + 1]:
        weight, bias = features.weights.convolutions[layer.replace("relu", "conv")]
        height, width = (side // layer_stride(layer) for side in size)
        maps = [torch.randn(1, channels, height, width) for channels in (weight.shape[1], weight.shape[0])]
        channels_last = torch.channels_last
        convolutions.append(
            (
                *(
                    tensor.to(features.device, features.dtype, memory_format=channels_last)
                    for tensor in (*maps, weight)
                ),
                bias.to(features.device, features.dtype),
            )
        )
    ones = [1, 1]

    @torch.no_grad()
    def run() -> None:
        for x, at_output, weight, bias in convolutions:
            functional.conv2d(x, weight, bias, padding=1)
            torch.ops.aten.convolution_backward(
                at_output, x, weight, None, ones, ones, ones, False, [0, 0], 1, [True, False, False]
            )

    return run


def _timed(work: Callable[[], None], device: torch.device, clock: Clock) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - began
