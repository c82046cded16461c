"""A spec's style applied to frames: network and paintings loaded once, targets made once per shot.

styler = FrameStyler(spec, (width, height), runtime, sample=frames_of_shot)
made = styler.of_shot(0).first(frame, steps=200)
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch

from farm.media.pictures import read_picture
from farm.paint.color.treatment import ColorTreatment, color_treatment
from farm.paint.device import available_memory, choose_device, choose_precision, configure_threads
from farm.paint.features.vgg import VGGFeatures, check_layers
from farm.paint.features.weights import VGGWeights, load_weights
from farm.paint.losses.guided import StyledRegion, region_at
from farm.paint.losses.targets import SizedTargets, Style
from farm.paint.optimizer.frame import FrameOptimizer, OptimizeSettings, StepProgress, StylizedFrame, TemporalTie
from farm.paint.optimizer.pyramid import Painter, pyramid_sizes, stylize_coarse_to_fine
from farm.paint.optimizer.start import start_picture
from farm.plan.runtime import Runtime
from farm.spec.choices import Precision
from farm.spec.named_files import with_small_files_here
from farm.spec.paint import PaintSpec

WINDOW = 20
"""Steps over which the convergence of a frame is judged. Ruder's 50 suits his 1000 steps a frame, not ours."""
SHOTS_KEPT = 4
"""Shots whose targets stay: a few megabytes each, and a worker that changes between shots soon comes back."""


class FrameStyler:
    """Stylises frames of `size` (width, height). Raises PictureError or WeightsError for what cannot be read.

    `sample(shot)` gives the source frames, at that size, whose colours stand for the shot's; it is asked only
    where `spec.color` needs them, and has to give the same frames on every worker.
    """

    def __init__(
        self,
        spec: PaintSpec,
        size: tuple[int, int],
        runtime: Runtime,
        sample: Callable[[int], Iterable[np.ndarray]],
        window: int = WINDOW,
    ) -> None:
        configure_threads(runtime.threads)
        device = choose_device(runtime.device)
        dtype = torch.bfloat16 if runtime.precision == "bf16" else torch.float32
        spec = with_small_files_here(spec)
        self._features = VGGFeatures(load_network(spec), spec.pooling, device, dtype)
        self._styles = [Style(read_picture(style.path), style.weight) for style in spec.styles]
        self._region_styles = [
            [Style(read_picture(style.path), style.weight) for style in region.styles] for region in spec.regions
        ]
        self._spec = spec
        self._size = (size[1], size[0])
        self._max_memory = runtime.max_memory
        self._sample = sample
        self._settings = optimize_settings(spec, window)
        self._shots: OrderedDict[int, ShotStyler] = OrderedDict()

    def of_shot(self, shot: int) -> ShotStyler:
        """What paints the frames of that shot."""
        if self._spec.color == "none":
            shot = 0  # nothing depends on it
        if shot not in self._shots:
            colors = color_treatment(self._spec.color, self._sample(shot))
            styles, *regions = (
                [Style(colors.style(style.image), style.weight) for style in styles]
                for styles in (self._styles, *self._region_styles)
            )
            self._shots[shot] = ShotStyler(
                self._spec, self._features, self._settings, colors, styles, regions, self._size, self._max_memory
            )
            while len(self._shots) > SHOTS_KEPT:
                self._shots.popitem(last=False)
        self._shots.move_to_end(shot)
        return self._shots[shot]


