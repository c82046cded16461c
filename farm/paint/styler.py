"""The style of a spec applied to frames. Network and paintings are loaded once, targets are computed once a shot.

styler = FrameStyler(spec, (width, height), runtime, sample=frames_of_shot)
shot = styler.of_shot(0)
painted = shot.first(frame, steps=200)
follower = shot.next(next_frame, warped, steps=80, ties=[TemporalTie(warped, reliability)])
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property, partial

import numpy as np
import torch

from farm.files import local_path
from farm.media.pictures import read_picture
from farm.paint.color.treatment import ColorTreatment, color_treatment
from farm.paint.device import available_memory, choose_device, choose_precision, configure_threads
from farm.paint.features.vgg import VGGFeatures, check_layers
from farm.paint.features.weights import VGGWeights, load_weights
from farm.paint.losses.guided import StyledRegion, region_at
from farm.paint.losses.targets import BlendedTargets, SizedTargets, Style, TargetPart, Targets, TargetStore
from farm.paint.losses.windows import Steps
from farm.paint.optimizer.frame import FrameOptimizer, OptimizeSettings, StepProgress, StylizedFrame, TemporalTie
from farm.paint.optimizer.pyramid import Painter, pyramid_sizes, stylize_coarse_to_fine
from farm.paint.optimizer.start import start_picture
from farm.paint.tensors import image_to_tensor
from farm.plan import Runtime
from farm.spec import PaintSpec
from farm.spec.choices import Precision
from farm.spec.looks import Look, Paint
from farm.spec.named_files import with_small_files_here

CONTENT_LAYER = "relu4_2"
"""Layer by which pictures are compared with the film, whatever layers the spec paints by (Gatys et al. 2015)."""
WINDOW = 20
"""Steps over which the convergence of a frame is judged. Ruder's 50 suit his 1000 steps a frame, which ours are not."""
WARM_FREQUENCY = 1 / 16
"""Cycles per pixel up to which the preconditioner treats all frequencies alike, where a picture starts from its painted
neighbour.

Why: the large shapes are right already, and strokes are what is missing. Measured on 25 frames of 160 px: 1/6 gave the
same strokes as the usual 1/32 with an eighth less warp error. 1/16 is a compromise that was not measured by itself: the
lower it is, the sooner a wrong colour of a large area is corrected.
"""
WARM_CONTENT = 1.6
"""Factor of the content weight where a picture starts from its painted neighbour and is tied to it.

Why: few steps under a strong temporal loss leave the things of the film less clear than in a still. Measured on 48
frames of geese at 256 px: with 1.6 instead of 1.3 the content loss of what moves, over that of stills of the same
frames, is 1.15 instead of 1.21, and the warp error is the same.
"""
WARM_FIRST_STEP = 0.2
"""First step of the optimiser there, a root mean square in grey levels.

Why: such a picture is nearly right. Measured on frames of 256 px: a step of 1 raised the loss by half and was shortened
to between .1 and .4; from .2 on, the same loss is reached in one step less. Between .06 and .3 it makes no difference.
"""
SHOTS_KEPT = 4
"""Shots whose targets stay in memory. A worker that changes between shots soon comes back, and the targets of the usual
layers take only 2.4 MB for each level of the frame and each set of paintings.
"""
PAINTINGS_KEPT = 4
"""Paintings of a timeline that stay in memory. Their targets are kept longer, and are smaller."""


