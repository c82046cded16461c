"""End-point error and time of every flow estimator, beside OpenCV called directly with its own best preset.

    python -m benchmarks.flow_error --pair A.png B.png TRUTH.flo --invalid MASK.png --raft-weights FILE --json

The pictures and the true flow from A to B are the user's, of Middlebury or Sintel say. A pixel counts where the truth
is known and every mask is 0. Printed are the mean end-point error in pixels and the seconds of one field, of the farm's
estimator and of OpenCV. Times are the best of --repeat calls, after one that is not counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from farm.errors import FarmError, PictureError
from farm.flow import FLOW_METHODS, create_estimator, end_point_error, read_flow

Estimate = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Measurement:
    """Error and time of one estimator, and of OpenCV called directly, where it has the same one."""

    method: str
    error_px: float
    seconds: float
    direct_call: str | None = None
    direct_error_px: float | None = None
    direct_seconds: float | None = None


def gray(picture: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) RGB -> uint8 (H, W)."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


DIRECT_CALLS: dict[str, tuple[str, Estimate]] = {
    "dis": (
        "DISOpticalFlow, PRESET_MEDIUM",
        lambda a, b: cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(gray(a), gray(b), None),
    ),
    "deepflow": (
        "createOptFlow_DeepFlow",
        lambda a, b: cv2.optflow.createOptFlow_DeepFlow().calc(gray(a), gray(b), None),
    ),
    "epicflow": (
        "calcOpticalFlowSparseToDense",
        lambda a, b: cv2.optflow.calcOpticalFlowSparseToDense(a[..., ::-1].copy(), b[..., ::-1].copy()),
    ),
    "farneback": (
        "calcOpticalFlowFarneback, 5 px, 1.1",
        lambda a, b: cv2.calcOpticalFlowFarneback(gray(a), gray(b), None, 0.5, 5, 15, 3, 5, 1.1, 0),
    ),
}
"""What OpenCV itself has, by the farm's name: its settings, and the call.

There is no EpicFlow and no RAFT in OpenCV; its sparse-to-dense flow interpolates matches as EpicFlow does.
"""


def main() -> int:
    options = parse_options()
    try:
        measurements = list(measure(options))
    except (FarmError, ValueError) as error:
        print(f"flow_error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, FarmError) else 2
    print(json.dumps([asdict(m) for m in measurements], indent=2) if options.json else table(measurements))
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", nargs=3, type=Path, required=True, metavar=("A", "B", "TRUTH.flo"))
    parser.add_argument("--invalid", nargs="+", type=Path, default=[], metavar="MASK", help="not 0: does not count")
    parser.add_argument("--methods", nargs="+", choices=FLOW_METHODS, help="default: all that need no weights")
    parser.add_argument("--raft-weights", help="a file of weights; adds raft")
    parser.add_argument("--repeat", type=int, default=3, help="calls to take the best time of")
    parser.add_argument("--threads", type=int, help="of OpenCV; default: all cores")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    return parser.parse_args()


def measure(options: argparse.Namespace) -> Iterator[Measurement]:
    """Measure the estimators one after the other. Raises PictureError, and what reading a flow file raises."""
    if options.threads is not None:
        cv2.setNumThreads(options.threads)
    a, b = (read_picture(path, cv2.IMREAD_COLOR_RGB) for path in options.pair[:2])
    truth = read_flow(options.pair[2])
    valid = np.ones(truth.shape[:2], bool)
    for path in options.invalid:
        valid &= read_picture(path, cv2.IMREAD_GRAYSCALE) == 0

    for method in options.methods or [m for m in FLOW_METHODS if m != "raft" or options.raft_weights]:
        estimator = create_estimator(method, weights=options.raft_weights)
        flow, seconds = timed(estimator.estimate, a, b, options.repeat)
        error = end_point_error(flow, truth, valid)
        if method not in DIRECT_CALLS:
            yield Measurement(method, error, seconds)
            continue
        call, estimate = DIRECT_CALLS[method]
        flow, direct_seconds = timed(estimate, a, b, options.repeat)
        yield Measurement(method, error, seconds, call, end_point_error(flow, truth, valid), direct_seconds)


def read_picture(path: Path, mode: int) -> np.ndarray:
    """A picture as uint8, read in a mode of cv2.imread. Raises PictureError."""
    picture = cv2.imread(str(path), mode) if path.is_file() else None
    if picture is None:
        raise PictureError(f"{path} is not a picture that can be read", "give a PNG or JPEG file")
    return picture


def timed(estimate: Estimate, a: np.ndarray, b: np.ndarray, repeat: int) -> tuple[np.ndarray, float]:
    """The flow, float32 (H, W, 2), and the seconds of the fastest of `repeat` calls after a first one."""
    flow = estimate(a, b)
    times = []
    for _ in range(max(repeat, 1)):
        start = time.perf_counter()
        estimate(a, b)
        times.append(time.perf_counter() - start)
    return flow, min(times)


def table(measurements: list[Measurement]) -> str:
    """The measurements, as they are printed."""
    lines = [f"{'method':10} {'EPE px':>7} {'s':>7}   {'EPE px':>7} {'s':>7}  OpenCV directly"]
    for m in measurements:
        line = f"{m.method:10} {m.error_px:7.4f} {m.seconds:7.3f}"
        if m.direct_call:
            line += f"   {m.direct_error_px:7.4f} {m.direct_seconds:7.3f}  {m.direct_call}"
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