class ShotStyler:
    """Stylises the frames of one shot; `size` is (height, width), `styles` have the colours they are to have."""

    def __init__(
        self,
        spec: PaintSpec,
        features: VGGFeatures,
        settings: OptimizeSettings,
        colors: ColorTreatment,
        styles: Sequence[Style],
        region_styles: Sequence[Sequence[Style]],
        size: tuple[int, int],
        max_memory: int | None = None,
    ) -> None:
        self._spec = spec
        self._colors = colors
        self._styles = styles
        self._size = size
        self._regions = [
            SizedTargets(features, paintings, spec.style_scale, settings.style_layers) if paintings else None
            for paintings in region_styles
        ]
        targets = SizedTargets(features, styles, spec.style_scale, settings.style_layers)
        self._painter = Painter(features, targets, settings, max_memory)

    def first(
        self,
        content: np.ndarray,
        steps: int,
        regions: Sequence[np.ndarray] = (),
        progress: Callable[[StepProgress], None] | None = None,
        keep_exact: bool = False,
    ) -> StylizedFrame:
        """A frame with nothing to go by, (H, W, 3) uint8: started as the spec says, large frames coarse to fine.

        `regions` has a weight (H, W) for each region of the spec, see RegionMasks.
        """
        painted = stylize_coarse_to_fine(
            self._painter,
            self._colors.content(content),
            steps,
            start=self._start,
            regions_at=lambda size: self._styled_regions(regions, size),
            progress=progress,
            keep_exact=keep_exact,
        )
        return self._finished(painted, content)

    def next(
        self,
        content: np.ndarray,
        start: np.ndarray,
        steps: int,
        ties: Sequence[TemporalTie],
        regions: Sequence[np.ndarray] = (),
        average_last: int = 1,
    ) -> StylizedFrame:
        """A frame started from `start` (H, W, 3) float32 and tied to stylised, warped neighbours.

        `average_last`: of the optimiser's points, see FrameOptimizer.stylize.
        """
        see = self._colors.content
        tied = [replace(tie, image=see(tie.image)) for tie in ties]
        styled = self._styled_regions(regions, self._size)
        painted = self._optimizer.stylize(
            see(content), see(start), steps, tied, regions=styled, average_last=average_last
        )
        return self._finished(painted, content)

    def losses(self, content: np.ndarray, picture: np.ndarray) -> dict[str, float]:
        """The weighted losses of a finished picture (H, W, 3) uint8, without any neighbour."""
        return self._optimizer.stylize(self._colors.content(content), self._colors.content(picture), 0).losses

    def _finished(self, painted: StylizedFrame, content: np.ndarray) -> StylizedFrame:
        exact = None if painted.exact is None else self._colors.finish(painted.exact, content)
        return replace(painted, image=self._colors.finish(painted.image, content), exact=exact)

    @cached_property
    def _optimizer(self) -> FrameOptimizer:
        return self._painter.optimizer(self._size)

    def _styled_regions(self, weights: Sequence[np.ndarray], size: tuple[int, int]) -> list[StyledRegion]:
        """The regions that lie in the frame, at (height, width)."""
        return [
            StyledRegion(
                weight if weight.shape == size else region_at(weight, size), targets.at(size) if targets else None
            )
            for weight, targets in zip(weights, self._regions, strict=True)
            if weight.any()
        ]

    @cached_property
    def _start(self) -> np.ndarray | None:
        # as large as the first level: noise that is made smaller is grey
        start = start_picture(self._spec.init, self._styles, pyramid_sizes(self._size)[0], self._spec.seed)
        return None if start is None else self._colors.content(start)


def local_runtime(precision: Precision, threads: int | None) -> Runtime:
    """How this process would compute; with as many threads as PyTorch takes unless told. Raises UsageError."""
    device = choose_device()
    return Runtime(
        device="cuda" if device.type == "cuda" else "cpu",
        precision="bf16" if choose_precision(precision, device) is torch.bfloat16 else "fp32",
        threads=threads or torch.get_num_threads(),
        max_memory=available_memory(device),
    )


def load_network(spec: PaintSpec) -> VGGWeights:
    """The weights that the spec names. Raises WeightsError, and UsageError for a layer that the network lacks."""
    weights = load_weights(None if spec.features == "vgg19" else spec.features, spec.features_input)
    check_layers(weights.architecture, [*spec.content_layers, *spec.style_layers])
    return weights


def objective_settings(spec: PaintSpec) -> OptimizeSettings:
    """What is minimised, whether by an optimiser or by a network that learns."""
    return OptimizeSettings(
        content_weight=spec.weights.content,
        style_weight=spec.weights.style,
        temporal_weight=spec.weights.temporal,
        tv_weight=spec.weights.tv,
        content_layers=spec.content_layers,
        style_layers=spec.style_layers,
    )


def optimize_settings(spec: PaintSpec, window: int) -> OptimizeSettings:
    return replace(objective_settings(spec), optimizer=spec.optimizer, learning_rate=spec.learning_rate, window=window)