class FrameStyler:
    """Paints the frames of a film, all of one size, as a spec says."""

    def __init__(
        self,
        spec: PaintSpec,
        size: tuple[int, int],
        runtime: Runtime,
        sample: Callable[[int], Iterable[np.ndarray]],
        window: int = WINDOW,
    ) -> None:
        """Load the network and the paintings of `spec`, for frames of `size` (width, height).

        `sample(shot)` gives source frames (H, W, 3) uint8 at that size, whose colours stand for the whole shot. It is
        called only where `spec.color` needs colours, and must give the same frames on every worker. `window` is the
        number of steps over which convergence is judged.
        Raises PictureError, WeightsError, or UsageError for a layer or device that does not exist.
        """
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
        self._window = window
        self._shots: OrderedDict[Hashable, ShotStyler] = OrderedDict()
        self._store = TargetStore(self._features, self._settings.style_layers)
        self._paintings: OrderedDict[str, np.ndarray] = OrderedDict()
        self._colors: OrderedDict[int, ColorTreatment] = OrderedDict()

    def of_shot(self, shot: int) -> ShotStyler:
        """The painter of the frames of one shot, made when it is first asked for. Raises UsageError for an empty
        sample.
        """
        if self._spec.color == "none":
            shot = 0  # without colours to match, all shots are painted alike
        return self._kept(shot, lambda: self._made(shot))

    def of_look(self, shot: int, look: Look) -> ShotStyler:
        """The painter of the frames of one shot that look alike, where the style changes over time.

        Raises as `of_shot` does, and PictureError where a painting cannot be read.
        """
        if self._spec.color == "none":
            shot = 0
        regions = tuple(region and region.parts for region in look.regions)
        key = (shot, look.paint.parts, regions, look.weights)
        return self._kept(key, lambda: self._made_of_look(shot, look))

    def _kept(self, key: Hashable, make: Callable[[], ShotStyler]) -> ShotStyler:
        if key not in self._shots:
            self._shots[key] = make()
            while len(self._shots) > SHOTS_KEPT:
                self._shots.popitem(last=False)
        self._shots.move_to_end(key)
        return self._shots[key]

    def _made(self, shot: int) -> ShotStyler:
        colors = color_treatment(self._spec.color, self._sample(shot))

        def targets(styles: Sequence[Style]) -> Targets:
            colored = [Style(colors.style(style.image), style.weight) for style in styles]
            return SizedTargets(self._features, colored, self._spec.style_scale, self._settings.style_layers)

        regions = [targets(styles) if styles else None for styles in self._region_styles]
        whole = targets(self._styles)
        return ShotStyler(
            self._spec, self._features, self._settings, colors, whole, regions, self._size, self._max_memory
        )

    def _made_of_look(self, shot: int, look: Look) -> ShotStyler:
        colors = self._shot_colors(shot)

        def targets(paint: Paint) -> Targets:
            parts = []
            for part in paint.parts:
                read = partial(self._painting, part.path, colors)
                parts.append(TargetPart((shot, part.path), read, part.scale, part.share))
            return BlendedTargets(self._store, parts)

        regions = [targets(paint) if paint is not None and paint.parts else None for paint in look.regions]
        settings = optimize_settings(self._spec.model_copy(update={"weights": look.weights}), self._window)
        whole = targets(look.paint)
        return ShotStyler(self._spec, self._features, settings, colors, whole, regions, self._size, self._max_memory)

    def _shot_colors(self, shot: int) -> ColorTreatment:
        """The colours of a shot, which looks at the film only once where looks change from frame to frame."""
        if shot not in self._colors:
            self._colors[shot] = color_treatment(self._spec.color, self._sample(shot))
            while len(self._colors) > SHOTS_KEPT:
                self._colors.popitem(last=False)
        return self._colors[shot]

    def _painting(self, path: str, colors: ColorTreatment) -> np.ndarray:
        """A painting of a timeline in the colours of a shot. The last PAINTINGS_KEPT are kept: there may be many."""
        if path not in self._paintings:
            self._paintings[path] = read_picture(local_path(path))
            while len(self._paintings) > PAINTINGS_KEPT:
                self._paintings.popitem(last=False)
        return colors.style(self._paintings[path])

    def content_features(self, picture: np.ndarray) -> np.ndarray:
        """The features relu4_2 of `picture` (H, W, 3) uint8, (C, H/8, W/8) float32: what farm.render.detail compares.

        They are in float32 whatever the precision of painting. Raises InputError for a picture below 16 pixels.
        """
        image = image_to_tensor(picture, self._features.device)
        return self._exact_features(image, (CONTENT_LAYER,))[CONTENT_LAYER][0].cpu().numpy()

    @cached_property
    def _exact_features(self) -> VGGFeatures:
        return self._features.with_dtype(torch.float32)


