"""A spec's style applied to the frames of one render: network, Gram targets and optimiser, loaded once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from farm.fetch import local_path
from farm.job import Runtime
from farm.spec import RenderSpec
from farm.style.device import choose_device, configure_threads
from farm.style.optimize import FrameOptimizer, OptimizeSettings, StylizedFrame, TemporalTie
from farm.style.picture import read_picture
from farm.style.pyramid import stylize_coarse_to_fine
from farm.style.targets import Style, StyleTargets
from farm.style.vgg import VGGFeatures
from farm.style.weights import load_weights
from farm.ties import Neighbour

WINDOW = 20
"""Steps over which the convergence of a frame is judged. Ruder's 50 suits his 1000 steps a frame, not ours."""


class FrameStyler:
    """Stylises frames of `size` (width, height). Raises PictureError or WeightsError for what cannot be read."""

    def __init__(self, spec: RenderSpec, size: tuple[int, int], runtime: Runtime) -> None:
        configure_threads(runtime.threads)
        device = choose_device(runtime.device)
        dtype = torch.bfloat16 if runtime.precision == "bf16" else torch.float32
        features = VGGFeatures(load_weights(), device=device, dtype=dtype)
        self._features = features
        self._styles = [Style(read_picture(local_path(style.path)), style.weight) for style in spec.styles]
        self._style_scale = spec.style_scale
        targets = StyleTargets.of(features, self._styles, (size[1], size[0]), spec.style_scale)
        self._settings = OptimizeSettings(
            content_weight=spec.weights.content,
            style_weight=spec.weights.style,
            temporal_weight=spec.weights.temporal,
            tv_weight=spec.weights.tv,
            window=WINDOW,
        )
        self._optimizer = FrameOptimizer(features, targets, self._settings)

    def first(self, content: np.ndarray, steps: int) -> StylizedFrame:
        """A frame with nothing to go by, (H, W, 3) uint8: started from itself, large frames coarse to fine."""
        return stylize_coarse_to_fine(self._features, self._styles, content, steps, self._settings, self._style_scale)

    def next(self, content: np.ndarray, start: np.ndarray, steps: int, ties: Sequence[Neighbour]) -> StylizedFrame:
        """A frame started from `start` (H, W, 3) float32 and tied to stylised, warped neighbours."""
        return self._optimizer.stylize(content, start, steps, [TemporalTie(tie.image, tie.weight) for tie in ties])

    def losses(self, content: np.ndarray, picture: np.ndarray) -> dict[str, float]:
        """The weighted losses of a finished picture (H, W, 3) uint8, without any neighbour."""
        return self._optimizer.stylize(content, picture, 0).losses
