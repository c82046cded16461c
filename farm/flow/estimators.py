"""Optical flow estimators by name. All of them give the same flow whatever the number of threads.

| method      | what it is                                                                        | cost |
|-------------|-----------------------------------------------------------------------------------|------|
| `dis`       | dense inverse search, refined at full resolution (Kroeger et al. 2016)            | 1    |
| `deepflow`  | variational flow (Weinzaepfel et al. 2013), without DeepMatching                  | 4    |
| `epicflow`  | edge-preserving interpolation of consistent matches, refined (Revaud et al. 2015) | 3    |
| `farneback` | polynomial expansion (Farnebäck 2003)                                             | 0.4  |
| `raft`      | recurrent network (Teed and Deng 2020); needs a file of weights, wants a GPU      |      |

    estimator = create_estimator("dis")
    backward = estimator.estimate(current, previous)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, get_args

import cv2
import numpy as np
import numpy.typing as npt

from farm.errors import UsageError
from farm.flow.dis import dense_inverse_search, smooth_search
from farm.flow.epicflow import epicflow
from farm.spec.choices import FlowMethod

FLOW_METHODS: tuple[FlowMethod, ...] = get_args(FlowMethod)
"""Names of all estimators."""

Picture = npt.NDArray[np.uint8]
"""(H, W, 3) RGB."""
Flow = npt.NDArray[np.float32]
"""(H, W, 2), in pixels."""

# Below this side some of OpenCV's pyramids have no level left, and RAFT's correlation volume no extent.
_SMALLEST_SIDE = {"dis": 64, "deepflow": 64, "epicflow": 64, "farneback": 64, "raft": 128}
_RAFT_MULTIPLE = 8


class FlowEstimator(Protocol):
    """Estimates the flow from one picture to another."""

    @property
    def name(self) -> str:
        """The method's name."""
        ...

    def estimate(self, a: Picture, b: Picture) -> Flow:
        """The flow from a to b, (H, W, 2) float32, in pixels, finite. Both are uint8 RGB (H, W, 3) of one size.

        Raises ValueError where the pictures are anything else.
        """
        ...


def create_estimator(method: FlowMethod, *, weights: str | None = None, device: str = "cpu") -> FlowEstimator:
    """The estimator of that name. `weights` (a file) and `device` (as torch names it) concern `raft` alone.

    Raises UsageError for an unknown name and WeightsError for weights that are missing or do not fit.
    """
    match method:
        case "dis":
            return _PaddedEstimator(method, dense_inverse_search)
        case "deepflow":
            return _PaddedEstimator(method, _deepflow)
        case "epicflow":
            return _PaddedEstimator(method, epicflow)
        case "farneback":
            return _PaddedEstimator(method, _farneback)
        case "raft":
            from farm.flow.raft import RaftFlow  # torch takes seconds to load, and only this method needs it

            return _PaddedEstimator(method, RaftFlow(weights, device), multiple=_RAFT_MULTIPLE)
    raise UsageError(f"there is no flow method {method!r}", f"choose one of {', '.join(FLOW_METHODS)}")


def create_smooth_search() -> FlowEstimator:
    """The estimator whose flow takes the place of `dis` where that contradicts itself: see farm.flow.match."""
    return _PaddedEstimator("dis", smooth_search)


@dataclass(frozen=True)
class _PaddedEstimator:
    """Checks the pictures, and repeats their edges up to a size that the method can take."""

    name: FlowMethod
    flow_between: Callable[[Picture, Picture], Flow]
    multiple: int = 1

    def estimate(self, a: Picture, b: Picture) -> Flow:
        if a.shape != b.shape or a.shape[2:] != (3,) or a.dtype != np.uint8 or b.dtype != np.uint8:
            raise ValueError(f"flow needs two uint8 pictures of one size, not {a.dtype} {a.shape}, {b.dtype} {b.shape}")
        height, width = a.shape[:2]
        below, right = (self._padding(side) for side in (height, width))
        flow = self.flow_between(*(_pad(picture, below, right) for picture in (a, b)))
        return np.ascontiguousarray(flow[:height, :width], dtype=np.float32)

    def _padding(self, side: int) -> int:
        enough = max(side, _SMALLEST_SIDE[self.name])
        return -(-enough // self.multiple) * self.multiple - side


def _pad(picture: Picture, below: int, right: int) -> Picture:
    if not (below or right):
        return np.ascontiguousarray(picture)
    return cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REPLICATE)


def _deepflow(a: Picture, b: Picture) -> Flow:
    gray_a, gray_b = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (a, b))
    return cv2.optflow.createOptFlow_DeepFlow().calc(gray_a, gray_b, None)


def _farneback(a: Picture, b: Picture) -> Flow:
    # Small polynomials (sigma 0.6 px) in a wide window: 40 % less end-point error on RubberWhale and Sintel
    # than the customary 7 px with sigma 1.5.
    gray_a, gray_b = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (a, b))
    return cv2.calcOpticalFlowFarneback(
        gray_a,
        gray_b,
        None,
        pyr_scale=0.5,
        levels=5,
        winsize=25,
        iterations=5,
        poly_n=5,
        poly_sigma=0.6,
        flags=cv2.OPTFLOW_FARNEBACK_GAUSSIAN,
    )