class ShotStyler:
    """Paints the frames of one shot."""

    def __init__(
        self,
        spec: PaintSpec,
        features: VGGFeatures,
        settings: OptimizeSettings,
        colors: ColorTreatment,
        targets: Targets,
        region_targets: Sequence[Targets | None],
        size: tuple[int, int],
        max_memory: int | None = None,
    ) -> None:
        """Compute nothing yet.

        `size` is (height, width). `targets` and `region_targets` (one a region of the spec, None where a region stays
        the photograph) already have the colours that `colors` gives to paintings. `max_memory` in bytes.
        """
        self._spec = spec
        self._colors = colors
        self._targets = targets
        self._size = size
        self._regions = region_targets
        self._painter = Painter(features, targets, settings, max_memory)

    def first(
        self,
        content: np.ndarray,
        steps: int,
        regions: Sequence[np.ndarray] = (),
        progress: Callable[[StepProgress], None] | None = None,
        keep_exact: bool = False,
    ) -> StylizedFrame:
        """Paint `content` (H, W, 3) uint8 without a predecessor, in `steps` steps of the optimiser.

        It starts as the spec says; large frames are painted coarse to fine. `regions` has a weight (H, W) float32 in
        0..1 for each region of the spec, see RegionMasks. `progress` is called after every step. `keep_exact` keeps the
        float32 image beside the rounded one. Raises OptimizationError.
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
        steps: int | Steps,
        ties: Sequence[TemporalTie],
        regions: Sequence[np.ndarray] = (),
        average_last: int = 1,
        warm: bool = False,
    ) -> StylizedFrame:
        """Paint `content` (H, W, 3) uint8 from `start` (H, W, 3) float32 in 0..255, in `steps` steps of the optimiser.

        `ties` are painted neighbours, warped to this frame, that the result must resemble. `regions` as in `first`.
        `average_last` is the number of the optimiser's last points that are averaged, see FrameOptimizer.stylize.
        `steps` may also say where they are taken (Steps). `warm` says that `start` and `ties` are paint that was
        carried here: its large shapes are right already (see WARM_FREQUENCY), and hold others back (WARM_CONTENT). The
        losses of the result are by the spec's weights all the same. Raises OptimizationError.
        """
        see = self._colors.content
        tied = [replace(tie, image=see(tie.image)) for tie in ties]
        styled = self._styled_regions(regions, self._size)
        optimizer = self._warm_optimizer if warm else self._optimizer
        painted = optimizer.stylize(see(content), see(start), steps, tied, regions=styled, average_last=average_last)
        if warm:
            painted = replace(painted, losses=_with_content_once(painted.losses))
        return self._finished(painted, content)

    @property
    def in_tiles(self) -> bool:
        """Whether frames are painted in tiles, because they do not fit into memory whole."""
        return self._optimizer.tile is not None

    def losses(self, content: np.ndarray, picture: np.ndarray) -> dict[str, float]:
        """The weighted losses of the finished `picture` of `content`, both (H, W, 3) uint8, without ties or regions.

        The keys are those of StylizedFrame.losses.
        """
        return self._optimizer.stylize(self._colors.content(content), self._colors.content(picture), 0).losses

    def _finished(self, painted: StylizedFrame, content: np.ndarray) -> StylizedFrame:
        exact = None if painted.exact is None else self._colors.finish(painted.exact, content)
        return replace(painted, image=self._colors.finish(painted.image, content), exact=exact)

    @cached_property
    def _optimizer(self) -> FrameOptimizer:
        return self._painter.optimizer(self._size)

    @cached_property
    def _warm_optimizer(self) -> FrameOptimizer:
        usual = self._optimizer
        settings = replace(
            usual.settings,
            lowest_frequency=WARM_FREQUENCY,
            first_step=WARM_FIRST_STEP,
            content_weight=WARM_CONTENT * usual.settings.content_weight,
        )
        return FrameOptimizer(usual.features, usual.targets, settings, usual.tile)

    def _styled_regions(self, weights: Sequence[np.ndarray], size: tuple[int, int]) -> list[StyledRegion]:
        """The regions of the frame at (height, width). Those that cover no pixel are left out."""
        return [
            StyledRegion(
                weight if weight.shape == size else region_at(weight, size), targets.at(size) if targets else None
            )
            for weight, targets in zip(weights, self._regions, strict=True)
            if weight.any()
        ]

    @cached_property
    def _start(self) -> np.ndarray | None:
        styles = self._targets.styles if self._spec.init == "style" else ()
        # As large as the first level, because noise that is made smaller turns grey.
        start = start_picture(self._spec.init, styles, pyramid_sizes(self._size)[0], self._spec.seed)
        return None if start is None else self._colors.content(start)


def _with_content_once(losses: dict[str, float]) -> dict[str, float]:
    """The losses of a frame whose content weighed WARM_CONTENT times as much, by the usual weight."""
    if "content" not in losses:
        return losses
    content = losses["content"] / WARM_CONTENT
    return {**losses, "content": content, "total": losses["total"] - losses["content"] + content}


def local_runtime(precision: Precision, threads: int | None, device_name: str = "auto") -> Runtime:
    """Device, precision, CPU threads and free memory of this machine. `threads` None is PyTorch's own number.

    `device_name` is one of `choose_device`. Raises UsageError for an unknown precision or device.
    """
    device = choose_device(device_name)
    return Runtime(
        device="cuda" if device.type == "cuda" else "cpu",
        precision="bf16" if choose_precision(precision, device) is torch.bfloat16 else "fp32",
        threads=threads or torch.get_num_threads(),
        max_memory=available_memory(device),
    )


def load_network(spec: PaintSpec, data: bytes | None = None) -> VGGWeights:
    """The VGG weights that the spec names. `data` are the bytes of their file where the caller has read them.

    Raises WeightsError, and UsageError for a layer that the network lacks.
    """
    weights = load_weights(None if spec.features == "vgg19" else spec.features, spec.features_input, data)
    check_layers(weights.architecture, [*spec.content_layers, *spec.style_layers])
    return weights


def objective_settings(spec: PaintSpec) -> OptimizeSettings:
    """Weights and layers of the loss that the spec asks for. An optimiser and a network in training minimise
    the same.
    """
    return OptimizeSettings(
        content_weight=spec.weights.content,
        style_weight=spec.weights.style,
        temporal_weight=spec.weights.temporal,
        tv_weight=spec.weights.tv,
        content_layers=spec.content_layers,
        style_layers=spec.style_layers,
    )


def optimize_settings(spec: PaintSpec, window: int) -> OptimizeSettings:
    """The settings of the optimiser that the spec asks for. `window`: steps over which convergence is judged."""
    return replace(objective_settings(spec), optimizer=spec.optimizer, learning_rate=spec.learning_rate, window=window)
