"""How far an estimated flow is from the true one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def end_point_error(
    flow: npt.NDArray[np.float32],
    truth: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_] | None = None,
) -> float:
    """Mean Euclidean distance, in pixels, between two flows (H, W, 2) float32 (Baker et al. 2011, section 4.1).

    Only pixels count where the truth is known and, if given, `valid` (H, W) is True. A flow that is unknown at one of
    them makes the error NaN. Raises ValueError where shapes differ or no pixel is left.
    """
    if flow.shape != truth.shape or (valid is not None and valid.shape != truth.shape[:2]):
        raise ValueError(f"the flow has shape {flow.shape} and its truth {truth.shape}")
    counts = np.isfinite(truth).all(axis=-1)
    if valid is not None:
        counts &= valid
    if not counts.any():
        raise ValueError("no pixel has a known true flow")
    return float(np.linalg.norm((flow.astype(np.float64) - truth)[counts], axis=-1).mean())
